import { isSoormaError, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { Slots } from "./slots.ts";
import type { OfferedTask, Outcome, ReplyTo } from "./task-wire.ts";

export interface HeldAttemptOptions {
  readonly envelope: Envelope;
  readonly offer: OfferedTask;
  /** Milliseconds the attempt may take; none by default. */
  readonly timeoutMs: number | undefined;
  readonly runtime: Runtime;
  readonly slots: Slots;
  /** False if this process may have been stopped while the offer waited for it. */
  readonly isFresh: boolean;
  /** Called when the handler begins to do nothing but wait, and when it goes on. */
  readonly onSuspended: (attempt: HeldAttempt) => void;
}

/**
 * An attempt that a worker took, from the offer until its end is acknowledged.
 *
 * What only some handlers need, the signal and what belongs to waiting, is made when it is first asked for: most tasks do
 * without, and it would cost more than all the rest.
 */
export class HeldAttempt {
  readonly envelope: Envelope;
  readonly offer: OfferedTask;
  /** Whom to answer. Changes when another instance drives the plan. */
  replyTo: ReplyTo;
  epoch: number;
  /** Monotonic milliseconds when it ended. */
  #endedAt: number | undefined;
  #outcome: Outcome | undefined;
  /** Its offer is not answered yet: what it ends with goes along. */
  isAnswering = false;
  /** Nobody waits for its end any more. */
  unwanted = false;
  /** Counts what tried to deliver the outcome: the latest one goes on, others end. */
  deliveries = 0;
  /** Counts notes of suspension. */
  notes = 0;
  /** Monotonic milliseconds. */
  readonly takenAt: number;
  /**
   * The same of when it was certainly offered already, never after `takenAt`: the offer may have been on its way for so long
   * that somebody else does the task by now. It goes by the planner's wall clock and by whether this process was running all
   * the time. A clock that is ahead of this one says nothing.
   */
  readonly offeredAt: number;
  readonly #o: HeldAttemptOptions;
  readonly #moved = new Set<() => void>();
  #abortedWith: { readonly reason: unknown } | undefined;
  #controller: AbortController | undefined;
  #timers: Timer[] = [];
  #hasSlot = true;
  #over = false;
  /** What the handler waits for, and what it does meanwhile. */
  #waits = 0;
  #steps = 0;
  #resuming: Promise<void> | undefined;

  constructor(options: HeldAttemptOptions) {
    this.#o = options;
    this.envelope = options.envelope;
    this.offer = options.offer;
    this.replyTo = options.offer.replyTo;
    this.epoch = options.offer.epoch;
    const { runtime, envelope } = options;
    this.takenAt = runtime.monotonic();
    const ageMs = runtime.now() - envelope.time;
    this.offeredAt = options.isFresh && ageMs >= 0 ? this.takenAt - ageMs : Number.NEGATIVE_INFINITY;
  }

  /** Aborts when the end of the attempt is not wanted any more, and when its time is over. */
  get signal(): AbortSignal {
    if (this.#controller) return this.#controller.signal;
    this.#controller = new AbortController();
    if (this.#abortedWith) this.#controller.abort(this.#abortedWith.reason);
    else if (!this.#over) this.#watchTime();
    return this.#controller.signal;
  }

  /** How it ended, from then until that is acknowledged. */
  get outcome(): Outcome | undefined {
    return this.#outcome;
  }

  set outcome(outcome: Outcome) {
    this.#outcome = outcome;
    this.#endedAt ??= this.#o.runtime.monotonic();
  }

  /** Milliseconds from when it was taken to its end, or to now. */
  get ranMs(): number {
    return (this.#endedAt ?? this.#o.runtime.monotonic()) - this.takenAt;
  }

  /** Undefined while it is wanted. */
  get abortedWith(): { readonly reason: unknown } | undefined {
    return this.#abortedWith;
  }

  /** The handler does nothing but wait: for a sub-task, an event, a person, or for time to pass. */
  get isSuspended(): boolean {
    return !this.#hasSlot && !this.#over;
  }

  abort(reason: unknown): void {
    if (this.#abortedWith) return;
    this.#abortedWith = { reason };
    this.#forgetTime();
    this.#controller?.abort(reason);
    this.#wake();
  }

  /** From now on `replyTo` is to be told what becomes of it. */
  moveTo(replyTo: ReplyTo, epoch: number): void {
    this.replyTo = replyTo;
    this.epoch = epoch;
    this.#wake();
  }

  /** Ends whatever tries to deliver the outcome. */
  abandon(): void {
    this.deliveries++;
    this.#wake();
  }

  /** To be called when the handler has ended. */
  end(): void {
    this.#over = true;
    this.#forgetTime();
    if (!this.#hasSlot) return;
    this.#hasSlot = false;
    this.#o.slots.release();
  }

  /** Resolves after `delayMs`, or when there is another planner to answer, or when it is aborted. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        timer.cancel();
        this.#moved.delete(done);
        resolve();
      };
      const timer = this.#o.runtime.setTimer(done, delayMs);
      this.#moved.add(done);
    });
  }

  /**
   * Runs something that only waits. While the handler does nothing else its place is another task's; it goes on once it
   * has one again.
   */
  async waiting<T>(body: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    this.#waits++;
    this.#giveUpSlot();
    try {
      return await body();
    } finally {
      this.#waits--;
      if (this.#waits === 0 && !this.#abortedWith) await this.#getSlot();
    }
  }

  /** Runs something that needs the handler's place. */
  async working<T>(body: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    this.#steps++;
    try {
      await this.#getSlot();
      return await body();
    } finally {
      this.#steps--;
      this.#giveUpSlot();
    }
  }

  #giveUpSlot(): void {
    if (this.#waits === 0 || this.#steps > 0 || !this.#hasSlot || this.#over) return;
    this.#hasSlot = false;
    this.#o.slots.release();
    this.#o.onSuspended(this);
  }

  #getSlot(): Promise<void> {
    if (this.#hasSlot) return Promise.resolve();
    this.#resuming ??= this.#o.slots
      .takeBack(this.signal)
      .then(() => {
        if (this.#over) {
          this.#o.slots.release();
          return;
        }
        this.#hasSlot = true;
        this.#o.onSuspended(this);
      })
      .finally(() => {
        this.#resuming = undefined;
        // Something else began to wait while this waited for its place.
        if (this.#hasSlot) this.#giveUpSlot();
      });
    return this.#resuming;
  }

  #wake(): void {
    for (const wake of [...this.#moved]) wake();
  }

  #watchTime(): void {
    const { runtime, offer, timeoutMs, envelope } = this.#o;
    const expire = (afterMs: number, why: string): void => {
      const error = (): SoormaError => new SoormaError("TIMEOUT", `task "${offer.name}" ${why}`);
      this.#timers.push(runtime.setTimer(() => this.abort(error()), afterMs));
    };
    if (timeoutMs !== undefined) {
      const left = timeoutMs - (runtime.monotonic() - this.takenAt);
      expire(left, `took longer than its ${timeoutMs} ms`);
    }
    if (envelope.deadline !== undefined) {
      expire(envelope.deadline - runtime.now(), "was not done by the deadline of its goal");
    }
  }

  #forgetTime(): void {
    for (const timer of this.#timers) timer.cancel();
    this.#timers = [];
  }
}

/** Whether the planner could not be reached or does not drive the plan any more: there may be another one soon. */
export function isPlannerTrouble(error: unknown): boolean {
  return (
    isSoormaError(error) &&
    (error.code === "PEER_UNREACHABLE" ||
      error.code === "TIMEOUT" ||
      error.code === "NODE_STOPPED" ||
      error.code === "NO_RESPONDER" ||
      error.code === "OVERLOADED" ||
      error.code === "PLAN_FENCED" ||
      error.code === "STORE_UNAVAILABLE")
  );
}
