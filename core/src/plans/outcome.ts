import { type Failure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import type { PlanOrigin, PlanState, TaskState } from "./log.ts";
import { findUnpackable } from "./packable.ts";
import type { PlanFold } from "./reducer.ts";
import { isDependencyFailure, isTopLevel } from "./task-node.ts";

/** Each of the plan's own tasks' results under the task's name; those that failed and were dealt with have none. */
export function resultsByName(tasks: Iterable<TaskState>): Record<string, unknown> {
  const results: Record<string, unknown> = {};
  for (const task of tasks) {
    if (task.status !== "completed" || !isTopLevel(task)) continue;
    // Not assigned: a task may be called __proto__.
    Object.defineProperty(results, task.name, {
      value: task.result,
      enumerable: true,
      writable: true,
      configurable: true,
    });
  }
  return results;
}

/** Of a task that never ran because one that it depends on failed or was cancelled. */
export function dependencyFailure(fold: PlanFold, task: TaskState): Failure {
  const culprit = culpritOf(fold, task);
  const name = culprit?.name ?? "another task";
  const through = task.dependsOn.includes(name) ? "" : " through others";
  const ended = culprit?.status === "cancelled" ? "was cancelled" : "failed";
  return {
    code: "DEPENDENCY_FAILED",
    message: `task "${task.name}" was not run: "${name}", which it depends on${through}, ${ended}`,
    retryable: false,
    details: { failedTask: name, failedTaskId: culprit?.taskId ?? "" },
  };
}

function culpritOf(fold: PlanFold, task: TaskState): TaskState | undefined {
  for (const name of task.dependsOn) {
    const dependency = fold.taskNamed(name);
    if (dependency?.status !== "failed" && dependency?.status !== "cancelled") continue;
    if (!isDependencyFailure(dependency)) return dependency;
    return fold.task(String(dependency.failure?.details?.failedTaskId)) ?? dependency;
  }
  return undefined;
}

/** Of a plan in which everything ended, but not everything well. */
export function goalFailure(state: PlanState): Failure {
  const own = state.tasks.filter(isTopLevel);
  const broken = own.filter((task) => task.status !== "completed" && task.handled !== true);
  const causes = broken.filter((task) => !isDependencyFailure(task));
  const unrun = broken.length - causes.length;
  const named = causes.slice(0, 5).map(({ name, failure }) => `"${name}" (${failure?.code}: ${failure?.message})`);
  if (causes.length > named.length) named.push(`${causes.length - named.length} more`);
  return {
    code: "GOAL_FAILED",
    message: `goal "${state.origin.goalType}" failed: ${causes.length} of ${own.length} tasks failed: ${named.join(
      ", ",
    )}${unrun ? `; ${unrun} not run for it` : ""}`,
    retryable: false,
    details: { failedTasks: causes.map((task) => task.name), tasks: taskDetails(own) },
  };
}

/** Of a plan that is not done by its goal's deadline. */
export function deadlineFailure(state: PlanState): Failure {
  const { goalType, deadline = 0 } = state.origin;
  return {
    code: "TIMEOUT",
    message: `goal "${goalType}" was not done by its deadline, ${deadline - state.createdAtMs} ms after it came: ${progressOf(state)}`,
    retryable: true,
    details: { deadline, openTasks: openNames(state), tasks: taskDetails(state.tasks.filter(isTopLevel)) },
  };
}

/** Of a plan that took longer than its budget allows. */
export function overtimeFailure(state: PlanState): Failure {
  const { maxDurationMs = 0 } = state.budget ?? {};
  return {
    code: "BUDGET_EXCEEDED",
    message: `plan ${state.planId} may take ${maxDurationMs} ms, which are over: ${progressOf(state)}`,
    retryable: false,
    hint: "Raise the plan's budget.maxDurationMs, or find out what takes so long.",
    details: { maxDurationMs, openTasks: openNames(state) },
  };
}

function progressOf(state: PlanState): string {
  if (state.startedAtMs === undefined) return "no plan was made";
  return `${openNames(state).length} of ${state.tasks.length} tasks are open`;
}

function openNames(state: PlanState): string[] {
  const open: ReadonlySet<string> = new Set(["pending", "running", "paused"]);
  return state.tasks.filter((task) => open.has(task.status)).map((task) => task.name);
}

function taskDetails(tasks: readonly TaskState[]): Record<string, unknown> {
  return Object.fromEntries(
    tasks.map(({ name, status, failure, result }) => [
      name,
      status === "completed" ? { status, result } : { status, ...(failure ? { failure } : {}) },
    ]),
  );
}

/** Of a wait for a person or an event that took longer than the task's `timeoutMs`. */
export function waitFailure({ name, wait, timeoutMs }: TaskState): Failure {
  const what = wait?.kind === "input" ? "an answer" : `an event "${wait?.kind === "event" ? wait.pattern : ""}"`;
  return {
    code: "TIMEOUT",
    message: `task "${name}" waited ${timeoutMs} ms for ${what}, and none came`,
    retryable: false,
    details: { task: name, timeoutMs },
  };
}

/** Of a planner's handler that threw. What is a SoormaError already says what was wrong. */
export function plannerFailure(
  error: unknown,
  origin: PlanOrigin,
  handler: "onGoal" | "onTransition" | "onComplete",
): Failure {
  const failure = toFailure(error);
  if (isSoormaError(error, "BUDGET_EXCEEDED")) return failure;
  if (isSoormaError(error, "PLAN_INVALID")) {
    return {
      ...failure,
      message: `planner "${origin.planner}" made no usable plan for "${origin.goalType}": ${failure.message}`,
    };
  }
  const what = { onGoal: "could not plan", onTransition: "could not go on with", onComplete: "could not finish" };
  return {
    ...failure,
    message: `planner "${origin.planner}" ${what[handler]} "${origin.goalType}": its ${handler} handler failed: ${failure.message}`,
  };
}

/** The answer as it is, if it can be sent. @throws {SoormaError} `PAYLOAD_INVALID` with the path. */
export function checkAnswer(answer: unknown): unknown {
  const unpackable = findUnpackable(answer, "result");
  if (!unpackable) return answer;
  throw new SoormaError("PAYLOAD_INVALID", `${unpackable.path} is ${unpackable.what}, which cannot be sent`, {
    details: { path: unpackable.path },
  });
}

/** Of a plan whose log refuses what has to be appended, most often because of its size. */
export function unloggable(planId: string, error: unknown): Failure {
  const failure = toFailure(error, "STORE_FAILED");
  return {
    ...failure,
    message: `plan ${planId} cannot go on, its log refused a change: ${failure.message}`,
    retryable: false,
    ...(failure.code === "MESSAGE_TOO_LARGE"
      ? { hint: "keep large results in memory and return their keys, or shape a smaller answer with onComplete" }
      : {}),
  };
}
