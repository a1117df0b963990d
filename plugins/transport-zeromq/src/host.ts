import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { SoormaError } from "@soorma/core";
import { ipcListeners, isIpcTaken, isSocketFile, removeSocketFile } from "./ipc.ts";

/**
 * The same text for processes that see the same files: two containers on one machine differ by their mounts.
 */
export function hostId(): string {
  const parts = [
    hostname(),
    quietly(() => readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()),
    quietly(() => readlinkSync("/proc/self/ns/mnt")),
  ];
  return createHash("sha256").update(parts.join("\n")).digest("hex").slice(0, 12);
}

/**
 * The folder for this user's unix sockets; made when missing, with access for this user only.
 *
 * @throws {SoormaError} `ADDRESS_INVALID` when it cannot be made or belongs to somebody else.
 */
export function socketFolder(chosen: string | undefined): string {
  const uid = process.getuid?.() ?? 0;
  const folder = chosen ?? join(process.env.XDG_RUNTIME_DIR ?? tmpdir(), `soorma-${uid}`);
  try {
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    // A folder prepared by another user in a shared /tmp would hand them our connections.
    if (chosen === undefined && statSync(folder).uid !== uid)
      throw new Error(`it belongs to user ${statSync(folder).uid}`);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new SoormaError("ADDRESS_INVALID", `the folder ${folder} cannot be used for unix sockets: ${why}`, {
      hint: "Set the transport's option `dir` to a folder that can be written.",
      cause,
    });
  }
  return folder;
}

/** Milliseconds after which a socket's file at which nobody listens is nobody's. */
const freshMs = 60_000;

/**
 * Removes what killed processes left in the folder: socket files at which nobody listens.
 *
 * Not those that are new: the file is there when a socket is bound, and is listened at a moment later, which is long on a
 * busy machine. Without it nobody could connect to that process ever again.
 *
 * @param nowMs - Wall clock, as of the files' times.
 * @returns how many there were.
 */
export async function sweep(folder: string, nowMs: number): Promise<number> {
  let removed = 0;
  const names = quietly(() => readdirSync(folder)) ?? [];
  for (const name of names) {
    const path = join(folder, name);
    if (!/^[a-z0-9]{10}\.[rp]$/.test(name) || !isSocketFile(path)) continue;
    const madeMs = quietly(() => statSync(path).mtimeMs) ?? nowMs;
    if (nowMs - madeMs < freshMs || (await isIpcTaken(path))) continue;
    removeSocketFile(path);
    removed++;
  }
  return removed;
}

/** The process that listens at a TCP port or unix socket path: `bun (pid 42)`. Linux, and own processes only. */
export function holderOf(target: { readonly port: number } | { readonly path: string }): string | undefined {
  const inodes = new Set("port" in target ? tcpInodes(target.port) : ipcListeners(target.path));
  if (inodes.size === 0) return undefined;
  for (const pid of quietly(() => readdirSync("/proc")) ?? []) {
    if (!/^\d+$/.test(pid)) continue;
    for (const fd of quietly(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
      const inode = /^socket:\[(\d+)\]$/.exec(quietly(() => readlinkSync(`/proc/${pid}/fd/${fd}`)) ?? "")?.[1];
      if (inode === undefined || !inodes.has(inode)) continue;
      return `${quietly(() => readFileSync(`/proc/${pid}/comm`, "utf8").trim()) ?? "a process"} (pid ${pid})`;
    }
  }
  return undefined;
}

function tcpInodes(port: number): string[] {
  const suffix = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["/proc/net/tcp", "/proc/net/tcp6"].flatMap((table) =>
    (quietly(() => readFileSync(table, "utf8")) ?? "")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      // 0A is LISTEN.
      .filter((fields) => fields[1]?.endsWith(suffix) && fields[3] === "0A")
      .map((fields) => fields[9] ?? ""),
  );
}

function quietly<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
