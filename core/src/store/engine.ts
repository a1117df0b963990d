import { Packr } from "msgpackr";
import { isSoormaError, SoormaError } from "../errors.ts";
import { decodeKey, encodeKey, encodePrefix } from "./key.ts";
import { OrderedMap } from "./ordered-map.ts";
import type { Entry, Key, RangeOptions, Store, StoreTransaction } from "./store.ts";

/** Writes by encoded key; null deletes. */
export type Writes = ReadonlyMap<string, Uint8Array | null>;

/** What holds the bytes. Keys are byte strings as of `encodeKey`. */
export interface Base {
  get(key: string): Uint8Array | undefined;
  /** Entries in [low, high), ascending or descending, as of the call. */
  range(low: string, high: string, reverse: boolean): Iterator<readonly [string, Uint8Array]>;
  /**
   * Writes all or nothing and resolves once it is on disk. Never called while another commit runs.
   *
   * After a {@link CommitRefused} the base goes on; after any other rejection the store refuses further work.
   */
  commit(writes: Writes): Promise<void>;
  close(): Promise<void>;
}

/** A failed commit after which the base still works: nothing of it was written. */
export class CommitRefused extends Error {
  override readonly name = "CommitRefused";
}

interface Batch {
  readonly writes: Map<string, Written>;
  readonly done: PromiseWithResolvers<void>;
}

/** Bytes, nothing, or what makes the bytes when they are needed. */
type Written = Uint8Array | null | Later;

/** Writes laid over a base. */
export type Layer = OrderedMap<Written>;

// Plain maps rather than records: record definitions would have to be stored apart from the values they belong to.
const packr = new Packr({ useRecords: false, copyBuffers: true });

/** A value that is packed when its batch is written, or somebody reads it. */
class Later {
  readonly #make: () => unknown;

  constructor(make: () => unknown) {
    this.#make = make;
  }

  pack(): Uint8Array {
    return new Uint8Array(packr.pack(this.#make()));
  }
}

function bytesOf(written: Written): Uint8Array | null {
  return written instanceof Later ? written.pack() : written;
}

/**
 * A {@link Store} over bytes that are committed in batches.
 *
 * A transaction's body runs at once, against the base and everything accepted before it; what it writes joins the next
 * batch. So bodies are serial without a lock, a throwing body leaves nothing, and however many wait, they share a flush.
 */
export function createStoreEngine(base: Base, name: string): Store {
  /** Accepted and not yet on disk. */
  const pending = new OrderedMap<{ readonly bytes: Written; readonly batch: Batch }>();
  let next: Batch | undefined;
  let running: Batch | undefined;
  let failure: SoormaError | undefined;
  let losses = 0;
  let closing: Promise<void> | undefined;
  let inBody = false;

  const usable = (what: string): void => {
    if (closing) throw new SoormaError("STORE_CLOSED", `${what} on ${name} after it was closed`);
  };

  const accept = (writes: Layer): Batch => {
    if (!next) {
      next = { writes: new Map(), done: Promise.withResolvers() };
      // Everything accepted in this turn goes along. While a batch is being flushed the next one keeps growing.
      if (!running) queueMicrotask(() => void pump());
    }
    for (const [key, bytes] of writes.entries()) {
      next.writes.set(key, bytes);
      pending.set(key, { bytes, batch: next });
    }
    return next;
  };

  const pump = async (): Promise<void> => {
    while (next && !running) {
      running = next;
      next = undefined;
      try {
        const { writes } = running;
        for (const [key, written] of writes) if (written instanceof Later) writes.set(key, written.pack());
        await base.commit(writes as Writes);
        for (const key of running.writes.keys()) if (pending.get(key)?.batch === running) pending.delete(key);
        running.done.resolve();
      } catch (error) {
        const reason = storeError(error, name);
        if (!(error instanceof CommitRefused)) failure = reason;
        // What was accepted since may have read what is now lost.
        pending.clear();
        losses++;
        running.done.reject(reason);
        (next as Batch | undefined)?.done.reject(reason);
        next = undefined;
      }
      running = undefined;
    }
  };

  const runBody = <T>(body: (tx: StoreTransaction) => T, tx: Transaction): T => {
    inBody = true;
    try {
      return body(tx);
    } finally {
      inBody = false;
      tx.end();
    }
  };

  const transact = async <T>(body: (tx: StoreTransaction) => T): Promise<T> => {
    usable("a transaction");
    if (failure) throw failure;
    if (inBody) throw new TypeError("transact() inside the body of another transaction");
    const tx = new Transaction(base, pending, losses);
    let result: T;
    try {
      result = runBody(body, tx);
    } catch (error) {
      // It may have thrown over what is not on disk yet: whoever reads after that shall find it, not try in vain.
      await (next ?? running)?.done.promise;
      throw error;
    }
    if (result instanceof Promise) {
      result.catch(() => {});
      throw new TypeError("the body of a transaction must not be async: it ends when the body returns");
    }
    // A body that only read may have read what is not on disk yet: its answer waits for that, too.
    const batch = tx.writes.size > 0 ? accept(tx.writes) : (next ?? running);
    if (batch) await batch.done.promise;
    return result;
  };

  return {
    get: <V>(key: Key) => {
      usable("get");
      return unpackValue(readBytes(base, encodeKey(key), name), name) as V | undefined;
    },
    range: <V>(options: RangeOptions) => {
      usable("range");
      return rangeOf<V>(options, (low, high, reverse) => base.range(low, high, reverse), name);
    },
    transact,
    close() {
      closing ??= (async () => {
        await (next ?? running)?.done.promise.catch(() => {});
        await base.close();
      })();
      return closing;
    },
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}

class Transaction implements StoreTransaction {
  readonly writes: Layer = new OrderedMap();
  readonly losses: number;
  readonly #base: Base;
  readonly #pending: OrderedMap<{ readonly bytes: Written }>;
  #ended = false;

  constructor(base: Base, pending: OrderedMap<{ readonly bytes: Written }>, losses: number) {
    this.losses = losses;
    this.#base = base;
    this.#pending = pending;
  }

  end(): void {
    this.#ended = true;
  }

  get<V>(key: Key): V | undefined {
    this.#open();
    const encoded = encodeKey(key);
    const own = this.writes.get(encoded);
    if (own !== undefined) return unpackValue(bytesOf(own) ?? undefined, "store") as V | undefined;
    const accepted = this.#pending.get(encoded);
    if (accepted) return unpackValue(bytesOf(accepted.bytes) ?? undefined, "store") as V | undefined;
    return unpackValue(readBytes(this.#base, encoded, "store"), "store") as V | undefined;
  }

  range<V>(options: RangeOptions): Iterable<Entry<V>> {
    this.#open();
    return rangeOf<V>(
      options,
      (low, high, reverse) => {
        const changed: Layer = new OrderedMap();
        for (const key of this.#pending.keys(low, high)) changed.set(key, this.#pending.get(key)?.bytes ?? null);
        for (const key of this.writes.keys(low, high)) changed.set(key, this.writes.get(key) ?? null);
        const below = this.#base.range(low, high, reverse);
        return changed.size === 0 ? below : merge(below, changed, low, high, reverse);
      },
      "store",
    );
  }

  put(key: Key, value: unknown): void {
    this.#open();
    if (value === undefined) throw new TypeError("put() of undefined: use delete()");
    // A copy: packr hands out slices of a buffer it goes on using for the values that follow.
    this.writes.set(encodeKey(key), new Uint8Array(packr.pack(value)));
  }

  putLater(key: Key, make: () => unknown): void {
    this.#open();
    this.writes.set(encodeKey(key), new Later(make));
  }

  delete(key: Key): void {
    this.#open();
    this.writes.set(encodeKey(key), null);
  }

  #open(): void {
    if (this.#ended) throw new TypeError("the transaction ended when its body returned");
  }
}

function* rangeOf<V>(
  options: RangeOptions,
  open: (low: string, high: string, reverse: boolean) => Iterator<readonly [string, Uint8Array]>,
  name: string,
): Generator<Entry<V>> {
  const { reverse = false, limit = Number.POSITIVE_INFINITY } = options;
  const prefix = encodePrefix(options.prefix);
  const from = options.from && encodePrefix([...options.prefix, ...options.from]);
  const to = options.to && encodePrefix([...options.prefix, ...options.to]);
  // No encoded part begins with 0xff, and nothing sorts between a key and that key with a NUL behind it.
  const start = reverse ? (to === undefined ? prefix : `${to}\x00`) : (from ?? prefix);
  const end = reverse ? (from === undefined ? `${prefix}\xff` : `${from}\x00`) : (to ?? `${prefix}\xff`);
  if (limit <= 0 || start >= end) return;
  const entries = open(start, end, reverse);
  let left = limit;
  try {
    for (;;) {
      let step: IteratorResult<readonly [string, Uint8Array]>;
      try {
        step = entries.next();
      } catch (error) {
        throw storeError(error, name);
      }
      if (step.done) return;
      const key = decodeKey(step.value[0]);
      if (!key) throw new SoormaError("STORE_CORRUPT", `a key in ${name} is not one this store wrote`);
      yield { key, value: unpackValue(step.value[1], name) as V };
      if (--left <= 0) return;
    }
  } finally {
    entries.return?.();
  }
}

/** The base's entries with `changed` laid over them, in the base's direction. */
export function* merge(
  below: Iterator<readonly [string, Uint8Array]>,
  changed: Layer,
  low: string,
  high: string,
  reverse: boolean,
): Generator<readonly [string, Uint8Array]> {
  const keys = changed.keys(low, high);
  if (reverse) keys.reverse();
  const isBefore = (a: string, b: string): boolean => (reverse ? a > b : a < b);
  try {
    let step = below.next();
    for (const key of keys) {
      while (!step.done && isBefore(step.value[0], key)) {
        yield step.value;
        step = below.next();
      }
      if (!step.done && step.value[0] === key) step = below.next();
      const bytes = bytesOf(changed.get(key) ?? null);
      if (bytes) yield [key, bytes];
    }
    while (!step.done) {
      yield step.value;
      step = below.next();
    }
  } finally {
    below.return?.();
  }
}

function readBytes(base: Base, key: string, name: string): Uint8Array | undefined {
  try {
    return base.get(key);
  } catch (error) {
    throw storeError(error, name);
  }
}

function unpackValue(bytes: Uint8Array | undefined, name: string): unknown {
  if (bytes === undefined) return undefined;
  try {
    return packr.unpack(bytes);
  } catch (error) {
    throw new SoormaError("STORE_CORRUPT", `a value of ${bytes.length} bytes in ${name} is not readable`, {
      cause: error,
      hint: "Restore the folder from a backup.",
    });
  }
}

function storeError(error: unknown, name: string): SoormaError {
  if (isSoormaError(error)) return error;
  if (error instanceof CommitRefused && isSoormaError(error.cause)) return error.cause;
  const message = error instanceof Error ? error.message : String(error);
  return new SoormaError("STORE_FAILED", `${name} failed: ${message}`, { cause: error });
}
