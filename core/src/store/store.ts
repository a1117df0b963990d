/** Part of a key. Numbers sort before text; a tuple sorts element by element. */
export type KeyPart = string | number;
export type Key = readonly KeyPart[];

export interface Entry<V = unknown> {
  readonly key: Key;
  readonly value: V;
}

export interface RangeOptions {
  /** Only keys that begin with these parts. */
  readonly prefix: Key;
  /** First key (inclusive; with `reverse` the highest), as the parts behind the prefix. */
  readonly from?: Key;
  /** End (exclusive), as the parts behind the prefix. */
  readonly to?: Key;
  readonly reverse?: boolean;
  readonly limit?: number;
}

export interface StoreReader {
  get<V = unknown>(key: Key): V | undefined;
  /** In key order. Reads a consistent state; stop early by `break`. */
  range<V = unknown>(options: RangeOptions): Iterable<Entry<V>>;
}

export interface StoreTransaction extends StoreReader {
  /**
   * How often the store lost what it had accepted, because it could not be written. Whoever remembers what it wrote has
   * to forget it when this has grown.
   */
  readonly losses: number;
  put(key: Key, value: unknown): void;
  /**
   * As `put` of what `make` returns, which is asked when the transaction's batch is written, or the value is read before: for what
   * changes with nearly every transaction, and is in memory anyway. Of several in a batch the last one is asked. What it returns
   * has to be packable: the store fails with it.
   */
  putLater(key: Key, make: () => unknown): void;
  delete(key: Key): void;
}

/**
 * An ordered, transactional map from tuples to msgpack values, owned by one process.
 *
 * Memory, tracker and broker stand on it; LMDB is one, an in-memory one for simulation is another.
 */
export interface Store extends StoreReader, AsyncDisposable {
  /**
   * Runs `body` atomically and alone, and resolves with its result once everything it wrote is flushed to disk.
   * When `body` throws, nothing is written and the promise rejects with what it threw. `body` must not be async.
   *
   * `body` sees everything accepted before it, on disk or not; so also the answer of one that only read, or threw,
   * waits until that is on disk. Reads outside of transactions see what was committed.
   *
   * @throws {SoormaError} `STORE_FULL` (the store goes on: deleting makes room), `STORE_CLOSED`, `STORE_CORRUPT`,
   * `STORE_FAILED` (it refuses every further transaction)
   */
  transact<T>(body: (tx: StoreTransaction) => T): Promise<T>;
  close(): Promise<void>;
}
