import type { Runtime } from "@soorma/core";

/** What may go wrong between two nodes, in one direction. Nothing does by default. */
export interface LinkFaults {
  /** Milliseconds a frame is on its way: a number, or a range to draw from. Default 0. */
  readonly delayMs?: number | readonly [number, number];
  /** The share of frames that are lost, 0 to 1. */
  readonly drop?: number;
  /** The share of frames that arrive twice, 0 to 1. */
  readonly duplicate?: number;
  /** The share of frames that are overtaken by later ones, 0 to 1. Works from `lateMs` on. */
  readonly reorder?: number;
  /** How much later than its delay an overtaken frame arrives, at most. Default 10. */
  readonly lateMs?: number;
}

/** Hands a frame to whom it is for. */
export type Parcel = () => void;

interface Waiter {
  resolve(): void;
  reject(reason: unknown): void;
}

export interface PipeOptions {
  readonly runtime: Runtime;
  readonly faults: () => LinkFaults;
  /** More parcels than this make `push` return a promise. */
  readonly highWaterMark: number;
  /** Asked before each parcel; after a "no" nothing is delivered until `resume`. */
  readonly gate?: () => boolean;
}

const batch = 256;

/** One direction of one connection: keeps order, never delivers within the caller's turn, slows a fast sender. */
export class Pipe {
  readonly #options: PipeOptions;
  #queue: { readonly parcel: Parcel; readonly dueMs: number }[] = [];
  #head = 0;
  #waiters: Waiter[] = [];
  #drained: (() => void)[] = [];
  #lastDueMs = 0;
  #scheduled: { readonly dueMs: number; cancel(): void } | undefined;
  #paused = false;
  #held = false;
  #closed = false;

  constructor(options: PipeOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#queue.length - this.#head;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  /** While true nothing arrives; what is on its way arrives afterwards. */
  set held(held: boolean) {
    if (this.#held === held) return;
    this.#held = held;
    this.#schedule();
  }

  /**
   * Takes a frame; `make` copies it, and again if it is to arrive twice.
   *
   * @returns a promise when too many are on their way, which is kept when there is room again.
   */
  push(make: () => Parcel): void | Promise<void> {
    if (this.#closed) return;
    const { runtime, faults, highWaterMark } = this.#options;
    const { drop, duplicate, reorder, lateMs = 10, delayMs } = faults();
    const chance = (share = 0): boolean => share > 0 && runtime.random() < share;
    if (chance(drop)) return;
    for (let copies = chance(duplicate) ? 2 : 1; copies > 0; copies--) {
      this.#insert(make(), drawDelay(delayMs, runtime), chance(reorder) ? runtime.random() * lateMs : 0);
    }
    this.#schedule();
    if (this.size <= highWaterMark) return;
    return new Promise((resolve, reject) => this.#waiters.push({ resolve, reject }));
  }

  /** Takes a part of the protocol: never lost, doubled or overtaken, and never a reason to wait. */
  pushControl(deliver: () => void): void {
    if (this.#closed) return;
    const { runtime, faults } = this.#options;
    this.#insert(deliver, drawDelay(faults().delayMs, runtime), 0);
    this.#schedule();
  }

  /** Goes on after the gate said no. */
  resume(): void {
    this.#paused = false;
    this.#schedule();
  }

  /** Resolves when nothing is on its way any more. */
  drained(): Promise<void> {
    if (this.size === 0) return Promise.resolve();
    return new Promise((resolve) => this.#drained.push(resolve));
  }

  /** Loses what is on its way. Those who wait get `reason`, or are let go without one. */
  close(reason?: () => unknown): void {
    this.#closed = true;
    this.#scheduled?.cancel();
    this.#scheduled = undefined;
    this.#queue = [];
    this.#head = 0;
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const waiter of waiters) reason ? waiter.reject(reason()) : waiter.resolve();
    this.#settleDrained();
  }

  #insert(parcel: Parcel, delayMs: number, lateMs: number): void {
    const nowMs = this.#options.runtime.monotonic();
    let dueMs = nowMs + delayMs + lateMs;
    if (lateMs === 0) {
      dueMs = Math.max(this.#lastDueMs, dueMs);
      this.#lastDueMs = dueMs;
    }
    let at = this.#queue.length;
    while (at > this.#head && (this.#queue[at - 1]?.dueMs ?? 0) > dueMs) at--;
    this.#queue.splice(at, 0, { parcel, dueMs });
  }

  #schedule(): void {
    const head = this.#queue[this.#head];
    if (this.#paused || this.#held || this.#closed || head === undefined) return;
    if (this.#scheduled) {
      if (this.#scheduled.dueMs <= head.dueMs) return;
      this.#scheduled.cancel();
    }
    const { runtime } = this.#options;
    const inMs = head.dueMs - runtime.monotonic();
    let cancelled = false;
    const run = (): void => {
      if (!cancelled) this.#run();
    };
    const timer = inMs > 0 ? runtime.setTimer(run, inMs) : undefined;
    if (!timer) runtime.defer(run);
    this.#scheduled = {
      dueMs: timer ? head.dueMs : Number.NEGATIVE_INFINITY,
      cancel() {
        cancelled = true;
        timer?.cancel();
      },
    };
  }

  #run(): void {
    this.#scheduled = undefined;
    const { runtime, gate, highWaterMark } = this.#options;
    const nowMs = runtime.monotonic();
    for (let i = 0; i < batch; i++) {
      const head = this.#queue[this.#head];
      if (head === undefined || head.dueMs > nowMs || this.#held) break;
      if (gate && !gate()) {
        this.#paused = true;
        break;
      }
      this.#head++;
      if (this.#head > 1024) {
        this.#queue.splice(0, this.#head);
        this.#head = 0;
      }
      head.parcel();
      if (this.#closed) return;
    }
    if (this.size <= highWaterMark / 2 && this.#waiters.length > 0) {
      const waiters = this.#waiters;
      this.#waiters = [];
      for (const waiter of waiters) waiter.resolve();
    }
    if (this.size === 0) this.#settleDrained();
    this.#schedule();
  }

  #settleDrained(): void {
    const drained = this.#drained;
    this.#drained = [];
    for (const resolve of drained) resolve();
  }
}

function drawDelay(delayMs: LinkFaults["delayMs"], runtime: Runtime): number {
  if (delayMs === undefined || typeof delayMs === "number") return delayMs ?? 0;
  const [least, most] = delayMs;
  return least + runtime.random() * (most - least);
}
