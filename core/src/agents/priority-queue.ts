interface Item<T> {
  readonly value: T;
  readonly priority: number;
  readonly order: number;
}

/** Highest priority first; among equals, the order they came in. A binary heap. */
export class PriorityQueue<T> {
  readonly #heap: Item<T>[] = [];
  #order = 0;
  /** Counts down, so that what is put back goes before everything of its priority. */
  #front = 0;

  get size(): number {
    return this.#heap.length;
  }

  push(value: T, priority: number): void {
    this.#add({ value, priority, order: ++this.#order });
  }

  /** Puts back what was taken out, before all others of its priority. */
  unshift(value: T, priority: number): void {
    this.#add({ value, priority, order: --this.#front });
  }

  peek(): T | undefined {
    return this.#heap[0]?.value;
  }

  pop(): T | undefined {
    const first = this.#heap[0];
    const last = this.#heap.pop();
    if (!first || !last) return undefined;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    return first.value;
  }

  #add(item: Item<T>): void {
    let i = this.#heap.push(item) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (!before(item, this.#heap[parent])) break;
      this.#swap(i, parent);
      i = parent;
    }
  }

  #sink(): void {
    for (let i = 0; ; ) {
      const left = 2 * i + 1;
      let best = i;
      if (before(this.#heap[left], this.#heap[best])) best = left;
      if (before(this.#heap[left + 1], this.#heap[best])) best = left + 1;
      if (best === i) return;
      this.#swap(i, best);
      i = best;
    }
  }

  #swap(a: number, b: number): void {
    const [x, y] = [this.#heap[a], this.#heap[b]];
    if (!x || !y) return;
    this.#heap[a] = y;
    this.#heap[b] = x;
  }
}

function before<T>(a: Item<T> | undefined, b: Item<T> | undefined): boolean {
  if (!a || !b) return false;
  return a.priority === b.priority ? a.order < b.order : a.priority > b.priority;
}
