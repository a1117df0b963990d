import type { Failure } from "../errors.ts";

/** The one vocabulary of states, for plans and tasks alike. */
export const statuses = ["pending", "running", "paused", "completed", "failed", "cancelled"] as const;
export type Status = (typeof statuses)[number];

/** How often and when a failed task is tried again. */
export interface RetryPolicy {
  /** Attempts in all, the first included. Default 3. */
  readonly maxAttempts?: number;
  /** Delay before the second attempt; doubles with each further one, with full jitter. Default 200. */
  readonly backoffMs?: number;
  /** Default 30_000. */
  readonly maxBackoffMs?: number;
}

/** A task as a planner returns it. */
export interface TaskSpec {
  /** Unique within the plan; dependents name it. */
  readonly name: string;
  /** Name, id or capability of the agent that shall do it. */
  readonly assignedTo: string;
  readonly data?: unknown;
  readonly dependsOn?: readonly string[];
  readonly retry?: RetryPolicy;
  /** Milliseconds one attempt may take. Default: no limit. */
  readonly timeoutMs?: number;
  /** Higher goes first when agents are busy. Default 0. */
  readonly priority?: number;
}

/** A task in the log: what the planner returned, with its id. */
export interface PlannedTask extends TaskSpec {
  readonly taskId: string;
}

/** Where a plan came from and where its answer goes. */
export interface PlanOrigin {
  readonly goalId: string;
  readonly goalType: string;
  readonly goalData: unknown;
  readonly traceId: string;
  readonly correlationId: string;
  readonly parentId?: string;
  readonly sessionId?: string;
  readonly tenantId: string;
  readonly userId?: string;
  readonly responseEvent?: string;
  readonly responseTopic?: string;
  readonly deadline?: number;
  readonly parentPlanId?: string;
  /** Handlers the goal passed through; its tasks go on counting, so that planners cannot call each other in circles. */
  readonly hops?: number;
  /** Name of the planner; any instance of it may drive the plan. */
  readonly planner: string;
}

/** What can happen to a plan. Appended before it takes effect; the plan's state is the fold of these. */
export type PlanChange =
  | { readonly type: "plan.created"; readonly origin: PlanOrigin }
  | { readonly type: "plan.started"; readonly tasks: readonly PlannedTask[] }
  /** An attempt begins. Appended before any agent hears of it, so usually without the agent. */
  | {
      readonly type: "task.dispatched";
      readonly taskId: string;
      readonly attempt: number;
      readonly agentId?: string;
      readonly agentName?: string;
    }
  /** An agent took the attempt. Tells who does it; nothing depends on it. */
  | {
      readonly type: "task.assigned";
      readonly taskId: string;
      readonly attempt: number;
      readonly agentId: string;
      readonly agentName: string;
    }
  | {
      readonly type: "task.progress";
      readonly taskId: string;
      /** When given, it has to be the current one. */
      readonly attempt?: number;
      readonly fraction: number;
      readonly message?: string;
    }
  | {
      readonly type: "task.succeeded";
      readonly taskId: string;
      readonly attempt: number;
      readonly result: unknown;
      /** From the attempt's assignment to its end, as its driver measured. Likewise below. */
      readonly durationMs?: number;
    }
  /** One attempt failed; another follows after `delayMs`. */
  | {
      readonly type: "task.retried";
      readonly taskId: string;
      readonly attempt: number;
      readonly failure: Failure;
      readonly delayMs: number;
      readonly durationMs?: number;
    }
  /** Final: no further attempt. Without `attempt` it was not an attempt that failed: a dependency did, say. */
  | {
      readonly type: "task.failed";
      readonly taskId: string;
      readonly attempt?: number;
      readonly failure: Failure;
      readonly durationMs?: number;
    }
  | { readonly type: "task.cancelled"; readonly taskId: string; readonly reason: string }
  | { readonly type: "plan.paused"; readonly reason?: string }
  | { readonly type: "plan.resumed" }
  | { readonly type: "plan.completed"; readonly result: unknown }
  | { readonly type: "plan.failed"; readonly failure: Failure }
  | { readonly type: "plan.cancelled"; readonly reason: string };

/** A change with its place in the log. Versions of one plan are 1, 2, 3, … without a gap. */
export type PlanEntry = PlanChange & {
  readonly version: number;
  /** Wall clock of the state node, milliseconds since the epoch. */
  readonly timeMs: number;
  /** Agent id of whoever appended it. */
  readonly by: string;
};

/** What a task looks like now. */
export interface TaskState extends PlannedTask {
  readonly dependsOn: readonly string[];
  readonly data: unknown;
  readonly status: Status;
  /** Number of the latest attempt; 0 before the first. */
  readonly attempt: number;
  /** Attempts that failed. An attempt that was lost together with its driver is none of them. */
  readonly failures: number;
  readonly agentId?: string;
  readonly agentName?: string;
  readonly fraction: number;
  readonly message?: string;
  readonly result?: unknown;
  readonly failure?: Failure;
  /** When the next attempt is due, while the task waits for it. */
  readonly retryAtMs?: number;
  /** How long the latest attempt took. */
  readonly durationMs?: number;
  /** First dispatch and end, wall clock milliseconds. */
  readonly startedAtMs?: number;
  readonly endedAtMs?: number;
}

/** What a plan looks like now: the fold of its log. */
export interface PlanState {
  readonly planId: string;
  readonly version: number;
  readonly status: Status;
  readonly origin: PlanOrigin;
  /** In the order the planner returned them. */
  readonly tasks: readonly TaskState[];
  readonly result?: unknown;
  readonly failure?: Failure;
  readonly createdAtMs: number;
  /** When the planner's tasks were accepted. */
  readonly startedAtMs?: number;
  readonly updatedAtMs: number;
}

/** A line of a list of plans. */
export interface PlanSummary {
  readonly planId: string;
  readonly goalId: string;
  readonly goalType: string;
  readonly planner: string;
  readonly status: Status;
  readonly version: number;
  readonly taskCount: number;
  /** Tasks that are `completed`. */
  readonly doneCount: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface PlanQuery {
  readonly status?: Status;
  readonly goalType?: string;
  readonly planner?: string;
  readonly sinceMs?: number;
  /** Newest first. Default 100. */
  readonly limit?: number;
}

/** The log of all plans, as the plan engine and the queries need it. */
export interface PlanLog {
  /**
   * Appends changes if the plan is at `expectedVersion` (0: must not exist). Resolves with the new version once the
   * entries are flushed. `operationId` makes a repeated append after a lost answer return what the first one did.
   *
   * @throws {SoormaError} `PLAN_CONFLICT` with `details.version`; `STORE_UNAVAILABLE` after the deadline.
   */
  append(
    planId: string,
    expectedVersion: number,
    changes: readonly PlanChange[],
    operationId?: string,
  ): Promise<number>;
  /** Entries after `afterVersion` (default 0). @throws {SoormaError} `PLAN_NOT_FOUND` */
  read(planId: string, options?: { afterVersion?: number }): Promise<PlanEntry[]>;
  /** Entries after `afterVersion`, then new ones as they are appended, until the signal aborts or the plan ended. */
  watch(planId: string, options?: { afterVersion?: number; signal?: AbortSignal }): AsyncIterable<PlanEntry>;
  list(query?: PlanQuery): Promise<PlanSummary[]>;
}
