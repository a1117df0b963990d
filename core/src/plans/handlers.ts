import type { Failure } from "../errors.ts";
import type { PlanDraft } from "./graph.ts";
import type { PlanOrigin, PlanState, TaskSpec, TaskState } from "./log.ts";

/** What a planner contributes to one plan. Each may run again after a crash. */
export interface PlanHandlers {
  /** Breaks the goal down. The signal aborts when the plan ended meanwhile or the engine stopped. */
  makeTasks(
    origin: PlanOrigin,
    options: { readonly planId: string; readonly signal: AbortSignal },
  ): PlanDraft | Promise<PlanDraft>;
  /**
   * Of a plan that grows: what follows from a task's end. Called once for each of its own tasks that completed or failed,
   * one at a time; never for those that were cancelled or failed only for another one.
   */
  onTransition?(task: TaskState, plan: PlanState): TransitionDraft | undefined | Promise<TransitionDraft | undefined>;
  /**
   * Shapes the goal's answer out of each task's result by name, when all of them are in the log. Without it they are the
   * answer as they are, and the plan's end is in the same append as the last result.
   */
  onComplete?(results: Record<string, unknown>, state: PlanState): unknown;
  /** Without `onComplete`: throws if the results cannot be the answer. Has to be quick, and to do nothing else. */
  checkAnswer?(results: Record<string, unknown>): void;
  /** Called when the plan's end is in the log, to publish the answer; `plan.answered` is recorded when it returned. */
  onEnd?(state: PlanState): void | Promise<void>;
}

/** What a planner makes of a task's end. Nothing of it: the plan goes on with what it has. */
export interface TransitionDraft {
  /** To be added to the plan. They may depend on all that it has. */
  readonly tasks?: readonly TaskSpec[];
  /** Of a state machine: the state it is in now. */
  readonly to?: string;
  /** The task failed, and that is dealt with: it does not make the plan fail. */
  readonly handled?: boolean;
  /** Nothing further begins until somebody lets the plan go on. The text says why. */
  readonly pause?: string;
  /** The goal's answer. What is open is cancelled. */
  readonly complete?: { readonly result: unknown };
  /** The goal fails with this. */
  readonly fail?: Failure;
}
