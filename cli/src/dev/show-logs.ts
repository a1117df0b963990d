import { watch } from "node:fs";
import { dirname } from "node:path";
import { colorsForStdout } from "../ui/colors.ts";
import { CommandError, exitCodes, Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { createLineWriter } from "../ui/line-writer.ts";
import { listOf, suggest } from "../ui/suggest.ts";
import { agentsIn, isOf, isShown, type LogFilter } from "./log-filter.ts";
import { type MeshLogLine, toJson } from "./log-line.ts";
import { createLinePainter } from "./log-painter.ts";
import { previousLog, readMeshLog } from "./mesh-log.ts";
import type { Project } from "./project.ts";
import { readRunState } from "./run-state.ts";

interface ShowOptions {
  readonly json: boolean;
  readonly follow: boolean;
  readonly filter: LogFilter;
}

/**
 * Prints a project's log, and with `follow` what is added to it until the mesh stops or the user does.
 *
 * @throws {CommandError} `LOG_NOT_FOUND`; `AGENT_NOT_FOUND` for an agent that wrote nothing and does not run.
 */
export async function showLogs(project: Project, options: ShowOptions, io: Io): Promise<number> {
  const { json, follow } = options;
  let { filter } = options;
  const paint = createLinePainter({ colors: colorsForStdout(io), root: project.root });
  const textsOf = (lines: readonly MeshLogLine[]): string[] =>
    lines.filter((line) => isShown(line, filter)).map((line) => (json ? toJson(line) : paint(line)));
  let { lines, end } = readMeshLog(project.logFile);
  const running = (): boolean => readRunState(project.runFile)?.alive === true;
  if (lines.length === 0 && !running()) {
    throw new CommandError("LOG_NOT_FOUND", `there is no log in ${project.root}`, { hint: "start with `soorma dev`" });
  }
  // What happened before the mesh was started again is asked for by its time only.
  const before = filter.sinceMs === undefined ? [] : readMeshLog(previousLog(project.logFile)).lines;
  if (filter.agent !== undefined) {
    const { agent, ...rest } = filter;
    const processes = processesOf(project, agent, [...before, ...lines]);
    if (processes) filter = { ...rest, processes };
  }
  for (const text of textsOf([...before, ...lines])) io.out(text);
  if (!follow) return exitCodes.done;

  const changed = { wake: Promise.withResolvers<void>() };
  const wake = (): void => changed.wake.resolve();
  const watcher = watch(dirname(project.logFile), wake);
  // The end of a killed supervisor writes no line.
  const heartbeat = setInterval(wake, 1_000);
  const aborted = Promise.withResolvers<void>();
  io.signal.addEventListener("abort", () => aborted.resolve());
  if (io.signal.aborted) aborted.resolve();
  void aborted.promise.then(wake);
  const writer = createLineWriter(1);
  let isRead = true;
  const refused = Promise.withResolvers<never>();
  refused.promise.catch(() => {});
  void writer.closed.then(() => {
    isRead = false;
    wake();
  }, refused.reject);
  /** A reader that is slow is waited for: the log is a file, and nothing of it is lost meanwhile. */
  const written = (): Promise<void> => Promise.race([refused.promise, writer.flush(), aborted.promise]);
  try {
    for (;;) {
      const over = !running();
      ({ lines, end } = readMeshLog(project.logFile, end));
      for (const text of textsOf(lines)) {
        if (writer.push(text)) continue;
        await written();
        writer.push(text);
      }
      await written();
      if (io.signal.aborted) throw new Interrupted();
      if (over || !isRead) return exitCodes.done;
      await changed.wake.promise;
      changed.wake = Promise.withResolvers();
    }
  } finally {
    clearInterval(heartbeat);
    watcher.close();
  }
}

/**
 * The processes of an agent that is called by its name in the mesh; none for what is called like a process.
 *
 * @throws {CommandError} `AGENT_NOT_FOUND`
 */
function processesOf(project: Project, agent: string, lines: readonly MeshLogLine[]): readonly string[] | undefined {
  const processes = readRunState(project.runFile)?.state.processes.map(({ name }) => name) ?? [];
  const known = [...new Set([...processes, ...lines.map(({ name }) => name)])];
  if (known.some((name) => isOf(name, agent))) return undefined;
  const agents = agentsIn(lines);
  const found = agents.get(agent);
  if (found) return found;
  throw new CommandError("AGENT_NOT_FOUND", `nothing called "${agent}" wrote into the log of ${project.root}`, {
    hint: suggest(agent, [...known, ...agents.keys()], `there are ${listOf(known)}`),
  });
}
