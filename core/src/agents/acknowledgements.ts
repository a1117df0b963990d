import type { AgentRecord } from "../registry/records.ts";
import type { Runtime, Timer } from "../runtime.ts";

/** Milliseconds until what never was acknowledged is forgotten; its worker has given it up by then. */
const forgetMs = 60_000;

interface Expected {
  readonly promise: Promise<void>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
  readonly sinceMs: number;
  /** Is told with a note, not by the answer to its call. */
  readonly agent: AgentRecord | undefined;
}

/** Ends of attempts that are on their way into the log, and attempts that another planner instance knows more of. */
export class Acknowledgements {
  readonly #runtime: Runtime;
  readonly #expected = new Map<string, Expected>();
  readonly #handedOver = new Map<string, number>();
  #timer: Timer | undefined;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  /** Resolves when the end of that attempt was acknowledged. `agent`: who is to be told then. */
  expect(key: string, agent?: AgentRecord): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    // Nobody may wait for it any more.
    promise.catch(() => {});
    this.#expected.set(key, { promise, resolve, reject, sinceMs: this.#runtime.monotonic(), agent });
    this.#forgetLater();
    return promise;
  }

  pending(key: string): Promise<void> | undefined {
    return this.#expected.get(key)?.promise;
  }

  /** @returns the agent that is to be told. */
  acknowledge(key: string): AgentRecord | undefined {
    const expected = this.#expected.get(key);
    if (!expected) return undefined;
    this.#expected.delete(key);
    expected.resolve();
    return expected.agent;
  }

  handOver(key: string): void {
    this.#handedOver.set(key, this.#runtime.monotonic());
    this.#forgetLater();
  }

  wasHandedOver(key: string): boolean {
    return this.#handedOver.has(key);
  }

  /** Rejects what is pending. */
  close(error: unknown): void {
    this.#timer?.cancel();
    for (const { reject } of this.#expected.values()) reject(error);
    this.#expected.clear();
    this.#handedOver.clear();
  }

  #forgetLater(): void {
    this.#timer ??= this.#runtime.setTimer(() => this.#forget(), forgetMs, { background: true });
  }

  #forget(): void {
    this.#timer = undefined;
    const before = this.#runtime.monotonic() - forgetMs;
    // Both are in the order of their times.
    for (const [key, { sinceMs }] of this.#expected) {
      if (sinceMs > before) break;
      this.#expected.delete(key);
    }
    for (const [key, sinceMs] of this.#handedOver) {
      if (sinceMs > before) break;
      this.#handedOver.delete(key);
    }
    if (this.#expected.size > 0 || this.#handedOver.size > 0) this.#forgetLater();
  }
}
