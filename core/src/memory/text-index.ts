import type { StoreReader, StoreTransaction } from "../store/store.ts";

/**
 * An inverted index: for each term the documents that hold it, in blocks of {@link blockDocs} consecutive numbers.
 *
 * A block is one small value, so adding a document rewrites one short value a term, and reading a term that every
 * document has costs one read for every {@link blockDocs} documents. Each posting is the document's place in the block,
 * how often it has the term, and its length, so that ranking reads nothing but postings.
 */
const blockDocs = 128;

/** How strongly repetition counts, and how strongly long documents are held back; the usual values. */
const k1 = 1.2;
const b = 0.75;

/** What the whole index counts, kept with it. */
export interface IndexStats {
  /** Documents. */
  readonly docs: number;
  /** Words of all documents together. */
  readonly words: number;
}

type Writer = Pick<StoreTransaction, "get" | "put" | "delete">;

const blockKey = (tenant: string, term: string, docId: number): [string, string, string, number] => [
  "memt",
  tenant,
  term,
  Math.floor(docId / blockDocs),
];

/** Adds a document that is not in the index. `length` is its number of words. */
export function addPostings(
  tx: Writer,
  tenant: string,
  docId: number,
  counts: ReadonlyMap<string, number>,
  length: number,
): void {
  for (const [term, count] of counts) {
    const key = blockKey(tenant, term, docId);
    const old = tx.get<Uint8Array>(key);
    const bytes = new Uint8Array((old?.length ?? 0) + 11);
    if (old) bytes.set(old);
    let end = old?.length ?? 0;
    bytes[end++] = docId % blockDocs;
    end = writeVarint(bytes, end, count);
    end = writeVarint(bytes, end, length);
    tx.put(key, bytes.subarray(0, end));
  }
}

/** Removes a document that was added with these terms. */
export function removePostings(tx: Writer, tenant: string, docId: number, terms: Iterable<string>): void {
  for (const term of terms) {
    const key = blockKey(tenant, term, docId);
    const old = tx.get<Uint8Array>(key);
    if (!old) continue;
    const bytes = new Uint8Array(old.length);
    let end = 0;
    for (let at = 0; at < old.length; ) {
      const next = skipVarint(old, skipVarint(old, at + 1));
      if (old[at] !== docId % blockDocs) {
        bytes.set(old.subarray(at, next), end);
        end += next - at;
      }
      at = next;
    }
    if (end === 0) tx.delete(key);
    else tx.put(key, bytes.subarray(0, end));
  }
}

/** The documents that have any of the terms, with their BM25 scores. */
export function scoreDocuments(
  reader: StoreReader,
  tenant: string,
  terms: readonly string[],
  stats: IndexStats,
): Map<number, number> {
  const scores = new Map<number, number>();
  const averageLength = stats.docs === 0 ? 1 : stats.words / stats.docs;
  for (const term of terms) {
    const blocks: { base: number; bytes: Uint8Array }[] = [];
    let holders = 0;
    for (const { key, value } of reader.range<Uint8Array>({ prefix: ["memt", tenant, term] })) {
      blocks.push({ base: Number(key[3]) * blockDocs, bytes: value });
      for (let at = 0; at < value.length; holders++) at = skipVarint(value, skipVarint(value, at + 1));
    }
    const weight = Math.log(1 + (stats.docs - holders + 0.5) / (holders + 0.5));
    for (const { base, bytes } of blocks) {
      for (let at = 0; at < bytes.length; ) {
        const docId = base + (bytes[at] ?? 0);
        const [count, lengthAt] = readVarint(bytes, at + 1);
        const [length, next] = readVarint(bytes, lengthAt);
        at = next;
        const norm = k1 * (1 - b + (b * length) / averageLength);
        scores.set(docId, (scores.get(docId) ?? 0) + (weight * count * (k1 + 1)) / (count + norm));
      }
    }
  }
  return scores;
}

function writeVarint(bytes: Uint8Array, at: number, value: number): number {
  let left = value;
  let end = at;
  while (left >= 0x80) {
    bytes[end++] = (left & 0x7f) | 0x80;
    left = Math.floor(left / 0x80);
  }
  bytes[end++] = left;
  return end;
}

function readVarint(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  let scale = 1;
  for (let i = at; ; i++) {
    const byte = bytes[i] ?? 0;
    value += (byte & 0x7f) * scale;
    if (byte < 0x80) return [value, i + 1];
    scale *= 0x80;
  }
}

function skipVarint(bytes: Uint8Array, at: number): number {
  let i = at;
  while ((bytes[i] ?? 0) >= 0x80) i++;
  return i + 1;
}
