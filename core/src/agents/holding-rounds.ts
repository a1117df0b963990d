import type { Logger } from "../log.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { Timer } from "../runtime.ts";
import { stale } from "./attempt-errors.ts";
import type { HeldAttempt } from "./held-attempt.ts";
import type { ReplyTo } from "./task-wire.ts";

export interface HoldingRoundsOptions {
  readonly node: MeshNode;
  readonly log: Logger;
  /** Milliseconds from one round to the next. */
  readonly everyMs: number;
  /** What is held, by task. */
  readonly attempts: ReadonlyMap<string, HeldAttempt>;
  /** Tells a planner what is held for it. */
  readonly tell: (planner: ReplyTo, attempts: readonly object[]) => void;
  /** Whether the log has the attempt as ended. */
  readonly hasEnded: (attempt: HeldAttempt) => Promise<boolean>;
  readonly drop: (attempt: HeldAttempt, reason: unknown) => void;
}

/**
 * Tells each planner, round after round, what a worker holds for it, and drops what has ended while there was no planner to
 * tell of it.
 */
export class HoldingRounds implements Disposable {
  readonly #o: HoldingRoundsOptions;
  #timer: Timer | undefined;
  #asking: Promise<void> | undefined;
  #closed = false;

  constructor(options: HoldingRoundsOptions) {
    this.#o = options;
  }

  /** Begins them, until nothing is held. */
  begin(): void {
    if (this.#timer || this.#closed) return;
    const { node, everyMs, attempts } = this.#o;
    const round = (): void => {
      this.#timer = undefined;
      this.#tellAll();
      this.#asking ??= this.#dropEnded().finally(() => {
        this.#asking = undefined;
      });
      if (attempts.size > 0) this.begin();
    };
    this.#timer = node.runtime.setTimer(round, everyMs, { background: true });
  }

  [Symbol.dispose](): void {
    this.#closed = true;
    this.#timer?.cancel();
  }

  #tellAll(): void {
    const held = new Map<string, { replyTo: ReplyTo; attempts: object[] }>();
    for (const attempt of this.#o.attempts.values()) {
      if (attempt.unwanted) continue;
      const { replyTo, offer, epoch, isSuspended: suspended } = attempt;
      const one = { taskId: offer.taskId, attempt: offer.attempt, epoch, suspended };
      const others = held.get(replyTo.agentId);
      if (others) others.attempts.push(one);
      else held.set(replyTo.agentId, { replyTo, attempts: [one] });
    }
    for (const { replyTo, attempts } of held.values()) this.#o.tell(replyTo, attempts);
  }

  /**
   * Asks the log about those whose planner is gone: nobody tells of the end of a plan that had no planner then. Whatever has an
   * outcome finds out when it is delivered.
   */
  async #dropEnded(): Promise<void> {
    const { node, log, attempts, hasEnded, drop } = this.#o;
    for (const attempt of [...attempts.values()]) {
      const isOpen = (): boolean => !attempt.outcome && !attempt.unwanted && !this.#closed;
      if (!isOpen() || node.directory.has(attempt.replyTo.agentId)) continue;
      try {
        if ((await hasEnded(attempt)) && isOpen()) drop(attempt, stale(attempt.offer));
      } catch (error) {
        // The next round asks again.
        log.debug("task.unasked", { taskId: attempt.offer.taskId, error });
        return;
      }
    }
  }
}
