import { SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { roughBytes } from "../rough-size.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { Store, StoreReader, StoreTransaction } from "../store/store.ts";
import type {
  DeleteOptions,
  ListOptions,
  Memory,
  MemoryEntry,
  SearchHit,
  SearchOptions,
  StoreOptions,
} from "./contract.ts";
import { checkKey } from "./key.ts";
import { type Operations, remember, sweepOperations, versionOf } from "./operations.ts";
import { allHits, type Page, pageBytes } from "./protocol.ts";
import { countTerms, queryTerms, snippetOf, textsOf } from "./text.ts";
import { addPostings, type IndexStats, removePostings, scoreDocuments } from "./text-index.ts";

export interface MemoryStoreOptions {
  readonly store: Store;
  readonly runtime: Runtime;
  readonly log: Logger;
  /** How often expired entries are removed. They are not seen before that either. Default 1_000. */
  readonly sweepMs?: number;
}

/** An id that makes a repeated write be done once. */
interface Operation {
  readonly operationId?: string;
}

/** Memory of all tenants, next to its store. */
export interface MemoryStore extends AsyncDisposable {
  store(tenant: string, key: string, value: unknown, options?: StoreOptions & Operation): Promise<{ version: number }>;
  entry<T = unknown>(tenant: string, key: string): MemoryEntry<T> | undefined;
  delete(tenant: string, key: string, options?: DeleteOptions & Operation): Promise<boolean>;
  /** Fewer than `limit` with `more` set when their values are too large for one answer. */
  list<T = unknown>(tenant: string, prefix: string, options?: ListOptions): Page<MemoryEntry<T>>;
  /** As `list`. The next page begins behind `skip` hits. */
  search<T = unknown>(
    tenant: string,
    query: string,
    options?: SearchOptions & { readonly skip?: number },
  ): Page<SearchHit<T>>;
  /** Removes what has expired by now; resolves with how many entries that were. */
  sweep(): Promise<number>;
  /** One tenant's memory, as its agents see it. */
  of(tenant: string): Memory;
  close(): Promise<void>;
}

/** What is kept under ["mem", tenant, key]. Short names: they are stored with every entry. */
interface Stored {
  /** Value; absent in what marks a deletion. */
  readonly v?: unknown;
  readonly n: number;
  readonly u: number;
  readonly x?: number;
  /** Number of the document in the text index. */
  readonly d?: number;
  /** Deleted; kept for a while so that a deletion tried again is known. */
  readonly g?: true;
  readonly o?: Operations;
}

/** Under ["memd", tenant, document]: what a search needs of a hit, and what removing it takes. */
interface Indexed {
  readonly k: string;
  readonly l: number;
  readonly t: readonly string[];
  readonly c: readonly number[];
}

/** Under ["mems", tenant]. */
interface Counters extends IndexStats {
  readonly version: number;
  readonly nextDoc: number;
}

const noCounters: Counters = { version: 0, nextDoc: 0, docs: 0, words: 0 };
/** How long a deletion can be tried again and be known. Clients give up long before. */
const rememberDeletionMs = 600_000;
const sweepBatch = 200;

export function createMemoryStore(options: MemoryStoreOptions): MemoryStore {
  const { store: db, runtime, log, sweepMs = 1_000 } = options;
  let timer: Timer | undefined;
  let sweeping: Promise<number> | undefined;
  let closed = false;
  let failing = false;

  const read = (
    reader: StoreReader,
    tenant: string,
    key: string,
  ): { raw: Stored | undefined; live: Stored | undefined } => {
    const raw = reader.get<Stored>(["mem", tenant, key]);
    const live = raw && !raw.g && (raw.x === undefined || raw.x > runtime.now()) ? raw : undefined;
    return { raw, live };
  };

  const sweepSome = (): Promise<{ swept: number; more: boolean }> =>
    db.transact((tx) => {
      const now = runtime.now();
      const forgotten = sweepOperations(tx, now, sweepBatch);
      let swept = 0;
      for (const { key } of tx.range({ prefix: ["memx"], limit: sweepBatch })) {
        const [, expiresAtMs, tenant, name] = key as [string, number, string, string];
        if (expiresAtMs > now) break;
        tx.delete(key);
        const stored = tx.get<Stored>(["mem", tenant, name]);
        if (stored?.x === expiresAtMs) {
          reindex(tx, tenant, name, stored, undefined);
          tx.delete(["mem", tenant, name]);
        }
        swept++;
      }
      return { swept, more: swept === sweepBatch || forgotten === sweepBatch };
    });

  const sweep = async (): Promise<number> => {
    let total = 0;
    for (;;) {
      const { swept, more } = await sweepSome();
      total += swept;
      // Whoever closes does not wait for all that is over: it is not seen, and the next one to open the store goes on.
      if (!more || closed) return total;
    }
  };

  const schedule = (): void => {
    if (closed) return;
    timer = runtime.setTimer(
      () => {
        sweeping = sweep();
        sweeping
          .then(
            () => {
              failing = false;
            },
            (error) => {
              // A store that is full stays so for long: told once.
              if (!closed && !failing) log.warn("sweep.failed", { error });
              failing = true;
            },
          )
          .finally(schedule);
      },
      sweepMs,
      { background: true },
    );
  };
  schedule();

  const self: MemoryStore = {
    async store(tenant, key, value, { ttlMs, ifVersion, operationId } = {}) {
      checkKey(key);
      if (value === undefined) throw new TypeError(`store("${key}", undefined): use delete()`);
      if (ttlMs !== undefined && !(ttlMs > 0)) throw new TypeError(`ttlMs must be above 0, not ${ttlMs}`);
      const counts = countTerms([key, ...textsOf(value)]);
      return db.transact((tx) => {
        const { raw, live } = read(tx, tenant, key);
        const done = versionOf(tx, tenant, key, raw?.o, operationId);
        if (done !== undefined) return { version: done };
        checkVersion(key, ifVersion, live?.n ?? 0);
        const now = runtime.now();
        const { version, docId } = reindex(tx, tenant, key, raw, counts);
        const expiresAtMs = ttlMs === undefined ? undefined : now + ttlMs;
        writeRecord(tx, tenant, key, raw, {
          v: value,
          n: version,
          u: now,
          ...(expiresAtMs === undefined ? {} : { x: expiresAtMs }),
          ...(docId === undefined ? {} : { d: docId }),
          ...remember(tx, tenant, key, raw?.o, { operationId, version, nowMs: now }),
        });
        return { version };
      });
    },

    entry<T>(tenant: string, key: string) {
      checkKey(key);
      const { live } = read(db, tenant, key);
      return live && toEntry<T>(key, live);
    },

    async delete(tenant, key, { ifVersion, operationId } = {}) {
      checkKey(key);
      return db.transact((tx) => {
        const { raw, live } = read(tx, tenant, key);
        if (versionOf(tx, tenant, key, raw?.o, operationId) !== undefined) return true;
        checkVersion(key, ifVersion, live?.n ?? 0);
        if (!raw || !live) return false;
        const { version } = reindex(tx, tenant, key, raw, undefined);
        if (operationId === undefined) writeRecord(tx, tenant, key, raw, undefined);
        else {
          const now = runtime.now();
          const mark = { n: version, u: now, g: true as const, x: now + rememberDeletionMs };
          const done = { operationId, version, nowMs: now };
          writeRecord(tx, tenant, key, raw, { ...mark, ...remember(tx, tenant, key, raw.o, done) });
        }
        return true;
      });
    },

    list<T>(tenant: string, prefix: string, { limit = 100, after }: ListOptions = {}) {
      const items: MemoryEntry<T>[] = [];
      const now = runtime.now();
      const from = after !== undefined && after > prefix && after.startsWith(prefix) ? after : prefix;
      let bytes = 0;
      let isBehind = after === undefined;
      if (limit <= 0) return { items, more: false };
      for (const { key, value } of db.range<Stored>({ prefix: ["mem", tenant], from: [from] })) {
        const name = String(key[2]);
        if (!name.startsWith(prefix)) break;
        if (value.g || (value.x !== undefined && value.x <= now)) continue;
        isBehind ||= compareCodePoints(name, after ?? "") > 0;
        if (!isBehind) continue;
        bytes += roughBytes(value.v);
        if (items.length > 0 && bytes > pageBytes) return { items, more: true };
        items.push(toEntry<T>(name, value));
        if (items.length >= limit) break;
      }
      return { items, more: false };
    },

    search<T>(tenant: string, query: string, { limit = 10, prefix = "", minScore = 0, skip = 0 } = {}) {
      const terms = queryTerms(query);
      const counters = db.get<Counters>(["mems", tenant]);
      const hits: SearchHit<T>[] = [];
      if (terms.length === 0 || !counters || limit <= 0) return { items: hits, more: false };
      const scores = scoreDocuments(db, tenant, terms, counters);
      const ranked = Array.from(scores)
        .filter(([, score]) => score >= minScore)
        .sort(([idA, scoreA], [idB, scoreB]) => scoreB - scoreA || idA - idB);
      const wanted = new Set(terms);
      let bytes = 0;
      let passed = 0;
      for (const [docId, score] of ranked) {
        const key = db.get<Indexed>(["memd", tenant, docId])?.k;
        if (key === undefined || !key.startsWith(prefix)) continue;
        const { live } = read(db, tenant, key);
        if (!live || passed++ < skip) continue;
        bytes += roughBytes(live.v);
        if (hits.length > 0 && bytes > pageBytes) return { items: hits, more: true };
        const texts = textsOf(live.v);
        hits.push({ key, value: live.v as T, score, snippet: snippetOf(texts.length > 0 ? texts : [key], wanted) });
        if (hits.length >= limit) break;
      }
      return { items: hits, more: false };
    },

    async sweep() {
      await sweeping?.catch(() => {});
      return sweep();
    },

    of: (tenant) => memoryOf(self, tenant),

    async close() {
      closed = true;
      timer?.cancel();
      await sweeping?.catch(() => {});
    },
    async [Symbol.asyncDispose]() {
      await self.close();
    },
  };
  return self;
}

/**
 * Counts a write, and makes the index say of the entry what `counts` says; undefined takes it out.
 *
 * @returns the write's version and the entry's document number.
 */
function reindex(
  tx: StoreTransaction,
  tenant: string,
  key: string,
  old: Stored | undefined,
  counts: ReadonlyMap<string, number> | undefined,
): { version: number; docId: number | undefined } {
  const counters = tx.get<Counters>(["mems", tenant]) ?? noCounters;
  let { nextDoc, docs, words } = counters;
  const version = counters.version + 1;
  let docId = old?.d;
  const indexed = docId === undefined ? undefined : tx.get<Indexed>(["memd", tenant, docId]);
  if (!indexed || !counts || !isSame(indexed, counts)) {
    if (docId !== undefined && indexed) {
      removePostings(tx, tenant, docId, indexed.t);
      docs--;
      words -= indexed.l;
    }
    if (counts && counts.size > 0) {
      docId ??= nextDoc++;
      const length = Array.from(counts.values()).reduce((sum, count) => sum + count, 0);
      addPostings(tx, tenant, docId, counts, length);
      docs++;
      words += length;
      const entry: Indexed = { k: key, l: length, t: Array.from(counts.keys()), c: Array.from(counts.values()) };
      tx.put(["memd", tenant, docId], entry);
    } else {
      if (docId !== undefined) tx.delete(["memd", tenant, docId]);
      docId = undefined;
    }
  }
  tx.put(["mems", tenant], { version, nextDoc, docs, words } satisfies Counters);
  return { version, docId };
}

function isSame(indexed: Indexed, counts: ReadonlyMap<string, number>): boolean {
  return indexed.t.length === counts.size && indexed.t.every((term, i) => counts.get(term) === indexed.c[i]);
}

function writeRecord(
  tx: StoreTransaction,
  tenant: string,
  key: string,
  old: Stored | undefined,
  next: Stored | undefined,
): void {
  if (old?.x !== undefined && old.x !== next?.x) tx.delete(["memx", old.x, tenant, key]);
  if (!next) {
    tx.delete(["mem", tenant, key]);
    return;
  }
  if (next.x !== undefined) tx.put(["memx", next.x, tenant, key], 0);
  tx.put(["mem", tenant, key], next);
}

function checkVersion(key: string, expected: number | undefined, actual: number): void {
  if (expected === undefined || expected === actual) return;
  const found = actual === 0 ? "there is none" : `it has version ${actual}`;
  const wanted = expected === 0 ? "that there is no entry" : `that it has version ${expected}`;
  throw new SoormaError("VERSION_CONFLICT", `"${key}" was to be written on condition ${wanted}, but ${found}`, {
    hint: "Read the entry again and decide anew.",
    details: { key, expected, actual },
  });
}

function toEntry<T>(key: string, stored: Stored): MemoryEntry<T> {
  return {
    key,
    value: stored.v as T,
    version: stored.n,
    updatedAtMs: stored.u,
    ...(stored.x === undefined ? {} : { expiresAtMs: stored.x }),
  };
}

/** UTF-8's order, which is that of the keys; UTF-16's differs beyond U+FFFF. */
function compareCodePoints(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}

function memoryOf(memory: MemoryStore, tenant: string): Memory {
  return {
    store: (key, value, options) => memory.store(tenant, key, value, options),
    retrieve: async <T>(key: string) => memory.entry<T>(tenant, key)?.value,
    entry: async <T>(key: string) => memory.entry<T>(tenant, key),
    delete: (key, options) => memory.delete(tenant, key, options),
    async list<T>(prefix: string, { limit = 100, after }: ListOptions = {}) {
      const entries: MemoryEntry<T>[] = [];
      for (let last = after; ; ) {
        const left = limit - entries.length;
        const page = memory.list<T>(tenant, prefix, { limit: left, ...(last === undefined ? {} : { after: last }) });
        entries.push(...page.items);
        last = page.items.at(-1)?.key;
        if (!page.more || last === undefined) return entries;
      }
    },
    search: <T>(query: string, options?: SearchOptions) =>
      allHits<T>(options?.limit, async (limit, skip) => memory.search<T>(tenant, query, { ...options, limit, skip })),
  };
}
