import type { FakeRuntime } from "@soorma/core/testing";

interface Wait {
  readonly condition: () => boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  /** Its virtual time is over. */
  isLate: boolean;
  /** When its real time is over, by `performance.now()`. */
  readonly untilReal: number;
}

export interface DriverOptions {
  readonly runtime: FakeRuntime;
  /** Virtual milliseconds that somebody waits for something, at most. */
  readonly maxMs: number;
  /** Real milliseconds likewise. */
  readonly maxRealMs: number;
  /** Throws what went wrong outside of any handler. */
  readonly check: () => void;
  /** The error of whoever waited in vain. */
  readonly stuck: (what: string, why: string) => Promise<Error>;
}

/** So many callbacks while time stands still are an endless loop. */
const mostAtOnce = 200_000;

/** Lets virtual time run as long as somebody waits for something, and tells them when it is in vain. */
export class Driver {
  readonly #o: DriverOptions;
  readonly #waits = new Set<Wait>();
  #isRunning = false;
  #lastMs = -1;
  #atOnce = 0;

  constructor(options: DriverOptions) {
    this.#o = options;
  }

  /** Resolves as `promise` does. */
  async settle<T>(promise: Promise<T>, what: string, maxMs?: number): Promise<T> {
    let isSettled = false;
    const settled = (): void => {
      isSettled = true;
    };
    promise.then(settled, settled);
    await this.until(() => isSettled, what, maxMs);
    return await promise;
  }

  /** Resolves as soon as the condition holds. */
  async until(condition: () => boolean, what: string, maxMs = this.#o.maxMs): Promise<void> {
    try {
      await this.#wait(condition, maxMs);
    } catch (error) {
      throw error instanceof InVain ? await this.#o.stuck(what, error.message) : error;
    }
  }

  /** Lets exactly so much time pass. */
  async advance(ms: number): Promise<void> {
    const { runtime } = this.#o;
    const untilMs = runtime.elapsedMs + ms;
    // Something has to be due then, or time would not stop there.
    const timer = runtime.setTimer(() => {}, ms);
    try {
      await this.#wait(() => runtime.elapsedMs >= untilMs && !isDue(runtime));
    } finally {
      timer.cancel();
    }
  }

  #wait(condition: () => boolean, maxMs?: number): Promise<void> {
    const { runtime } = this.#o;
    return new Promise((resolve, reject) => {
      const late = (): void => {
        wait.isLate = true;
      };
      const limit = maxMs === undefined ? undefined : runtime.setTimer(late, maxMs);
      const wait: Wait = {
        condition,
        isLate: false,
        untilReal: maxMs === undefined ? Number.POSITIVE_INFINITY : performance.now() + this.#o.maxRealMs,
        resolve() {
          limit?.cancel();
          resolve();
        },
        reject(error) {
          limit?.cancel();
          reject(error);
        },
      };
      this.#waits.add(wait);
      if (!this.#isRunning) void this.#run();
    });
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    const limits = { maxMs: Number.POSITIVE_INFINITY, maxSteps: Number.POSITIVE_INFINITY };
    try {
      while (this.#waits.size > 0) {
        try {
          await this.#o.runtime.runUntil(() => this.#serve(), limits);
        } catch (error) {
          for (const wait of this.#waits) wait.reject(error);
          this.#waits.clear();
        }
        // Whoever was served may be about to wait for the next thing.
        await new Promise((resolve) => setImmediate(resolve));
      }
    } finally {
      this.#isRunning = false;
    }
  }

  /** Serves those whose condition holds or whose time is over; true if there was one. */
  #serve(): boolean {
    this.#countSteps();
    let wasServed = false;
    for (const wait of [...this.#waits]) {
      try {
        this.#o.check();
        if (wait.condition()) wait.resolve();
        else if (wait.isLate) wait.reject(new InVain("its virtual time is over"));
        else if (performance.now() > wait.untilReal)
          wait.reject(new InVain(`${this.#o.maxRealMs} real ms are over, and something still happens all the time`));
        else continue;
      } catch (error) {
        wait.reject(error);
      }
      this.#waits.delete(wait);
      wasServed = true;
    }
    return wasServed;
  }

  #countSteps(): void {
    const { elapsedMs } = this.#o.runtime;
    this.#atOnce = elapsedMs === this.#lastMs ? this.#atOnce + 1 : 0;
    this.#lastMs = elapsedMs;
    if (this.#atOnce > mostAtOnce) {
      this.#atOnce = 0;
      throw new InVain(`${mostAtOnce} messages and timers at virtual ms ${elapsedMs}, without time moving on`);
    }
  }
}

class InVain extends Error {}

function isDue({ nextMs, elapsedMs }: FakeRuntime): boolean {
  return nextMs !== undefined && nextMs <= elapsedMs;
}
