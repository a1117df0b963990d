/** A callback and when it is due. */
export interface QueueEntry {
  readonly dueMs: number;
  readonly sequence: number;
  readonly background: boolean;
  readonly atOnce: boolean;
  readonly callback: () => void;
  /** Taken or cancelled. */
  ended: boolean;
}

/**
 * Callbacks in the order of their time, then of their making.
 *
 * Most callbacks of a mesh are due at once: they go through a plain list. The others are in a binary heap; a cancelled
 * one stays there until it comes up, or until half of the heap is cancelled.
 */
export class EventQueue {
  readonly #heap: QueueEntry[] = [];
  #now: QueueEntry[] = [];
  #head = 0;
  #sequence = 0;
  #cancelled = 0;
  #size = 0;
  #foreground = 0;

  /** Entries that were neither taken nor cancelled. */
  get size(): number {
    return this.#size;
  }

  /** Those of them that are not in the background. */
  get foreground(): number {
    return this.#foreground;
  }

  /** `atOnce`: nothing that is due earlier will be added after it. */
  add(callback: () => void, dueMs: number, background: boolean, atOnce: boolean): QueueEntry {
    const entry: QueueEntry = { dueMs, sequence: ++this.#sequence, background, atOnce, callback, ended: false };
    this.#size++;
    if (!background) this.#foreground++;
    if (atOnce) this.#now.push(entry);
    else this.#push(entry);
    return entry;
  }

  /** Does nothing to an entry that was taken. */
  cancel(entry: QueueEntry): void {
    if (entry.ended) return;
    this.#end(entry);
    if (entry.atOnce) return;
    this.#cancelled++;
    if (this.#cancelled > 64 && this.#cancelled > this.#heap.length / 2) this.#compact();
  }

  peek(): QueueEntry | undefined {
    while (this.#now[this.#head]?.ended) this.#shift();
    while (this.#heap[0]?.ended) {
      this.#pop();
      this.#cancelled--;
    }
    const atOnce = this.#now[this.#head];
    const timed = this.#heap[0];
    if (!atOnce || !timed) return atOnce ?? timed;
    return isBefore(timed, atOnce) ? timed : atOnce;
  }

  take(): QueueEntry | undefined {
    const entry = this.peek();
    if (!entry) return undefined;
    if (entry === this.#now[this.#head]) this.#shift();
    else this.#pop();
    this.#end(entry);
    return entry;
  }

  #end(entry: QueueEntry): void {
    entry.ended = true;
    this.#size--;
    if (!entry.background) this.#foreground--;
  }

  #shift(): void {
    this.#head++;
    if (this.#head === this.#now.length) {
      this.#now = [];
      this.#head = 0;
    }
  }

  #push(entry: QueueEntry): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(entry);
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above] as QueueEntry;
      if (!isBefore(entry, parent)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (!last || heap.length === 0) return;
    this.#sink(last, 0);
  }

  #sink(entry: QueueEntry, from: number): void {
    const heap = this.#heap;
    let at = from;
    for (;;) {
      let below = at * 2 + 1;
      const left = heap[below];
      if (!left) break;
      const right = heap[below + 1];
      if (right && isBefore(right, left)) below++;
      const child = heap[below] as QueueEntry;
      if (!isBefore(child, entry)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = entry;
  }

  #compact(): void {
    const heap = this.#heap;
    let kept = 0;
    for (const entry of heap) if (!entry.ended) heap[kept++] = entry;
    heap.length = kept;
    for (let at = (kept >> 1) - 1; at >= 0; at--) this.#sink(heap[at] as QueueEntry, at);
    this.#cancelled = 0;
  }
}

function isBefore(a: QueueEntry, b: QueueEntry): boolean {
  return a.dueMs < b.dueMs || (a.dueMs === b.dueMs && a.sequence < b.sequence);
}
