import { SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PlanChange, PlanLog, StepState, TaskJournal, WaitSpec, WaitState } from "../plans/log.ts";
import { LogAccess } from "../plans/log-access.ts";
import { type Runtime, sleep } from "../runtime.ts";
import type { OfferedTask } from "./task-wire.ts";

/**
 * Milliseconds for which an attempt takes for granted that it is still the current one: a step begins within so long of a
 * moment at which it certainly was.
 */
export const provenMs = 500;

/**
 * Milliseconds that an attempt lets pass before its first step when an earlier one may still be running. That one may
 * have been the current one until this one was logged, and so begins no step after that plus {@link provenMs}: it learns
 * that it was replaced, or it is over. What is more than that is for a thread that is held up between knowing and doing.
 */
export const graceMs = 600;

/** An answer that was so often too long on its way is worth a line in the log. */
const noteworthyTries = 5;

export interface JournalOptions {
  readonly offer: OfferedTask;
  /** Monotonic milliseconds when the attempt was known to be the task's current one. */
  readonly currentAt: number;
  /** The same of when it was taken. */
  readonly takenAt: number;
  readonly log: PlanLog;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Ends the waiting for a log that is away. */
  readonly signal: AbortSignal;
  /** Called when the log says that the attempt is not the task's current one any more. */
  readonly onStale: (error: SoormaError) => void;
}

/** A wait in the log, and a version of the log that is not before it. */
export interface BegunWait {
  readonly wait: Pick<WaitState, "untilMs" | "signalled">;
  readonly version: number;
}

/**
 * What the attempts of one task have done for good, and where the running one adds to it. Read when it is first asked
 * for, and only if there can be anything in it.
 */
export class Journal {
  readonly #o: JournalOptions;
  readonly #access: LogAccess;
  #known: Promise<TaskJournal> | undefined;
  /** When the attempt was last known to be the task's current one. */
  #provenAt: number;

  constructor(options: JournalOptions) {
    this.#o = options;
    const { log, offer, runtime, logger, signal, currentAt } = options;
    this.#provenAt = currentAt;
    this.#access = new LogAccess({ log, planId: offer.planId, runtime, logger, signal });
  }

  async step(key: string): Promise<StepState | undefined> {
    return (await this.#earlier()).steps.find((step) => step.key === key);
  }

  /**
   * What the log has of a step that is about to be done. Asked for anew unless the attempt was the current one a moment ago:
   * this process may have been stopped, or cut off, while another instance went on with the task. Resolves in the turn in
   * which that was found out, and the step has to begin in it.
   *
   * @throws {SoormaError} `ATTEMPT_STALE`
   */
  async stepByNow(key: string): Promise<StepState | undefined> {
    const { offer, runtime, logger, signal, takenAt } = this.#o;
    const leftMs = offer.mayOverlap ? takenAt + graceMs - runtime.monotonic() : 0;
    if (leftMs > 0) await sleep(runtime, leftMs, signal);
    for (let tries = 1; runtime.monotonic() - this.#provenAt >= provenMs; tries++) {
      signal.throwIfAborted();
      const askedAt = runtime.monotonic();
      // An answer that was long on its way says nothing of now.
      const journal = await this.#access.journal(offer.taskId);
      this.#known = Promise.resolve(journal);
      const known = journal.steps.find((step) => step.key === key);
      if (known) return known;
      if (journal.attempt !== offer.attempt) throw this.#stale(`step "${key}"`);
      this.#provenAt = askedAt;
      if (tries % noteworthyTries === 0) {
        const tookMs = Math.round(runtime.monotonic() - askedAt);
        logger.warn("plan.log.slow", {
          planId: offer.planId,
          taskId: offer.taskId,
          step: key,
          tries,
          tookMs,
          provenMs,
        });
      }
    }
    return undefined;
  }

  async wait(key: string): Promise<WaitState | undefined> {
    return (await this.#earlier()).waits.find((wait) => wait.key === key);
  }

  /** Resolves when the step will not be done again. @throws {SoormaError} `ATTEMPT_STALE` */
  async recordStep(key: string, value: unknown, durationMs: number): Promise<void> {
    const { taskId, attempt } = this.#o.offer;
    const { accepted } = await this.#record({ type: "task.stepped", taskId, attempt, key, value, durationMs });
    if (!accepted) throw this.#stale(`step "${key}"`);
  }

  /** Resolves when the wait is in the log, or says what is there of it already. @throws {SoormaError} `ATTEMPT_STALE` */
  async recordWait(key: string, on: WaitSpec, untilMs: number | undefined): Promise<BegunWait> {
    const { taskId, attempt } = this.#o.offer;
    const until = untilMs === undefined ? {} : { untilMs };
    const { accepted, version } = await this.#record({ type: "task.waiting", taskId, attempt, key, on, ...until });
    if (accepted) return { wait: until, version };
    // An earlier attempt began it; what that one left may have been signalled since this one looked.
    const wait = (await this.#access.journal(taskId)).waits.find((one) => one.key === key);
    if (!wait || wait.timedOut) throw this.#stale(`waiting for ${key}`);
    return { wait, version };
  }

  /**
   * Says what a wait was for. The first one counts, so it does not matter whether this one is taken.
   *
   * @param signal - Aborts when nothing waits any more: a log that is away is not tried for longer than that.
   */
  async recordSignal(key: string, value: unknown, signal: AbortSignal): Promise<void> {
    const { log, offer, runtime, logger } = this.#o;
    const access = new LogAccess({ log, planId: offer.planId, runtime, logger, signal });
    await access.record({ type: "task.signalled", taskId: offer.taskId, key, value });
  }

  /**
   * Says that a wait was in vain. Resolves when that is in the log, or with what it was signalled with before.
   *
   * @throws {SoormaError} `ATTEMPT_STALE`
   */
  async recordTimeout(key: string): Promise<WaitState["signalled"]> {
    const { taskId, attempt } = this.#o.offer;
    const { accepted } = await this.#record({ type: "task.timedout", taskId, attempt, key });
    if (accepted) return undefined;
    const wait = (await this.#access.journal(taskId)).waits.find((one) => one.key === key);
    if (!wait?.signalled) throw this.#stale(`waiting for ${key}`);
    return wait.signalled;
  }

  #earlier(): Promise<TaskJournal> {
    const { offer } = this.#o;
    this.#known ??= offer.hasJournal
      ? this.#access.journal(offer.taskId)
      : Promise.resolve<TaskJournal>({ steps: [], waits: [] });
    return this.#known;
  }

  async #record(change: PlanChange): Promise<{ version: number; accepted: boolean }> {
    const askedAt = this.#o.runtime.monotonic();
    const recorded = await this.#access.record(change);
    if (recorded.accepted) this.#provenAt = askedAt;
    return recorded;
  }

  #stale(what: string): SoormaError {
    const { name, attempt, planId, taskId } = this.#o.offer;
    const error = new SoormaError(
      "ATTEMPT_STALE",
      `${what} of task "${name}" was refused: attempt ${attempt} is not the current one any more`,
      {
        hint: "Another instance does the task by now, or nobody wants it any more.",
        details: { planId, taskId, attempt },
      },
    );
    this.#o.onStale(error);
    return error;
  }
}
