import type { Runtime, Timer } from "../runtime.ts";

/** Tells those who have something to note that they may, now and then: one timer for any number of plans. */
export class NoteClock {
  readonly #runtime: Runtime;
  readonly #intervalMs: number;
  readonly #waiting = new Set<() => void>();
  #timer: Timer | undefined;

  constructor(runtime: Runtime, intervalMs: number) {
    this.#runtime = runtime;
    this.#intervalMs = intervalMs;
  }

  /** `flush` is called within the interval, once; without one at once. */
  add(flush: () => void): void {
    if (this.#intervalMs === 0) {
      flush();
      return;
    }
    this.#waiting.add(flush);
    this.#timer ??= this.#runtime.setTimer(() => {
      this.#timer = undefined;
      const due = [...this.#waiting];
      this.#waiting.clear();
      for (const one of due) one();
    }, this.#intervalMs);
  }

  delete(flush: () => void): void {
    if (!this.#waiting.delete(flush) || this.#waiting.size > 0) return;
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
