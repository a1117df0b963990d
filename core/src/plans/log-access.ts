import { isSoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Runtime, randomId, sleep } from "../runtime.ts";
import type { PlanChange, PlanEntry, PlanLog, TaskJournal } from "./log.ts";
import { backoffDelay } from "./timing.ts";

const patience = { maxAttempts: Number.POSITIVE_INFINITY, backoffMs: 100, maxBackoffMs: 5_000 };

export interface LogAccessOptions {
  readonly log: PlanLog;
  readonly planId: string;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Ends the waiting for a log that is away; the call rejects with its reason. */
  readonly signal: AbortSignal;
}

/**
 * One plan's log, for someone who can wait: while the log is unavailable, calls go on trying until the signal aborts.
 *
 * Only what waiting cannot cure is thrown: `PLAN_CONFLICT`, `PLAN_FENCED`, `PLAN_NOT_FOUND`, refusals of what was to be
 * appended.
 */
export class LogAccess {
  readonly #options: LogAccessOptions;

  constructor(options: LogAccessOptions) {
    this.#options = options;
  }

  /** Appends all changes and resolves with the new version. What is too large for one message goes in several. */
  async append(expectedVersion: number, changes: readonly PlanChange[], epoch: number): Promise<number> {
    const { log, planId, runtime } = this.#options;
    const options = { operationId: randomId(runtime), epoch };
    try {
      return await this.#patiently("append", () => log.append(planId, expectedVersion, changes, options));
    } catch (error) {
      if (!isSoormaError(error, "MESSAGE_TOO_LARGE") || changes.length === 1) throw error;
      const half = changes.length >> 1;
      const version = await this.append(expectedVersion, changes.slice(0, half), epoch);
      return this.append(version, changes.slice(half), epoch);
    }
  }

  read(afterVersion = 0): Promise<PlanEntry[]> {
    const { log, planId } = this.#options;
    return this.#patiently("read", () => log.read(planId, { afterVersion }));
  }

  record(change: PlanChange): Promise<{ version: number; accepted: boolean }> {
    const { log, planId, runtime } = this.#options;
    const options = { operationId: randomId(runtime) };
    return this.#patiently("record", () => log.record(planId, change, options));
  }

  journal(taskId: string): Promise<TaskJournal> {
    const { log, planId } = this.#options;
    return this.#patiently("journal", () => log.journal(planId, taskId));
  }

  async #patiently<T>(what: string, action: () => Promise<T>): Promise<T> {
    const { planId, runtime, logger, signal } = this.#options;
    for (let failures = 1; ; failures++) {
      signal.throwIfAborted();
      try {
        return await action();
      } catch (error) {
        if (!isPassing(error)) throw error;
        const delayMs = backoffDelay(runtime, patience, failures);
        logger.warn("plan.log.unavailable", { planId, what, failures, delayMs, error });
        await sleep(runtime, delayMs, signal);
      }
    }
  }
}

/** A store that is full, locked or read-only can be put right by someone, and the plan then goes on. */
export function isPassing(error: unknown): boolean {
  if (!isSoormaError(error) || error.code === "PLAN_CONFLICT") return false;
  return error.retryable || error.code.startsWith("STORE_");
}
