import { isSoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Runtime, randomId, sleep } from "../runtime.ts";
import type { PlanChange, PlanEntry, PlanLog, TaskJournal } from "./log.ts";
import { backoffDelay } from "./timing.ts";

const patience = { maxAttempts: Number.POSITIVE_INFINITY, backoffMs: 100, maxBackoffMs: 5_000 };

/** The tracker takes up to twice as many in one append. */
const mostChanges = 5_000;

export interface LogAccessOptions {
  readonly log: PlanLog;
  readonly planId: string;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Ends the waiting, if nobody calls `stop`. */
  readonly signal?: AbortSignal;
}

/**
 * One plan's log, for someone who can wait: while the log is unavailable, calls go on trying until this is stopped.
 *
 * Only what waiting cannot cure is thrown: `PLAN_CONFLICT`, `PLAN_FENCED`, `PLAN_NOT_FOUND`, refusals of what was to be
 * appended.
 */
export class LogAccess {
  readonly #options: LogAccessOptions;
  #operations = "";
  #operationCount = 0;
  #stopped: { readonly reason: unknown } | undefined;
  #controller: AbortController | undefined;

  constructor(options: LogAccessOptions) {
    this.#options = options;
  }

  get isStopped(): boolean {
    return this.#stopped !== undefined;
  }

  /** Aborts when this is stopped. Made only for those that look at it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    if (this.#stopped) this.#controller.abort(this.#stopped.reason);
    return this.#controller.signal;
  }

  /** Nothing is tried again: calls that wait reject with the reason. */
  stop(reason: unknown): void {
    this.#stopped ??= { reason };
    this.#controller?.abort(reason);
  }

  /** Appends all changes and resolves with the new version. What is too large for one message goes in several. */
  async append(expectedVersion: number, changes: readonly PlanChange[], epoch: number): Promise<number> {
    const { log, planId } = this.#options;
    const inHalves = async (): Promise<number> => {
      const half = changes.length >> 1;
      const version = await this.append(expectedVersion, changes.slice(0, half), epoch);
      return this.append(version, changes.slice(half), epoch);
    };
    if (changes.length > mostChanges) return inHalves();
    const options = { operationId: this.#nextOperation(), epoch };
    try {
      return await this.#patiently("append", () => log.append(planId, expectedVersion, changes, options));
    } catch (error) {
      if (!isSoormaError(error, "MESSAGE_TOO_LARGE") || changes.length === 1) throw error;
      return inHalves();
    }
  }

  read(afterVersion = 0): Promise<PlanEntry[]> {
    const { log, planId } = this.#options;
    return this.#patiently("read", () => log.read(planId, { afterVersion }));
  }

  record(change: PlanChange): Promise<{ version: number; accepted: boolean }> {
    const { log, planId } = this.#options;
    const options = { operationId: this.#nextOperation() };
    return this.#patiently("record", () => log.record(planId, change, options));
  }

  journal(taskId: string): Promise<TaskJournal> {
    const { log, planId } = this.#options;
    return this.#patiently("journal", () => log.journal(planId, taskId));
  }

  #nextOperation(): string {
    this.#operations ||= randomId(this.#options.runtime);
    return `${this.#operations}.${++this.#operationCount}`;
  }

  async #patiently<T>(what: string, action: () => Promise<T>): Promise<T> {
    const { planId, runtime, logger } = this.#options;
    for (let failures = 1; ; failures++) {
      if (this.#stopped) throw this.#stopped.reason;
      this.#options.signal?.throwIfAborted();
      try {
        return await action();
      } catch (error) {
        if (!isPassing(error)) throw error;
        const delayMs = backoffDelay(runtime, patience, failures);
        logger.warn("plan.log.unavailable", { planId, what, failures, delayMs, error });
        await sleep(runtime, delayMs, this.#options.signal ?? this.signal);
      }
    }
  }
}

/** A store that is full, locked or read-only can be put right by someone, and the plan then goes on. */
export function isPassing(error: unknown): boolean {
  if (!isSoormaError(error) || error.code === "PLAN_CONFLICT") return false;
  return error.retryable || error.code.startsWith("STORE_");
}
