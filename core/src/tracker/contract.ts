import type { Failure } from "../errors.ts";
import type { PlanEntry, PlanLog, PlanQuery, PlanState, PlanSummary, TaskSpec } from "../plans/log.ts";
import type { AgentMetrics } from "./agent-metrics.ts";
import type { DeadLetter, DeadLetterQuery } from "./dead-letters.ts";
import type { TaskQuery, TaskSummary } from "./plan-queries.ts";

export type { AgentMetrics } from "./agent-metrics.ts";
export type { DeadLetter, DeadLetterQuery } from "./dead-letters.ts";
export type { TaskQuery, TaskSummary } from "./plan-queries.ts";

/** A plan that its author drives by hand. */
export interface PlanSpec {
  readonly tasks: readonly TaskSpec[];
  /** What the plan is for, to find it by. Default `manual`. */
  readonly goalType?: string;
  readonly goalData?: unknown;
}

/** What the tracker can tell of all plans, beside their logs. */
export interface PlanQueries {
  /** Tasks of all plans or of one, those of the newest plan first. */
  listTasks(query?: TaskQuery): Promise<TaskSummary[]>;
  /** How the attempts of each agent ended, by name; of one, or of all that ever did a task. */
  metrics(query?: { readonly agentName?: string }): Promise<AgentMetrics[]>;
  /** Tasks that failed for good and that nobody has dealt with, newest first. */
  deadLetters(query?: DeadLetterQuery): Promise<DeadLetter[]>;
}

/**
 * Plans and their history: those that planners run, and those that are driven by hand with the methods here.
 *
 * Every method throws `STORE_UNAVAILABLE` when the state node cannot be reached until the deadline, and
 * `PLAN_NOT_FOUND` for a plan there is not. Orders take effect also while no planner is alive.
 */
export interface Tracker extends PlanLog, PlanQueries {
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
  /** The plans that are part of this one, newest first. */
  subPlans(planId: string): Promise<PlanSummary[]>;
  /** Everything that happened to the plan, oldest first. */
  timeline(planId: string): Promise<PlanEntry[]>;
  /**
   * Cancels the plan with all that is open of it, and its sub-plans; what has an `undo` is then taken back.
   *
   * @returns false if it had ended, or was going to.
   */
  cancelPlan(planId: string, reason?: string): Promise<boolean>;
  /** Lets running attempts finish and begins nothing new. @returns false if it was paused or had ended. */
  pausePlan(planId: string, reason?: string): Promise<boolean>;
  /** @returns false if it was not paused. */
  resumePlan(planId: string): Promise<boolean>;
  /**
   * Gives a task the answer of a person that it waits for.
   *
   * @param options - Which wait is meant, if there are several.
   * @throws {SoormaError} `PLAN_REFUSED` if nothing (of that) waits, or if several do: they are named.
   */
  answer(planId: string, value: unknown, options?: { readonly taskId?: string; readonly key?: string }): Promise<void>;
  /**
   * Has a task tried again that failed for good, and with it those that failed only for it.
   *
   * @throws {SoormaError} `PLAN_REFUSED` if it has not failed, or the plan has ended.
   */
  reviveTask(planId: string, taskId: string): Promise<void>;
  /** Takes a task off the dead letters. @throws {SoormaError} `PLAN_REFUSED` if it is none. */
  discardDeadLetter(planId: string, taskId: string, reason?: string): Promise<void>;
}
