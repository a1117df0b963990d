import { Deadlines, type Expiring } from "../mesh/deadlines.ts";
import { isTerminal, PlanFold } from "../plans/reducer.ts";
import type { Runtime } from "../runtime.ts";
import type { EndAnswer, PlanEnd } from "./protocol.ts";
import type { Appended, TrackerStore } from "./tracker-store.ts";

/** Milliseconds after which whoever waits is told to ask again: the answer to a call that lasts is lost with its connection. */
const holdMs = 8_000;

export interface PlanEnds extends Disposable {
  /** The plan's end, or that it is not there yet. @throws {SoormaError} `PLAN_NOT_FOUND` */
  wait(tenant: string, planId: string): EndAnswer | Promise<EndAnswer>;
}

/** Tells those who wait for nothing but the end of a plan: one answer, whatever happens to the plan until then. */
export function createPlanEnds(tracker: TrackerStore, runtime: Runtime): PlanEnds {
  const waiting = new Map<string, Set<(answer: EndAnswer) => void>>();
  const deadlines = new Deadlines(runtime);

  const readEnd = (tenant: string, planId: string): PlanEnd => {
    const fold = new PlanFold(planId);
    for (let after = 0; ; ) {
      const page = tracker.read(tenant, planId, after);
      for (const entry of page.items) fold.apply(entry);
      after = page.items.at(-1)?.version ?? page.version;
      if (after >= page.version) break;
    }
    const { status, result, failure } = fold.state();
    return { status, ...(failure ? { failure } : { result: result ?? null }) };
  };

  const endOf = ({ tenant, planId, changes }: Appended): PlanEnd => {
    const completed = changes.find(({ type }) => type === "plan.completed");
    return completed?.type === "plan.completed"
      ? { status: "completed", result: completed.result }
      : readEnd(tenant, planId);
  };

  const appends = tracker.onAppend((appended) => {
    if (!isTerminal(appended.head.summary.status)) return;
    const key = keyOf(appended.tenant, appended.planId);
    const waiters = waiting.get(key);
    if (!waiters) return;
    waiting.delete(key);
    const end = endOf(appended);
    for (const tell of waiters) tell(end);
  });

  return {
    wait(tenant, planId) {
      // In one turn with what follows, so that no end slips in between.
      if (!tracker.isOpen(tenant, planId) && tracker.read(tenant, planId, Number.MAX_SAFE_INTEGER).ended) {
        return readEnd(tenant, planId);
      }
      const key = keyOf(tenant, planId);
      const waiters = waiting.get(key) ?? new Set();
      waiting.set(key, waiters);
      return new Promise((resolve) => {
        const waiter: Expiring = {
          settled: false,
          expire() {
            waiter.settled = true;
            waiters.delete(tell);
            if (waiters.size === 0 && waiting.get(key) === waiters) waiting.delete(key);
            resolve({ pending: true });
          },
        };
        const tell = (answer: EndAnswer): void => {
          waiter.settled = true;
          resolve(answer);
        };
        waiters.add(tell);
        deadlines.add(waiter, holdMs);
      });
    },
    [Symbol.dispose]() {
      appends[Symbol.dispose]();
      deadlines.clear();
      waiting.clear();
    },
  };
}

function keyOf(tenant: string, planId: string): string {
  return `${tenant.length}:${tenant}${planId}`;
}
