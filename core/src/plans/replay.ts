import { SoormaError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import type { PlanDraft } from "./graph.ts";
import type { PlanEntry, PlannedTask, PlanState, TaskSpec, TaskState } from "./log.ts";
import { stateOf } from "./machine-run.ts";
import { PlanFold } from "./reducer.ts";
import { isTerminal, isTopLevel } from "./task-node.ts";

/**
 * The tasks of a plan that has ended, to be done again.
 *
 * From the task that is named on everything is done again that comes after it or was not completed; other results are
 * kept. What the planner added after that task's end is left out: it decides anew.
 *
 * @param from - Name or id of a task; one of a `forEach` or a delegated one stands for the task it belongs to. Default:
 * all is done again.
 * @returns undefined for a plan that never had tasks.
 * @throws {SoormaError} `PLAN_REFUSED` while the plan is open, for a task it has not, and where a task that is to be kept needs one that the planner decides about anew.
 */
export function replayDraft(planId: string, entries: readonly PlanEntry[], from?: string): PlanDraft | undefined {
  const fold = PlanFold.of(planId, entries);
  const plan = fold.state();
  if (!isTerminal(plan.status)) {
    throw refused(planId, `is ${plan.status}: only a plan that has ended can be done again`);
  }
  const started = entries.find((entry) => entry.type === "plan.started");
  if (started?.type !== "plan.started") return undefined;
  const { budget, grows, state } = started;
  const shared = { ...(budget ? { budget } : {}), ...(grows === undefined ? {} : { grows }) };
  if (from === undefined) {
    return { ...shared, tasks: started.tasks.map(specOf), ...(state === undefined ? {} : { state }) };
  }
  const first = findTask(plan, from);
  const again = affected(fold, plan, first);
  const { planned, causes } = planning(entries);
  const kept = new Map<string, TaskState>();
  const gone = new Set<string>();
  for (const task of plan.tasks.filter(isTopLevel)) {
    const cause = causes.get(task.taskId);
    if (cause !== undefined && (again.has(cause) || gone.has(cause))) gone.add(task.taskId);
    // Its failure was dealt with; what that led to is in the plan.
    else if (task.handled && task !== first && fold.dependents(task.taskId).length === 0) continue;
    else kept.set(task.taskId, task);
  }
  const names = new Set(Array.from(kept.values(), ({ name }) => name));
  const reused: Record<string, unknown> = {};
  const tasks: TaskSpec[] = [];
  for (const { taskId, name, dependsOn, result } of kept.values()) {
    const missing = dependsOn.find((other) => !names.has(other));
    const task = planned.get(taskId);
    if (missing !== undefined || !task) {
      throw refused(
        planId,
        `cannot be done again from "${first.name}": "${name}" needs "${missing}", which was added later`,
      );
    }
    tasks.push(specOf(task));
    if (!again.has(taskId)) reused[name] = result;
  }
  return { ...shared, tasks, reused, ...(state === undefined ? {} : { state: stateOf(first.name) }) };
}

function findTask(plan: PlanState, from: string): TaskState {
  let task = plan.tasks.find(({ taskId, name }) => taskId === from || name === from);
  if (!task) {
    const names = plan.tasks.filter(isTopLevel).map(({ name }) => name);
    const meant = nearest(from, names);
    throw refused(
      plan.planId,
      `has no task "${from}"`,
      meant ? `Did you mean "${meant}"?` : `Its tasks are ${names.slice(0, 20).join(", ")}.`,
    );
  }
  for (let parentId = task.parentTaskId; parentId !== undefined; parentId = task.parentTaskId) {
    const parent = plan.tasks.find(({ taskId }) => taskId === parentId);
    if (!parent) break;
    task = parent;
  }
  if (task.undoes !== undefined)
    throw refused(plan.planId, `cannot be done again from "${task.name}", which takes a task back`);
  return task;
}

/** The task, what was not completed, and all that depends on any of these. */
function affected(fold: PlanFold, plan: PlanState, first: TaskState): Set<string> {
  const again = new Set([first.taskId]);
  for (const task of plan.tasks) {
    if (isTopLevel(task) && task.status !== "completed" && !task.handled) again.add(task.taskId);
  }
  for (const taskId of again) for (const dependent of fold.dependents(taskId)) again.add(dependent.taskId);
  return again;
}

/** All tasks as they were planned, and for those that were added the task whose end led to it. */
function planning(entries: readonly PlanEntry[]) {
  const planned = new Map<string, PlannedTask>();
  const causes = new Map<string, string>();
  for (const entry of entries) {
    if (entry.type !== "plan.started" && entry.type !== "plan.transitioned") continue;
    for (const task of entry.tasks ?? []) {
      if (planned.has(task.taskId)) continue;
      planned.set(task.taskId, task);
      if (entry.type === "plan.transitioned") causes.set(task.taskId, entry.taskId);
    }
  }
  return { planned, causes };
}

function specOf({ taskId: _id, parentTaskId: _parent, item: _item, undoes: _undoes, ...spec }: PlannedTask): TaskSpec {
  return spec;
}

function refused(planId: string, why: string, hint?: string): SoormaError {
  return new SoormaError("PLAN_REFUSED", `plan ${planId} ${why}`, {
    details: { planId },
    ...(hint === undefined ? {} : { hint }),
  });
}
