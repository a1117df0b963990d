import { removeMeshFile } from "../mesh-file.ts";
import { exitCodes } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { isRunning } from "./process-identity.ts";
import { type Project, removeSocketFolder } from "./project.ts";
import { claimProject, type ProcessStatus, processesOf, readRunState, signalGroup } from "./run-state.ts";

/** More than the longest drain a config allows by default; then it is ended by force. */
const stopPatienceMs = 30_000;

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
  process.kill(supervisor.pid, "SIGTERM");
  const deadline = performance.now() + stopPatienceMs;
  // There is no way to wait for a process that is not one's child.
  while (isRunning(supervisor)) {
    if (io.signal.aborted) return exitCodes.interrupted;
    if (performance.now() > deadline) {
      for (const { pid } of processesOf(found.state)) signalGroup(pid, "SIGKILL");
      process.kill(supervisor.pid, "SIGKILL");
    }
    await Bun.sleep(20);
  }
  if (json) io.out(JSON.stringify({ stopped: true, pid: supervisor.pid }));
  else io.out(`stopped ${processes.length} processes`);
  return exitCodes.done;
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
  io.out(
    `${state.phase} · process ${state.supervisor.pid} · up ${duration(Date.now() - state.startedAtMs)} · ${registryText(state)}`,
  );
  const rows = processes.map((status) => [
    status.name,
    status.role,
    status.state,
    status.process ? String(status.process.pid) : "-",
    status.startedAtMs === undefined ? "-" : duration(Date.now() - status.startedAtMs),
    String(status.restarts),
    status.problem ?? "",
  ]);
  for (const line of table([["name", "role", "state", "pid", "up", "restarts", ""], ...rows])) io.out(line);
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

function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function table(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
