import { SoormaError } from "../errors.ts";
import type { PlannedTask, TaskState, WaitSpec } from "./log.ts";
import type { PlanFold } from "./reducer.ts";
import { checkWait } from "./task-spec.ts";
import { resolveTemplates, type TemplateScope } from "./template.ts";

/**
 * Results of the tasks that this one depends on, by the names it knows them under: a delegated task without its parent's.
 * One of a `forEach` has its parent's, and a task that takes another one back has that one's.
 */
export function inputsOf(fold: PlanFold, task: TaskState): Record<string, unknown> {
  const origin = originOf(fold, task);
  const parent = origin.parentTaskId === undefined ? undefined : fold.task(origin.parentTaskId);
  const prefix = parent ? `${parent.name}/` : "";
  return Object.fromEntries(
    origin.dependsOn.map((name) => [
      name.startsWith(prefix) ? name.slice(prefix.length) : name,
      fold.taskNamed(name)?.result,
    ]),
  );
}

/**
 * A task's data, of a templated one with the templates filled in. Default: of one of a `forEach` its item, of one that
 * takes another back that one's data and result.
 *
 * @throws {SoormaError} `TEMPLATE_UNRESOLVED`
 */
export function dataOf(fold: PlanFold, task: TaskState): unknown {
  const { data, item, undoes, templated, name } = task;
  if (data === undefined) {
    const undone = undoes === undefined ? undefined : fold.task(undoes);
    return undone ? { data: dataOf(fold, undone), result: undone.result } : item?.value;
  }
  return templated ? resolveTemplates(data, scopeOf(fold, task), `data of task "${name}"`) : data;
}

/**
 * What a task waits for, of a templated one with the templates filled in.
 *
 * @throws {SoormaError} `TEMPLATE_UNRESOLVED`; `PLAN_INVALID` when what was filled in is nothing to wait for.
 */
export function waitOf(fold: PlanFold, task: TaskState): WaitSpec | undefined {
  if (!task.wait || !task.templated) return task.wait;
  const wait = resolveTemplates(task.wait, scopeOf(fold, task), `wait of task "${task.name}"`);
  checkWait(wait, `wait of task "${task.name}"`, false);
  return wait as WaitSpec;
}

/**
 * The tasks of a `forEach` whose turn it is, for `task.expanded`.
 *
 * @throws {SoormaError} `TEMPLATE_UNRESOLVED`; `PLAN_INVALID` when `over` is no list; `BUDGET_EXCEEDED`.
 */
export function expandGroup(fold: PlanFold, task: TaskState): PlannedTask[] {
  const { taskId, name, forEach, dependsOn: _inherited, ...rest } = task;
  if (!forEach) throw new TypeError(`task "${name}" of plan ${fold.planId} has no forEach`);
  const items = resolveTemplates(forEach.over, scopeOf(fold, task), `forEach.over of task "${name}"`);
  if (!Array.isArray(items)) {
    throw new SoormaError(
      "PLAN_INVALID",
      `task "${name}" is to be done for each of ${forEach.over}, which is ${describe(items)}, not a list`,
      { details: { path: "forEach.over", taskId } },
    );
  }
  checkBudget(fold, items.length, `the forEach of task "${name}"`);
  const { assignedTo, goal, wait, data, templated, retry, timeoutMs, priority, undo } = rest;
  const shared = Object.entries({ assignedTo, goal, wait, data, templated, retry, timeoutMs, priority, undo }).filter(
    ([, value]) => value !== undefined,
  );
  items.forEach((_value, index) => {
    const itemName = `${name}[${index}]`;
    if (!fold.taskNamed(itemName)) return;
    throw new SoormaError(
      "PLAN_INVALID",
      `the forEach of task "${name}" wants a task "${itemName}", which the plan has already`,
      {
        details: { path: "forEach", taskId },
      },
    );
  });
  return items.map((value: unknown, index) => ({
    ...Object.fromEntries(shared),
    taskId: `${taskId}.${index + 1}`,
    name: `${name}[${index}]`,
    parentTaskId: taskId,
    item: { index, value },
  }));
}

/**
 * Refuses tasks that the plan's budget has no room for.
 *
 * @throws {SoormaError} `BUDGET_EXCEEDED` with the numbers.
 */
export function checkBudget(fold: PlanFold, added: number, what: string): void {
  if (!fold.exceedsBudget(added)) return;
  const { maxTasks } = fold.budget ?? {};
  throw new SoormaError(
    "BUDGET_EXCEEDED",
    `plan ${fold.planId} may have ${maxTasks} tasks: it has ${fold.plannedCount}, and ${what} would add ${added}`,
    {
      hint: "Raise the plan's budget.maxTasks, or find out why it grows.",
      details: { maxTasks, tasks: fold.plannedCount, added },
    },
  );
}

function scopeOf(fold: PlanFold, task: TaskState): TemplateScope {
  const { goalId, goalType, goalData } = fold.origin;
  const undone = task.undoes === undefined ? undefined : fold.task(task.undoes);
  const { item } = undone ?? task;
  return {
    goal: { id: goalId, type: goalType, data: goalData },
    results: inputsOf(fold, task),
    ...(item === undefined ? {} : { item: item.value, index: item.index }),
    ...(undone === undefined ? {} : { result: undone.result }),
  };
}

/** The task whose dependencies count. */
function originOf(fold: PlanFold, task: TaskState): TaskState {
  const undone = task.undoes === undefined ? undefined : fold.task(task.undoes);
  if (undone) return originOf(fold, undone);
  const parent = task.item === undefined ? undefined : fold.task(task.parentTaskId ?? "");
  return parent ?? task;
}

function describe(value: unknown): string {
  if (value === null) return "null";
  if (typeof value === "object") return "an object";
  return JSON.stringify(value)?.slice(0, 100) ?? String(value);
}
