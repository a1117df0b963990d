import type { Failure } from "../errors.ts";
import type { EventWhere } from "../events/where.ts";

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

/** What a task without an agent waits for, and what a running task waits for. */
export type WaitSpec =
  /** A person's answer, given with `answer()` or `soorma plans answer`. */
  | { readonly kind: "input"; readonly prompt: string }
  /** The first event whose type matches; `topic` narrows it, and `where` says what parts of the event have to be. */
  | { readonly kind: "event"; readonly pattern: string; readonly topic?: string; readonly where?: EventWhere }
  | { readonly kind: "sleep"; readonly ms: number };

/** One task for each item of an earlier result. Without `data` of its own, a task's data is its item. */
export interface ForEachSpec {
  /**
   * Where the list is, always as a template: `{{results.search.papers}}`, `{{goal.data.items}}`. The tasks named there have to
   * be in `dependsOn`.
   */
  readonly over: string;
  /** Items worked at at the same time. Default: all. */
  readonly concurrency?: number;
}

/** What takes a completed task back when its plan fails or is cancelled later on. */
export interface UndoSpec {
  readonly assignedTo: string;
  /**
   * As a task's `data`; if the task is `templated`, `{{result}}` is what it returned. Default `{ data, result }` of the task.
   */
  readonly data?: unknown;
  readonly retry?: RetryPolicy;
  readonly timeoutMs?: number;
}

/** A task as a planner returns it: exactly one of `assignedTo`, `goal` and `wait` says who does it. */
export interface TaskSpec {
  /** Unique within the plan; dependents name it. */
  readonly name: string;
  /** Name, id or capability of the agent that shall do it. */
  readonly assignedTo?: string;
  /** Type of a goal: the task is a sub-plan, made by a planner that takes such goals; its answer is the task's result. */
  readonly goal?: string;
  /** The task is to wait: its result is the answer or the event. */
  readonly wait?: WaitSpec;
  /** What the agent or the sub-plan gets. Under `forEach` default: the item. */
  readonly data?: unknown;
  /**
   * Whether `data`, `wait` and `undo.data` hold templates: `{{goal.data.topic}}`, `{{results.search.papers}}` and, under
   * `forEach`, `{{item}}` and `{{index}}`, filled in when the task begins. Text that is nothing but one of these becomes the
   * value itself, whatever its type; what is filled in is not looked at again. Not for tasks that a handler delegates.
   *
   * Default false: text is taken as it is, whatever it holds, so that nobody but the plan's author writes templates.
   */
  readonly templated?: boolean;
  readonly dependsOn?: readonly string[];
  /** The task is done once for each item; its result is the list of their results, in the items' order. */
  readonly forEach?: ForEachSpec;
  readonly retry?: RetryPolicy;
  /** Milliseconds one attempt may take. Default: no limit. */
  readonly timeoutMs?: number;
  /** Higher goes first when agents are busy. Default 0. */
  readonly priority?: number;
  /** What takes it back. Run in reverse order of completion, one at a time. Under `forEach` each item's task is taken back. */
  readonly undo?: UndoSpec;
}

/** A task in the log: what the planner returned, with its id. */
export interface PlannedTask extends TaskSpec {
  readonly taskId: string;
  /** Of a task that was delegated, or is one of a `forEach`: the task it belongs to. Its name begins with that one's. */
  readonly parentTaskId?: string;
  /** Of one of a `forEach`: what `{{item}}` stands for, and its place, counted from 0. */
  readonly item?: { readonly index: number; readonly value: unknown };
  /** Of a task that takes another one back. */
  readonly undoes?: string;
}

/** What ends a plan that runs away. */
export interface PlanBudget {
  /** Tasks in all: planned, added, delegated and of every `forEach`; what takes others back is not counted. */
  readonly maxTasks?: number;
  /** Milliseconds from `plan.created`, waiting included. */
  readonly maxDurationMs?: number;
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
  /** The plan this one is part of: it is cancelled with it. */
  readonly parentPlanId?: string;
  readonly parentTaskId?: string;
  /** The plan this one does again, and the task it begins at. */
  readonly replayOf?: string;
  readonly replayFrom?: string;
  /** Handlers the goal passed through; its tasks go on counting, so that planners cannot call each other in circles. */
  readonly hops?: number;
  /** Name of the planner; any instance of it may drive the plan. */
  readonly planner: string;
}

/** What can happen to a plan. Appended before it takes effect; the plan's state is the fold of these. */
export type PlanChange =
  /** `driver` drives it, in epoch 1. Without one nobody does: it is driven by hand. */
  | { readonly type: "plan.created"; readonly origin: PlanOrigin; readonly driver?: string }
  /** From here on `driver` drives it. Legal only with the epoch after the current one, until the goal is answered. */
  | { readonly type: "plan.driven"; readonly driver: string; readonly epoch: number }
  | {
      readonly type: "plan.started";
      readonly tasks: readonly PlannedTask[];
      readonly budget?: PlanBudget;
      /** Whether every task's end is followed by a `plan.transitioned`; the plan does not end before. */
      readonly grows?: boolean;
      /** Of a state machine: the state it begins in. */
      readonly state?: string;
      /** Of a plan that is done again: by the name of a task that was added to the one before, the task whose end led to it. */
      readonly causes?: Readonly<Record<string, string>>;
    }
  /** The planner looked at how a task ended, once, and decided: what to add, and which state comes next. */
  | {
      readonly type: "plan.transitioned";
      readonly taskId: string;
      readonly to?: string;
      readonly tasks?: readonly PlannedTask[];
      /** The task's failure is dealt with and does not make the plan fail. */
      readonly handled?: boolean;
    }
  /** A running task asked for tasks of its own. Legal for each name once. */
  | { readonly type: "task.delegated"; readonly taskId: string; readonly tasks: readonly PlannedTask[] }
  /** The list of a `forEach` is known. The task ends when all of these have. */
  | { readonly type: "task.expanded"; readonly taskId: string; readonly tasks: readonly PlannedTask[] }
  /** A task's result is taken from the plan that this one does again. */
  | {
      readonly type: "task.reused";
      readonly taskId: string;
      readonly result: unknown;
      /** That plan ended before its planner had looked at the task's end: it does so here. */
      readonly undecided?: boolean;
    }
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
  /** A step of the running attempt is done and will not be done again. Legal for each key once, until the task ends. */
  | {
      readonly type: "task.stepped";
      readonly taskId: string;
      readonly attempt: number;
      /** The step's name; from its second use in a task on with `#2`, `#3`, … */
      readonly key: string;
      readonly value: unknown;
      readonly durationMs?: number;
    }
  /**
   * The running attempt begins to wait. Legal for each key once, until the task ends; for one that timed out once more in
   * each attempt after that, with a time-out of its own.
   */
  | {
      readonly type: "task.waiting";
      readonly taskId: string;
      readonly attempt: number;
      readonly key: string;
      readonly on: WaitSpec;
      /** Wall clock milliseconds when the waiting is over by itself: end of a sleep, or time-out. */
      readonly untilMs?: number;
    }
  /** What a task waited for is there. The first one counts; also while no attempt is running. */
  | { readonly type: "task.signalled"; readonly taskId: string; readonly key: string; readonly value: unknown }
  /**
   * What the running attempt waited for did not come in time: it cannot be signalled any more. Legal while it was not, and
   * not for a sleep. A task that only waits ends with its time-out instead.
   */
  | { readonly type: "task.timedout"; readonly taskId: string; readonly attempt: number; readonly key: string }
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
      /** Handed back unfinished, or lost while it only waited: does not count as one of the attempts. */
      readonly uncounted?: boolean;
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
  /**
   * A task that failed for good is tried again, and with it those that failed only for it, its children that did not complete,
   * and its parent if that failed with it. Legal while the plan is open and nothing is being taken back.
   */
  | { readonly type: "task.revived"; readonly taskId: string }
  /** A failed task is no dead letter any more: somebody looked at it. Legal after the end too. */
  | { readonly type: "task.discarded"; readonly taskId: string; readonly reason?: string }
  | { readonly type: "plan.paused"; readonly reason?: string }
  | { readonly type: "plan.resumed" }
  | { readonly type: "plan.completed"; readonly result: unknown }
  /** Ends the plan, or, if completed tasks have an `undo`, lets these run first. Likewise `plan.cancelled`. */
  | { readonly type: "plan.failed"; readonly failure: Failure }
  | { readonly type: "plan.cancelled"; readonly reason: string }
  /** Everything was taken back, or tried: the plan ends as it was going to. */
  | { readonly type: "plan.undone" }
  /** The goal's answer was published. The only change of state an ended plan knows. */
  | { readonly type: "plan.answered" };

/** Types of changes that anyone may record whenever they are legal, and that, but for two, collide with nothing a driver decides: {@link isFreeChange}. */
export const freeChanges: ReadonlySet<PlanChange["type"]> = new Set<PlanChange["type"]>([
  "task.stepped",
  "task.waiting",
  "task.signalled",
  "task.timedout",
  "task.discarded",
  "plan.answered",
]);

/** Key under which a task that is nothing but a wait has it in its journal. */
export const waitKey = "wait";

/**
 * Whether a driver that has not seen the change may append. It may not when a task that only waits got its answer: the
 * driver might be about to record that it came too late. Nor when the goal was answered: it might be about to record that.
 */
export function isFreeChange(change: PlanChange): boolean {
  if (change.type === "task.signalled") return change.key !== waitKey;
  return freeChanges.has(change.type) && change.type !== "plan.answered";
}

/** A change with its place in the log. Versions of one plan are 1, 2, 3, … without a gap. */
export type PlanEntry = PlanChange & {
  readonly version: number;
  /** Wall clock of the state node, milliseconds since the epoch. */
  readonly timeMs: number;
  /** Agent id of whoever appended it. */
  readonly by: string;
};

/** Something a task waits or waited for. */
export interface WaitState {
  readonly key: string;
  readonly on: WaitSpec;
  /** The attempt that began to wait. Later ones go on with what is left of it. */
  readonly attempt: number;
  readonly sinceMs: number;
  readonly untilMs?: number;
  /** Absent while it waits. */
  readonly signalled?: { readonly value: unknown };
  /** It was in vain: the attempt that gave it up. A later one that comes to it waits anew. */
  readonly timedOut?: { readonly attempt: number };
}

/** A step that is done. */
export interface StepState {
  readonly key: string;
  readonly value: unknown;
  readonly durationMs?: number;
  readonly endedAtMs: number;
}

/** What a task's attempts have done for good, for the next attempt to skip. */
export interface TaskJournal {
  readonly steps: readonly StepState[];
  readonly waits: readonly WaitState[];
  /** The attempt that is under way; absent when none is. */
  readonly attempt?: number;
}

/** What a task looks like now. `paused` is a task that waits for a person. */
export interface TaskState extends PlannedTask, Partial<Omit<TaskJournal, "attempt">> {
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
  /** Its result came from the plan this one does again. */
  readonly reused?: boolean;
  /** Its failure was dealt with, by the planner or by a person. */
  readonly handled?: boolean;
}

/** What a plan looks like now: the fold of its log. */
export interface PlanState {
  readonly planId: string;
  readonly version: number;
  readonly status: Status;
  readonly origin: PlanOrigin;
  /** Agent id of who drives it, and the fencing token that only this one appends with. Epoch 0: nobody. */
  readonly driver?: string;
  readonly epoch: number;
  readonly budget?: PlanBudget;
  readonly grows?: boolean;
  /** Of a state machine. */
  readonly state?: string;
  /** How it will end once everything is taken back. */
  readonly ending?: "failed" | "cancelled";
  readonly answered?: boolean;
  /** In the order they were added. */
  readonly tasks: readonly TaskState[];
  readonly result?: unknown;
  readonly failure?: Failure;
  readonly createdAtMs: number;
  /** When the planner's tasks were accepted. */
  readonly startedAtMs?: number;
  /** When it ended. Its log may go on: its goal is answered, its dead letters are dealt with. */
  readonly endedAtMs?: number;
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
  readonly tenantId: string;
  readonly parentPlanId?: string;
  readonly driver?: string;
  readonly epoch: number;
  readonly createdAtMs: number;
  readonly updatedAtMs: number;
}

export interface PlanQuery {
  readonly status?: Status;
  readonly goalType?: string;
  readonly planner?: string;
  readonly parentPlanId?: string;
  /** Created at this time or later. */
  readonly sinceMs?: number;
  /** Created before this time. */
  readonly untilMs?: number;
  /** Newest first. Default 100. */
  readonly limit?: number;
}

export interface AppendOptions {
  /** Makes a repeated append after a lost answer return what the first one did. */
  readonly operationId?: string;
  /** Fencing token: refused with `PLAN_FENCED` unless it is the plan's current epoch. */
  readonly epoch?: number;
}

/** An open plan that its caller drives from now on. */
export interface ClaimedPlan {
  readonly planId: string;
  readonly epoch: number;
  readonly version: number;
  /** The whole log, unless it is too large for the answer: then it has to be read. */
  readonly entries?: readonly PlanEntry[];
}

export interface Claim {
  readonly plans: readonly ClaimedPlan[];
  /** There are more that can be claimed now. */
  readonly more: boolean;
}

export interface Lease {
  /** Milliseconds until it has to be renewed. */
  readonly leaseMs: number;
  /** Open plans of the same planner that nobody with a lease drives. */
  readonly claimable: number;
}

/** The log of all plans, as the plan engine and the queries need it. */
export interface PlanLog {
  /**
   * Appends changes if nothing that could matter was appended after `expectedVersion` (0: the plan must not exist);
   * {@link isFreeChange free changes} do not matter. Resolves with the new version once the entries are flushed.
   *
   * @throws {SoormaError} `PLAN_CONFLICT` with `details.version`; `PLAN_FENCED` with `details.epoch`;
   * `STORE_UNAVAILABLE` after the deadline.
   */
  append(
    planId: string,
    expectedVersion: number,
    changes: readonly PlanChange[],
    options?: AppendOptions,
  ): Promise<number>;
  /**
   * Appends one change if it is legal now, whatever the version: a {@link freeChanges free change}, or what a person
   * orders (cancel, pause, resume, revive). Resolves once it is flushed; with `accepted: false` if it was not legal.
   *
   * @throws {SoormaError} `PLAN_NOT_FOUND`, `STORE_UNAVAILABLE`
   */
  record(
    planId: string,
    change: PlanChange,
    options?: { readonly operationId?: string },
  ): Promise<{ readonly version: number; readonly accepted: boolean }>;
  /** What the attempts of a task have done for good. @throws {SoormaError} `PLAN_NOT_FOUND` */
  journal(planId: string, taskId: string): Promise<TaskJournal>;
  /** Says that `driver`, an instance of `planner`, is alive. Without renewal others may claim its plans after `leaseMs`. */
  lease(planner: string, driver: string, leaseMs?: number): Promise<Lease>;
  /** Gives the lease back: others may claim its plans at once. */
  release(driver: string): Promise<void>;
  /** Makes `driver` the driver of open plans of `planner` that nobody with a lease drives, oldest first. */
  claim(planner: string, driver: string, limit: number): Promise<Claim>;
  /** Called when somebody else changed a plan that `driver` drives, with the version it is at. May be called in vain. */
  onForeignChange(driver: string, listener: (planId: string, version: number) => void): Disposable;
  /** Entries after `afterVersion` (default 0). @throws {SoormaError} `PLAN_NOT_FOUND` */
  read(planId: string, options?: { afterVersion?: number }): Promise<PlanEntry[]>;
  /** Entries after `afterVersion`, then new ones as they are appended, until the signal aborts or the plan ended. */
  watch(planId: string, options?: { afterVersion?: number; signal?: AbortSignal }): AsyncIterable<PlanEntry>;
  list(query?: PlanQuery): Promise<PlanSummary[]>;
}
