import type { Failure } from "../errors.ts";
import type { PlanEntry, PlanLog, PlanQuery, PlanState, PlanSummary, TaskSpec } from "../plans/log.ts";

/** A plan that its author drives by hand. */
export interface PlanSpec {
  readonly tasks: readonly TaskSpec[];
  /** What the plan is for, to find it by. Default `manual`. */
  readonly goalType?: string;
  readonly goalData?: unknown;
}

/**
 * Plans and their history: those that planners run, and those that are driven by hand with the methods here.
 *
 * Every method throws `STORE_UNAVAILABLE` when the state node cannot be reached until the deadline, and
 * `PLAN_NOT_FOUND` for a plan there is not.
 */
export interface Tracker extends PlanLog {
  /**
   * Starts a plan that nobody runs but the caller; it ends by itself with its last task.
   *
   * @returns the plan's id.
   * @throws {SoormaError} `PLAN_INVALID` for names given twice, unknown dependencies and circles.
   */
  startPlan(spec: PlanSpec): Promise<string>;
  /** Says how far a task is, 0 to 1. Progress of a task that has ended is dropped. */
  emitProgress(planId: string, taskId: string, fraction: number, message?: string): Promise<void>;
  /**
   * Completes a task; of one that is completed already the first result stands.
   *
   * @throws {SoormaError} `PLAN_INVALID` for an unknown task, one that waits for another, and one that failed.
   */
  completeTask(planId: string, taskId: string, result?: unknown): Promise<void>;
  /** Fails a task for good, and with it, in a plan driven by hand, all that depend on it. */
  failTask(planId: string, taskId: string, failure: Failure | Error | string): Promise<void>;
  getPlan(planId: string): Promise<PlanState>;
  /** Newest first. */
  listPlans(query?: PlanQuery): Promise<PlanSummary[]>;
  /** Everything that happened to the plan, oldest first. */
  timeline(planId: string): Promise<PlanEntry[]>;
}
