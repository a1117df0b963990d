import { SoormaError } from "../src/errors.ts";
import {
  type AppendOptions,
  type Claim,
  isFreeChange,
  type Lease,
  type PlanChange,
  type PlanEntry,
  type PlanLog,
  type PlanQuery,
  type PlanSummary,
} from "../src/plans/log.ts";
import { isTerminal, PlanFold } from "../src/plans/reducer.ts";
import type { Runtime } from "../src/runtime.ts";

/** A call that a {@link MemoryPlanLogOptions.fault} may fail or hold up. */
export interface PlanLogCall {
  readonly agentId: string;
  /** Empty for calls that concern no single plan. */
  readonly planId: string;
  readonly operation: "append" | "record" | "read" | "journal" | "lease" | "release" | "claim";
  /** `after`: it was done, and the answer is on its way. */
  readonly phase: "before" | "after";
  /** What is appended or recorded; else empty. */
  readonly changes: readonly PlanChange[];
  /** Counts all calls on all plans from 1. */
  readonly count: number;
}

export interface MemoryPlanLogOptions {
  readonly runtime: Runtime;
  /** Called around every call: throw to fail it, return a promise to hold it up. */
  readonly fault?: (call: PlanLogCall) => void | Promise<void>;
}

export interface MemoryPlanLog {
  /** The log as this agent sees it: its entries are `by` that agent. */
  as(agentId: string): PlanLog;
  /** Everything in a plan's log; empty for an unknown plan. */
  entries(planId: string): readonly PlanEntry[];
}

interface Plan {
  readonly planId: string;
  readonly entries: PlanEntry[];
  readonly fold: PlanFold;
  /** Version of the latest entry that is no free change. */
  firmVersion: number;
  readonly operations: Map<string, number>;
  readonly watchers: Set<() => void>;
}

type ChangeListener = (planId: string, version: number) => void;

const defaultLeaseMs = 10_000;

/** Logs of plans that are gone with the process. Values are copied on the way in, as a wire would. */
export function memoryPlanLog({ runtime, fault }: MemoryPlanLogOptions): MemoryPlanLog {
  const plans = new Map<string, Plan>();
  /** Until when each driver counts as alive. */
  const leases = new Map<string, number>();
  const listeners = new Map<string, Set<ChangeListener>>();
  let count = 0;

  const isLeased = (driver: string): boolean => (leases.get(driver) ?? 0) > runtime.now();

  const write = (plan: Plan, agentId: string, changes: readonly PlanChange[]): void => {
    const { driver } = plan.fold;
    const wasEnding = plan.fold.ending !== undefined;
    for (const change of structuredClone(changes)) {
      const entry = { ...change, version: plan.fold.version + 1, timeMs: runtime.now(), by: agentId };
      plan.fold.apply(entry);
      plan.entries.push(entry);
    }
    const { fold, planId } = plan;
    const lastFirm = changes.findLastIndex((change) => !isFreeChange(change));
    if (lastFirm >= 0) plan.firmVersion = fold.version - (changes.length - 1 - lastFirm);
    plans.set(planId, plan);
    for (const wake of plan.watchers) wake();
    if (driver !== undefined && driver !== agentId) tell(driver, planId, fold.version);
    const ends = changes.some(({ type }) => type === "plan.failed" || type === "plan.cancelled");
    if (ends && !wasEnding && (fold.ending || isTerminal(fold.status))) cancelSubPlans(planId, agentId);
  };

  const tell = (driver: string, planId: string, version: number): void => {
    if (!isLeased(driver)) return;
    for (const listener of listeners.get(driver) ?? []) runtime.defer(() => listener(planId, version));
  };

  const cancelSubPlans = (parentPlanId: string, agentId: string): void => {
    for (const plan of plans.values()) {
      if (plan.fold.origin.parentPlanId !== parentPlanId || isTerminal(plan.fold.status) || plan.fold.ending) continue;
      // Its driver hears of it even if that is who ended the parent.
      const { driver } = plan.fold;
      write(plan, agentId, [{ type: "plan.cancelled", reason: `its parent plan ${parentPlanId} ended` }]);
      if (driver === agentId) tell(driver, plan.planId, plan.fold.version);
    }
  };

  const append = (
    agentId: string,
    planId: string,
    expectedVersion: number,
    changes: readonly PlanChange[],
    options: AppendOptions,
  ): number => {
    const known = plans.get(planId);
    const { operationId } = options;
    const repeated = operationId === undefined ? undefined : known?.operations.get(operationId);
    if (repeated !== undefined) return repeated;
    const { version = 0, epoch = 0 } = known?.fold ?? {};
    if (known && options.epoch !== undefined && options.epoch !== epoch) {
      throw new SoormaError("PLAN_FENCED", `plan ${planId} is in epoch ${epoch}, not ${options.epoch}`, {
        details: { epoch },
      });
    }
    if (expectedVersion > version || expectedVersion < (known?.firmVersion ?? 0)) {
      throw new SoormaError("PLAN_CONFLICT", `plan ${planId} is at version ${version}, not ${expectedVersion}`, {
        details: { version },
      });
    }
    const plan: Plan = known ?? {
      planId,
      entries: [],
      fold: new PlanFold(planId),
      firmVersion: 0,
      operations: new Map(),
      watchers: new Set(),
    };
    write(plan, agentId, changes);
    const parent = known ? undefined : plans.get(plan.fold.origin.parentPlanId ?? "")?.fold;
    if (parent && (parent.ending || parent.status === "failed" || parent.status === "cancelled")) {
      write(plan, agentId, [{ type: "plan.cancelled", reason: "its parent plan had ended" }]);
    }
    if (operationId !== undefined) plan.operations.set(operationId, plan.fold.version);
    return plan.fold.version;
  };

  const record = (agentId: string, planId: string, change: PlanChange, operationId?: string) => {
    const plan = planOf(planId);
    const repeated = operationId === undefined ? undefined : plan.operations.get(operationId);
    if (repeated !== undefined) return { version: repeated, accepted: true };
    // Tried on a copy, so that what is not legal leaves no trace.
    if (!PlanFold.of(planId, plan.entries).propose(change, runtime.now())) {
      return { version: plan.fold.version, accepted: false };
    }
    write(plan, agentId, [change]);
    if (operationId !== undefined) plan.operations.set(operationId, plan.fold.version);
    return { version: plan.fold.version, accepted: true };
  };

  const planOf = (planId: string): Plan => {
    const plan = plans.get(planId);
    if (!plan) throw new SoormaError("PLAN_NOT_FOUND", `there is no plan ${planId}`);
    return plan;
  };

  const claimable = (planner: string): Plan[] =>
    Array.from(plans.values()).filter(
      ({ fold }) =>
        fold.origin.planner === planner &&
        fold.driver !== undefined &&
        !isLeased(fold.driver) &&
        !(isTerminal(fold.status) && fold.answered),
    );

  const lease = (planner: string, driver: string, leaseMs: number): Lease => {
    leases.set(driver, runtime.now() + leaseMs);
    return { leaseMs, claimable: claimable(planner).length };
  };

  const claim = (planner: string, driver: string, limit: number): Claim => {
    const found = claimable(planner);
    const claimed = found.slice(0, limit).map((plan) => {
      const epoch = plan.fold.epoch + 1;
      write(plan, driver, [{ type: "plan.driven", driver, epoch }]);
      return { planId: plan.planId, epoch, version: plan.fold.version, entries: [...plan.entries] };
    });
    return { plans: claimed, more: found.length > claimed.length };
  };

  async function* watch(planId: string, afterVersion: number, signal?: AbortSignal): AsyncGenerator<PlanEntry> {
    let version = afterVersion;
    for (;;) {
      const plan = planOf(planId);
      for (const entry of plan.entries.slice(version)) {
        if (signal?.aborted) return;
        yield entry;
        version = entry.version;
      }
      if (signal?.aborted) return;
      if (plan.fold.version > version) continue;
      if (isTerminal(plan.fold.status)) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      plan.watchers.add(resolve);
      signal?.addEventListener("abort", () => resolve(), { once: true });
      await promise;
      plan.watchers.delete(resolve);
    }
  }

  const logOf = (agentId: string): PlanLog => {
    const guarded = async <T>(
      operation: PlanLogCall["operation"],
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
      append: (planId, expected, changes, options = {}) =>
        guarded("append", planId, changes, () => append(agentId, planId, expected, changes, options)),
      record: (planId, change, options) =>
        guarded("record", planId, [change], () => record(agentId, planId, change, options?.operationId)),
      read: (planId, options) =>
        guarded("read", planId, [], () => planOf(planId).entries.slice(options?.afterVersion ?? 0)),
      journal: (planId, taskId) =>
        guarded("journal", planId, [], () => planOf(planId).fold.journal(taskId) ?? { steps: [], waits: [] }),
      lease: (planner, driver, leaseMs = defaultLeaseMs) =>
        guarded("lease", "", [], () => lease(planner, driver, leaseMs)),
      release: (driver) => guarded("release", "", [], () => void leases.delete(driver)),
      claim: (planner, driver, limit) => guarded("claim", "", [], () => claim(planner, driver, limit)),
      onForeignChange(driver, listener) {
        const own = listeners.get(driver) ?? new Set();
        listeners.set(driver, own.add(listener));
        return { [Symbol.dispose]: () => void own.delete(listener) };
      },
      watch: (planId, options) => watch(planId, options?.afterVersion ?? 0, options?.signal),
      list: async (query = {}) =>
        Array.from(plans.values(), (plan) => plan.fold.summary())
          .filter((plan) => matches(plan, query))
          .reverse()
          .slice(0, query.limit ?? 100),
    };
  };

  return { entries: (planId) => plans.get(planId)?.entries ?? [], as: logOf };
}

function matches(plan: PlanSummary, query: PlanQuery): boolean {
  const { sinceMs = Number.NEGATIVE_INFINITY, untilMs = Number.POSITIVE_INFINITY } = query;
  return (
    (query.status === undefined || plan.status === query.status) &&
    (query.goalType === undefined || plan.goalType === query.goalType) &&
    (query.planner === undefined || plan.planner === query.planner) &&
    (query.parentPlanId === undefined || plan.parentPlanId === query.parentPlanId) &&
    plan.createdAtMs >= sinceMs &&
    plan.createdAtMs < untilMs
  );
}
