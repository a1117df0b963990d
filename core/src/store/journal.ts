import { close, fsync, constants as modes, open, readFileSync, rmSync, write, writeSync } from "node:fs";
import { dirname } from "node:path";
import { promisify } from "node:util";
import { crc32 } from "node:zlib";
import type { Runtime } from "../runtime.ts";
import type { Writes } from "./engine.ts";
import { errnoOf } from "./lock-file.ts";
import { Pace } from "./pace.ts";

const magic = 0x6a_72_6e_31;
const headerBytes = 4096;
/** Of a record: checksum of what follows, length of the payload, sequence number. */
const recordHeaderBytes = 16;
/** Of a write: length of the key, length of the value and 1; 0 for a deletion. */
const writeHeaderBytes = 6;

/** Milliseconds a write and its flush may take on this thread. Meanwhile the process reads no messages. */
const fastMs = 0.25;

const openFile = promisify(open);
const closeFile = promisify(close);
const flushFile = promisify(fsync);

/**
 * A file of two halves of which one is written while what the other one holds is brought elsewhere.
 *
 * Its blocks are written once when it is made, so that a record changes nothing of the file but its bytes: one write to a descriptor
 * of which each write is flushed. While the disk is fast that is done by this thread: the way to a thread of the process's pool and
 * back costs more than the wait saves (a record of 700 bytes: 0.085 ms and 38 µs of processor time; by the pool 0.105 ms and 60 µs).
 */
export class Journal {
  /** What records of this file are told by from those of another. */
  readonly salt: number;
  readonly #path: string;
  readonly #file: number;
  readonly #halfBytes: number;
  readonly #runtime: Runtime;
  readonly #pace = new Pace(fastMs);
  #closed: Promise<void> | undefined;
  #half = 0;
  #end = 0;

  private constructor(path: string, file: number, salt: number, halfBytes: number, runtime: Runtime) {
    this.#path = path;
    this.#file = file;
    this.salt = salt;
    this.#halfBytes = halfBytes;
    this.#runtime = runtime;
  }

  /** Makes the file anew. When it cannot be made there is none. */
  static async create(path: string, salt: number, halfBytes: number, runtime: Runtime): Promise<Journal> {
    rmSync(path, { force: true });
    try {
      const blank = await openFile(path, modes.O_CREAT | modes.O_EXCL | modes.O_WRONLY, 0o600);
      try {
        const header = Buffer.alloc(headerBytes);
        for (const [i, value] of [magic, salt, halfBytes].entries()) header.writeUInt32LE(value, i * 4);
        await writeAll(blank, header, 0);
        const zeros = Buffer.alloc(64 * 1024);
        for (let at = headerBytes; at < headerBytes + 2 * halfBytes; at += zeros.length)
          await writeAll(blank, zeros, at);
        await flushFile(blank);
      } finally {
        await closeFile(blank);
      }
      // Its name, too.
      const folder = await openFile(dirname(path), modes.O_RDONLY, 0);
      await flushFile(folder).finally(() => closeFile(folder));
      const file = await openFile(path, modes.O_WRONLY | modes.O_DSYNC, 0);
      return new Journal(path, file, salt, halfBytes, runtime);
    } catch (error) {
      rmSync(path, { force: true });
      throw error;
    }
  }

  /** Whether a record of this size goes into the half that is written. */
  fits(bytes: number): boolean {
    return this.#end + bytes <= this.#halfBytes;
  }

  /** Resolves once the record is on disk. One at a time. */
  async append(record: Buffer): Promise<void> {
    const at = headerBytes + this.#half * this.#halfBytes + this.#end;
    const startMs = this.#runtime.monotonic();
    if (this.#pace.isFast) writeAllHere(this.#file, record, at);
    else await writeAll(this.#file, record, at);
    this.#pace.took(this.#runtime.monotonic() - startMs);
    this.#end += record.length;
  }

  /** Goes on at the beginning of the other half: nothing in it is needed any more. */
  turn(): void {
    this.#half = 1 - this.#half;
    this.#end = 0;
  }

  /** Once: afterwards the number may be another file's. */
  close(): Promise<void> {
    // Whatever it says: each write was flushed.
    this.#closed ??= closeFile(this.#file).catch(() => {});
    return this.#closed;
  }

  /** Closes and removes it: nothing in it is needed any more. */
  async remove(): Promise<void> {
    await this.close();
    rmSync(this.#path, { force: true });
  }
}

function writeAll(file: number, bytes: Buffer, position: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const next = (from: number): void =>
      write(file, bytes, from, bytes.length - from, position + from, (error, written) => {
        if (error) reject(error);
        else if (from + written >= bytes.length) resolve();
        else if (written > 0) next(from + written);
        else reject(nothingWritten(bytes.length - from));
      });
    next(0);
  });
}

function writeAllHere(file: number, bytes: Buffer, position: number): void {
  for (let from = 0; from < bytes.length; ) {
    const written = writeSync(file, bytes, from, bytes.length - from, position + from);
    if (written === 0) throw nothingWritten(bytes.length - from);
    from += written;
  }
}

function nothingWritten(bytes: number): Error {
  return new Error(`nothing of ${bytes} bytes was written`);
}

/** Writes that are to be kept together, as they are written to a journal. `size` as of {@link recordBytes}. */
export function encodeRecord(writes: Writes, size: number, sequence: number, salt: number): Buffer {
  const record = Buffer.allocUnsafe(size);
  record.writeUInt32LE(size - recordHeaderBytes, 4);
  record.writeDoubleLE(sequence, 8);
  let at = recordHeaderBytes;
  for (const [key, value] of writes) {
    record.writeUInt16LE(key.length, at);
    record.writeUInt32LE(value ? value.length + 1 : 0, at + 2);
    at += writeHeaderBytes;
    record.write(key, at, "latin1");
    at += key.length;
    if (!value) continue;
    record.set(value, at);
    at += value.length;
  }
  record.writeUInt32LE(crc32(record.subarray(4), salt), 0);
  return record;
}

/** The size that {@link encodeRecord}'s result will have. */
export function recordBytes(writes: Writes): number {
  let bytes = recordHeaderBytes;
  for (const [key, value] of writes) bytes += writeHeaderBytes + key.length + (value?.length ?? 0);
  return bytes;
}

export interface JournalRecord {
  readonly sequence: number;
  readonly writes: Writes;
}

/**
 * The whole records of a journal's file, in the order of their sequence numbers; none if there is no file or it is of no journal with
 * that salt. What follows the last whole record of a half was not written to its end, or is older.
 */
export function readJournal(path: string, salt: number): JournalRecord[] {
  let file: Buffer;
  try {
    file = readFileSync(path);
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return [];
    throw error;
  }
  if (file.length < headerBytes || file.readUInt32LE(0) !== magic || file.readUInt32LE(4) !== salt) return [];
  const halfBytes = file.readUInt32LE(8);
  const halves = [0, 1].map((half) => {
    const from = headerBytes + half * halfBytes;
    return readHalf(file.subarray(from, from + halfBytes), salt);
  });
  return halves.flat().sort((a, b) => a.sequence - b.sequence);
}

function readHalf(half: Buffer, salt: number): JournalRecord[] {
  const records: JournalRecord[] = [];
  for (let at = 0; at + recordHeaderBytes <= half.length; ) {
    const length = half.readUInt32LE(at + 4);
    const end = at + recordHeaderBytes + length;
    if (end > half.length || half.readUInt32LE(at) !== crc32(half.subarray(at + 4, end), salt)) break;
    const sequence = half.readDoubleLE(at + 8);
    const last = records.at(-1);
    if (last && sequence !== last.sequence + 1) break;
    records.push({ sequence, writes: decodeWrites(half.subarray(at + recordHeaderBytes, end)) });
    at = end;
  }
  return records;
}

function decodeWrites(payload: Buffer): Writes {
  const writes = new Map<string, Uint8Array | null>();
  for (let at = 0; at < payload.length; ) {
    const keyEnd = at + writeHeaderBytes + payload.readUInt16LE(at);
    const valueBytes = payload.readUInt32LE(at + 2);
    const end = keyEnd + Math.max(0, valueBytes - 1);
    const key = payload.toString("latin1", at + writeHeaderBytes, keyEnd);
    writes.set(key, valueBytes === 0 ? null : new Uint8Array(payload.subarray(keyEnd, end)));
    at = end;
  }
  return writes;
}
