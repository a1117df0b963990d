import { Buffer } from "node:buffer";
import { readFileSync, statSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { SoormaError } from "@soorma/core";

/** `sun_path` without its closing zero: 108 bytes on Linux, 104 on macOS. */
const maxIpcPathBytes = process.platform === "darwin" ? 103 : 107;

/** The path of an `ipc://` endpoint, `undefined` for another transport. */
export function ipcPath(endpoint: string): string | undefined {
  return endpoint.startsWith("ipc://") ? endpoint.slice("ipc://".length) : undefined;
}

/**
 * Refuses a path the system would cut or refuse.
 *
 * @throws {SoormaError} `ADDRESS_INVALID` with the length and the limit.
 */
export function checkIpcPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > 0 && bytes <= maxIpcPathBytes && !path.includes("\0")) return;
  throw new SoormaError(
    "ADDRESS_INVALID",
    bytes === 0 || path.includes("\0")
      ? `ipc://${path} has no usable path`
      : `the path of ipc://${path} has ${bytes} bytes; the system takes at most ${maxIpcPathBytes}`,
    { hint: "Use a shorter path, for example below /tmp.", details: { bytes, maxBytes: maxIpcPathBytes } },
  );
}

/** Unix sockets' paths at which sockets of this process are about to listen. */
const binding = new Set<string>();

/**
 * Calls `bind`, which listens at the endpoint's `path`, unless somebody listens there already.
 *
 * @throws {SoormaError} `ADDRESS_INVALID`, `ADDRESS_IN_USE`.
 */
export async function bindIpc<T>(path: string, bind: () => T): Promise<T> {
  checkIpcPath(path);
  const taken = (): SoormaError =>
    new SoormaError("ADDRESS_IN_USE", `cannot listen at ipc://${path}: another socket does`, {
      hint: "Stop it, or listen elsewhere.",
      details: { endpoint: `ipc://${path}` },
    });
  // Two that ask at once would both hear that nobody listens.
  if (binding.has(path)) throw taken();
  binding.add(path);
  try {
    if (await isIpcTaken(path)) throw taken();
    return bind();
  } finally {
    binding.delete(path);
  }
}

/**
 * Whether somebody accepts connections at a unix socket's path.
 *
 * libzmq removes an existing file before it binds, so without asking first it would take the endpoint away from a live
 * process.
 */
export function isIpcTaken(path: string): Promise<boolean> {
  if (!path.startsWith("@") && !isSocketFile(path)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const socket = connect({ path: path.startsWith("@") ? `\0${path.slice(1)}` : path });
    const settle = (taken: boolean): void => {
      socket.destroy();
      resolve(taken);
    };
    socket.once("connect", () => settle(true));
    // A full queue is EAGAIN, which Bun calls ECONNREFUSED: somebody is there.
    socket.once("error", () => settle(ipcListeners(path).length > 0));
  });
}

/** Inodes of the sockets that listen at `path` in this network namespace, as the system's table says. Linux only. */
export function ipcListeners(path: string): string[] {
  try {
    return (
      readFileSync("/proc/net/unix", "utf8")
        .split("\n")
        .filter((line) => line.endsWith(` ${path}`))
        .map((line) => line.trim().split(/\s+/))
        // Num RefCount Protocol Flags Type St Inode Path; flag 0x10000 is listening.
        .filter((fields) => fields[3] === "00010000")
        .map((fields) => fields[6] ?? "")
    );
  } catch {
    return [];
  }
}

/** Whether there is a unix socket at `path`. */
export function isSocketFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isSocket() ?? false;
}

/** Removes the file of a socket that is closed; libzmq does so too, but not when the process is killed. */
export function removeSocketFile(path: string): void {
  try {
    if (isSocketFile(path)) unlinkSync(path);
  } catch {
    // Gone, or not ours to remove.
  }
}
