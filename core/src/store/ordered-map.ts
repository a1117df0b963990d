const chunkSize = 512;

/** A map of strings in ascending order: point access by hash, order by sorted chunks. */
export class OrderedMap<V> {
  readonly #values = new Map<string, V>();
  /** Never empty chunks; every key of a chunk sorts before every key of the next one. */
  readonly #chunks: string[][] = [];

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
    if (!this.#values.has(key)) this.#insert(key);
    this.#values.set(key, value);
  }

  delete(key: string): boolean {
    if (!this.#values.delete(key)) return false;
    const index = this.#chunkOf(key);
    const chunk = this.#chunks[index];
    if (!chunk) return false;
    chunk.splice(lowerBound(chunk, key), 1);
    if (chunk.length === 0) this.#chunks.splice(index, 1);
    return true;
  }

  clear(): void {
    this.#values.clear();
    this.#chunks.length = 0;
  }

  /** Keys in [low, high), ascending. A copy: later changes do not show. */
  keys(low: string, high: string): string[] {
    const out: string[] = [];
    for (let c = this.#chunkOf(low); c < this.#chunks.length; c++) {
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

  /** Index of the first chunk whose last key is not below `key`. */
  #chunkOf(key: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const chunk = this.#chunks[middle] ?? [];
      if ((chunk[chunk.length - 1] ?? "") < key) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #insert(key: string): void {
    if (this.#chunks.length === 0) {
      this.#chunks.push([key]);
      return;
    }
    const index = Math.min(this.#chunkOf(key), this.#chunks.length - 1);
    const chunk = this.#chunks[index] ?? [];
    chunk.splice(lowerBound(chunk, key), 0, key);
    if (chunk.length > chunkSize) this.#chunks.splice(index + 1, 0, chunk.splice(chunkSize >> 1));
  }
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
