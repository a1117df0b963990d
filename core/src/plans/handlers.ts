import type { PlanDraft } from "./graph.ts";
import type { PlanOrigin, PlanState } from "./log.ts";

/** What a planner contributes to one plan. Each may run again after a crash. */
export interface PlanHandlers {
  /** Breaks the goal down. The signal aborts when the plan ended meanwhile or the engine stopped. */
  makeTasks(
    origin: PlanOrigin,
    options: { readonly planId: string; readonly signal: AbortSignal },
  ): PlanDraft | Promise<PlanDraft>;
  /** Shapes the goal's answer out of each task's result by name. Without it they are the answer as they are. */
  onComplete?(results: Record<string, unknown>, state: PlanState): unknown;
  /** Called when the plan's end is in the log, to answer the goal. Not called when another engine ended it. */
  onEnd?(state: PlanState): void | Promise<void>;
}
