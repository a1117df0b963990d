import { type Failure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import { inherit } from "../events/context.ts";
import { checkPlan } from "../plans/graph.ts";
import type { PlanChange, PlanLog, PlanOrigin, TaskState } from "../plans/log.ts";
import { isTerminal, PlanFold } from "../plans/reducer.ts";
import type { PlanQueries, Tracker } from "./contract.ts";
import { createOrders } from "./orders.ts";

/** The planner of plans that are driven by hand, through the tracker. */
const manualPlanner = "tracker";

const rememberedFolds = 64;
const maxConflicts = 100;

export interface TrackerOptions {
  readonly log: PlanLog;
  readonly queries: PlanQueries;
  readonly tenant: string;
  readonly userId?: string;
  /** Makes ids that no other node makes. */
  readonly nextId: () => string;
}

/** The tracker's methods over a plan log. */
export function createTracker({ log, queries, tenant, userId, nextId }: TrackerOptions): Tracker {
  /** What was read of a plan stays, so that the next call reads only what is new. Oldest first. */
  const folds = new Map<string, PlanFold>();

  const refresh = async (planId: string): Promise<PlanFold> => {
    const known = folds.get(planId);
    const entries = await log.read(planId, { afterVersion: known?.version ?? 0 });
    // Looked up again: another call may have put one there meanwhile.
    const fold = folds.get(planId) ?? known ?? new PlanFold(planId);
    for (const entry of entries) fold.apply(entry);
    folds.delete(planId);
    folds.set(planId, fold);
    const oldest = folds.keys().next().value;
    if (folds.size > rememberedFolds && oldest !== undefined) folds.delete(oldest);
    return fold;
  };

  /** Appends what `decide` makes of the plan, deciding anew whenever someone else was faster. */
  const change = async (planId: string, decide: (fold: PlanFold) => PlanChange[]): Promise<void> => {
    for (let conflicts = 0; ; conflicts++) {
      const fold = await refresh(planId);
      const changes = decide(fold);
      if (changes.length === 0) return;
      try {
        await log.append(planId, fold.version, changes, { operationId: nextId() });
        return;
      } catch (error) {
        if (!isSoormaError(error, "PLAN_CONFLICT") || conflicts >= maxConflicts) throw error;
      }
    }
  };

  return {
    ...log,
    ...queries,
    ...createOrders({ log, nextId, refresh }),
    listPlans: (query) => log.list(query),
    subPlans: (parentPlanId) => log.list({ parentPlanId, limit: 10_000 }),
    timeline: (planId) => log.read(planId),

    async startPlan({ tasks, goalType = "manual", goalData = null }) {
      const planId = nextId();
      const {
        hops: _hops,
        planId: parentPlanId,
        taskId: _task,
        attempt: _attempt,
        goalId,
        ...inherited
      } = inherit(tenant, userId, nextId);
      const origin: PlanOrigin = {
        ...inherited,
        goalId: goalId ?? planId,
        goalType,
        goalData,
        planner: manualPlanner,
        ...(parentPlanId === undefined ? {} : { parentPlanId }),
      };
      const planned = checkPlan({ tasks }, planId);
      const changes: PlanChange[] = [
        { type: "plan.created", origin },
        { type: "plan.started", tasks: planned },
      ];
      if (planned.length === 0) changes.push({ type: "plan.completed", result: {} });
      await log.append(planId, 0, changes, { operationId: nextId() });
      return planId;
    },

    async emitProgress(planId, taskId, fraction, message) {
      if (!(fraction >= 0 && fraction <= 1)) throw new TypeError(`a fraction is 0 to 1, not ${fraction}`);
      await change(planId, (fold) => {
        const task = taskOf(fold, taskId);
        if (isTerminal(task.status) || isTerminal(fold.status)) return [];
        return [
          ...begin(fold, task),
          { type: "task.progress", taskId, fraction, ...(message === undefined ? {} : { message }) },
        ];
      });
    },

    async completeTask(planId, taskId, result = null) {
      await change(planId, (fold) => {
        const task = taskOf(fold, taskId);
        if (task.status === "completed") return [];
        if (isTerminal(task.status)) throw refused(fold, task, `it is ${task.status}`);
        const started = begin(fold, task);
        const attempt = started.length > 0 ? task.attempt + 1 : task.attempt;
        const changes: PlanChange[] = [...started, { type: "task.succeeded", taskId, attempt, result }];
        if (isManual(fold) && fold.openCount === 1) changes.push(...endOf(fold, taskId, result));
        return changes;
      });
    },

    async failTask(planId, taskId, cause) {
      const failure: Failure = toCause(cause);
      await change(planId, (fold) => {
        const task = taskOf(fold, taskId);
        if (task.status === "failed") return [];
        if (isTerminal(task.status)) throw refused(fold, task, `it is ${task.status}`);
        if (!isManual(fold)) return [{ type: "task.failed", taskId, failure }];
        const lost = dependentsOf(fold, task);
        const changes: PlanChange[] = [{ type: "task.failed", taskId, failure }];
        for (const other of lost) {
          const message = `task "${other.name}" depends on "${task.name}", which failed: ${failure.message}`;
          changes.push({
            type: "task.failed",
            taskId: other.taskId,
            failure: { code: "DEPENDENCY_FAILED", message, retryable: false },
          });
        }
        if (fold.openCount === changes.length) {
          changes.push(fold.ending ? { type: "plan.undone" } : { type: "plan.failed", failure });
        }
        return changes;
      });
    },

    async getPlan(planId) {
      return (await refresh(planId)).state();
    },
  };
}

/** How a plan driven by hand ends when the task that is open completes. */
function endOf(fold: PlanFold, taskId: string, result: unknown): PlanChange[] {
  if (fold.ending) return [{ type: "plan.undone" }];
  const { tasks } = fold.state();
  if (fold.unhandledFailures > 0) {
    const failure = tasks.find((task) => task.status === "failed" && task.handled !== true)?.failure;
    return [
      { type: "plan.failed", failure: failure ?? { code: "TASK_FAILED", message: "a task failed", retryable: false } },
    ];
  }
  const results = tasks.map(({ taskId: id, name, result: value }) => [name, id === taskId ? result : value]);
  const completed: PlanChange = { type: "plan.completed", result: Object.fromEntries(results) };
  // A paused plan cannot complete, and nobody would do it later.
  return fold.status === "paused" ? [{ type: "plan.resumed" }, completed] : [completed];
}

function isManual(fold: PlanFold): boolean {
  return fold.origin.planner === manualPlanner;
}

function taskOf(fold: PlanFold, taskId: string): TaskState {
  const task = fold.task(taskId);
  if (task) return task;
  throw new SoormaError("PLAN_INVALID", `plan ${fold.planId} has no task ${taskId}; it has ${fold.taskCount}`, {
    hint: "Task ids are the plan's id with the task's position behind it, counted from 1; getPlan() lists them.",
  });
}

/** What starts a task that nobody started yet. */
function begin(fold: PlanFold, task: TaskState): PlanChange[] {
  if (task.status === "running") return [];
  if (fold.status === "paused") throw refused(fold, task, "the plan is paused");
  const open = task.dependsOn.filter((name) => fold.taskNamed(name)?.status !== "completed");
  if (open.length > 0) throw refused(fold, task, `it waits for ${open.map((name) => `"${name}"`).join(", ")}`);
  if (fold.groupsToExpand.has(task.taskId)) throw refused(fold, task, "it is a forEach, whose items are not known");
  if (![fold.ready, fold.backingOff, fold.running].some((ids) => ids.has(task.taskId)))
    throw refused(fold, task, "it is not its turn");
  return [{ type: "task.dispatched", taskId: task.taskId, attempt: task.attempt + 1 }];
}

/** Every open task that needs this one's result, directly or not. */
function dependentsOf(fold: PlanFold, task: TaskState): TaskState[] {
  const found = new Map<string, TaskState>();
  const visit = (taskId: string): void => {
    for (const dependent of fold.dependents(taskId)) {
      if (found.has(dependent.taskId) || isTerminal(dependent.status)) continue;
      found.set(dependent.taskId, dependent);
      visit(dependent.taskId);
    }
  };
  visit(task.taskId);
  return Array.from(found.values());
}

function toCause(cause: Failure | Error | string): Failure {
  if (typeof cause === "string") return { code: "TASK_FAILED", message: cause, retryable: false };
  return cause instanceof Error ? toFailure(cause, "TASK_FAILED") : cause;
}

function refused(fold: PlanFold, task: TaskState, why: string): SoormaError {
  return new SoormaError("PLAN_INVALID", `task "${task.name}" of plan ${fold.planId} cannot be changed: ${why}`, {
    details: { planId: fold.planId, taskId: task.taskId, status: task.status },
  });
}
