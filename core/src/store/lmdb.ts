import { accessSync, constants, mkdirSync, statfsSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Database } from "lmdb";
import { isSoormaError, SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Runtime } from "../runtime.ts";
import { CommitRefused, createStoreEngine, type Writes } from "./engine.ts";
import { type JournaledBase, journaled, markKey, replayJournal } from "./journaled.ts";
import { checkDataFile } from "./lmdb-file.ts";
import { acquireLockFile, errnoOf, type LockFile } from "./lock-file.ts";
import { Pace } from "./pace.ts";
import type { Store } from "./store.ts";
import { takingTurns } from "./turn-taking.ts";

export interface LmdbStoreOptions {
  /** Folder; made if it is not there. Holds `data.mdb`, `lock.mdb`, `owner.lock` and, while it is open, `journal`. */
  readonly path: string;
  /** What is stored may not exceed this many bytes of pages. Default: as much as the disk takes. */
  readonly mapSizeBytes?: number;
  /** Size of the journal; 0: none. Default 8 MiB, and none on other systems than Linux. */
  readonly journalBytes?: number;
  readonly runtime: Runtime;
  readonly log: Logger;
}

const journalName = "journal";
const defaultJournalBytes = 8 * 1024 * 1024;

/** Room that is left for deleting: a delete writes, too. */
const reservedBytes = 1024 * 1024;

/** Room that lmdb needs to begin with; less free disk and it would fail half open. */
const leastFreeBytes = 256 * 1024;

/**
 * Opens the LMDB environment in a folder and becomes its one owner.
 *
 * @throws {SoormaError} `STORE_LOCKED`, `STORE_READ_ONLY`, `STORE_CORRUPT`, `STORE_FULL`, `STORE_FAILED`, each with the
 * path and a hint.
 */
export async function openLmdbStore(options: LmdbStoreOptions): Promise<Store> {
  const path = resolve(options.path);
  const log = options.log.child("store", { path });
  const { runtime, journalBytes = process.platform === "linux" ? defaultJournalBytes : 0 } = options;
  const lock = prepareFolder(path, runtime);
  let db: Database<Buffer, Buffer> | undefined;
  try {
    const { open } = await import("lmdb");
    db = open({
      path,
      // Otherwise lmdb takes a folder with a dot in its name for a file.
      noSubdir: false,
      encoding: "binary",
      keyEncoding: "binary",
      // Commits include their fdatasync, and a failed one is a rejection. With overlapping sync a failed flush is
      // never reported, and our batches, one after the other, would gain nothing from it.
      overlappingSync: false,
      // With it on, lmdb makes promises nobody holds: a full disk would be an unhandled rejection.
      eventTurnBatching: false,
    });
    const base = lmdbBase(db as Database<Buffer, Buffer>, lock, path, options, log);
    const journal = join(path, journalName);
    const replayed = await replayJournal(base, journal);
    log.info("opened", { replayed });
    const flushed = journalBytes > 0 ? journaled(base, { path: journal, bytes: journalBytes, runtime, log }) : base;
    return createStoreEngine(takingTurns(flushed, runtime), `the store in ${path}`);
  } catch (error) {
    await db?.close();
    lock.release();
    const reason = error instanceof CommitRefused ? error.cause : error;
    throw isSoormaError(reason) ? reason : failed(reason, path, "open");
  }
}

function prepareFolder(path: string, runtime: Runtime): LockFile {
  let lock: LockFile | undefined;
  try {
    mkdirSync(path, { recursive: true });
    if (!statSync(path).isDirectory()) throw readOnly(path, "it is not a folder");
    // Before anything is written: a full disk leaves no half-made files.
    if (freeBytes(path) < leastFreeBytes) throw full(path, `${freeBytes(path)} bytes are free`);
    lock = acquireLockFile(path, runtime);
    const data = join(path, "data.mdb");
    checkDataFile(data);
    for (const file of [data, join(path, "lock.mdb"), join(path, journalName)]) checkWritable(file);
    return lock;
  } catch (error) {
    lock?.release();
    if (isSoormaError(error)) throw error;
    const code = errnoOf(error);
    if (code === "ENOSPC" || code === "EDQUOT") throw full(path, `the system said ${code}`, error);
    if (code && ["EACCES", "EPERM", "EROFS", "ENOTDIR", "EEXIST", "ENOENT", "EISDIR"].includes(code)) {
      throw readOnly(
        path,
        code === "EEXIST" || code === "ENOTDIR" ? `a file is in the way (${code})` : `the system said ${code}`,
        error,
      );
    }
    throw failed(error, path, "prepare");
  }
}

function checkWritable(file: string): void {
  try {
    accessSync(file, constants.R_OK | constants.W_OK);
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error;
  }
}

function lmdbBase(
  db: Database<Buffer, Buffer>,
  lock: LockFile,
  path: string,
  { mapSizeBytes: limitBytes, runtime }: LmdbStoreOptions,
  log: Logger,
): JournaledBase {
  const pace = new Pace(fastMs);
  const limits: Limits = { limitBytes, reserveBytes: reservedBytes };
  const commit = async (writes: Writes, within: Limits): Promise<void> => {
    const bytes = sizeOf(writes);
    const lack = lackOfRoom(db, path, writes.size, bytes.put, within);
    // Who deletes an entry may have to note that: what makes the store no larger is held to no limit.
    if (lack && !(shrinks(db, writes) && !lackOfRoom(db, path, writes.size, bytes.put, noLimits)))
      throw refuse(full(path, lack));
    try {
      const startMs = runtime.monotonic();
      if (bytes.values <= maxBytesHere && pace.isFast) writeHere(db, writes);
      else await writeElsewhere(db, writes, bytes.values);
      pace.took(runtime.monotonic() - startMs);
    } catch (error) {
      const cause = await commitError(error);
      log.error("commit.failed", { writes: writes.size, bytes: bytes.put, message: messageOf(cause) });
      // lmdb reports a write that the disk cut short as an I/O error.
      const free = freeBytes(path);
      const noRoom = errorNumber(cause) === 28 || /MDB_MAP_FULL|No space/.test(messageOf(cause));
      if (noRoom || (errorNumber(cause) === 5 && free < bytes.put * 4 + leastFreeBytes)) {
        throw refuse(full(path, `${free} bytes are free and ${bytes.put} were to be written`, cause));
      }
      throw failed(cause, path, "write");
    }
  };
  return {
    get(key) {
      try {
        return db.getBinary(Buffer.from(key, "latin1"));
      } catch (error) {
        throw failed(error, path, "read");
      }
    },
    *range(low, high, reverse) {
      try {
        // lmdb's own rules on which end is inclusive differ by direction; so the bounds are checked here.
        const start = Buffer.from(reverse ? high : low, "latin1");
        for (const { key, value } of db.getRange(start.length > 0 ? { start, reverse } : { reverse })) {
          const bytes = key.toString("latin1");
          if (reverse ? bytes >= high : bytes < low) continue;
          if (reverse ? bytes < low : bytes >= high) return;
          yield [bytes, value] as const;
        }
      } catch (error) {
        throw isSoormaError(error) ? error : failed(error, path, "read");
      }
    },
    hasRoom: (count, putBytes) => !lackOfRoom(db, path, count, putBytes, limits),
    hasRoomFor: (fileBytes) => freeBytes(path) >= 4 * fileBytes + leastFreeBytes,
    commit: (writes) => commit(writes, limits),
    commitAcknowledged: (writes) => commit(writes, noLimits),
    async close() {
      try {
        await db.close();
      } finally {
        lock.release();
        log.info("closed");
      }
    },
  };
}

/** A commit of more than this many bytes of values is written by lmdb's own thread. */
const maxBytesHere = 512 * 1024;
/** Milliseconds a commit on this thread may take. Meanwhile the process reads no messages. */
const fastMs = 2;

/**
 * Commits on this thread: with a disk that flushes fast the way to lmdb's thread and back costs more than the wait saves
 * (one commit after the other: 0.20 ms and 100 µs of processor time; by that thread 0.23 ms and 150 µs). What comes meanwhile is in
 * the next commit.
 */
function writeHere(db: Database<Buffer, Buffer>, writes: Writes): void {
  db.transactionSync(() => {
    for (const [key, value] of writes) {
      const encoded = Buffer.from(key, "latin1");
      if (value) db.putSync(encoded, value as Buffer);
      else db.removeSync(encoded);
    }
  });
}

async function writeElsewhere(db: Database<Buffer, Buffer>, writes: Writes, valueBytes: number): Promise<void> {
  // One buffer for all values: lmdb asks for a buffer's address once, and that is slow for many small ones.
  const values = Buffer.allocUnsafeSlow(valueBytes);
  let end = 0;
  await db.batch(() => {
    // What each put returns only says that it was queued; the batch's promise tells how all of them ended.
    for (const [key, value] of writes) {
      const encoded = Buffer.from(key, "latin1");
      if (value) {
        values.set(value, end);
        void db.put(encoded, values.subarray(end, end + value.length));
        end += value.length;
      } else void db.remove(encoded);
    }
  });
}

interface Limits {
  readonly limitBytes: number | undefined;
  /** What putting leaves free. */
  readonly reserveBytes: number;
}

const noLimits: Limits = { limitBytes: undefined, reserveBytes: 0 };

/** Whether the store has no more bytes of entries after these writes than before. */
function shrinks(db: Database<Buffer, Buffer>, writes: Writes): boolean {
  let grows = 0;
  for (const [key, value] of writes) {
    if (key === markKey) continue;
    const before = db.getBinary(Buffer.from(key, "latin1"));
    grows += (value ? key.length + value.length : 0) - (before ? key.length + before.length : 0);
  }
  return grows <= 0;
}

/**
 * Why the disk, or the limit, may have no room for writes. To be asked before lmdb meets that: a write that fails half-way corrupted its
 * heap in one of forty tries, and took the process along.
 */
function lackOfRoom(
  db: Database<Buffer, Buffer>,
  path: string,
  writes: number,
  putBytes: number,
  { limitBytes, reserveBytes }: Limits,
): string | undefined {
  if (limitBytes !== undefined && putBytes > 0) {
    const used = usedBytes(db);
    if (used + putBytes > limitBytes) {
      return `its limit is ${limitBytes} bytes, ${used} are used and ${putBytes} were to be added`;
    }
  }
  const free = freeBytes(path);
  // What is put may need whole pages of its own; each write may copy its leaf and a branch, …
  const put = putBytes * 2 + (putBytes > 0 ? reserveBytes : 0);
  let copied = writes * 2;
  if (free >= put + (copied + 16) * 4096) return undefined;
  // … but no more of them than there are. Only asked for when it matters.
  copied = Math.min(copied, countOf(db, "treeLeafPageCount") + countOf(db, "treeBranchPageCount"));
  const needed = put + (copied + 16) * 4096;
  if (free >= needed) return undefined;
  return `${free} bytes are free on the disk, and ${putBytes} bytes in ${writes} writes may take ${needed}`;
}

function sizeOf(writes: Writes): { put: number; values: number } {
  let put = 0;
  let values = 0;
  for (const [key, value] of writes) {
    if (!value) continue;
    // The journal's mark replaces the one before: who only deletes must not be refused because of it.
    if (key !== markKey) put += key.length + value.length;
    values += value.length;
  }
  return { put, values };
}

/** Bytes of the pages in use; free ones in the file, which lmdb reuses, do not count. */
function usedBytes(db: Database<Buffer, Buffer>): number {
  const pages = countOf(db, "treeBranchPageCount") + countOf(db, "treeLeafPageCount") + countOf(db, "overflowPages");
  return countOf(db, "pageSize") * pages;
}

function countOf(db: Database<Buffer, Buffer>, name: string): number {
  const value = (db.getStats() as Readonly<Record<string, unknown>>)[name];
  return typeof value === "number" ? value : 0;
}

/** lmdb rejects with a general error whose `commitError` is a promise that rejects with the reason. */
async function commitError(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !("commitError" in error)) return error;
  return Promise.resolve(error.commitError).then(
    () => error,
    (reason: unknown) => reason,
  );
}

function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path);
    return bavail * bsize;
  } catch (error) {
    throw failed(error, path, "look for free space");
  }
}

function errorNumber(error: unknown): number | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "number" ? error.code : undefined;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function refuse(cause: SoormaError): CommitRefused {
  return new CommitRefused(cause.message, { cause });
}

function full(path: string, what: string, cause?: unknown): SoormaError {
  return new SoormaError("STORE_FULL", `the store in ${path} has no room: ${what}`, {
    hint: "Free disk space or raise the store's limit; deleting entries works meanwhile.",
    details: { path },
    cause,
  });
}

function readOnly(path: string, what: string, cause?: unknown): SoormaError {
  return new SoormaError("STORE_READ_ONLY", `the store's folder ${path} cannot be written: ${what}`, {
    hint: "Give this user write access to the folder, or use another one.",
    details: { path },
    cause,
  });
}

/** lmdb's numbers for a damaged file: MDB_INVALID, MDB_PANIC aside, MDB_CORRUPTED, MDB_PAGE_NOTFOUND, MDB_VERSION_MISMATCH. */
const damageNumbers: readonly number[] = [-30793, -30796, -30797, -30794];

function failed(error: unknown, path: string, doing: string): SoormaError {
  const number = errorNumber(error);
  if (
    (number !== undefined && damageNumbers.includes(number)) ||
    /MDB_(INVALID|CORRUPTED|PAGE_NOTFOUND)/.test(messageOf(error))
  ) {
    return new SoormaError("STORE_CORRUPT", `the store in ${path} is damaged: ${messageOf(error)} at ${doing}`, {
      hint: "Restore the folder from a backup, or move it away to begin with an empty store.",
      details: { path },
      cause: error,
    });
  }
  return new SoormaError("STORE_FAILED", `the store in ${path} failed to ${doing}: ${messageOf(error)}`, {
    hint: "Look at the disk's health and the folder's owner, then start the process again.",
    details: { path },
    cause: error,
  });
}
