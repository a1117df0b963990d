import { dlopen, type FFIFunction } from "bun:ffi";
import { closeSync, openSync, readFileSync, readSync } from "node:fs";
import { dirname, join } from "node:path";
import { SoormaError } from "@soorma/core";

/** An address in this process: Bun's FFI takes and gives them as plain numbers. */
export type Pointer = number;

export type Libc = "glibc" | "musl" | "libc" | "msvc";

export interface Platform {
  /** `process.platform`. */
  readonly os: string;
  /** `process.arch`. */
  readonly arch: string;
  readonly libc: Libc;
  /** `process.versions.modules`. */
  readonly abi: number;
}

/** What is called of libzmq and of the C library it is linked with; pointers may be given as typed arrays. */
export interface Native {
  zmq_ctx_new(): Pointer;
  zmq_ctx_set(context: Pointer, option: number, value: number): number;
  zmq_ctx_term(context: Pointer): number;
  zmq_socket(context: Pointer, type: number): Pointer;
  zmq_close(socket: Pointer): number;
  zmq_bind(socket: Pointer, endpoint: Uint8Array): number;
  zmq_unbind(socket: Pointer, endpoint: Uint8Array): number;
  zmq_connect(socket: Pointer, endpoint: Uint8Array): number;
  zmq_disconnect(socket: Pointer, endpoint: Uint8Array): number;
  zmq_setsockopt(socket: Pointer, option: number, value: ArrayBufferView, bytes: number): number;
  zmq_getsockopt(socket: Pointer, option: number, value: ArrayBufferView, bytes: ArrayBufferView): number;
  zmq_socket_monitor(socket: Pointer, endpoint: Uint8Array, events: number): number;
  zmq_send(socket: Pointer, frame: Uint8Array, bytes: number, flags: number): number;
  zmq_msg_init(message: Pointer): number;
  zmq_msg_recv(message: Pointer, socket: Pointer, flags: number): number;
  zmq_msg_data(message: Pointer): Pointer;
  zmq_msg_more(message: Pointer): number;
  zmq_msg_close(message: Pointer): number;
  zmq_errno(): number;
  zmq_curve_keypair(publicKey: Uint8Array, secretKey: Uint8Array): number;
  memcpy(to: Pointer, from: Pointer, bytes: number): void;
  poll(descriptors: ArrayBufferView, count: number, timeoutMs: number): number;
  sched_yield(): number;
  pipe(descriptors: Int32Array): number;
  read(descriptor: number, to: Uint8Array, bytes: number): number;
  write(descriptor: number, from: Uint8Array, bytes: number): number;
  close(descriptor: number): number;
}

export interface NativeLibrary {
  readonly native: Native;
  /** The file that was loaded; the reactor's worker loads the same one. */
  readonly path: string;
}

const signatures = {
  zmq_ctx_new: { args: [], returns: "ptr" },
  zmq_ctx_set: { args: ["ptr", "i32", "i32"], returns: "i32" },
  zmq_ctx_term: { args: ["ptr"], returns: "i32" },
  zmq_socket: { args: ["ptr", "i32"], returns: "ptr" },
  zmq_close: { args: ["ptr"], returns: "i32" },
  zmq_bind: { args: ["ptr", "ptr"], returns: "i32" },
  zmq_unbind: { args: ["ptr", "ptr"], returns: "i32" },
  zmq_connect: { args: ["ptr", "ptr"], returns: "i32" },
  zmq_disconnect: { args: ["ptr", "ptr"], returns: "i32" },
  zmq_setsockopt: { args: ["ptr", "i32", "ptr", "u64"], returns: "i32" },
  zmq_getsockopt: { args: ["ptr", "i32", "ptr", "ptr"], returns: "i32" },
  zmq_socket_monitor: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  zmq_send: { args: ["ptr", "ptr", "u64", "i32"], returns: "i32" },
  zmq_msg_init: { args: ["ptr"], returns: "i32" },
  zmq_msg_recv: { args: ["ptr", "ptr", "i32"], returns: "i32" },
  zmq_msg_data: { args: ["ptr"], returns: "ptr" },
  zmq_msg_more: { args: ["ptr"], returns: "i32" },
  zmq_msg_close: { args: ["ptr"], returns: "i32" },
  zmq_errno: { args: [], returns: "i32" },
  zmq_curve_keypair: { args: ["ptr", "ptr"], returns: "i32" },
  memcpy: { args: ["ptr", "ptr", "u64"], returns: "void" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  sched_yield: { args: [], returns: "i32" },
  pipe: { args: ["ptr"], returns: "i32" },
  read: { args: ["i32", "ptr", "u64"], returns: "i64" },
  write: { args: ["i32", "ptr", "u64"], returns: "i64" },
  close: { args: ["i32"], returns: "i32" },
} as const satisfies Record<keyof Native, FFIFunction>;

interface ManifestEntry {
  readonly os: string;
  readonly arch: string;
  readonly libc: string;
  readonly abi: number;
}

/**
 * The prebuilt files of `zeromq`'s `build/manifest.json` that run on `platform`, best first, relative to `build/`.
 *
 * All of them are node-api addons, of which only the C functions are used; the process's own ABI goes first, then the
 * newest. Empty when there is none, and always on Windows, whose files export no C functions.
 */
export function selectBinaries(manifest: Readonly<Record<string, string>>, platform: Platform): string[] {
  if (platform.os === "win32") return [];
  const found: { file: string; abi: number }[] = [];
  for (const [key, file] of Object.entries(manifest)) {
    const entry = parseEntry(key);
    if (entry?.os === platform.os && entry.arch === platform.arch && entry.libc === platform.libc) {
      found.push({ file, abi: entry.abi });
    }
  }
  const rank = (abi: number): number => (abi === platform.abi ? Number.POSITIVE_INFINITY : abi);
  return found.sort((a, b) => rank(b.abi) - rank(a.abi)).map((entry) => entry.file);
}

function parseEntry(key: string): ManifestEntry | undefined {
  try {
    return JSON.parse(key) as ManifestEntry;
  } catch {
    return undefined;
  }
}

/** The C library an executable is linked with, read off the interpreter its ELF header names. */
export function libcOf(os: string, executableHead: Uint8Array): Libc {
  if (os === "win32") return "msvc";
  if (os !== "linux") return "libc";
  return Buffer.from(executableHead).includes("ld-musl-") ? "musl" : "glibc";
}

/** This process's platform. */
export function currentPlatform(): Platform {
  const head = new Uint8Array(process.platform === "linux" ? 4096 : 0);
  if (head.length > 0) {
    const file = openSync("/proc/self/exe", "r");
    try {
      readSync(file, head, 0, head.length, 0);
    } finally {
      closeSync(file);
    }
  }
  return {
    os: process.platform,
    arch: process.arch,
    libc: libcOf(process.platform, head),
    abi: Number(process.versions.modules),
  };
}

/** The error for a platform on which libzmq cannot be had. */
function unsupported(platform: Platform, why: string, cause?: unknown): SoormaError {
  const { os, arch, libc } = platform;
  return new SoormaError("TRANSPORT_UNSUPPORTED", `libzmq cannot be loaded on ${os} ${arch} (${libc}): ${why}`, {
    hint:
      os === "win32"
        ? "Run it under WSL 2, or use another transport plugin."
        : "Check that the package zeromq is installed with its build folder (linux x64 and arm64, macOS x64 and arm64), or use another transport plugin.",
    details: { os, arch, libc },
    ...(cause === undefined ? {} : { cause }),
  });
}

/**
 * Loads libzmq out of the installed `zeromq` package.
 *
 * @throws {SoormaError} `TRANSPORT_UNSUPPORTED` naming platform, architecture and libc.
 */
export function loadNative(platform: Platform = currentPlatform()): NativeLibrary {
  if (platform.os === "win32") throw unsupported(platform, "the prebuilt files for Windows export no C functions");
  let build: string;
  let manifest: Record<string, string>;
  try {
    build = join(dirname(Bun.resolveSync("zeromq/package.json", import.meta.dir)), "build");
    manifest = JSON.parse(readFileSync(join(build, "manifest.json"), "utf8")) as Record<string, string>;
  } catch (cause) {
    throw unsupported(platform, "the package zeromq or its build/manifest.json was not found", cause);
  }
  const files = selectBinaries(manifest, platform);
  if (files.length === 0) throw unsupported(platform, `the package zeromq in ${dirname(build)} has no file for it`);
  let failure: unknown;
  for (const file of files) {
    const path = join(build, file);
    try {
      // The C library's functions come from the same handle: dlsym looks through a library's dependencies too, so no
      // name of a libc file has to be known.
      return { native: dlopen(path, signatures).symbols as unknown as Native, path };
    } catch (cause) {
      // An older libc than the newest file was built for: an older file may still load.
      failure = cause;
    }
  }
  throw unsupported(platform, `none of ${files.join(", ")} could be loaded`, failure);
}
