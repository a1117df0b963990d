export interface StoreOptions {
  /** Milliseconds until the entry is gone. Default: it stays. */
  readonly ttlMs?: number;
  /** Write only if the entry has this version; 0: only if there is none. */
  readonly ifVersion?: number;
}

export interface DeleteOptions {
  /** Delete only if the entry has this version. */
  readonly ifVersion?: number;
}

export interface MemoryEntry<T = unknown> {
  readonly key: string;
  readonly value: T;
  /** Grows with every write, not by one; never used again, so an unchanged version means an untouched entry. */
  readonly version: number;
  /** Wall clock of the state node, milliseconds since the epoch. */
  readonly updatedAtMs: number;
  readonly expiresAtMs?: number;
}

export interface ListOptions {
  /** Default 100, at most 10_000. */
  readonly limit?: number;
  /** Only keys behind this one: the last key of the page before. */
  readonly after?: string;
}

export interface SearchOptions {
  /** Default 10, at most 1_000. */
  readonly limit?: number;
  /** Only keys that begin with this. */
  readonly prefix?: string;
  /** Only hits that score at least this. Scores compare within one search, not between searches. Default 0. */
  readonly minScore?: number;
}

export interface SearchHit<T = unknown> {
  readonly key: string;
  readonly value: T;
  /** BM25; higher is better. */
  readonly score: number;
  /** The part of the entry's text where the query's words are densest, at most about 240 characters. */
  readonly snippet: string;
}

/**
 * Shared memory: what one agent of a tenant stores, every other one of it can retrieve and find.
 *
 * Keys are text of 1 to 1024 bytes. Values are what msgpack can hold; they come back as copies.
 *
 * Every method throws `STORE_UNAVAILABLE` when the state node cannot be reached until the deadline: an outage never
 * looks like "not found". `KEY_INVALID` for keys that are empty, too long or not text.
 */
export interface Memory {
  /**
   * Resolves with the entry's new version once it is flushed to disk.
   *
   * @throws {SoormaError} `VERSION_CONFLICT` with `details.actual` when `ifVersion` does not hold.
   */
  store(key: string, value: unknown, options?: StoreOptions): Promise<{ readonly version: number }>;
  /** The value; undefined when there is none. */
  retrieve<T = unknown>(key: string): Promise<T | undefined>;
  /** The value with its version and times; undefined when there is none. */
  entry<T = unknown>(key: string): Promise<MemoryEntry<T> | undefined>;
  /**
   * Whether there was something to delete.
   *
   * @throws {SoormaError} `VERSION_CONFLICT` with `details.actual` when `ifVersion` does not hold.
   */
  delete(key: string, options?: DeleteOptions): Promise<boolean>;
  /** Entries whose key begins with `prefix`, in the order of their keys' code points. */
  list<T = unknown>(prefix: string, options?: ListOptions): Promise<MemoryEntry<T>[]>;
  /**
   * Full-text search over keys and all text inside the values, best first.
   *
   * Words are compared without case, accents and common English endings. An entry is found when it has any of the
   * query's words; it ranks by BM25. A query of nothing but stop words finds nothing.
   */
  search<T = unknown>(query: string, options?: SearchOptions): Promise<SearchHit<T>[]>;
}
