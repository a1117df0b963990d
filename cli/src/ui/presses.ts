import { readFileSync } from "node:fs";

/** Milliseconds in which what the terminal and a script runner send for one press both arrive; nobody presses twice that fast. */
const samePressMs = 80;

export interface PressesOptions {
  /** Default: this process's clock. */
  readonly nowMs?: () => number;
  /** Whether one press may come twice. Default: {@link isWrapped}. Asked only when two come within a moment. */
  readonly mayComeTwice?: () => boolean;
}

/**
 * Tells presses of Ctrl-C from the signals they come as: what it returns is called at each SIGINT, and says whether that is a
 * press of its own. Of the signals within a moment of a press one at most is taken for the same one.
 */
export function createPresses({
  nowMs = () => performance.now(),
  mayComeTwice = isWrapped,
}: PressesOptions = {}): () => boolean {
  let echoUntilMs = Number.NEGATIVE_INFINITY;
  return () => {
    const now = nowMs();
    const isEcho = now < echoUntilMs && mayComeTwice();
    echoUntilMs = isEcho ? Number.NEGATIVE_INFINITY : now + samePressMs;
    return !isEcho;
  };
}

/**
 * Whether this process is in its terminal's foreground without leading it. Ctrl-C goes to everybody there, and `bun run` and
 * `bunx`, which then lead, pass it on as well: one press comes twice. A process that a shell started itself leads. Without a
 * terminal the same goes for a script's process: who ends it signals its whole group.
 */
function isWrapped(): boolean {
  const { group, foreground } = process.platform === "linux" ? linuxGroups() : psGroups();
  if (group === process.pid) return false;
  return group === foreground || (!(foreground > 0) && process.env.npm_lifecycle_event !== undefined);
}

interface Groups {
  readonly group: number;
  /** Not positive without a terminal. */
  readonly foreground: number;
}

/** Fields 5 and 8 of /proc/<pid>/stat. See proc_pid_stat(5). */
function linuxGroups(): Groups {
  const stat = readFileSync("/proc/self/stat", "utf8");
  // The second field is the program's name in parentheses and may itself contain spaces and parentheses.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { group: Number(fields[2]), foreground: Number(fields[5]) };
}

function psGroups(): Groups {
  const { stdout } = Bun.spawnSync(["ps", "-o", "pgid=,tpgid=", "-p", String(process.pid)]);
  const [group = Number.NaN, foreground = Number.NaN] = stdout.toString().trim().split(/\s+/).map(Number);
  return { group, foreground };
}
