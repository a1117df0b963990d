import { whyUnwritten } from "../ui/disk-fault.ts";
import { exitCodes, type Report } from "../ui/errors.ts";
import { identify, type ProcessIdentity } from "./process-identity.ts";
import type { Sentinel } from "./sentinel.ts";
import {
  type Activity,
  type ChildMessage,
  drainVariable,
  heldVariable,
  type ParentMessage,
  parseChildMessage,
  standbyVariable,
  supervisedVariable,
} from "./supervised.ts";

export type Role = "broker" | "state" | "agent";

export interface ProcessSpec {
  /** Shown before each of its lines. */
  readonly name: string;
  readonly role: Role;
  /** What bun is called with: a file and its arguments. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds it has to finish its work after SIGTERM; a little later comes SIGKILL. */
  readonly drainMs: number;
  /** Flags of bun itself. */
  readonly flags?: readonly string[];
}

export interface StartOptions {
  /** Waits for {@link ManagedProcess.go} before it reads its file, and loads this module meanwhile; "" loads none. */
  readonly standby?: string;
  /** Its agents wait for {@link ManagedProcess.work} before they join the mesh. Default false. */
  readonly held?: boolean;
  /** What it prints is shown so many milliseconds later, and not at all if it ends before. Default: at once. */
  readonly holdMs?: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not start, if it said so. */
  readonly report?: Report;
  /** The last lines it wrote to stderr. */
  readonly lastLines: readonly string[];
  /** Shows what was held back when it ended. */
  showHeld(): void;
  readonly wasReady: boolean;
}

/** What became of a start: ready, or ended before that. */
type StartResult =
  | { readonly ready: true; readonly info: Readonly<Record<string, unknown>> }
  | { readonly ready: false; readonly exit: Exit };

export interface ManagedProcess {
  readonly spec: ProcessSpec;
  /** Absent when the system did not start it. */
  readonly identity?: ProcessIdentity;
  /** When it was started, or told to go. */
  readonly startedAtMs: number;
  readonly started: Promise<StartResult>;
  /** Resolves when one that is held has loaded its code. Also when it ended, or is ready without having waited. */
  readonly loaded: Promise<void>;
  readonly exited: Promise<Exit>;
  readonly isReady: boolean;
  /** Ends the waiting of a process that stands by. */
  go(): void;
  /** Ends the waiting of a process that is held. */
  work(): void;
  /** What it did so far; `undefined` when it does not say within a second. */
  activity(): Promise<Activity | undefined>;
  /** Asks it to end, and makes it after the drain time. Resolves when it is gone. */
  stop(): Promise<void>;
  /** Ends it and everything it started, now. */
  kill(): void;
}

export interface ProcessHost {
  readonly sentinel: Sentinel;
  onLine(process: ProcessSpec, stream: "stdout" | "stderr", line: string): void;
}

const keptLines = 40;
/** Milliseconds that a worker has, after the time to finish, for handing back what it did not finish. */
const handBackMs = 1_500;
/** Milliseconds to wait for the rest of what a process wrote that has ended. */
const outputMs = 1_000;
/** Milliseconds to wait for an answer of a process. */
const answerMs = 1_000;

/**
 * Starts a supervised process: leader of its own group, tied to this one by an IPC channel. One that the system does not
 * start, as there are too many already, say, has ended at once.
 */
export function startProcess(spec: ProcessSpec, host: ProcessHost, options: StartOptions = {}): ManagedProcess {
  try {
    return spawnProcess(spec, host, options);
  } catch (error) {
    return unstarted(spec, error);
  }
}

function unstarted(spec: ProcessSpec, error: unknown): ManagedProcess {
  const message = `the system did not start it: ${whyUnwritten(error)}`;
  const report = { exitCode: exitCodes.failed, code: "START_FAILED", message };
  const exit: Exit = { code: null, signal: null, report, lastLines: [], showHeld() {}, wasReady: false };
  return {
    spec,
    startedAtMs: Date.now(),
    started: Promise.resolve({ ready: false, exit }),
    loaded: Promise.resolve(),
    exited: Promise.resolve(exit),
    isReady: false,
    go() {},
    work() {},
    activity: async () => undefined,
    stop: async () => {},
    kill() {},
  };
}

function spawnProcess(spec: ProcessSpec, host: ProcessHost, options: StartOptions): ManagedProcess {
  const { standby, held: isHeld = false, holdMs = 0 } = options;
  let isReady = false;
  let report: Report | undefined;
  let startedAtMs = Date.now();
  const lastLines: string[] = [];
  const started = Promise.withResolvers<StartResult>();
  const loaded = Promise.withResolvers<void>();
  const answers = new Map<ChildMessage["soorma"], (message: ChildMessage | undefined) => void>();
  const held: (() => void)[] = [];
  const tell = (stream: "stdout" | "stderr", line: string): void => {
    const show = (): void => host.onLine(spec, stream, line);
    if (holdMs === 0) {
      show();
      return;
    }
    held.push(show);
    setTimeout(() => held.splice(0, held.indexOf(show) + 1).forEach((each) => void each()), holdMs);
  };

  const child = Bun.spawn(
    [process.execPath, "--no-install", ...(spec.flags ?? []), "--preload", `${import.meta.dir}/child.ts`, ...spec.argv],
    {
      cwd: spec.cwd,
      env: {
        ...spec.env,
        [supervisedVariable]: "1",
        [drainVariable]: String(spec.drainMs),
        ...(standby === undefined ? {} : { [standbyVariable]: standby }),
        ...(isHeld ? { [heldVariable]: "1" } : {}),
      },
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
      // Ctrl-C in the terminal reaches the supervisor alone, which then stops everything in order.
      detached: true,
      serialization: "json",
      ipc(value) {
        const message = parseChildMessage(value);
        if (message?.soorma === "ready" && !isReady) {
          isReady = true;
          started.resolve({ ready: true, info: message.info });
        } else if (message?.soorma === "loaded") loaded.resolve();
        else if (message?.soorma === "failed") report = message.report;
        else if (message) answers.get(message.soorma)?.(message);
      },
    },
  );
  void started.promise.then(() => loaded.resolve());
  host.sentinel.add(child.pid);
  const identity = identify(child.pid) ?? { pid: child.pid, startTime: "" };

  const output = Promise.all([
    readLines(child.stdout, (line) => tell("stdout", line)),
    readLines(child.stderr, (line) => {
      lastLines.push(line);
      if (lastLines.length > keptLines) lastLines.shift();
      tell("stderr", line);
    }),
  ]);

  const killGroup = (): void => {
    try {
      process.kill(-child.pid, "SIGKILL");
    } catch {
      // Nobody left in it.
    }
  };

  const exited = (async (): Promise<Exit> => {
    await child.exited;
    // What it started itself would keep the pipes open, and would be an orphan.
    killGroup();
    // What left the group holds them open for as long as it likes: what it writes is shown, but not waited for.
    await Promise.race([output, Bun.sleep(outputMs)]);
    host.sentinel.remove(child.pid);
    for (const answer of [...answers.values()]) answer(undefined);
    const unseen = held.splice(0);
    const exit: Exit = {
      code: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
      lastLines,
      showHeld: () => unseen.splice(0).forEach((show) => void show()),
      wasReady: isReady,
      ...(report === undefined ? {} : { report }),
    };
    started.resolve({ ready: false, exit });
    return exit;
  })();

  const say = (message: ParentMessage): boolean => {
    try {
      child.send(message);
      return true;
    } catch {
      // It is about to end.
      return false;
    }
  };
  const ask = async (question: ParentMessage["soorma"], answer: ChildMessage["soorma"]) => {
    const { promise, resolve } = Promise.withResolvers<ChildMessage | undefined>();
    answers.set(answer, resolve);
    const timer = setTimeout(resolve, answerMs);
    if (!say({ soorma: question })) resolve(undefined);
    const message = await promise;
    clearTimeout(timer);
    if (answers.get(answer) === resolve) answers.delete(answer);
    return message;
  };

  let stopping: Promise<void> | undefined;
  return {
    spec,
    identity,
    get startedAtMs() {
      return startedAtMs;
    },
    started: started.promise,
    loaded: loaded.promise,
    exited,
    get isReady() {
      return isReady;
    },
    go() {
      startedAtMs = Date.now();
      say({ soorma: "go" });
    },
    work() {
      say({ soorma: "work" });
    },
    async activity() {
      const message = await ask("activity", "activity");
      return message?.soorma === "activity" ? message.activity : undefined;
    },
    stop() {
      stopping ??= (async () => {
        child.kill("SIGTERM");
        const timer = setTimeout(killGroup, spec.drainMs + handBackMs);
        await exited;
        clearTimeout(timer);
      })();
      return stopping;
    },
    kill: killGroup,
  };
}

const longestLine = 64 * 1024;

async function readLines(stream: ReadableStream<Uint8Array>, onLine: (line: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line.endsWith("\r") ? line.slice(0, -1) : line);
    if (rest.length > longestLine) {
      onLine(rest);
      rest = "";
    }
  }
  if (rest !== "") onLine(rest);
}

/** For people: `exit code 1`, `signal SIGKILL`. */
export function exitText(exit: Exit): string {
  return exit.signal === null ? `exit code ${exit.code}` : `signal ${exit.signal}`;
}
