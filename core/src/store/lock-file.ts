import { closeSync, linkSync, openSync, readFileSync, rmSync, writeSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { SoormaError } from "../errors.ts";
import { type Runtime, randomId } from "../runtime.ts";

interface Owner {
  readonly pid: number;
  /** What tells this process from a later one with the same pid; empty where the platform does not say. */
  readonly startedAt: string;
  readonly host: string;
}

export interface LockFile {
  release(): void;
}

/**
 * Makes this process the one owner of `folder` until it releases the lock or ends.
 *
 * The lock of a process that is gone is taken over. It is judged by process id, so it does not protect a folder that
 * several machines share.
 *
 * @throws {SoormaError} `STORE_LOCKED` naming the owner's pid and the file.
 */
export function acquireLockFile(folder: string, runtime: Runtime): LockFile {
  const path = join(folder, "owner.lock");
  const mine: Owner = { pid: process.pid, startedAt: startOf(process.pid) ?? "", host: hostname() };
  const content = JSON.stringify(mine);
  const draft = join(folder, `owner.${process.pid}.${randomId(runtime, 8)}.tmp`);
  const file = openSync(draft, "wx", 0o644);
  try {
    writeSync(file, content);
  } finally {
    closeSync(file);
  }
  try {
    take(path, draft, folder);
    return {
      release() {
        // Nobody else removes the lock of a process that lives.
        if (read(path) === content) rmSync(path, { force: true });
      },
    };
  } finally {
    rmSync(draft, { force: true });
  }
}

/** The process that has the store in `folder` open; `undefined` when it is free, whatever a process that is gone left there. */
export function storeOwner(folder: string): number | undefined {
  const text = read(join(folder, "owner.lock"));
  const owner = text === undefined ? undefined : parseOwner(text);
  return owner && isAlive(owner) ? owner.pid : undefined;
}

/**
 * Makes `path` a link to `draft`. A link appears with its content or not at all, so nobody ever reads a half-written lock.
 *
 * Only who has `path.next` removes a stale lock, after having read it again: so no lock is removed that was made in between.
 */
function take(path: string, draft: string, folder: string): void {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (link(draft, path)) return;
    const text = read(path);
    if (text === undefined) continue;
    const owner = parseOwner(text);
    if (owner && isAlive(owner)) {
      throw new SoormaError("STORE_LOCKED", `the store in ${folder} is in use by process ${owner.pid}`, {
        hint: `Stop process ${owner.pid}, or use another folder. The lock is ${path}.`,
        details: { pid: owner.pid, path },
      });
    }
    const next = `${path}.next`;
    take(next, draft, folder);
    try {
      if (read(path) === text) rmSync(path, { force: true });
      // Before it is let go: who comes then finds a lock that is alive.
      if (link(draft, path)) return;
    } finally {
      rmSync(next, { force: true });
    }
  }
  throw new SoormaError("STORE_LOCKED", `the lock ${path} kept changing hands in 100 attempts`, {
    hint: "Start it again.",
    details: { path },
  });
}

function link(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if (errnoOf(error) === "EEXIST") return false;
    throw error;
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined;
    throw error;
  }
}

function parseOwner(text: string): Owner | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value !== "object" || value === null || !("pid" in value) || typeof value.pid !== "number")
      return undefined;
    const startedAt = "startedAt" in value && typeof value.startedAt === "string" ? value.startedAt : "";
    const host = "host" in value && typeof value.host === "string" ? value.host : "";
    return Number.isInteger(value.pid) && value.pid > 0 ? { pid: value.pid, startedAt, host } : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    // EPERM: it lives and belongs to someone else.
    if (errnoOf(error) !== "EPERM") return false;
  }
  const startedAt = startOf(owner.pid);
  if (startedAt === ended) return false;
  return startedAt === undefined || owner.startedAt === "" || startedAt === owner.startedAt;
}

const ended = "ended";

/**
 * Boot id and start tick of a process on Linux; undefined elsewhere, and when it is gone. One that ended, and that its
 * parent did not look after yet, owns nothing any more.
 */
function startOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    const boot = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
    // Fields 3 and 22; the name, field 2, may hold spaces and parentheses. Ref: https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (fields[0] === "Z" || fields[0] === "X") return ended;
    const ticks = fields[19];
    return ticks === undefined ? undefined : `${boot}/${ticks}`;
  } catch {
    return undefined;
  }
}

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}
