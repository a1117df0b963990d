import { SoormaError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import type { PlannedTask, RetryPolicy, TaskSpec } from "./log.ts";
import { findUnpackable } from "./packable.ts";

/** What a planner's goal handler returns. */
export interface PlanDraft {
  readonly tasks: readonly TaskSpec[];
}

/** Every field a task may have: the type makes the list complete. */
const taskFields: Record<keyof TaskSpec, true> = {
  name: true,
  assignedTo: true,
  data: true,
  dependsOn: true,
  retry: true,
  timeoutMs: true,
  priority: true,
};
const retryFields: Record<keyof RetryPolicy, true> = { maxAttempts: true, backoffMs: true, maxBackoffMs: true };

const maxNameLength = 200;

/**
 * Checks what a planner returned and gives each task its id, `<planId>.<position>` counted from 1.
 *
 * Nothing of it ran yet: a plan is either entirely usable or refused.
 *
 * @throws {SoormaError} `PLAN_INVALID`; `details.path` is where, `tasks[2].dependsOn[0]`.
 */
export function checkPlan(draft: unknown, planId: string): PlannedTask[] {
  if (!isRecord(draft) || !Array.isArray(draft.tasks)) {
    const returned = draft === undefined ? "nothing" : describe(draft);
    const what = isRecord(draft) ? `an object whose "tasks" is ${describe(draft.tasks)}` : returned;
    throw invalid("tasks", `the goal handler returned ${what}`, "return { tasks: [{ name, assignedTo, … }] }");
  }
  const tasks = draft.tasks.map((task: unknown, index) => checkTask(task, `tasks[${index}]`));
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
      if (!positions.has(name)) throw unknownDependency(`tasks[${index}].dependsOn[${at}]`, name, positions.keys());
    });
  });
  const cycle = findCycle(tasks, positions);
  if (cycle) {
    throw invalid(
      `tasks[${positions.get(cycle[0] as string)}].dependsOn`,
      `leads back to its own task: ${shorten(cycle).join(" → ")}`,
      "a task can only depend on tasks that do not need its result",
    );
  }
  return tasks.map((task, index) => ({ ...task, taskId: `${planId}.${index + 1}` }));
}

function checkTask(task: unknown, path: string): TaskSpec {
  if (!isRecord(task)) throw invalid(path, `is ${describe(task)}`, "a task is { name, assignedTo, … }");
  checkFields(task, taskFields, path, "a task");
  const name = checkText(task.name, `${path}.name`);
  if (name.length > maxNameLength) {
    throw invalid(`${path}.name`, `has ${name.length} characters; the limit is ${maxNameLength}`);
  }
  checkText(task.assignedTo, `${path}.assignedTo`, "say which agent shall do it: its name, id or capability");
  if (task.dependsOn !== undefined) {
    if (!Array.isArray(task.dependsOn)) {
      throw invalid(`${path}.dependsOn`, `is ${describe(task.dependsOn)}`, "it is a list of names of tasks");
    }
    task.dependsOn.forEach((other, at) => {
      checkText(other, `${path}.dependsOn[${at}]`);
    });
  }
  if (task.retry !== undefined) checkRetry(task.retry, `${path}.retry`);
  checkNumber(task.timeoutMs, `${path}.timeoutMs`, 1);
  checkNumber(task.priority, `${path}.priority`, Number.NEGATIVE_INFINITY);
  const unpackable = findUnpackable(task.data, `${path}.data`);
  if (unpackable) throw invalid(unpackable.path, `is ${unpackable.what}, which cannot be sent`);
  // Fields given as undefined are left out, so that what is logged is what is meant.
  return Object.fromEntries(Object.entries(task).filter(([, value]) => value !== undefined)) as unknown as TaskSpec;
}

function checkRetry(retry: unknown, path: string): void {
  if (!isRecord(retry)) throw invalid(path, `is ${describe(retry)}`, "it is { maxAttempts, backoffMs, maxBackoffMs }");
  checkFields(retry, retryFields, path, "a retry policy");
  checkNumber(retry.maxAttempts, `${path}.maxAttempts`, 1);
  if (retry.maxAttempts !== undefined && !Number.isInteger(retry.maxAttempts)) {
    throw invalid(`${path}.maxAttempts`, `is ${retry.maxAttempts}, not a whole number`);
  }
  checkNumber(retry.backoffMs, `${path}.backoffMs`, 0);
  checkNumber(retry.maxBackoffMs, `${path}.maxBackoffMs`, 0);
}

function checkFields(value: object, known: Record<string, true>, path: string, what: string): void {
  for (const field of Object.keys(value)) {
    if (Object.hasOwn(known, field)) continue;
    const meant = nearest(field, Object.keys(known));
    throw invalid(
      `${path}.${field}`,
      `is no field of ${what}`,
      meant ? `did you mean "${meant}"?` : `the fields are ${Object.keys(known).join(", ")}`,
    );
  }
}

function checkText(value: unknown, path: string, hint?: string): string {
  if (typeof value !== "string") throw invalid(path, `is ${describe(value)}, not text`, hint);
  if (value.trim() === "") throw invalid(path, "is empty", hint);
  return value;
}

function checkNumber(value: unknown, path: string, least: number): void {
  if (value === undefined) return;
  if (typeof value !== "number" || !Number.isFinite(value)) throw invalid(path, `is ${describe(value)}, not a number`);
  if (value < least) throw invalid(path, `is ${value}; the least is ${least}`);
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
      const dependency = tasks[positions.get(top.name) as number]?.dependsOn?.[top.next++];
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

function unknownDependency(path: string, name: string, names: Iterable<string>): SoormaError {
  const meant = nearest(name, names);
  return invalid(
    path,
    `names "${name}", which is no task of this plan`,
    meant ? `did you mean "${meant}"?` : "a task can depend only on tasks of the same plan",
  );
}

function invalid(path: string, problem: string, hint?: string): SoormaError {
  return new SoormaError("PLAN_INVALID", path === "tasks" ? problem : `${path} ${problem}`, {
    details: { path },
    ...(hint === undefined ? {} : { hint }),
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value).slice(0, 100);
}
