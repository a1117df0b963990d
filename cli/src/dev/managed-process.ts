import type { Report } from "../ui/errors.ts";
import { identify, type ProcessIdentity } from "./process-identity.ts";
import type { Sentinel } from "./sentinel.ts";
import { parseChildMessage, supervisedVariable } from "./supervised.ts";

export type Role = "broker" | "state" | "agent";

export interface ProcessSpec {
  /** Shown before each of its lines. */
  readonly name: string;
  readonly role: Role;
  /** What bun is called with: a file and its arguments. */
  readonly argv: readonly string[];
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Milliseconds from SIGTERM to SIGKILL. */
  readonly drainMs: number;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: string | null;
  /** Why it could not start, if it said so. */
  readonly report?: Report;
  /** The last lines it wrote to stderr. */
  readonly lastLines: readonly string[];
  readonly wasReady: boolean;
}

/** What became of a start: ready, or ended before that. */
type StartResult =
  | { readonly ready: true; readonly info: Readonly<Record<string, unknown>> }
  | { readonly ready: false; readonly exit: Exit };

export interface ManagedProcess {
  readonly spec: ProcessSpec;
  readonly identity: ProcessIdentity;
  readonly startedAtMs: number;
  readonly started: Promise<StartResult>;
  readonly exited: Promise<Exit>;
  readonly isReady: boolean;
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

/** Starts a supervised process: leader of its own group, tied to this one by an IPC channel. */
export function startProcess(spec: ProcessSpec, host: ProcessHost): ManagedProcess {
  let isReady = false;
  let report: Report | undefined;
  const lastLines: string[] = [];
  const started = Promise.withResolvers<StartResult>();

  const child = Bun.spawn(
    [process.execPath, "--no-install", "--preload", `${import.meta.dir}/child.ts`, ...spec.argv],
    {
      cwd: spec.cwd,
      env: { ...spec.env, [supervisedVariable]: "1", SOORMA_DRAIN_MS: String(spec.drainMs) },
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
        } else if (message?.soorma === "failed") report = message.report;
      },
    },
  );
  host.sentinel.add(child.pid);
  const identity = identify(child.pid) ?? { pid: child.pid, startTime: "" };

  const output = Promise.all([
    readLines(child.stdout, (line) => host.onLine(spec, "stdout", line)),
    readLines(child.stderr, (line) => {
      lastLines.push(line);
      if (lastLines.length > keptLines) lastLines.shift();
      host.onLine(spec, "stderr", line);
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
    await output;
    host.sentinel.remove(child.pid);
    const exit: Exit = {
      code: child.exitCode,
      signal: child.signalCode === null ? null : String(child.signalCode),
      lastLines,
      wasReady: isReady,
      ...(report === undefined ? {} : { report }),
    };
    started.resolve({ ready: false, exit });
    return exit;
  })();

  let stopping: Promise<void> | undefined;
  return {
    spec,
    identity,
    startedAtMs: Date.now(),
    started: started.promise,
    exited,
    get isReady() {
      return isReady;
    },
    stop() {
      stopping ??= (async () => {
        child.kill("SIGTERM");
        const timer = setTimeout(killGroup, spec.drainMs);
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
