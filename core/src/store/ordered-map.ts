const chunkSize = 512;

/**
 * A map of strings that can be read in ascending order: point access by hash, order by sorted chunks.
 *
 * The order is made when it is first asked for, so a map that nobody iterates costs what a plain map does.
 */
export class OrderedMap<V> {
  readonly #values = new Map<string, V>();
  /** No chunk is empty; every key of a chunk sorts before every key of the next one. */
  #chunks: string[][] | undefined;

  get size(): number {
    return this.#values.size;
  }

  get(key: string): V | undefined {
    return this.#values.get(key);
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  set(key: string, value: V): void {
    if (this.#chunks && !this.#values.has(key)) insert(this.#chunks, key);
    this.#values.set(key, value);
  }

  delete(key: string): boolean {
    if (!this.#values.delete(key)) return false;
    if (this.#values.size === 0) this.#chunks = undefined;
    else if (this.#chunks) remove(this.#chunks, key);
    return true;
  }

  clear(): void {
    this.#values.clear();
    this.#chunks = undefined;
  }

  /** Keys in [low, high), ascending. A copy: later changes do not show. */
  keys(low: string, high: string): string[] {
    const out: string[] = [];
    this.#chunks ??= chunked(Array.from(this.#values.keys()).sort(byUnits));
    for (let c = chunkOf(this.#chunks, low); c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c] ?? [];
      const from = lowerBound(chunk, low);
      const to = lowerBound(chunk, high);
      for (let i = from; i < to; i++) out.push(chunk[i] as string);
      if (to < chunk.length) break;
    }
    return out;
  }

  entries(): IterableIterator<[string, V]> {
    return this.#values.entries();
  }
}

function byUnits(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function chunked(sorted: readonly string[]): string[][] {
  const chunks: string[][] = [];
  for (let i = 0; i < sorted.length; i += chunkSize) chunks.push(sorted.slice(i, i + chunkSize));
  return chunks;
}

/** Index of the first chunk whose last key is not below `key`. */
function chunkOf(chunks: readonly (readonly string[])[], key: string): number {
  let low = 0;
  let high = chunks.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const chunk = chunks[middle] ?? [];
    if ((chunk[chunk.length - 1] ?? "") < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function insert(chunks: string[][], key: string): void {
  const index = Math.min(chunkOf(chunks, key), chunks.length - 1);
  const chunk = chunks[index];
  if (!chunk) {
    chunks.push([key]);
    return;
  }
  chunk.splice(lowerBound(chunk, key), 0, key);
  if (chunk.length > chunkSize) chunks.splice(index + 1, 0, chunk.splice(chunkSize >> 1));
}

function remove(chunks: string[][], key: string): void {
  const index = chunkOf(chunks, key);
  const chunk = chunks[index];
  if (!chunk) return;
  chunk.splice(lowerBound(chunk, key), 1);
  if (chunk.length === 0) chunks.splice(index, 1);
}

/** Index of the first element not below `key`. */
function lowerBound(sorted: readonly string[], key: string): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((sorted[middle] as string) < key) low = middle + 1;
    else high = middle;
  }
  return low;
}
