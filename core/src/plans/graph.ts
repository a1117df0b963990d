import { SoormaError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import type { PlanBudget, PlannedTask, TaskSpec } from "./log.ts";
import type { PlanFold } from "./reducer.ts";
import { checkBudget } from "./task-data.ts";
import {
  checkFields,
  checkNumber,
  checkTask,
  checkText,
  checkWhole,
  describe,
  invalid,
  isRecord,
} from "./task-spec.ts";

/** What a planner's goal handler returns. */
export interface PlanDraft {
  readonly tasks: readonly TaskSpec[];
  /** What ends the plan should it run away. */
  readonly budget?: PlanBudget;
  /** Whether the planner is asked after each task's end, and may add tasks. */
  readonly grows?: boolean;
  /** Of a state machine: the state it begins in. */
  readonly state?: string;
  /** Of a plan that is done again: results that are known, by their tasks' names. */
  readonly reused?: Readonly<Record<string, unknown>>;
  /** Names of those of them whose ends the planner has not looked at. */
  readonly undecided?: readonly string[];
  /** By the name of a task that was added later, the name of the one whose end led to it. */
  readonly causes?: Readonly<Record<string, string>>;
}

const draftFields: Record<keyof PlanDraft, true> = {
  tasks: true,
  budget: true,
  grows: true,
  state: true,
  reused: true,
  undecided: true,
  causes: true,
};
const budgetFields: Record<keyof PlanBudget, true> = { maxTasks: true, maxDurationMs: true };

/**
 * Checks what a planner returned and gives each task its id, `<planId>.<position>` counted from 1.
 *
 * Nothing of it ran yet: a plan is either entirely usable or refused.
 *
 * @throws {SoormaError} `PLAN_INVALID`; `details.path` is where, `tasks[2].dependsOn[0]`. `BUDGET_EXCEEDED` for more
 * tasks than its own budget allows.
 */
export function checkPlan(draft: unknown, planId: string): PlannedTask[] {
  if (!isRecord(draft) || !Array.isArray(draft.tasks)) {
    const returned = draft === undefined ? "nothing" : describe(draft);
    const what = isRecord(draft) ? `an object whose "tasks" is ${describe(draft.tasks)}` : returned;
    throw invalid("tasks", `the goal handler returned ${what}`, "return { tasks: [{ name, assignedTo, … }] }");
  }
  checkFields(draft, draftFields, "", "a plan");
  const maxTasks = checkPlanBudget(draft.budget);
  if (draft.grows !== undefined && typeof draft.grows !== "boolean") {
    throw invalid("grows", `is ${describe(draft.grows)}, not true or false`);
  }
  if (draft.state !== undefined) checkText(draft.state, "state");
  const tasks = draft.tasks.map((task: unknown, index) => checkTask(task, `tasks[${index}]`));
  checkGraph(tasks);
  checkReused(draft.reused, tasks);
  if (tasks.length > maxTasks) {
    throw new SoormaError(
      "BUDGET_EXCEEDED",
      `plan ${planId} may have ${maxTasks} tasks, and the planner returned ${tasks.length}`,
      { hint: "Raise the plan's budget.maxTasks, or plan less.", details: { maxTasks, tasks: 0, added: tasks.length } },
    );
  }
  return tasks.map((task, index) => ({ ...task, taskId: `${planId}.${index + 1}` }));
}

/**
 * Checks tasks that are added to a plan under way, and gives them ids that go on where the plan's end.
 *
 * They may depend on each other and on what the plan has already. Names have to be new. Of delegated tasks all this goes
 * for those of the same parent: names are given, and taken in `dependsOn`, without the parent's, and data holds no templates.
 *
 * @throws {SoormaError} `PLAN_INVALID`; `details.path` is where. `BUDGET_EXCEEDED`.
 */
export function checkAddition(tasks: unknown, fold: PlanFold, parentTaskId?: string): PlannedTask[] {
  const { planId } = fold;
  if (!Array.isArray(tasks)) throw invalid("tasks", `the tasks to add are ${describe(tasks)}`, "give a list of tasks");
  const parent = parentTaskId === undefined ? undefined : fold.task(parentTaskId);
  if (parentTaskId !== undefined && !parent) throw invalid("tasks", `plan ${planId} has no task ${parentTaskId}`);
  const prefix = parent ? `${parent.name}/` : "";
  const specs = tasks.map((task: unknown, index) => {
    const spec = checkTask(task, `tasks[${index}]`, { delegated: parent !== undefined });
    if (parent && spec.forEach) {
      throw invalid(`tasks[${index}].forEach`, "cannot be delegated", "delegate one task for each item");
    }
    if (fold.taskNamed(prefix + spec.name)) {
      throw invalid(`tasks[${index}].name`, `is "${spec.name}", as that of a task which the plan has already`);
    }
    return spec;
  });
  const known = (name: string): boolean => {
    const other = fold.taskNamed(prefix + name);
    return other !== undefined && other.parentTaskId === parentTaskId && other.undoes === undefined;
  };
  checkGraph(specs, known);
  checkBudget(fold, specs.length, parent ? `what task "${parent.name}" delegates` : "the planner");
  let number = fold.childCount(parentTaskId);
  return specs.map((spec) => {
    let taskId: string;
    do taskId = `${parentTaskId ?? planId}.${++number}`;
    while (fold.task(taskId));
    if (!parent) return { ...spec, taskId };
    const { name, dependsOn } = spec;
    return {
      ...spec,
      taskId,
      name: prefix + name,
      parentTaskId: parent.taskId,
      ...(dependsOn ? { dependsOn: dependsOn.map((other) => prefix + other) } : {}),
    };
  });
}

function checkPlanBudget(budget: unknown): number {
  if (budget === undefined) return Number.POSITIVE_INFINITY;
  if (!isRecord(budget)) throw invalid("budget", `is ${describe(budget)}`, "it is { maxTasks?, maxDurationMs? }");
  checkFields(budget, budgetFields, "budget", "a budget");
  checkWhole(budget.maxTasks, "budget.maxTasks", 1);
  checkNumber(budget.maxDurationMs, "budget.maxDurationMs", 1);
  return typeof budget.maxTasks === "number" ? budget.maxTasks : Number.POSITIVE_INFINITY;
}

function checkReused(reused: unknown, tasks: readonly TaskSpec[]): void {
  if (reused === undefined) return;
  if (!isRecord(reused)) throw invalid("reused", `is ${describe(reused)}`, "it holds results by their tasks' names");
  const names = new Set(tasks.map((task) => task.name));
  for (const name of Object.keys(reused)) {
    if (!names.has(name)) throw unknownTask(`reused[${JSON.stringify(name)}]`, name, names);
  }
}

/** Unique names, known dependencies, no cycle. `known` tells of names outside of these tasks. */
function checkGraph(tasks: readonly TaskSpec[], known: (name: string) => boolean = () => false): void {
  const positions = new Map<string, number>();
  tasks.forEach(({ name }, index) => {
    const first = positions.get(name);
    if (first !== undefined) {
      throw invalid(
        `tasks[${index}].name`,
        `is "${name}", as tasks[${first}].name is`,
        "give each task of a plan a name of its own; dependents find its result under it",
      );
    }
    positions.set(name, index);
  });
  tasks.forEach((task, index) => {
    task.dependsOn?.forEach((name, at) => {
      if (positions.has(name) || known(name)) return;
      throw unknownTask(`tasks[${index}].dependsOn[${at}]`, name, positions.keys());
    });
  });
  const cycle = findCycle(tasks, positions);
  if (!cycle) return;
  throw invalid(
    `tasks[${positions.get(cycle[0] as string)}].dependsOn`,
    `leads back to its own task: ${shorten(cycle).join(" → ")}`,
    "a task can only depend on tasks that do not need its result",
  );
}

/** Names along one cycle, the first repeated at the end; undefined when there is none. */
function findCycle(tasks: readonly TaskSpec[], positions: ReadonlyMap<string, number>): string[] | undefined {
  const finished = new Set<string>();
  for (const { name: root } of tasks) {
    // Not recursive: a chain of thousands of tasks is a legal plan.
    const path: { name: string; next: number }[] = [];
    const onPath = new Set<string>();
    const enter = (name: string): void => {
      path.push({ name, next: 0 });
      onPath.add(name);
    };
    if (!finished.has(root)) enter(root);
    for (let top = path.at(-1); top; top = path.at(-1)) {
      const dependency = tasks[positions.get(top.name) ?? -1]?.dependsOn?.[top.next++];
      if (dependency === undefined) {
        finished.add(top.name);
        onPath.delete(top.name);
        path.pop();
      } else if (onPath.has(dependency)) {
        const names = path.map((step) => step.name);
        return [...names.slice(names.indexOf(dependency)), dependency];
      } else if (!finished.has(dependency)) {
        enter(dependency);
      }
    }
  }
  return undefined;
}

function shorten(cycle: readonly string[]): readonly string[] {
  return cycle.length <= 12 ? cycle : [...cycle.slice(0, 8), `(${cycle.length - 11} more)`, ...cycle.slice(-3)];
}

function unknownTask(path: string, name: string, names: Iterable<string>): SoormaError {
  const meant = nearest(name, names);
  return invalid(
    path,
    `names "${name}", which is no task of this plan`,
    meant ? `did you mean "${meant}"?` : "a task can depend only on tasks of the same plan",
  );
}
