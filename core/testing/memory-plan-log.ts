import { SoormaError } from "../src/errors.ts";
import type { PlanChange, PlanEntry, PlanLog } from "../src/plans/log.ts";
import { isTerminal, PlanFold } from "../src/plans/reducer.ts";
import type { Runtime } from "../src/runtime.ts";

/** A call that a {@link MemoryPlanLogOptions.fault} may fail or hold up. */
export interface PlanLogCall {
  readonly agentId: string;
  readonly planId: string;
  readonly operation: "append" | "read";
  /** `after`: it was done, and the answer is on its way. */
  readonly phase: "before" | "after";
  /** What is appended; empty for a read. */
  readonly changes: readonly PlanChange[];
  /** Counts all calls on all plans from 1. */
  readonly count: number;
}

export interface MemoryPlanLogOptions {
  readonly runtime: Runtime;
  /** Called around every append and read: throw to fail the call, return a promise to hold it up. */
  readonly fault?: (call: PlanLogCall) => void | Promise<void>;
}

export interface MemoryPlanLog {
  /** The log as this agent sees it: its entries are `by` that agent. */
  as(agentId: string): PlanLog;
  /** Everything in a plan's log; empty for an unknown plan. */
  entries(planId: string): readonly PlanEntry[];
}

interface Plan {
  readonly entries: PlanEntry[];
  readonly fold: PlanFold;
  readonly operations: Map<string, number>;
  readonly watchers: Set<() => void>;
}

/** Logs of plans that are gone with the process. Values are copied on the way in, as a wire would. */
export function memoryPlanLog({ runtime, fault }: MemoryPlanLogOptions): MemoryPlanLog {
  const plans = new Map<string, Plan>();
  let count = 0;

  const append = (agentId: string, planId: string, expected: number, changes: readonly PlanChange[], id?: string) => {
    const known = plans.get(planId);
    const repeated = id === undefined ? undefined : known?.operations.get(id);
    if (repeated !== undefined) return repeated;
    const version = known?.fold.version ?? 0;
    if (version !== expected) {
      throw new SoormaError("PLAN_CONFLICT", `plan ${planId} is at version ${version}, not ${expected}`, {
        details: { version },
      });
    }
    const copies = structuredClone(changes);
    const plan: Plan = known ?? { entries: [], fold: new PlanFold(planId), operations: new Map(), watchers: new Set() };
    for (const change of copies) {
      const entry = { ...change, version: plan.fold.version + 1, timeMs: runtime.now(), by: agentId };
      plan.fold.apply(entry);
      plan.entries.push(entry);
    }
    if (id !== undefined) plan.operations.set(id, plan.fold.version);
    plans.set(planId, plan);
    for (const wake of plan.watchers) wake();
    return plan.fold.version;
  };

  const read = (planId: string, afterVersion = 0): PlanEntry[] => {
    const plan = plans.get(planId);
    if (!plan) throw new SoormaError("PLAN_NOT_FOUND", `there is no plan ${planId}`);
    return plan.entries.slice(afterVersion);
  };

  async function* watch(planId: string, afterVersion: number, signal?: AbortSignal): AsyncGenerator<PlanEntry> {
    let version = afterVersion;
    for (;;) {
      const entries = read(planId, version);
      for (const entry of entries) {
        if (signal?.aborted) return;
        yield entry;
        version = entry.version;
      }
      const plan = plans.get(planId);
      if (!plan || signal?.aborted) return;
      if (plan.fold.version > version) continue;
      if (isTerminal(plan.fold.status)) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      plan.watchers.add(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      plan.watchers.delete(resolve);
    }
  }

  return {
    entries: (planId) => plans.get(planId)?.entries ?? [],
    as: (agentId) => {
      const guarded = async <T>(
        operation: "append" | "read",
        planId: string,
        changes: readonly PlanChange[],
        action: () => T,
      ): Promise<T> => {
        const call = { agentId, planId, operation, changes, count: ++count };
        await fault?.({ ...call, phase: "before" });
        const answer = action();
        await fault?.({ ...call, phase: "after" });
        return answer;
      };
      return {
        append: (planId, expected, changes, operationId) =>
          guarded("append", planId, changes, () => append(agentId, planId, expected, changes, operationId)),
        read: (planId, options) => guarded("read", planId, [], () => read(planId, options?.afterVersion)),
        watch: (planId, options) => watch(planId, options?.afterVersion ?? 0, options?.signal),
        list: async (query = {}) =>
          Array.from(plans.values(), (plan) => plan.fold.summary())
            .filter(
              (plan) =>
                (query.status === undefined || plan.status === query.status) &&
                (query.goalType === undefined || plan.goalType === query.goalType) &&
                (query.planner === undefined || plan.planner === query.planner) &&
                (query.sinceMs === undefined || plan.createdAtMs >= query.sinceMs),
            )
            .reverse()
            .slice(0, query.limit ?? 100),
      };
    },
  };
}
