import { processTable } from "../inspect/process-table.ts";
import { totalsOf, watchProcesses } from "../inspect/processes.ts";
import { drawTop, headOf, type Sorting, sortings } from "../inspect/top-screen.ts";
import { findMeshFile } from "../mesh-file.ts";
import { colorsForStdout } from "../ui/colors.ts";
import { Interrupted } from "../ui/errors.ts";
import { type Io, writeAll } from "../ui/io.ts";
import { type Key, readKeys } from "../ui/keys.ts";
import { connect } from "./connect.ts";
import { watchMeshLife } from "./mesh-life.ts";
import type { RunCommand } from "./spec.ts";

interface TopOptions {
  readonly interval?: number;
  readonly once?: boolean;
  readonly json?: boolean;
}

const defaultIntervalSeconds = 1;
/** Rates of a single look are of this long. */
const sampleMs = 300;

export const runTop: RunCommand = async ({ options, io }) => {
  const { interval = defaultIntervalSeconds, once = false, json = false } = options as TopOptions;
  await using client = await connect(io);
  const watch = watchProcesses(client);
  await watch.look(io.signal);
  if (!json && !once && io.stdoutColumns !== undefined) {
    const left = await followLive(() => watch.look(io.signal), interval * 1000, titleOf(io), io);
    if (left === "interrupted") throw new Interrupted();
    return undefined;
  }
  await Bun.sleep(sampleMs);
  const views = await watch.look(io.signal);
  if (json) {
    io.out(JSON.stringify({ totals: totalsOf(views), processes: views }));
    return undefined;
  }
  const colors = colorsForStdout(io);
  const columns = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  for (const line of headOf({ views, title: titleOf(io) }, { columns, colors })) io.out(line);
  for (const line of processTable(views, { width: columns, colors })) io.out(line);
  return undefined;
};

type Look = () => ReturnType<ReturnType<typeof watchProcesses>["look"]>;

/** The whole terminal, drawn anew with every look and every key; what was on it before comes back. */
async function followLive(look: Look, intervalMs: number, title: string, io: Io): Promise<"left" | "interrupted"> {
  const over = Promise.withResolvers<"left" | "interrupted">();
  const colors = colorsForStdout(io);
  let views: Awaited<ReturnType<Look>> = [];
  let sorting: Sorting = "cpu";
  let paused = false;
  let help = false;
  const draw = (): void => {
    const screen = { columns: process.stdout.columns || 80, rows: process.stdout.rows || 24, colors };
    const lines = drawTop({ views, sorting, paused, help, title }, screen);
    // Line by line: clearing the whole first would flicker.
    writeAll(1, `\x1b[H${lines.map((line) => `\x1b[2K${line}`).join("\r\n")}\x1b[J`);
  };
  const onKey = (key: Key): void => {
    const chosen = sortings.find((name) => name.startsWith(key));
    if (key === "ctrl-c") over.resolve("interrupted");
    else if (key === "q" || (key === "escape" && !help)) over.resolve("left");
    else if (key === "p" || key === " ") paused = !paused;
    else if (key === "?" || key === "h" || key === "escape") help = !help;
    else if (key === "s") sorting = sortings[(sortings.indexOf(sorting) + 1) % sortings.length] ?? "cpu";
    else if (chosen) sorting = chosen;
    else return;
    draw();
  };

  const leave = (): void => over.resolve("interrupted");
  io.signal.addEventListener("abort", leave, { once: true });
  if (io.signal.aborted) leave();
  // Of a terminal that was closed.
  process.stdout.on("error", leave);
  const onResize = (): void => {
    // A terminal breaks the lines of the old picture anew: they are no good to draw over.
    writeAll(1, "\x1b[2J");
    draw();
  };
  process.stdout.on("resize", onResize);
  writeAll(1, "\x1b[?1049h\x1b[?25l\x1b[H\x1b[J");
  const keys = process.stdin.isTTY === true ? readKeys(onKey) : undefined;
  const looking = (async () => {
    let ended = false;
    const end = over.promise.then(
      () => {
        ended = true;
      },
      // Told by whoever waits for the promise itself.
      () => {},
    );
    while (!ended) {
      if (!paused) {
        const seen = await look();
        if (!paused) views = seen;
        if (!ended) draw();
      }
      await Promise.race([Bun.sleep(intervalMs), end]);
    }
  })();
  looking.catch((error) => over.reject(error));
  using life = watchMeshLife(io);
  try {
    return await Promise.race([over.promise, life.ended]);
  } finally {
    keys?.[Symbol.dispose]();
    process.stdout.off("resize", onResize);
    io.signal.removeEventListener("abort", leave);
    writeAll(1, "\x1b[?25h\x1b[?1049l");
  }
}

/** The project whose mesh this is. */
function titleOf({ cwd, env }: Io): string {
  return `soorma top  ${findMeshFile({ cwd, env }).replace(/\/\.soorma\/run\/mesh\.json$/, "")}`;
}
