import { readFileSync, rmSync } from "node:fs";
import { writtenFirst } from "../ui/disk-fault.ts";
import { CommandError } from "../ui/errors.ts";
import { createFileExclusively, writeFileAtomically } from "./atomic-file.ts";
import type { Role } from "./managed-process.ts";
import { identify, isRunning, type ProcessIdentity } from "./process-identity.ts";

export type ProcessState = "starting" | "ready" | "failed" | "stopping" | "stopped";

export interface ProcessStatus {
  readonly name: string;
  readonly role: Role;
  readonly state: ProcessState;
  /** Absent while it does not run. */
  readonly process?: ProcessIdentity;
  readonly startedAtMs?: number;
  /** How often it was started again: after a crash or a saved file. */
  readonly restarts: number;
  /** Why it does not run, in one line. */
  readonly problem?: string;
  /** Where its debugger listens: `ws://127.0.0.1:6499/worker`. */
  readonly debugger?: string;
}

/** What runs in a project, as its supervisor last wrote it. */
export interface RunState {
  readonly version: 1;
  readonly supervisor: ProcessIdentity;
  readonly phase: "starting" | "ready" | "stopping";
  readonly startedAtMs: number;
  /** Milliseconds its processes have to finish their work. */
  readonly drainMs?: number;
  /** The broker's address, where there is a broker. */
  readonly broker?: string;
  /** What the registry is called. */
  readonly registry?: string;
  readonly processes: readonly ProcessStatus[];
  /** Processes that wait to become an agent's next. */
  readonly standbys?: readonly ProcessIdentity[];
  /** TypeScript's server. */
  readonly typeServer?: ProcessIdentity;
}

/** Every process of a project but its supervisor. */
export function processesOf({ processes, standbys = [], typeServer }: RunState): ProcessIdentity[] {
  return [...processes.flatMap(({ process }) => process ?? []), ...standbys, ...(typeServer ? [typeServer] : [])];
}

/** A project that is this process's to run, until it is released. */
export interface Claim {
  readonly supervisor: ProcessIdentity;
  update(state: Omit<RunState, "version" | "supervisor">): void;
  release(): void;
}

/** Reads what runs in a project. A supervisor that is gone is told by `alive`. Writes nothing. */
export function readRunState(runFile: string): { readonly state: RunState; readonly alive: boolean } | undefined {
  const text = textOf(runFile);
  return text === undefined ? undefined : parseRunState(text);
}

function parseRunState(text: string): ReturnType<typeof readRunState> {
  try {
    const state = JSON.parse(text) as RunState;
    if (state.version !== 1 || typeof state.supervisor?.pid !== "number") return undefined;
    return { state, alive: isRunning(state.supervisor) };
  } catch {
    return undefined;
  }
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

/**
 * Makes this process the project's supervisor. What a crashed one left behind is ended and taken away.
 *
 * @param onStale - Told what was found before it is cleaned up.
 * @param drainMs - What whoever stops it has to wait for.
 * @throws {CommandError} `ALREADY_RUNNING`; `FILE_UNWRITABLE` when the disk does not take the file.
 */
export async function claimProject(
  runFile: string,
  onStale: (state: RunState) => void,
  drainMs?: number,
): Promise<Claim> {
  const supervisor = identify(process.pid);
  if (!supervisor) throw new Error("this process does not find itself in the process table");
  const startedAtMs = Date.now();
  const write = (state: Omit<RunState, "version" | "supervisor">): string =>
    JSON.stringify({ version: 1, supervisor, drainMs, ...state });

  const mine = write({ phase: "starting", startedAtMs, processes: [] });
  let told: string | undefined;
  while (!writtenFirst(runFile, () => createFileExclusively(runFile, mine))) {
    const text = textOf(runFile);
    const found = text === undefined ? undefined : parseRunState(text);
    if (found?.alive) throw alreadyRunning(found.state);
    if (found && told !== text) onStale(found.state);
    told = text;
    if (found) await endLeftovers(found.state);
    if (writtenFirst(runFile, () => replaceStale(runFile, text, mine))) break;
    // Somebody else is replacing it.
    await Bun.sleep(1);
  }
  return {
    supervisor,
    update: (state) => writeFileAtomically(runFile, write(state)),
    release() {
      try {
        rmSync(runFile, { force: true });
      } catch {
        // Whoever comes next sees by its supervisor that it is stale.
      }
    },
  };
}

/**
 * Puts `text` in the place of a file that is stale. Only who has `<file>.next` does so, after having read the file again: what
 * another one put there in between stays.
 *
 * @param stale - What was found in it; `undefined` when it could not be read.
 * @returns false when somebody else is about to, or did.
 */
function replaceStale(path: string, stale: string | undefined, text: string): boolean {
  const next = `${path}.next`;
  if (!createFileExclusively(next, text)) {
    const heir = textOf(next);
    const isHeld = heir !== undefined && parseRunState(heir)?.alive === true;
    if (isHeld || !replaceStale(next, heir, text)) return false;
  }
  try {
    if (textOf(path) !== stale) return false;
    rmSync(path, { force: true });
    return createFileExclusively(path, text);
  } finally {
    rmSync(next, { force: true });
  }
}

/** @throws {CommandError} `ALREADY_RUNNING` while a supervisor runs in the project. */
export function refuseSecond(runFile: string): void {
  const found = readRunState(runFile);
  if (found?.alive) throw alreadyRunning(found.state);
}

function alreadyRunning(state: RunState): CommandError {
  const since = new Date(state.startedAtMs).toLocaleTimeString("en-GB");
  return new CommandError(
    "ALREADY_RUNNING",
    `soorma dev runs in this project already: process ${state.supervisor.pid}, since ${since}`,
    { hint: "stop it with `soorma dev --stop`, or look at it with `soorma dev --status`" },
  );
}

const leftoverGraceMs = 2_000;

/** Children of a killed supervisor end by themselves; the new one must not start beside them. */
async function endLeftovers(state: RunState): Promise<void> {
  const left = (): ProcessIdentity[] => processesOf(state).filter(isRunning);
  for (const { pid } of left()) signalGroup(pid, "SIGTERM");
  const deadline = performance.now() + leftoverGraceMs;
  while (left().length > 0 && performance.now() < deadline) await Bun.sleep(20);
  for (const { pid } of left()) signalGroup(pid, "SIGKILL");
  while (left().length > 0 && performance.now() < deadline + leftoverGraceMs) await Bun.sleep(20);
}

export function signalGroup(pid: number, signal: "SIGTERM" | "SIGKILL"): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Gone meanwhile.
  }
}
