import { readFileSync } from "node:fs";

/** A process that can be told from a later one with the same number. */
export interface ProcessIdentity {
  readonly pid: number;
  /** When it started, in whatever unit the system counts; only compared for equality. */
  readonly startTime: string;
}

/** Identifies a running process; `undefined` when there is none with that number (a zombie counts as none). */
export function identify(pid: number): ProcessIdentity | undefined {
  const startTime = process.platform === "linux" ? linuxStartTime(pid) : psStartTime(pid);
  return startTime === undefined ? undefined : { pid, startTime };
}

/** Whether this very process still runs. */
export function isRunning(process: ProcessIdentity): boolean {
  return identify(process.pid)?.startTime === process.startTime;
}

/** Field 22 of /proc/<pid>/stat counts ticks since boot, so the boot's id goes with it. See proc_pid_stat(5). */
function linuxStartTime(pid: number): string | undefined {
  const stat = tryRead(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const [state, ticks] = [fields[0], fields[19]];
  if (state === "Z" || state === "X" || ticks === undefined) return undefined;
  return `${(tryRead("/proc/sys/kernel/random/boot_id") ?? "").slice(0, 8)}-${ticks}`;
}

function psStartTime(pid: number): string | undefined {
  const { exitCode, stdout } = Bun.spawnSync(["ps", "-o", "stat=,lstart=", "-p", String(pid)], {
    env: { ...process.env, LC_ALL: "C" },
  });
  const line = stdout.toString().trim();
  if (exitCode !== 0 || line === "" || line.startsWith("Z")) return undefined;
  return line.slice(line.indexOf(" ")).trim();
}

function tryRead(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
