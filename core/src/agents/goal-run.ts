import { fromFailure, SoormaError } from "../errors.ts";
import type { PlanEntry, PlanState, TaskState } from "../plans/log.ts";
import { isTerminal, PlanFold } from "../plans/reducer.ts";
import { timeoutSignal } from "../runtime.ts";
import type { NodeServices } from "./services.ts";

/** How far a goal is, after each change of its plan. */
export interface GoalProgress {
  readonly goalId: string;
  readonly planId: string;
  /** What changed. */
  readonly entry: PlanEntry;
  /** The task it changed, if it was one. */
  readonly task: TaskState | undefined;
  readonly doneCount: number;
  readonly taskCount: number;
  /** Of the whole plan, from 0 to 1: the mean of its tasks. */
  readonly fraction: number;
  readonly message: string | undefined;
  /** The whole plan as of this change. Made when asked for. */
  plan(): PlanState;
}

export interface ResultOptions {
  /** Milliseconds to wait from now. Default: until the goal is answered. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** A submitted goal. */
export interface GoalRun<R = unknown> {
  readonly goalId: string;
  readonly planId: string;
  /** Every change of the plan from its beginning, until it ends. */
  progress(options?: { readonly signal?: AbortSignal }): AsyncIterable<GoalProgress>;
  /**
   * The planner's answer: each task's result by name, or what `onComplete` made of them.
   *
   * @throws {SoormaError} `GOAL_FAILED` with the plan's failure, `CANCELLED`; `TIMEOUT` after `timeoutMs`, which leaves
   * the goal running.
   */
  result(options?: ResultOptions): Promise<R>;
  /** The plan as it is now. */
  plan(): Promise<PlanState>;
  /**
   * Cancels the goal: running handlers are aborted, and what completed tasks can take back is taken back. Resolves when that
   * is in the log, also while no planner is alive. Of a goal that has ended nothing changes.
   */
  cancel(reason?: string): Promise<void>;
}

export interface GoalRunOptions {
  readonly goalId: string;
  readonly planId: string;
  readonly goalType: string;
  readonly services: NodeServices;
}

/** Entries that may end a plan: whether they do is the fold's to say. */
export const planEndings: ReadonlySet<PlanEntry["type"]> = new Set<PlanEntry["type"]>([
  "plan.completed",
  "plan.failed",
  "plan.cancelled",
  "plan.undone",
]);

export function createGoalRun<R>({ goalId, planId, goalType, services }: GoalRunOptions): GoalRun<R> {
  const { tracker, node } = services;

  async function* progress({ signal }: { readonly signal?: AbortSignal } = {}): AsyncGenerator<GoalProgress> {
    const fold = new PlanFold(planId);
    let message: string | undefined;
    for await (const entry of tracker.watch(planId, signal ? { signal } : {})) {
      fold.apply(entry);
      const task = "taskId" in entry ? fold.task(entry.taskId) : undefined;
      if (task?.message !== undefined) message = task.message;
      const { taskCount, openCount } = fold;
      const doneCount = taskCount - openCount;
      let partial = 0;
      for (const id of fold.running) partial += fold.task(id)?.fraction ?? 0;
      yield {
        goalId,
        planId,
        entry,
        task,
        doneCount,
        taskCount,
        fraction: fold.status === "completed" ? 1 : taskCount === 0 ? 0 : (doneCount + partial) / taskCount,
        message,
        plan: () => fold.state(),
      };
      if (isTerminal(fold.status)) return;
    }
  }

  return {
    goalId,
    planId,
    progress,
    async result({ timeoutMs, signal } = {}) {
      using deadline =
        timeoutMs === undefined
          ? undefined
          : timeoutSignal(
              node.runtime,
              timeoutMs,
              () =>
                new SoormaError("TIMEOUT", `goal "${goalType}" was not answered within ${timeoutMs} ms`, {
                  details: { goalId, planId, timeoutMs },
                  hint: "It goes on; ask again with the same run, or look at its plan.",
                }),
            );
      const signals = [deadline?.signal, signal].filter((s) => s !== undefined);
      const either = signals.length > 0 ? AbortSignal.any(signals) : undefined;
      const { status, result, failure } = await tracker.end(planId, either ? { signal: either } : {});
      if (status === "completed") return result as R;
      if (status === "failed" && failure) throw fromFailure(failure);
      throw new SoormaError("CANCELLED", `goal "${goalType}" was cancelled: ${failure?.message ?? "no reason given"}`, {
        details: { goalId, planId },
      });
    },
    plan: () => tracker.getPlan(planId),
    async cancel(reason = "the client cancelled it") {
      await tracker.cancelPlan(planId, reason);
    },
  };
}
