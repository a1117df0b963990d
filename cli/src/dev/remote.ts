import { removeMeshFile } from "../mesh-file.ts";
import { colorsForStdout } from "../ui/colors.ts";
import { exitCodes, Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { table } from "../ui/table.ts";
import { oneLine } from "../ui/text.ts";
import { formatDuration } from "../ui/time.ts";
import { isRunning, type ProcessIdentity } from "./process-identity.ts";
import { type Project, removeSocketFolder } from "./project.ts";
import {
  claimProject,
  type ProcessStatus,
  processesOf,
  type RunState,
  readRunState,
  signalGroup,
} from "./run-state.ts";

/** At least so long it has to stop in order; then it is ended by force. */
const leastPatienceMs = 30_000;

/** Agents, state node and broker drain one after the other, and what does not end is ended by the supervisor itself. */
function patienceOf({ drainMs = 0 }: RunState): number {
  return Math.max(leastPatienceMs, 4 * drainMs);
}

/** Stops what runs in a project. Nothing running is fine; what a killed mesh left is cleaned up. */
export async function stopMesh(project: Project, json: boolean, io: Io): Promise<number> {
  const found = readRunState(project.runFile);
  if (!found?.alive) {
    if (found) await cleanUp(project);
    if (json) io.out(JSON.stringify({ stopped: false }));
    else
      io.err(`nothing runs in this project${found ? `; cleaned up after process ${found.state.supervisor.pid}` : ""}`);
    return exitCodes.done;
  }
  const { supervisor, processes } = found.state;
  send(supervisor, "SIGTERM");
  const deadline = performance.now() + patienceOf(found.state);
  // There is no way to wait for a process that is not one's child.
  while (isRunning(supervisor)) {
    if (io.signal.aborted) throw new Interrupted("interrupted; it goes on stopping");
    if (performance.now() > deadline) {
      // Numbers of processes that have ended may be somebody else's by now.
      for (const { pid } of processesOf(found.state).filter(isRunning)) signalGroup(pid, "SIGKILL");
      send(supervisor, "SIGKILL");
    }
    await Bun.sleep(20);
  }
  if (json) io.out(JSON.stringify({ stopped: true, pid: supervisor.pid }));
  else io.out(`stopped ${processes.length} processes`);
  return exitCodes.done;
}

/** It may have ended since it was looked at. */
function send(to: ProcessIdentity, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(to.pid, signal);
  } catch (error) {
    if (isRunning(to)) throw error;
  }
}

/** Ends and takes away what a supervisor left that was killed, or that a reboot ended. */
async function cleanUp(project: Project): Promise<void> {
  const claim = await claimProject(project.runFile, () => {});
  try {
    removeMeshFile(project.meshFile);
    removeSocketFolder(project.socketFolder);
  } finally {
    claim.release();
  }
}

/** Prints what runs in a project; exit code 1 when nothing does. Writes nothing. */
export async function showStatus(project: Project, json: boolean, io: Io): Promise<number> {
  const found = readRunState(project.runFile);
  if (!found?.alive) {
    const stale = found ? `; process ${found.state.supervisor.pid} did not end in order` : "";
    if (json) io.out(JSON.stringify({ running: false }));
    else io.out(`nothing runs in ${project.root}${stale}`);
    return exitCodes.failed;
  }
  const { state } = found;
  const processes = state.processes.map((status) => ({ ...status, ...liveness(status) }));
  if (json) {
    io.out(JSON.stringify({ running: true, ...state, processes }));
    return exitCodes.done;
  }
  const upMs = Date.now() - state.startedAtMs;
  io.out(`${state.phase} · process ${state.supervisor.pid} · up ${formatDuration(upMs)} · ${registryText(state)}`);
  const rows = processes.map((status) => [
    status.name,
    status.role,
    status.state,
    status.process ? String(status.process.pid) : "–",
    status.startedAtMs === undefined ? "–" : formatDuration(Date.now() - status.startedAtMs),
    String(status.restarts),
    oneLine(status.problem ?? ""),
  ]);
  const columns = [
    { title: "NAME", least: 8 },
    { title: "ROLE", rank: 2 },
    { title: "STATE" },
    { title: "PID", align: "right" },
    { title: "UP", align: "right", rank: 3 },
    { title: "RESTARTS", align: "right", rank: 1 },
    { title: "", least: 12 },
  ] as const;
  const width = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  for (const line of table(columns, rows, { width, colors: colorsForStdout(io) })) io.out(line);
  return exitCodes.done;
}

/** The supervisor may not have noticed yet that a process died. */
function liveness(status: ProcessStatus): Pick<ProcessStatus, "state"> {
  return { state: status.process && !isRunning(status.process) ? "failed" : status.state };
}

/** For people: where a mesh's registry is. */
export function registryText({ broker, registry }: { readonly broker?: string; readonly registry?: string }): string {
  if (broker !== undefined) return `broker ${broker}`;
  return registry === undefined ? "broker starting" : `registry ${registry}`;
}
