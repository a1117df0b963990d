import type { Runtime, Timer } from "../runtime.ts";

/** Something that ends by itself, or at its deadline. */
export interface Expiring {
  /** Set by whoever ends it; then it does not expire. */
  settled: boolean;
  expire(): void;
}

interface Line {
  readonly entries: { readonly item: Expiring; readonly atMs: number }[];
  head: number;
  timer: Timer | undefined;
}

/**
 * Deadlines of many short calls, for the price of few timers.
 *
 * Calls with the same timeout end in the order they began, so each timeout has one line and one timer, set for the
 * first of the line. A timer of its own for each call, set and cancelled, costs as much as packing the call.
 */
export class Deadlines {
  readonly #lines = new Map<number, Line>();
  readonly #runtime: Runtime;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Calls `item.expire()` after `timeoutMs` (whole milliseconds) unless it is settled by then. */
  add(item: Expiring, timeoutMs: number): void {
    let line = this.#lines.get(timeoutMs);
    if (!line) {
      line = { entries: [], head: 0, timer: undefined };
      this.#lines.set(timeoutMs, line);
    }
    // Most have ended in order: what is kept are those that have not, and few more.
    while (line.entries[line.head]?.item.settled) line.head++;
    if (line.head > 64 && line.head * 2 > line.entries.length) {
      line.entries.splice(0, line.head);
      line.head = 0;
    }
    line.entries.push({ item, atMs: this.#runtime.monotonic() + timeoutMs });
    if (!line.timer) this.#arm(line, timeoutMs, timeoutMs);
  }

  /** Forgets all of them. */
  clear(): void {
    for (const line of this.#lines.values()) line.timer?.cancel();
    this.#lines.clear();
  }

  #arm(line: Line, timeoutMs: number, delayMs: number): void {
    line.timer = this.#runtime.setTimer(() => this.#look(line, timeoutMs), Math.max(1, Math.ceil(delayMs)));
  }

  #look(line: Line, timeoutMs: number): void {
    line.timer = undefined;
    const now = this.#runtime.monotonic();
    for (;;) {
      const first = line.entries[line.head];
      if (!first) {
        this.#lines.delete(timeoutMs);
        return;
      }
      if (!first.item.settled && first.atMs > now) {
        this.#arm(line, timeoutMs, first.atMs - now);
        return;
      }
      line.head++;
      if (!first.item.settled) first.item.expire();
    }
  }
}
