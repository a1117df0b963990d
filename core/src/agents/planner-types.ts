import type { Failure } from "../errors.ts";
import type { PlanBudget, PlanState, RetryPolicy, TaskSpec, TaskState } from "../plans/log.ts";
import type { AgentOptions } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import type { PlatformContext } from "./context.ts";

export interface PlannerOptions extends AgentOptions {
  /** For tasks that do not say. */
  readonly retry?: RetryPolicy;
  /** Milliseconds one attempt may take, for tasks of agents that do not say. Default: no limit. */
  readonly timeoutMs?: number;
  /** For tasks that do not say. Default 0. */
  readonly priority?: number;
  /** For plans that do not say. Default: no limit. */
  readonly budget?: PlanBudget;
  /**
   * Milliseconds after which other instances take this one's plans over, should it vanish in a way that nobody notices
   * at once. Default 10_000.
   */
  readonly leaseMs?: number;
  /** How often it renews that. Default: three tenths of it. */
  readonly renewMs?: number;
}

/** A goal as its handler sees it. */
export interface Goal<T = unknown> {
  readonly goalId: string;
  readonly planId: string;
  readonly type: string;
  readonly data: T;
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  /** Milliseconds since the epoch when it has to be answered. */
  readonly deadline: number | undefined;
  /** Aborts when the goal was cancelled or the planner stops. */
  readonly signal: AbortSignal;
}

/** What a planner makes of a goal. */
export interface Plan {
  /** None at all: the plan completes at once, its answer is `{}` unless `onComplete` says otherwise. */
  readonly tasks: readonly TaskSpec[];
  /** What ends the plan should it run away: it then fails with `BUDGET_EXCEEDED`. Default: the planner's. */
  readonly budget?: PlanBudget;
}

export type GoalHandler<T = unknown> = (goal: Goal<T>, context: PlatformContext) => Plan | Promise<Plan>;

interface PlanInHand {
  readonly goalId: string;
  readonly planId: string;
  readonly goalType: string;
  /** Each task's result by the task's name. */
  readonly results: Readonly<Record<string, AnyData>>;
  readonly plan: PlanState;
}

/** A plan whose tasks are all done. */
export interface CompletedPlan extends PlanInHand {
  readonly goalData: AnyData;
}

export type CompleteHandler = (completed: CompletedPlan, context: PlatformContext) => unknown;

/** A task of a plan that ended: completed, or failed for good. */
export interface TaskEnd<T = unknown> extends PlanInHand {
  readonly goalData: T;
  readonly task: TaskState & { readonly result?: AnyData };
}

/** What a planner makes of a task's end. Nothing of it: the plan goes on with what it has. */
export interface NextTasks {
  /** To be added. They may depend on whatever the plan has; their names have to be new. */
  readonly tasks?: readonly TaskSpec[];
  /** The task failed, and that is dealt with: it does not make the plan fail. */
  readonly handled?: boolean;
  /** Nothing further begins until somebody resumes the plan. The text says why. */
  readonly pause?: string;
  /** The goal's answer. What is open is cancelled, and `onComplete` is not asked. */
  readonly complete?: { readonly result: unknown };
  /** The goal fails: why. */
  readonly fail?: string | Failure;
}

/** Runs once for each task's end; again only after a crash, and has to say the same then. */
export type TransitionHandler<T = unknown> = (
  end: TaskEnd<T>,
  context: PlatformContext,
) => NextTasks | undefined | Promise<NextTasks | undefined>;
