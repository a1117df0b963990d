import {
  closeSync,
  existsSync,
  fstatSync,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  statSync,
  writeSync,
} from "node:fs";
import { dirname } from "node:path";
import { writtenFirst } from "../ui/disk-fault.ts";
import { fromJson, type MeshLogLine, toJson } from "./log-line.ts";

/** Keeps what all processes of the mesh print, in order, as JSON lines. */
export interface MeshLog extends Disposable {
  write(line: MeshLogLine): void;
}

const rotateBytes = 32 * 1024 * 1024;

/**
 * Begins a new log; the one before stays beside it as `<file>.1`.
 *
 * @throws {CommandError} `FILE_UNWRITABLE` when the disk does not take it.
 */
export function openMeshLog(file: string, limits: { readonly rotateBytes?: number } = {}): MeshLog {
  const most = limits.rotateBytes ?? rotateBytes;
  let fd = writtenFirst(file, () => {
    mkdirSync(dirname(file), { recursive: true });
    return openNew(file);
  });
  let size = 0;
  return {
    write(line) {
      const text = `${toJson(line)}\n`;
      try {
        if (size + text.length > most) {
          size = 0;
          const next = openNew(file);
          closeSync(fd);
          fd = next;
        }
        size += writeSync(fd, text);
      } catch {
        // A full disk must not take the mesh down with its log.
      }
    },
    [Symbol.dispose]: () => closeSync(fd),
  };
}

/** Where the log before this one is. */
export function previousLog(file: string): string {
  return `${file}.1`;
}

function openNew(file: string): number {
  if (existsSync(file) && statSync(file).size > 0) renameSync(file, previousLog(file));
  return openSync(file, "a", 0o600);
}

/** How far a log was read. */
export interface LogPosition {
  /** Of the file: when a new log is begun, what was not read yet is in the one before. */
  readonly inode: number;
  readonly offset: number;
}

interface LogPart {
  readonly lines: MeshLogLine[];
  /** Where the next read goes on; absent while there is no log. */
  readonly end: LogPosition | undefined;
}

/** Lines from a position on, also of the log before, if it was that. A line that is not complete yet is left for the next read. */
export function readMeshLog(file: string, from?: LogPosition): LogPart {
  const part = readPart(file, from);
  if (!part) return { lines: [], end: from };
  if (!from || part.end?.inode === from.inode) return part;
  const before = readPart(previousLog(file), from);
  return before?.end?.inode === from.inode ? { ...part, lines: [...before.lines, ...part.lines] } : part;
}

function readPart(file: string, position: LogPosition | undefined): LogPart | undefined {
  if (!existsSync(file)) return undefined;
  const fd = openSync(file, "r");
  try {
    const { size, ino: inode } = fstatSync(fd);
    const from = position?.inode === inode && position.offset <= size ? position.offset : 0;
    const bytes = Buffer.alloc(size - from);
    const read = readSync(fd, bytes, 0, bytes.length, from);
    const end = bytes.subarray(0, read).lastIndexOf(0x0a) + 1;
    const lines = bytes
      .toString("utf8", 0, end)
      .split("\n")
      .flatMap((line) => (line === "" ? [] : (fromJson(line) ?? [])));
    return { lines, end: { inode, offset: from + end } };
  } finally {
    closeSync(fd);
  }
}
