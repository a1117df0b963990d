import { type Failure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import type { PlanOrigin, PlanState, TaskState } from "./log.ts";
import { findUnpackable } from "./packable.ts";

/** Each task's result under the task's name. */
export function resultsByName(tasks: Iterable<TaskState>): Record<string, unknown> {
  return Object.fromEntries(Array.from(tasks, (task) => [task.name, task.result]));
}

/** Of a task that never ran because `culprit` failed or was cancelled. */
export function dependencyFailure(task: TaskState, culprit: TaskState): Failure {
  const through = task.dependsOn.includes(culprit.name) ? "" : " through others";
  const ended = culprit.status === "cancelled" ? "was cancelled" : "failed";
  return {
    code: "DEPENDENCY_FAILED",
    message: `task "${task.name}" was not run: "${culprit.name}", which it depends on${through}, ${ended}`,
    retryable: false,
    details: { failedTask: culprit.name, failedTaskId: culprit.taskId },
  };
}

/** Of a plan in which everything ended, but not everything well. */
export function goalFailure(state: PlanState): Failure {
  const broken = state.tasks.filter((task) => task.status !== "completed");
  const causes = broken.filter((task) => task.failure?.code !== "DEPENDENCY_FAILED");
  const unrun = broken.length - causes.length;
  const named = causes.slice(0, 5).map(({ name, failure }) => `"${name}" (${failure?.code}: ${failure?.message})`);
  if (causes.length > named.length) named.push(`${causes.length - named.length} more`);
  return {
    code: "GOAL_FAILED",
    message: `goal "${state.origin.goalType}" failed: ${causes.length} of ${state.tasks.length} tasks failed: ${named.join(
      ", ",
    )}${unrun ? `; ${unrun} not run for it` : ""}`,
    retryable: false,
    details: { failedTasks: causes.map((task) => task.name), tasks: taskDetails(state) },
  };
}

/** Of a plan that is not done by its goal's deadline. */
export function deadlineFailure(state: PlanState): Failure {
  const { goalType, deadline = 0 } = state.origin;
  const open = state.tasks.filter((task) => task.status === "pending" || task.status === "running");
  return {
    code: "TIMEOUT",
    message: `goal "${goalType}" was not done by its deadline, ${deadline - state.createdAtMs} ms after it came: ${
      state.startedAtMs === undefined ? "no plan was made" : `${open.length} of ${state.tasks.length} tasks are open`
    }`,
    retryable: true,
    details: { deadline, openTasks: open.map((task) => task.name), tasks: taskDetails(state) },
  };
}

function taskDetails(state: PlanState): Record<string, unknown> {
  return Object.fromEntries(
    state.tasks.map(({ name, status, failure, result }) => [
      name,
      status === "completed" ? { status, result } : { status, ...(failure ? { failure } : {}) },
    ]),
  );
}

/** Of a planner's handler that threw. What is a SoormaError already says what was wrong. */
export function plannerFailure(error: unknown, origin: PlanOrigin, handler: "onGoal" | "onComplete"): Failure {
  const failure = toFailure(error);
  if (isSoormaError(error, "PLAN_INVALID")) {
    return {
      ...failure,
      message: `planner "${origin.planner}" made no usable plan for "${origin.goalType}": ${failure.message}`,
    };
  }
  const what = handler === "onGoal" ? "could not plan" : "could not finish";
  return {
    ...failure,
    message: `planner "${origin.planner}" ${what} "${origin.goalType}": its ${handler} handler failed: ${failure.message}`,
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
