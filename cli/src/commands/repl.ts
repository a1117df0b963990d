import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { findMeshFile } from "../mesh-file.ts";
import { Evaluator } from "../repl/evaluator.ts";
import { watchNames } from "../repl/names.ts";
import { runScript } from "../repl/script.ts";
import { runSession } from "../repl/session.ts";
import { showValue } from "../repl/show.ts";
import { colorsFor } from "../ui/colors.ts";
import { CommandError, Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { oneLine } from "../ui/text.ts";
import { connect } from "./connect.ts";
import type { RunCommand } from "./spec.ts";

const help = [
  "client                     submitGoal, attach, replay; what an app has",
  "memory, bus                store, retrieve, search; publish, subscribe, request",
  "registry, tracker          find, query, watch; getPlan, listPlans, timeline",
  "agents.<name>              the live agents: agents.calculator.invoke(…)",
  "soorma                     all that `soorma` exports: soorma.defineGoal, soorma.Type",
  "_, _error                  the last value and the last error",
  "Tab completes, Ctrl-C gives a statement up, Ctrl-D or .exit ends.",
];

export const runRepl: RunCommand = async ({ options, io }) => {
  const { json = false, eval: given } = options as { readonly json?: boolean; readonly eval?: string };
  const meshFile = findMeshFile({ cwd: io.cwd, env: io.env });
  const soorma = await import("../index.ts");
  await using client = await connect(io, { name: "soorma-repl" });
  const stopped = interrupted(io);
  const ended = new AbortController();
  const live = watchNames(client, ended.signal);
  const { memory, bus, registry, tracker } = client;
  const scope = { client, memory, bus, registry, tracker, agents: live.agents, soorma };
  const evaluator = new Evaluator(io.cwd, scope);
  try {
    await Promise.race([live.ready, stopped]);
    if (given === undefined && process.stdin.isTTY === true && process.stderr.isTTY === true) {
      const colors = colorsFor(io);
      const names = Object.keys(live.agents).sort().map(oneLine);
      io.err(`${colors.bold("soorma repl")}: ${names.join(", ") || "no agents"}`);
      io.err(colors.dim(`in scope: ${Object.keys(scope).join(", ")}; .help says more, Ctrl-D ends`));
      await runSession({
        io,
        evaluator,
        completion: { scope: Object.keys(scope), names: live.names, global: globalThis },
        // Of `<project>/.soorma/run/mesh.json`.
        historyFile: join(dirname(dirname(meshFile)), "repl-history"),
        json,
        help,
      });
      return undefined;
    }
    const lines = given === undefined ? linesOfStdin(io.signal) : given.split("\n");
    const script = runScript(lines, evaluator, (value) => {
      if (value !== undefined) io.out(showValue(value, { json, colors: false }));
    });
    await Promise.race([script, stopped]);
    return undefined;
  } catch (error) {
    throw asExpected(error);
  } finally {
    ended.abort();
  }
};

/** Rejects at Ctrl-C, also if that came before anybody waits for it. */
function interrupted({ signal }: Pick<Io, "signal">): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const stop = (): void => reject(new Interrupted());
  signal.addEventListener("abort", stop, { once: true });
  if (signal.aborted) stop();
  return promise;
}

function linesOfStdin(signal: AbortSignal): AsyncIterable<string> {
  const lines = createInterface({ input: process.stdin, crlfDelay: Number.POSITIVE_INFINITY });
  signal.addEventListener("abort", () => lines.close(), { once: true });
  return lines;
}

/** What a statement throws is no bug of this command. */
function asExpected(error: unknown): unknown {
  if (error instanceof Error && "code" in error && typeof error.code === "string" && error.name === "SoormaError")
    return error;
  if (error instanceof Interrupted) return error;
  const message = error instanceof Error ? `${error.name}: ${error.message}` : `thrown: ${Bun.inspect(error)}`;
  return new CommandError("STATEMENT_FAILED", message, { cause: error });
}
