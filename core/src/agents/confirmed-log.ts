import type { PlanLog } from "../plans/log.ts";
import type { Runtime } from "../runtime.ts";

/** Plans that are remembered, those with the latest changes: what follows a change follows it soon. */
const rememberedPlans = 4_096;

/**
 * The log as a planner uses it. Remembers when it last took a change of a plan from this planner, which then certainly drove
 * that plan. It says nothing of the planner's other plans, nor does a lease: while this process was stopped another instance
 * may have taken them over, and both are granted to it again afterwards.
 */
export class ConfirmedLog {
  readonly log: PlanLog;
  readonly #runtime: Runtime;
  readonly #confirmedAt = new Map<string, number>();

  constructor(log: PlanLog, runtime: Runtime) {
    this.#runtime = runtime;
    this.log = {
      ...log,
      append: async (planId, ...params) => {
        // The answer may have been long on its way, and says nothing of the time since it was given.
        const askedAt = this.#runtime.monotonic();
        const version = await log.append(planId, ...params);
        this.#confirm(planId, askedAt);
        return version;
      },
    };
  }

  /** Milliseconds for which somebody else may have driven the plan, at the most. */
  unconfirmedMs(planId: string): number {
    return this.#runtime.monotonic() - (this.#confirmedAt.get(planId) ?? Number.NEGATIVE_INFINITY);
  }

  #confirm(planId: string, askedAt: number): void {
    const known = this.#confirmedAt.get(planId) ?? Number.NEGATIVE_INFINITY;
    this.#confirmedAt.delete(planId);
    this.#confirmedAt.set(planId, Math.max(known, askedAt));
    const oldest = this.#confirmedAt.keys().next().value;
    if (this.#confirmedAt.size > rememberedPlans && oldest !== undefined) this.#confirmedAt.delete(oldest);
  }
}
