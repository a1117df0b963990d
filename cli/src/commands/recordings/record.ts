import { type FileHandle, open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import type { RecorderStats } from "@soorma/core/recording";
import { whyUnwritten } from "../../ui/disk-fault.ts";
import { CommandError, Interrupted, UsageError } from "../../ui/errors.ts";
import { type Io, writeAll } from "../../ui/io.ts";
import { createLive } from "../../ui/live.ts";
import { count, printable } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { watchMeshLife } from "../mesh-life.ts";
import type { RunCommand } from "../spec.ts";

interface RecordOptions {
  readonly for?: number;
  readonly redact?: readonly string[];
  readonly force?: boolean;
  readonly json?: boolean;
}

/** How often what was recorded so far is shown. */
const tickMs = 250;
/** Instead of a file: the lines go to stdout. */
const stdout = "-";

export const runRecord: RunCommand = async ({ args: [path = ""], options, io }) => {
  const { for: seconds, redact = [], force = false, json = false } = options as RecordOptions;
  if (json && path === stdout)
    throw new UsageError("the recording itself goes to stdout", "leave --json out, or name a file");
  // Loaded here: a wrong command line is told without waiting for the mesh's code.
  const [{ Recorder, formatLine }, { connectMesh, processLogger }, { findMeshFile }] = await Promise.all([
    import("@soorma/core/recording"),
    import("../../mesh.ts"),
    import("../../mesh-file.ts"),
  ]);
  const meshFile = findMeshFile({ cwd: io.cwd, env: io.env });
  await using output = await openOutput(path, { io, force });
  const unread = Promise.withResolvers<Why>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const recorder = new Recorder({
    mesh: connectMesh({ meshFile, log: processLogger("warn") }),
    // Of `<project>/.soorma/run/mesh.json`.
    project: basename(dirname(dirname(dirname(meshFile)))),
    redact,
    write: async (lines) => {
      if (!(await output.write(lines.map((line) => `${formatLine(line)}\n`).join("")))) unread.resolve("unread");
    },
    onFailure: (cause) => failed.reject(writeError(path, cause)),
  });
  try {
    // A broker that does not answer may keep it for ever.
    await Promise.race([recorder.run(), interrupted(io)]);
    const isWhole = await recorder.copying();
    const startedMs = performance.now();
    const { agents, nodes } = recorder.recorded;
    const where = path === stdout ? "stdout" : printable(path);
    io.err(`recording ${count(agents, "agent")} in ${count(nodes, "process")} to ${where}; Ctrl-C ends it`);
    if (!isWhole) io.err("warning: not every process answers; what it sends is recorded when it does");
    using life = watchMeshLife(io);
    const stopped = Promise.race([life.ended.catch(() => "mesh" as const), unread.promise]);
    const why = await Promise.race([over(recorder, { io, seconds, stopped }), failed.promise]);
    const tookMs = performance.now() - startedMs;
    // First: without its broker the recorder takes some seconds to leave.
    if (why === "mesh") io.err("the mesh was stopped, and the recording with it");
    await recorder.stop();
    tell(recorder.recorded, { path, where, tookMs, json, io });
    return undefined;
  } catch (error) {
    if (!(error instanceof Interrupted)) await recorder.stop().catch(() => {});
    throw error;
  }
};

async function interrupted({ signal }: Io): Promise<never> {
  if (!signal.aborted) {
    await new Promise((resolve) => {
      signal.addEventListener("abort", resolve, { once: true });
    });
  }
  throw new Interrupted();
}

type Why = "interrupted" | "time" | "mesh" | "unread";

/** Resolves at Ctrl-C, when the time is over, or as `stopped` does: there is no mesh any more, or nobody who reads. */
async function over(
  recorder: { readonly recorded: RecorderStats },
  { io, seconds, stopped }: { io: Io; seconds: number | undefined; stopped: Promise<Why> },
): Promise<Why> {
  using live = createLive(io);
  const ended = Promise.withResolvers<Why>();
  if (io.signal.aborted) return "interrupted";
  io.signal.addEventListener("abort", () => ended.resolve("interrupted"), { once: true });
  void stopped.then(ended.resolve);
  const timer = seconds === undefined ? undefined : setTimeout(() => ended.resolve("time"), seconds * 1_000);
  const startedMs = performance.now();
  const draw = (): void =>
    live.set([`${summary(recorder.recorded)} · ${formatDuration(performance.now() - startedMs)}`]);
  const ticker = live.enabled ? setInterval(draw, tickMs) : undefined;
  try {
    return await ended.promise;
  } finally {
    clearTimeout(timer);
    clearInterval(ticker);
  }
}

function summary({ messages, agents, lost }: RecorderStats): string {
  return `${count(messages, "message")} of ${count(agents, "agent")}${lost > 0 ? `, ${lost} lost` : ""}`;
}

function tell(
  stats: RecorderStats,
  { path, where, tookMs, json, io }: { path: string; where: string; tookMs: number; json: boolean; io: Io },
): void {
  const { messages, lost } = stats;
  if (json) {
    io.out(JSON.stringify({ file: path, messages, lost, tookMs: Math.round(tookMs) }));
    return;
  }
  const line = `recorded ${count(messages, "message")} in ${formatDuration(tookMs)} to ${where}`;
  if (path === stdout) io.err(line);
  else io.out(line);
  if (lost > 0) io.err(`warning: ${count(lost, "message")} lost: the recording says where`);
}

interface Output extends AsyncDisposable {
  /** Resolves to false when nobody reads it any more. */
  write(text: string): Promise<boolean>;
}

/** Only its owner may read it: it holds what agents send each other. */
const fileMode = 0o600;

async function openOutput(path: string, { io, force }: { io: Io; force: boolean }): Promise<Output> {
  if (path === stdout) return { write: async (text) => writeAll(1, text), async [Symbol.asyncDispose]() {} };
  let file: FileHandle;
  try {
    file = await open(resolve(io.cwd, path), force ? "w" : "wx", fileMode);
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
    if (code === "EEXIST") {
      throw new CommandError("FILE_EXISTS", `${path} exists already`, {
        hint: "name another file, or replace it with --force",
        cause,
      });
    }
    throw writeError(path, cause);
  }
  return {
    async write(text) {
      await file.writeFile(text);
      return true;
    },
    async [Symbol.asyncDispose]() {
      await file.close();
    },
  };
}

function writeError(path: string, cause: unknown): CommandError {
  return new CommandError("FILE_UNWRITABLE", `the recording cannot be written to ${path}: ${whyUnwritten(cause)}`, {
    cause,
    hint: "name a file in a folder that can be written",
  });
}
