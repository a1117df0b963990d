import type { Runtime, Timer } from "../src/runtime.ts";
import { EventQueue } from "./event-queue.ts";

export interface FakeRuntimeOptions {
  /** The same seed gives the same random numbers, and so the same run. Default 1. */
  readonly seed?: number;
  /** What `now()` starts at. Default 2026-01-01T00:00:00Z. */
  readonly startMs?: number;
  /**
   * Asked before time moves on, when nothing is due any more now: while it is true, time stands still and real I/O goes on.
   * Default: time never waits for anything.
   */
  readonly holds?: () => boolean;
}

export interface RunOptions {
  /** Virtual milliseconds after which it is an error. Default one hour. */
  readonly maxMs?: number;
  /** Callbacks after which it is an error: something keeps itself busy. Default one million. */
  readonly maxSteps?: number;
}

/** A {@link Runtime} whose time stands still until a test moves it. */
export interface FakeRuntime extends Runtime {
  /** Virtual milliseconds that have passed since the start. */
  readonly elapsedMs: number;
  /** Timers and deferred callbacks that have not run yet, background ones included. */
  readonly pending: number;
  /** When the next of them is due, in virtual milliseconds since the start; undefined when there is none. */
  readonly nextMs: number | undefined;
  /** Runs everything that is due within the next `ms`, in order of its time, and ends exactly there. */
  advance(ms: number): Promise<void>;
  /**
   * Jumps from callback to callback until none is left but background timers.
   *
   * @throws {Error} past `maxMs` or `maxSteps`.
   */
  runUntilIdle(options?: RunOptions): Promise<void>;
  /**
   * Jumps from callback to callback until `condition` holds.
   *
   * @throws {Error} when nothing is left to run, or past `maxMs` or `maxSteps`.
   */
  runUntil(condition: () => boolean, options?: RunOptions): Promise<void>;
}

/**
 * Virtual time and seeded chance, so that minutes of timeouts take milliseconds and every run is the same.
 *
 * Between two callbacks all promise reactions run, however long their chain; real I/O is not waited for.
 */
export function fakeRuntime(options: FakeRuntimeOptions = {}): FakeRuntime {
  const startMs = options.startMs ?? Date.UTC(2026, 0, 1);
  const random = seededRandom(options.seed ?? 1);
  const queue = new EventQueue();
  const { holds } = options;
  let elapsedMs = 0;

  const add = (callback: () => void, delayMs: number, background: boolean): Timer => {
    const atOnce = !(delayMs > 0);
    const entry = queue.add(callback, atOnce ? elapsedMs : elapsedMs + delayMs, background, atOnce);
    return { cancel: () => queue.cancel(entry) };
  };
  const step = async (): Promise<void> => {
    const entry = queue.take();
    if (!entry) return;
    elapsedMs = Math.max(elapsedMs, entry.dueMs);
    entry.callback();
    await reactions();
  };
  /** Lets real I/O go on as long as it holds time; false if meanwhile something else came to be next. */
  const mayMove = async (next: { readonly dueMs: number } | undefined): Promise<boolean> => {
    if (!holds || (next && next.dueMs <= elapsedMs)) return true;
    for (let round = 0; queue.peek() === next; round++) {
      if (!holds()) return true;
      await (round < 20 ? reactions() : Bun.sleep(1));
    }
    return false;
  };
  const run = async (isDone: () => boolean, { maxMs = 3_600_000, maxSteps = 1_000_000 }: RunOptions): Promise<void> => {
    const untilMs = elapsedMs + maxMs;
    await reactions();
    for (let steps = 0; !isDone(); steps++) {
      const next = queue.peek();
      if (!(await mayMove(next)) || isDone()) continue;
      if (!next)
        throw new Error(`nothing is left to run after ${elapsedMs} virtual ms, and the condition does not hold`);
      if (next.dueMs > untilMs)
        throw new Error(`not done after ${maxMs} virtual ms; ${queue.size} callbacks are waiting`);
      if (steps >= maxSteps) throw new Error(`not done after ${maxSteps} callbacks, at ${elapsedMs} virtual ms`);
      await step();
    }
  };

  return {
    now: () => startMs + elapsedMs,
    monotonic: () => elapsedMs,
    setTimer: (callback, delayMs, timer) => add(callback, delayMs, timer?.background ?? false),
    defer: (callback) => void add(callback, 0, false),
    random,
    get elapsedMs() {
      return elapsedMs;
    },
    get pending() {
      return queue.size;
    },
    get nextMs() {
      return queue.peek()?.dueMs;
    },
    async advance(ms) {
      const untilMs = elapsedMs + ms;
      await reactions();
      for (;;) {
        const next = queue.peek();
        if (!(await mayMove(next))) continue;
        if (!next || next.dueMs > untilMs) break;
        await step();
      }
      elapsedMs = untilMs;
    },
    runUntilIdle: (limits = {}) => run(() => queue.foreground === 0, limits),
    runUntil: (condition, limits = {}) => run(condition, limits),
  };
}

/** Numbers in [0, 1) that follow from the seed alone (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A macrotask: by then every promise reaction that can run has run. */
function reactions(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
