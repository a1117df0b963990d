import type { Runtime, Timer } from "../runtime.ts";

/** Milliseconds between two looks at the clock. */
const lookMs = 150;
/** A longer gap between two looks means that the process did not run. */
const gapMs = 300;
/** Milliseconds after a gap in which what waited for the process meanwhile is still coming in. */
const settleMs = 1_000;
/** Looking goes on so long after somebody asked. */
const keepLookingMs = 2_000;

export interface WakefulnessOptions {
  /** Looks at the clock all the time, and so knows whenever it is asked. Default: only while somebody asks. */
  readonly always?: boolean;
}

/**
 * Whether this process has been running all the time lately. If it was stopped (SIGSTOP, a suspended machine), messages
 * waited for it and are older than they seem: what they say may not hold any more.
 *
 * It says "no" when it does not know: at first, and, unless it looks always, after nobody asked for a while. So an idle
 * process sets no timers.
 */
export class Wakefulness {
  readonly #runtime: Runtime;
  readonly #always: boolean;
  #sinceMs: number;
  #lastLookMs = Number.NEGATIVE_INFINITY;
  #lastAskedMs = Number.NEGATIVE_INFINITY;
  #timer: Timer | undefined;
  #closed = false;

  constructor(runtime: Runtime, { always = false }: WakefulnessOptions = {}) {
    this.#runtime = runtime;
    this.#always = always;
    this.#sinceMs = runtime.monotonic();
    if (!always) return;
    this.#look();
    // It has seen all there was.
    this.#sinceMs = Number.NEGATIVE_INFINITY;
    this.#goOn();
  }

  /** True if the process certainly ran without a break for the last second. */
  isCertain(): boolean {
    const nowMs = this.#look();
    this.#lastAskedMs = nowMs;
    this.#goOn();
    return nowMs - this.#sinceMs >= settleMs;
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #look(): number {
    const nowMs = this.#runtime.monotonic();
    if (nowMs - this.#lastLookMs > gapMs) this.#sinceMs = nowMs;
    this.#lastLookMs = nowMs;
    return nowMs;
  }

  #goOn(): void {
    if (this.#timer || this.#closed) return;
    const look = (): void => {
      this.#timer = undefined;
      if (this.#look() - this.#lastAskedMs < keepLookingMs || this.#always) this.#goOn();
    };
    this.#timer = this.#runtime.setTimer(look, lookMs, { background: true });
  }
}
