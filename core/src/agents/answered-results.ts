import { Deadlines, type Expiring } from "../mesh/deadlines.ts";
import type { Runtime } from "../runtime.ts";
import type { HeldAttempt } from "./held-attempt.ts";

/** Milliseconds for the planner to say that it has the result in its log. */
const patienceMs = 1_000;

/**
 * Results that went along with the answer to their offer. The planner says when they are in its log; what it does not say so of in
 * time, because the answer or that note was lost, or the log is away, is delivered like any other.
 */
export class AnsweredResults {
  readonly #deadlines: Deadlines;
  readonly #deliver: (attempt: HeldAttempt) => void;
  readonly #waiting = new Map<HeldAttempt, Expiring>();

  constructor(runtime: Runtime, deliver: (attempt: HeldAttempt) => void) {
    this.#deadlines = new Deadlines(runtime);
    this.#deliver = deliver;
  }

  add(attempt: HeldAttempt): void {
    const expiring: Expiring = { settled: false, expire: () => this.#giveUp(attempt, expiring) };
    this.#waiting.set(attempt, expiring);
    this.#deadlines.add(expiring, patienceMs);
  }

  /** It is in the log, or nobody wants it any more. */
  delete(attempt: HeldAttempt): void {
    const expiring = this.#waiting.get(attempt);
    if (!expiring) return;
    expiring.settled = true;
    this.#waiting.delete(attempt);
  }

  /** Waits for no more notes. */
  deliverAll(): void {
    for (const [attempt, expiring] of [...this.#waiting]) this.#giveUp(attempt, expiring);
  }

  close(): void {
    this.#waiting.clear();
    this.#deadlines.clear();
  }

  #giveUp(attempt: HeldAttempt, expiring: Expiring): void {
    expiring.settled = true;
    if (!this.#waiting.delete(attempt)) return;
    // Another planner may have asked for it, and is told already.
    if (attempt.outcome && !attempt.unwanted && attempt.deliveries === 0) this.#deliver(attempt);
  }
}
