import type { PlanEntry, PlanLog } from "../plans/log.ts";
import type { PlanQueries } from "./contract.ts";
import type { DeadLetterCursor } from "./dead-letters.ts";
import { defaultLimit, type PlanCursor, type QueryPage, type TaskCursor } from "./plan-queries.ts";
import type { TrackerStore } from "./tracker-store.ts";

/** One tenant's log, in the process that keeps it. */
export function localLog(tracker: TrackerStore, tenant: string, by: string): PlanLog {
  const readAll = (planId: string, afterVersion: number): PlanEntry[] => {
    const entries: PlanEntry[] = [];
    for (let after = afterVersion; ; ) {
      const page = tracker.read(tenant, planId, after);
      entries.push(...page.items);
      after = page.items.at(-1)?.version ?? page.version;
      if (after >= page.version) return entries;
    }
  };
  return {
    append: (planId, expectedVersion, changes, options) =>
      tracker.append(tenant, planId, expectedVersion, changes, { ...options, by }),
    record: (planId, change, options) => tracker.record(tenant, planId, change, { ...options, by }),
    journal: (planId, taskId) => tracker.journal(tenant, planId, taskId),
    async lease(planner, driver, leaseMs) {
      const options = leaseMs === undefined ? {} : { leaseMs };
      const { session: _session, ...lease } = await tracker.lease(tenant, planner, driver, options);
      return lease;
    },
    release: (driver) => tracker.release(tenant, driver),
    claim: (planner, driver, limit) => tracker.claim(tenant, planner, driver, { limit }),
    onForeignChange: (driver, listener) =>
      tracker.onDriverNote((noted, note) => {
        if (noted !== tenant || note.driver !== driver) return;
        for (const [planId, version] of note.plans) listener(planId, version);
      }),
    read: async (planId, { afterVersion = 0 } = {}) => readAll(planId, afterVersion),
    list: (query = {}) =>
      allPages(query.limit, async (limit, after?: PlanCursor) => tracker.list(tenant, { ...query, limit }, after)),
    async *watch(planId, { afterVersion = 0, signal } = {}) {
      let wake = (): void => {};
      using _listener = tracker.onAppend((appended) => {
        if (appended.tenant === tenant && appended.planId === planId) wake();
      });
      const onAbort = (): void => wake();
      signal?.addEventListener("abort", onAbort, { once: true });
      let seen = afterVersion;
      try {
        while (!signal?.aborted) {
          const appended = new Promise<void>((resolve) => {
            wake = resolve;
          });
          const page = tracker.read(tenant, planId, seen);
          for (const entry of page.items) {
            seen = entry.version;
            yield entry;
            if (signal?.aborted) return;
          }
          if (seen < page.version) continue;
          if (page.ended) return;
          await appended;
        }
      } finally {
        signal?.removeEventListener("abort", onAbort);
      }
    },
  };
}

/** The same for what can be asked of all plans. */
export function localQueries(tracker: TrackerStore, tenant: string): PlanQueries {
  return {
    listTasks: (query = {}) =>
      allPages(query.limit, (limit, after?: TaskCursor) => tracker.tasks(tenant, { ...query, limit }, after)),
    metrics: async ({ agentName } = {}) => tracker.metrics(tenant, agentName),
    deadLetters: (query = {}) =>
      allPages(query.limit, async (limit, after?: DeadLetterCursor) =>
        tracker.deadLetters(tenant, { ...query, limit }, after),
      ),
  };
}

/** Asks page by page until there are `limit` (default 100) or no more. */
export async function allPages<T, Cursor>(
  limit: number | undefined,
  ask: (limit: number, after: Cursor | undefined) => Promise<QueryPage<T, Cursor>>,
): Promise<T[]> {
  const items: T[] = [];
  const wanted = limit ?? defaultLimit;
  for (let after: Cursor | undefined; ; ) {
    const page = await ask(wanted - items.length, after);
    items.push(...page.items);
    after = page.next;
    if (after === undefined || items.length >= wanted) return items;
  }
}
