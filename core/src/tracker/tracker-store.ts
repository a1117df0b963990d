import { isSoormaError, SoormaError } from "../errors.ts";
import { pageBytes } from "../memory/protocol.ts";
import type { PlanChange, PlanEntry, PlanLog, PlanQuery, PlanSummary } from "../plans/log.ts";
import { isTerminal, PlanFold } from "../plans/reducer.ts";
import { roughBytes } from "../rough-size.ts";
import type { Runtime } from "../runtime.ts";
import type { Store, StoreTransaction } from "../store/store.ts";
import type { EntriesPage } from "./protocol.ts";

export interface TrackerStoreOptions {
  readonly store: Store;
  readonly runtime: Runtime;
}

/** What was appended to a plan, once it is on disk. */
export interface Appended extends EntriesPage {
  readonly tenant: string;
  readonly planId: string;
}

interface AppendOptions {
  /** Makes a repeated append be done once. */
  readonly operationId?: string;
  /** Who appends: agent or node id. */
  readonly by: string;
}

/** The plan logs of all tenants, next to their store. */
export interface TrackerStore {
  /**
   * Appends if the plan is at `expectedVersion`; costs the same however long the log is.
   *
   * @throws {SoormaError} `PLAN_CONFLICT` with `details.version`, `PLAN_INVALID` for a log that begins wrong.
   */
  append(
    tenant: string,
    planId: string,
    expectedVersion: number,
    changes: readonly PlanChange[],
    options: AppendOptions,
  ): Promise<number>;
  /** The entries after a version, as many as fit one answer. @throws {SoormaError} `PLAN_NOT_FOUND` */
  read(tenant: string, planId: string, afterVersion: number): EntriesPage;
  list(tenant: string, query: PlanQuery): PlanSummary[];
  /** Called with what was appended, in the order of each plan's versions. */
  onAppend(listener: (appended: Appended) => void): Disposable;
  /** One tenant's log. `by` is who appends. */
  of(tenant: string, by: string): PlanLog;
}

/** Under ["plans", tenant, plan]: the summary, and the latest appends' operation ids, each followed by its version. */
interface Head {
  readonly summary: PlanSummary;
  readonly operations: readonly (string | number)[];
}

const rememberedOperations = 16;
const rememberedFolds = 1_000;
const defaultLimit = 100;

export function createTrackerStore({ store, runtime }: TrackerStoreOptions): TrackerStore {
  const listeners = new Set<(appended: Appended) => void>();
  /** Plans lately appended to, so that an append need not read the log. Oldest first. */
  const folds = new Map<string, PlanFold>();

  const foldOf = (tx: StoreTransaction, tenant: string, planId: string, version: number): PlanFold => {
    const id = JSON.stringify([tenant, planId]);
    let fold = folds.get(id);
    if (!fold || fold.version !== version) {
      fold = new PlanFold(planId);
      for (const { value } of tx.range<PlanEntry>({ prefix: ["plan", tenant, planId] })) fold.apply(value);
    }
    folds.delete(id);
    folds.set(id, fold);
    const oldest = folds.keys().next().value;
    if (folds.size > rememberedFolds && oldest !== undefined) folds.delete(oldest);
    return fold;
  };

  const appendTo = (
    tx: StoreTransaction,
    tenant: string,
    planId: string,
    expectedVersion: number,
    changes: readonly PlanChange[],
    { operationId, by }: AppendOptions,
  ): { version: number; appended: Appended | undefined } => {
    const head = tx.get<Head>(["plans", tenant, planId]);
    const at = operationId === undefined ? -1 : (head?.operations.indexOf(operationId) ?? -1);
    if (at >= 0) return { version: Number(head?.operations[at + 1]), appended: undefined };
    const actual = head?.summary.version ?? 0;
    if (actual !== expectedVersion) throw conflict(planId, expectedVersion, actual);
    if (changes.length === 0) return { version: actual, appended: undefined };
    if (actual === 0 && changes[0]?.type !== "plan.created") {
      throw new SoormaError(
        "PLAN_INVALID",
        `the log of plan ${planId} cannot begin with ${changes[0]?.type}, only with plan.created`,
      );
    }
    // A wall clock may jump back; within a log time does not.
    const timeMs = Math.max(runtime.now(), head?.summary.updatedAtMs ?? 0);
    const items = changes.map((change, i): PlanEntry => ({ ...change, version: actual + i + 1, timeMs, by }));
    const fold = foldOf(tx, tenant, planId, actual);
    for (const entry of items) {
      fold.apply(entry);
      tx.put(["plan", tenant, planId, entry.version], entry);
    }
    const summary = fold.summary();
    const operations = [
      ...(head?.operations ?? []),
      ...(operationId === undefined ? [] : [operationId, summary.version]),
    ];
    tx.put(["plans", tenant, planId], {
      summary,
      operations: operations.slice(-2 * rememberedOperations),
    } satisfies Head);
    const before = head?.summary;
    const { createdAtMs, status, version } = summary;
    if (!before) tx.put(["plant", tenant, createdAtMs, planId], 0);
    if (before?.status !== status) {
      if (before) tx.delete(["planst", tenant, before.status, createdAtMs, planId]);
      tx.put(["planst", tenant, status, createdAtMs, planId], 0);
    }
    return { version, appended: { tenant, planId, items, version, ended: isTerminal(status) } };
  };

  const self: TrackerStore = {
    async append(tenant, planId, expectedVersion, changes, options) {
      checkPlanId(planId);
      let done: { version: number; appended: Appended | undefined };
      try {
        done = await store.transact((tx) => appendTo(tx, tenant, planId, expectedVersion, changes, options));
      } catch (error) {
        // The remembered fold may have taken in what was then not written; a conflict is found before that.
        if (!isSoormaError(error, "PLAN_CONFLICT")) folds.delete(JSON.stringify([tenant, planId]));
        throw error;
      }
      if (done.appended) for (const listener of listeners) listener(done.appended);
      return done.version;
    },

    read(tenant, planId, afterVersion) {
      const head = store.get<Head>(["plans", tenant, planId]);
      if (!head) throw new SoormaError("PLAN_NOT_FOUND", `there is no plan ${planId}`, { details: { planId } });
      const items: PlanEntry[] = [];
      let bytes = 0;
      for (const { value } of store.range<PlanEntry>({ prefix: ["plan", tenant, planId], from: [afterVersion + 1] })) {
        bytes += roughBytes(value);
        if (items.length > 0 && bytes > pageBytes) break;
        items.push(value);
      }
      const { version, status } = head.summary;
      return { items, version, ended: isTerminal(status) };
    },

    list(tenant, { status, goalType, planner, sinceMs, limit = defaultLimit }) {
      const found: PlanSummary[] = [];
      if (limit <= 0) return found;
      const prefix = status === undefined ? ["plant", tenant] : ["planst", tenant, status];
      for (const { key } of store.range({
        prefix,
        reverse: true,
        ...(sinceMs === undefined ? {} : { to: [sinceMs] }),
      })) {
        const summary = store.get<Head>(["plans", tenant, String(key.at(-1))])?.summary;
        if (!summary) continue;
        if (goalType !== undefined && summary.goalType !== goalType) continue;
        if (planner !== undefined && summary.planner !== planner) continue;
        found.push(summary);
        if (found.length >= limit) break;
      }
      return found;
    },

    onAppend(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },

    of: (tenant, by) => logOf(self, tenant, by),
  };
  return self;
}

function logOf(tracker: TrackerStore, tenant: string, by: string): PlanLog {
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
    append: (planId, expectedVersion, changes, operationId) =>
      tracker.append(tenant, planId, expectedVersion, changes, {
        by,
        ...(operationId === undefined ? {} : { operationId }),
      }),
    read: async (planId, { afterVersion = 0 } = {}) => readAll(planId, afterVersion),
    list: async (query = {}) => tracker.list(tenant, query),
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

function checkPlanId(planId: string): void {
  if (typeof planId === "string" && planId.length > 0 && planId.length <= 128 && planId.isWellFormed()) return;
  throw new SoormaError(
    "KEY_INVALID",
    `a plan id is 1 to 128 characters of text, not ${JSON.stringify(planId)?.slice(0, 80)}`,
  );
}

function conflict(planId: string, expected: number, actual: number): SoormaError {
  return new SoormaError(
    "PLAN_CONFLICT",
    `plan ${planId} was to be changed at version ${expected}, but ${actual === 0 ? "there is no such plan" : `it is at version ${actual}`}`,
    { hint: "Read what was appended meanwhile and decide anew.", details: { planId, expected, version: actual } },
  );
}
