import { rmSync } from "node:fs";
import { SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { type Base, CommitRefused, type Layer, merge, type Writes } from "./engine.ts";
import { encodeRecord, Journal, readJournal, recordBytes } from "./journal.ts";
import { OrderedMap } from "./ordered-map.ts";

/** What the journal stands before. */
export interface JournaledBase extends Base {
  /** Whether a commit of so many writes that put so many bytes would find room for certain. */
  hasRoom(writes: number, putBytes: number): boolean;
  /** Commits what was acknowledged, also into room that is kept for deleting. */
  commitAcknowledged(writes: Writes): Promise<void>;
  /** Whether there is room for a file of that size, and for much more. */
  hasRoomFor(fileBytes: number): boolean;
}

export interface JournaledOptions {
  readonly path: string;
  /** Bytes of the journal's file. */
  readonly bytes: number;
  readonly runtime: Runtime;
  readonly log: Logger;
}

/** Sorts behind every key of a store. Holds the journal's salt, and the sequence number up to which the base has what is in it. */
export const markKey = "\xffjournal";
/** Stores that are seldom written to do without. */
const commitsBefore = 16;
/** Milliseconds after which what is in the journal alone goes on to the base. */
const restMs = 1_000;
/** So many writes go on at a time: for so long messages wait. */
const atOnce = 128;

/** What is in one half of the journal. */
class Half {
  readonly writes = new OrderedMap<Uint8Array | null>();
  bytes = 0;
  sequence = 0;

  add(writes: Writes, sequence: number, bytes: number): void {
    for (const [key, value] of writes) this.writes.set(key, value);
    this.bytes += bytes;
    this.sequence = sequence;
  }
}

/**
 * Commits to a journal, and in the background from there to `base`. So a commit is one flushed write of what was committed.
 *
 * Records have sequence numbers, and the base knows up to which one it has them: what one half of the journal holds is written to the
 * base before that half is used again, and doing that twice changes nothing. Commits that are large, or that the base might have no
 * room for, wait until it has everything and go straight to it; it then judges as it does alone.
 */
export function journaled(base: JournaledBase, { path, bytes, runtime, log }: JournaledOptions): Base {
  const halfBytes = bytes >> 1;
  let journal: Journal | undefined;
  /** Made, and not known to the base. */
  let made: Journal | undefined;
  let making: Promise<void> | undefined;
  let isBroken = false;
  let commits = 0;
  let sequence = 0;
  let current = new Half();
  /** On its way to the base. */
  let earlier: Half | undefined;
  let goingOn: Promise<void> | undefined;
  let timer: Timer | undefined;
  let isCommitting = false;

  const make = async (): Promise<void> => {
    try {
      if (!base.hasRoomFor(bytes)) return;
      made = await Journal.create(path, Math.floor(runtime.random() * 2 ** 32), halfBytes, runtime);
    } catch (error) {
      // The base alone does it, too.
      log.warn("journal.failed", { path, error });
    }
  };

  const write = async (): Promise<void> => {
    if (!earlier || !journal) return;
    let some = new Map<string, Uint8Array | null>();
    for (const [key, value] of earlier.writes.entries()) {
      some.set(key, value);
      if (some.size < atOnce) continue;
      await base.commitAcknowledged(some);
      some = new Map();
      await new Promise<void>((resolve) => runtime.defer(resolve));
    }
    await base.commitAcknowledged(some.set(markKey, mark(journal.salt, earlier.sequence)));
    earlier = undefined;
  };

  /** Resolves when `earlier` is in the base. */
  const goOn = (): Promise<void> => {
    goingOn ??= write().finally(() => {
      goingOn = undefined;
    });
    return goingOn;
  };

  /** Nothing may be in the other half that the base has not. */
  const turn = (): void => {
    if (current.writes.size === 0) return;
    timer?.cancel();
    timer = undefined;
    earlier = current;
    current = new Half();
    journal?.turn();
    goOn().catch((error) => {
      log.warn("journal.kept", { path, writes: earlier?.writes.size ?? 0, error });
      waitForRest();
    });
  };

  const rest = (): void => {
    timer = undefined;
    if (!isCommitting && !earlier) {
      turn();
      return;
    }
    // What was refused is tried again; of a commit that runs it may be in the way.
    if (!isCommitting && !goingOn) goOn().catch(() => {});
    waitForRest();
  };
  const waitForRest = (): void => {
    timer ??= runtime.setTimer(rest, restMs, { background: true });
  };

  /** Resolves when the base has everything. */
  const drain = async (): Promise<void> => {
    await goOn();
    turn();
    await goOn();
  };

  const toBase = async (writes: Writes): Promise<void> => {
    await drain();
    if (journal) {
      await base.commit(new Map(writes).set(markKey, mark(journal.salt, sequence + 1)));
      // Not before: a number of what was refused would be missing among the records that follow.
      sequence++;
    } else if (!made) await base.commit(writes);
    else {
      await base.commit(new Map(writes).set(markKey, mark(made.salt, sequence)));
      [journal, made] = [made, undefined];
      log.debug("journal.opened", { path, bytes });
    }
  };

  const isForBase = (writes: Writes, size: number): boolean => {
    if (isBroken || size > halfBytes >> 2) return true;
    const count = writes.size + current.writes.size + (earlier?.writes.size ?? 0);
    return !base.hasRoom(count, size + current.bytes + (earlier?.bytes ?? 0));
  };

  const toJournal = async (to: Journal, writes: Writes, size: number): Promise<void> => {
    if (!to.fits(size)) {
      await goOn();
      turn();
    }
    try {
      await to.append(encodeRecord(writes, size, ++sequence, to.salt));
    } catch (error) {
      isBroken = true;
      log.error("journal.failed", { path, error });
      // It may be on disk all the same. In the base what follows overrules it; to say that it was refused would be wrong.
      await toBase(writes).catch((cause: unknown) => {
        throw cause instanceof CommitRefused ? error : cause;
      });
      return;
    }
    current.add(writes, sequence, size);
    waitForRest();
  };

  return {
    get(key) {
      let written = current.writes.get(key);
      if (written === undefined) written = earlier?.writes.get(key);
      return written === undefined ? base.get(key) : (written ?? undefined);
    },
    range(low, high, reverse) {
      const changed: Layer = new OrderedMap();
      for (const { writes } of earlier ? [earlier, current] : [current]) {
        for (const key of writes.keys(low, high)) changed.set(key, writes.get(key) ?? null);
      }
      const below = base.range(low, high, reverse);
      return changed.size === 0 ? below : merge(below, changed, low, high, reverse);
    },
    async commit(writes) {
      isCommitting = true;
      try {
        const size = journal ? recordBytes(writes) : 0;
        if (!journal || isForBase(writes, size)) await toBase(writes);
        else await toJournal(journal, writes, size);
      } finally {
        isCommitting = false;
        if (++commits === commitsBefore) making = make();
      }
    },
    async close() {
      await making;
      try {
        await drain();
        await (journal ?? made)?.remove();
      } catch (error) {
        // The next one who opens the store finds it in the journal.
        log.warn("journal.kept", { path, error });
        await journal?.close();
      } finally {
        timer?.cancel();
        await base.close();
      }
    },
  };
}

/**
 * Brings what a process that was killed left in its journal to the base, and removes the journal.
 *
 * @throws {SoormaError} `STORE_CORRUPT` when records are missing; what refuses a commit, and then the journal stays
 */
export async function replayJournal(base: JournaledBase, path: string): Promise<number> {
  const marked = base.get(markKey);
  let count = 0;
  if (marked) {
    const { salt, sequence } = readMark(marked);
    const missing = readJournal(path, salt).filter((record) => record.sequence > sequence);
    const writes = new Map<string, Uint8Array | null>();
    for (const record of missing) {
      if (record.sequence !== sequence + ++count) throw gap(path, sequence + count, record.sequence);
      for (const [key, value] of record.writes) writes.set(key, value);
    }
    if (count > 0) await base.commitAcknowledged(writes.set(markKey, mark(salt, sequence + count)));
  }
  rmSync(path, { force: true });
  return count;
}

function mark(salt: number, sequence: number): Uint8Array {
  const bytes = Buffer.alloc(12);
  bytes.writeUInt32LE(salt, 0);
  bytes.writeDoubleLE(sequence, 4);
  return bytes;
}

function readMark(bytes: Uint8Array): { salt: number; sequence: number } {
  const mark = Buffer.from(bytes);
  return { salt: mark.readUInt32LE(0), sequence: mark.readDoubleLE(4) };
}

function gap(path: string, expected: number, found: number): SoormaError {
  return new SoormaError(
    "STORE_CORRUPT",
    `the journal ${path} is damaged: record ${expected} is missing, and ${found} follows`,
    {
      hint: "Restore the folder from a backup, data file and journal together, or move it away to begin with an empty store.",
      details: { path },
    },
  );
}
