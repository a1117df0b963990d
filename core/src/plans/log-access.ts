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

  /**
   * Appends all changes and resolves with the new version. What is too large for one message goes in several.
   *
   * @param onPart - Told of each part that is in the log: others' changes may lie between them.
   */
  async append(
    expectedVersion: number,
    changes: readonly PlanChange[],
    epoch: number,
    onPart?: (part: readonly PlanChange[], version: number) => void,
  ): Promise<number> {
    const { log, planId } = this.#options;
    const cut = cutOf(changes);
    const inParts = async (at: number): Promise<number> => {
      const version = await this.append(expectedVersion, changes.slice(0, at), epoch, onPart);
      return this.append(version, changes.slice(at), epoch, onPart);
    };
    if (changes.length > mostChanges && cut !== undefined) return inParts(cut);
    const options = { operationId: this.#nextOperation(), epoch };
    try {
      const version = await this.#patiently("append", () => log.append(planId, expectedVersion, changes, options));
      onPart?.(changes, version);
      return version;
    } catch (error) {
      if (!isSoormaError(error, "MESSAGE_TOO_LARGE") || cut === undefined) throw error;
      return inParts(cut);
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

/**
 * Where changes may be cut in two, as near to the middle as can be: not between a planner's decision and what it comes to, since whoever
 * found the one without the other would take the task's end for decided.
 */
function cutOf(changes: readonly PlanChange[]): number | undefined {
  const half = changes.length >> 1;
  for (let away = 0; away <= half; away++) {
    for (const at of [half - away, half + away]) {
      if (at <= 0 || at >= changes.length) continue;
      if (changes[at - 1]?.type !== "plan.transitioned" || !outcomes.has(changes[at]?.type)) return at;
    }
  }
  return undefined;
}

const outcomes: ReadonlySet<PlanChange["type"] | undefined> = new Set<PlanChange["type"]>([
  "plan.completed",
  "plan.failed",
  "plan.paused",
]);
