import { closeSync, mkdirSync, openSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { HostName } from "./network.ts";

export const roleNames = ["broker", "state", "planner", "worker", "tool", "client"] as const;
export type RoleName = (typeof roleNames)[number];

/** Exit code of a process that could not reach the mesh when it started. */
export const tryAgain = 75;

/** One place in the mesh: it has a process, or is between two. */
export interface Slot {
  readonly role: RoleName;
  readonly who: string;
  readonly host: HostName;
  readonly pid: number | undefined;
  /** Something is being done to it; nothing else shall be. */
  busy: boolean;
  /** Its process was started, and said that it is ready. */
  readonly ready: boolean;
  /** Starts a process; resolves when it is ready, or ended before. */
  start(): Promise<void>;
  /** Sends a signal that does not end it. */
  signal(signal: "SIGSTOP" | "SIGCONT"): void;
  kill(): Promise<void>;
  /** SIGTERM; resolves with its exit code, or `undefined` if it had to be killed after `withinMs`. */
  terminate(withinMs: number): Promise<number | undefined>;
}

export interface SlotsOptions {
  readonly settingPath: string;
  readonly folder: string;
  /** Command that runs what follows on a host. */
  prefix(host: HostName): readonly string[];
  /** A process ended, or did not begin, though nobody did anything to it. */
  onCrash(who: string, how: string): void;
  /** When what was done to whom, for the audit. */
  onFault(who: string, what: string): void;
}

export function createSlot(role: RoleName, who: string, host: HostName, options: SlotsOptions): Slot {
  const { folder, settingPath } = options;
  const logs = join(folder, "log");
  mkdirSync(logs, { recursive: true });
  let current: { readonly subprocess: Bun.Subprocess<"ignore", "pipe", number>; expected: boolean } | undefined;
  let ready = false;

  const end = async (signal: "SIGKILL" | "SIGTERM"): Promise<number> => {
    if (!current) return 0;
    const { subprocess } = current;
    current.expected = true;
    ready = false;
    subprocess.kill(signal);
    return await subprocess.exited;
  };

  /** Starts a process; resolves with how it ended, if it did before it was ready. */
  const launch = async (): Promise<number | undefined> => {
    const script = join(import.meta.dir, "process.ts");
    const argv = [...options.prefix(host), process.execPath, script, settingPath, role, who, host];
    const log = openSync(join(logs, `${who}.log`), "a");
    const subprocess = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: log });
    closeSync(log);
    const started = { subprocess, expected: false };
    current = started;
    void subprocess.exited.then((code) => {
      if (current !== started) return;
      current = undefined;
      // A client ends by itself when it has every answer.
      const wanted = started.expected || (ready ? role === "client" && code === 0 : code === tryAgain);
      ready = false;
      if (!wanted) options.onCrash(who, `ended with ${subprocess.signalCode ?? code}`);
    });
    const reader = subprocess.stdout.getReader();
    const { done } = await reader.read();
    reader.releaseLock();
    if (done) return await subprocess.exited;
    if (current === started) ready = true;
    return undefined;
  };

  const slot: Slot = {
    role,
    who,
    host,
    busy: false,
    get pid() {
      return current?.subprocess.pid;
    },
    get ready() {
      return ready;
    },
    async start() {
      // Whoever starts agents starts them again when the mesh cannot be reached just now.
      while ((await launch()) === tryAgain) await Bun.sleep(200);
    },
    signal(signal) {
      options.onFault(who, signal);
      current?.subprocess.kill(signal);
    },
    async kill() {
      options.onFault(who, "SIGKILL");
      await end("SIGKILL");
    },
    async terminate(withinMs) {
      options.onFault(who, "SIGTERM");
      const ended = end("SIGTERM");
      const late = Symbol();
      const first = await Promise.race([ended, Bun.sleep(withinMs).then(() => late)]);
      if (first !== late) return await ended;
      await end("SIGKILL");
      return undefined;
    },
  };
  return slot;
}

/** Processes with `text` in their command line, and children of this process that ended and were not waited for. */
export function leftProcesses(text: string): string[] {
  return readdirSync("/proc").flatMap((entry) => {
    if (!/^\d+$/.test(entry) || entry === String(process.pid)) return [];
    const read = (name: string): string => {
      try {
        return readFileSync(`/proc/${entry}/${name}`, "utf8");
      } catch {
        // It ended meanwhile.
        return "";
      }
    };
    const commandLine = read("cmdline").replaceAll("\0", " ").trim();
    if (commandLine.includes(text)) return [`${entry}: ${commandLine}`];
    const [, name = "", state, parent] = /^\d+ \((.*)\) (\S) (\d+)/.exec(read("stat")) ?? [];
    return state === "Z" && parent === String(process.pid) ? [`${entry}: ${name}, a zombie`] : [];
  });
}
