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
 * From the task that is named on everything is done again that comes after it, was not completed or was taken back; other results
 * are kept. What the planner added after that task's end is left out: it decides anew.
 *
 * @param from - Name or id of a task; one of a `forEach` or a delegated one stands for the task it belongs to. Default:
 * all is done again.
 * @returns undefined for a plan that never had tasks.
 * @throws {SoormaError} `PLAN_REFUSED` while the plan is open, for a task it has not, where a task that is to be kept needs one
 * that the planner decides about anew, and where a state machine would go on from what was taken back.
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
  if (from === undefined) return { ...shared, ...fromTheBeginning(started) };
  const first = findTask(plan, from);
  const again = affected(fold, plan, first);
  if (state !== undefined) {
    const earlier = plan.tasks.find(({ taskId }) => taskId !== first.taskId && again.has(taskId));
    const wasTakenBack = earlier?.status === "completed" && takenBack(plan).has(earlier.taskId);
    if (wasTakenBack && plan.tasks.indexOf(earlier) < plan.tasks.indexOf(first)) {
      throw refused(
        planId,
        `cannot be done again from "${first.name}": what "${earlier.name}" did was taken back`,
        `Do it again from "${earlier.name}".`,
      );
    }
  }
  const { planned, causes, undecided } = planning(plan, entries);
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
  const nameOf = new Map(plan.tasks.map(({ taskId, name }) => [taskId, name]));
  const reused: Record<string, unknown> = {};
  const added: Record<string, string> = {};
  const open: string[] = [];
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
    const cause = nameOf.get(causes.get(taskId) ?? "");
    if (cause !== undefined) added[name] = cause;
    if (again.has(taskId)) continue;
    reused[name] = result;
    if (undecided.has(taskId)) open.push(name);
  }
  return {
    ...shared,
    tasks,
    reused,
    ...(open.length > 0 ? { undecided: open } : {}),
    ...(Object.keys(added).length > 0 ? { causes: added } : {}),
    ...(state === undefined ? {} : { state: stateOf(first.name) }),
  };
}

/** What the planner began with: a plan that was itself done again began with more. */
function fromTheBeginning({ tasks, state, causes = {} }: Extract<PlanEntry, { type: "plan.started" }>) {
  const planned = tasks.filter(({ name }) => !Object.hasOwn(causes, name));
  const [initial] = planned.length > 0 ? planned : tasks;
  if (state === undefined || !initial) return { tasks: planned.map(specOf) };
  return { tasks: [specOf(initial)], state: stateOf(initial.name) };
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

/** The task, what was not completed or was taken back, and all that depends on any of these. */
function affected(fold: PlanFold, plan: PlanState, first: TaskState): Set<string> {
  const again = new Set([first.taskId]);
  const undone = takenBack(plan);
  for (const task of plan.tasks.filter(isTopLevel)) {
    const isDone = task.status === "completed" && !undone.has(task.taskId);
    // One that was dealt with is left out, unless others want its result.
    if (!isDone && (!task.handled || fold.dependents(task.taskId).length > 0)) again.add(task.taskId);
  }
  for (const taskId of again) for (const dependent of fold.dependents(taskId)) again.add(dependent.taskId);
  return again;
}

/** The plan's own tasks of which something was taken back. */
function takenBack({ tasks }: PlanState): ReadonlySet<string> {
  const parents = new Map(tasks.map(({ taskId, parentTaskId }) => [taskId, parentTaskId]));
  const undone = new Set<string>();
  for (const { undoes, status } of tasks) {
    if (undoes === undefined || status !== "completed") continue;
    let taskId = undoes;
    for (let parent = parents.get(taskId); parent !== undefined; parent = parents.get(taskId)) taskId = parent;
    undone.add(taskId);
  }
  return undone;
}

/** All tasks as they were planned; for those that were added, the task whose end led to it; those whose end led to nothing yet. */
function planning(plan: PlanState, entries: readonly PlanEntry[]) {
  const planned = new Map<string, PlannedTask>();
  const causes = new Map<string, string>();
  const idOf = new Map(plan.tasks.filter(isTopLevel).map(({ taskId, name }) => [name, taskId]));
  const undecided = new Set<string>();
  for (const { taskId, status } of plan.grows ? plan.tasks.filter(isTopLevel) : [])
    if (status === "completed") undecided.add(taskId);
  for (const entry of entries) {
    if (entry.type === "task.reused" && entry.undecided !== true) undecided.delete(entry.taskId);
    if (entry.type !== "plan.started" && entry.type !== "plan.transitioned") continue;
    if (entry.type === "plan.transitioned") undecided.delete(entry.taskId);
    for (const task of entry.tasks ?? []) {
      if (planned.has(task.taskId)) continue;
      planned.set(task.taskId, task);
      const cause = entry.type === "plan.transitioned" ? entry.taskId : idOf.get(entry.causes?.[task.name] ?? "");
      if (cause !== undefined) causes.set(task.taskId, cause);
    }
  }
  return { planned, causes, undecided };
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
