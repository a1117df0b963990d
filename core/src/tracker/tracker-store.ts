import { SoormaError } from "../errors.ts";
import { pageBytes } from "../memory/protocol.ts";
import {
  type AppendOptions,
  type Claim,
  type ClaimedPlan,
  freeChanges,
  type Lease,
  type PlanChange,
  type PlanEntry,
  type PlanLog,
  type PlanQuery,
  type PlanSummary,
  type TaskJournal,
} from "../plans/log.ts";
import { isTerminal } from "../plans/reducer.ts";
import type { Address } from "../plugin/transport.ts";
import { type Runtime, randomId } from "../runtime.ts";
import type { Store } from "../store/store.ts";
import { AgentCounts, type AgentMetrics, readMetrics } from "./agent-metrics.ts";
import { checkAppend } from "./append-rules.ts";
import { type DeadLetter, type DeadLetterCursor, type DeadLetterQuery, readDeadLetters } from "./dead-letters.ts";
import { type DriverNote, DriverNotes, type Heard } from "./driver-notes.ts";
import { FoldCache, type PlanMemo } from "./fold-cache.ts";
import { type Holder, Leases } from "./leases.ts";
import { localLog } from "./local-log.ts";
import { OpenPlans } from "./open-plans.ts";
import {
  type PlanCursor,
  type QueryPage,
  readPlans,
  readTasks,
  type TaskCursor,
  type TaskQuery,
  type TaskSummary,
} from "./plan-queries.ts";
import { entriesOf, readEntries, readHead } from "./plan-records.ts";
import { type Appended, type EventWait, PlanTransaction, planNotFound, type StoredWait } from "./plan-transaction.ts";
import type { EntriesPage } from "./protocol.ts";

export type { Appended, EventWait } from "./plan-transaction.ts";

export interface TrackerStoreOptions {
  readonly store: Store;
  readonly runtime: Runtime;
  /** Keeps a connection to the holder of a lease. Default: nobody is told when a holder is gone. */
  readonly link?: (home: Address) => Disposable;
  /** Bytes of logs whose folds are kept in memory, about. Default 256 MiB. */
  readonly foldBytes?: number;
}

interface Author {
  /** Who appends: agent or node id. */
  readonly by: string;
}

interface Recorded {
  readonly version: number;
  readonly accepted: boolean;
}

/** Milliseconds that a driver counts as alive without renewing its lease. */
const defaultLeaseMs = 10_000;

/** The plan logs of all tenants, next to their store. What {@link PlanLog} says of the methods holds here, too. */
export interface TrackerStore extends Disposable {
  /** @throws {SoormaError} `PLAN_CONFLICT` with `details.version`, `PLAN_FENCED`, `PLAN_INVALID` for a log that begins wrong. */
  append(
    tenant: string,
    planId: string,
    expectedVersion: number,
    changes: readonly PlanChange[],
    options: AppendOptions & Author,
  ): Promise<number>;
  /** @throws {SoormaError} `PLAN_NOT_FOUND`, `PLAN_INVALID` for a change that only a driver makes. */
  record(
    tenant: string,
    planId: string,
    change: PlanChange,
    options: { readonly operationId?: string } & Author,
  ): Promise<Recorded>;
  journal(tenant: string, planId: string, taskId: string): Promise<TaskJournal>;
  /** `heard`: of the notes about what others changed. Whatever was not heard is sent (again). */
  lease(
    tenant: string,
    planner: string,
    driver: string,
    options?: { readonly leaseMs?: number; readonly holder?: Holder; readonly heard?: Heard },
  ): Promise<Lease & { readonly session: string }>;
  release(tenant: string, driver: string, nodeId?: string): Promise<void>;
  /** A claim of the same driver with the same operation id answers what the first one did. */
  claim(
    tenant: string,
    planner: string,
    driver: string,
    options: { readonly limit: number; readonly operationId?: string },
  ): Promise<Claim>;
  /** The entries after a version, as many as fit one answer. @throws {SoormaError} `PLAN_NOT_FOUND` */
  read(tenant: string, planId: string, afterVersion: number): EntriesPage;
  /** True for a plan that goes on, as far as that is known without reading. */
  isOpen(tenant: string, planId: string): boolean;
  list(tenant: string, query: PlanQuery, after?: PlanCursor): QueryPage<PlanSummary, PlanCursor>;
  tasks(tenant: string, query: TaskQuery, after?: TaskCursor): Promise<QueryPage<TaskSummary, TaskCursor>>;
  metrics(tenant: string, agentName?: string): AgentMetrics[];
  deadLetters(
    tenant: string,
    query: DeadLetterQuery,
    after?: DeadLetterCursor,
  ): QueryPage<DeadLetter, DeadLetterCursor>;
  /** All open waits for events. */
  eventWaits(): EventWait[];
  /** A node is gone: the leases held there end. */
  peerDown(home: Address): void;
  /** Called with what was appended, in the order of each plan's versions. */
  onAppend(listener: (appended: Appended) => void): Disposable;
  /** Called with what a driver is to be told, and where it was last heard of. */
  onDriverNote(listener: (tenant: string, note: DriverNote, address: Address | undefined) => void): Disposable;
  /** One tenant's log. `by` is who appends. */
  of(tenant: string, by: string): PlanLog;
}

/** What is not a driver's decision: free changes, and what a person orders. */
const recordable: ReadonlySet<PlanChange["type"]> = new Set<PlanChange["type"]>([
  ...freeChanges,
  "plan.paused",
  "plan.resumed",
  "plan.cancelled",
  "task.revived",
  "task.cancelled",
]);

/** A longer log is not sent along with a claim. */
const maxClaimedLogBytes = 1024 * 1024;

/** Under ["planq", tenant, driver]: what it last claimed, so that a claim whose answer was lost can be answered again. */
interface LastClaim {
  readonly o: string;
  readonly p: readonly string[];
  readonly m: boolean;
}

export function createTrackerStore(options: TrackerStoreOptions): TrackerStore {
  const { store, runtime, link = () => ({ [Symbol.dispose]() {} }) } = options;
  const listeners = new Set<(appended: Appended) => void>();
  const noteListeners = new Set<(tenant: string, note: DriverNote, address: Address | undefined) => void>();
  const folds = new FoldCache(options.foldBytes);
  const counts = new AgentCounts();
  const open = new OpenPlans();
  open.load(store);
  const leases = new Leases({ runtime, link, known: open.drivers() });
  const session = randomId(runtime);
  const notes = new DriverNotes({
    runtime,
    session,
    send(tenant, note) {
      const address = leases.addressOf(tenant, note.driver);
      for (const listener of noteListeners) listener(tenant, note, address);
    },
  });

  /** Runs `body` in a transaction of the store and tells of what it appended once that is on disk. */
  const change = async <T>(body: (plans: PlanTransaction) => T): Promise<T> => {
    let plans: PlanTransaction | undefined;
    let result: T;
    try {
      result = await store.transact((tx) => {
        plans = new PlanTransaction(tx, folds, runtime.now());
        try {
          const made = body(plans);
          plans.count(counts);
          return made;
        } catch (error) {
          // At once: the store tells only when its disk is done, and meanwhile others change these plans.
          plans.abandon();
          throw error;
        }
      });
    } catch (error) {
      plans?.abandon();
      throw error;
    }
    for (const appended of plans?.appended ?? []) {
      if (appended.isMoved) open.update(appended.tenant, appended.head);
      if (appended.tell !== undefined)
        notes.add(appended.tenant, appended.tell, appended.planId, appended.head.summary.version);
      for (const listener of listeners) listener(appended);
    }
    return result;
  };

  const claimOne = (
    plans: PlanTransaction,
    tenant: string,
    planId: string,
    driver: string,
    isAway: (driver: string) => boolean,
  ): ClaimedPlan | undefined => {
    let log: readonly PlanEntry[] | undefined;
    const memo = plans.plan(tenant, planId, (entries) => {
      log = entries;
    });
    const { summary: { driver: previous = "", epoch } = { epoch: 0 } } = memo?.head ?? {};
    if (!memo || !isAway(previous)) return undefined;
    const changes: PlanChange[] = [{ type: "plan.driven", driver, epoch: epoch + 1 }];
    // Not legal if it has ended and is answered.
    if (!plans.write(memo, changes, { by: driver, onlyLegal: true })) return undefined;
    // It is away: nobody will ask again for what it claimed last.
    plans.tx.delete(["planq", tenant, previous]);
    return claimed(plans, memo, log);
  };

  const self: TrackerStore = {
    async append(tenant, planId, expectedVersion, changes, { by, operationId, epoch }) {
      checkPlanId(planId);
      return change((plans) => {
        const known = plans.plan(tenant, planId);
        const done = known?.operations.get(operationId);
        if (done !== undefined) return done;
        const head = known?.head && {
          version: known.head.summary.version,
          solidVersion: known.head.solidVersion,
          epoch: known.head.summary.epoch,
        };
        checkAppend(planId, head, expectedVersion, changes, epoch === undefined ? {} : { epoch });
        if (changes.length === 0) return head?.version ?? 0;
        const memo = known ?? plans.newPlan(tenant, planId);
        plans.write(memo, changes, { by, operationId });
        // Beyond what was appended when something else followed from it at once.
        return memo.fold.version;
      });
    },

    async record(tenant, planId, change_, { by, operationId }) {
      checkPlanId(planId);
      if (!recordable.has(change_.type)) {
        throw new SoormaError(
          "PLAN_INVALID",
          `${change_.type} of plan ${planId} cannot be recorded: its driver decides that`,
          {
            hint: "Append it, with the version and the epoch of whoever drives the plan.",
          },
        );
      }
      return change((plans): Recorded => {
        const memo = plans.plan(tenant, planId);
        if (!memo) throw planNotFound(planId);
        const done = memo.operations.get(operationId);
        if (done !== undefined) return { version: done, accepted: true };
        const accepted = plans.write(memo, [change_], { by, operationId, onlyLegal: true });
        return { version: memo.fold.version, accepted };
      });
    },

    async journal(tenant, planId, taskId) {
      return store.transact((tx) => {
        const memo = folds.get(tx, tenant, planId);
        if (!memo) throw planNotFound(planId);
        return memo.fold.journal(taskId) ?? { steps: [], waits: [] };
      });
    },

    async lease(tenant, planner, driver, { leaseMs = defaultLeaseMs, holder, heard } = {}) {
      const isNew = leases.renew(tenant, planner, driver, leaseMs, holder);
      if (isNew && (heard?.session !== session || !notes.knows(tenant, driver))) {
        // What was noted before the start, before it was here, or so long ago that it was forgotten, may not have reached it.
        for (const { planId } of open.of(tenant, planner, driver)) {
          const version = readHead(store, tenant, planId)?.foreignVersion ?? 0;
          if (version > 0) notes.add(tenant, driver, planId, version);
        }
      }
      notes.heard(tenant, driver, heard);
      const claimable = open.count(
        tenant,
        planner,
        (other) => other !== driver && !leases.isLive(tenant, planner, other),
      );
      return { leaseMs, claimable, session };
    },

    async release(tenant, driver, nodeId) {
      if (!leases.release(tenant, driver, nodeId)) return;
      notes.forget(tenant, driver);
      const key = ["planq", tenant, driver];
      if (store.get(key) !== undefined) await store.transact((tx) => tx.delete(key));
    },

    async claim(tenant, planner, driver, { limit, operationId }) {
      const isAway = (other: string): boolean => other !== driver && !leases.isLive(tenant, planner, other);
      return change((plans): Claim => {
        const key = ["planq", tenant, driver];
        const last = operationId === undefined ? undefined : plans.tx.get<LastClaim>(key);
        if (last && last.o === operationId) return again(plans, tenant, driver, last);
        const found: ClaimedPlan[] = [];
        let bytes = 0;
        let more = false;
        for (const { planId } of open.away(tenant, planner, isAway)) {
          if (found.length >= limit || bytes > pageBytes) {
            more = true;
            break;
          }
          const plan = claimOne(plans, tenant, planId, driver, isAway);
          if (!plan) continue;
          found.push(plan);
          if (plan.entries) bytes += plans.plan(tenant, planId)?.head?.bytes ?? 0;
        }
        if (operationId !== undefined && found.length > 0) {
          const claim: LastClaim = { o: operationId, p: found.map(({ planId }) => planId), m: more };
          plans.tx.put(key, claim);
        }
        return { plans: found, more };
      });
    },

    read(tenant, planId, afterVersion) {
      const { items, head } = readEntries(store, tenant, planId, afterVersion, pageBytes);
      if (!head) throw planNotFound(planId);
      const { version, status } = head.summary;
      return { items, version, ended: isTerminal(status) };
    },

    isOpen: (tenant, planId) => folds.isOpen(tenant, planId),
    list: (tenant, query, after) => readPlans(store, tenant, query, after),
    tasks: (tenant, query, after) => store.transact((tx) => readTasks(tx, folds, tenant, query, after)),
    metrics: (tenant, agentName) => readMetrics(store, tenant, agentName),
    deadLetters: (tenant, query, after) => readDeadLetters(store, tenant, query, after),

    eventWaits: () =>
      Array.from(store.range<StoredWait>({ prefix: ["planw"] }), ({ key, value: [pattern, topic, where] }) => ({
        tenant: String(key[1]),
        planId: String(key[2]),
        taskId: String(key[3]),
        key: String(key[4]),
        pattern,
        ...(topic === undefined || topic === null ? {} : { topic }),
        ...(where === undefined ? {} : { where }),
      })),

    peerDown: (home) => leases.peerDown(home),
    onAppend: (listener) => subscribed(listeners, listener),
    onDriverNote: (listener) => subscribed(noteListeners, listener),
    of: (tenant, by) => localLog(self, tenant, by),
    [Symbol.dispose]: () => leases.close(),
  };
  return self;
}

/** `log`: what was read of it before it was claimed. */
function claimed(plans: PlanTransaction, memo: PlanMemo, log?: readonly PlanEntry[]): ClaimedPlan | undefined {
  const { tenant, planId, head } = memo;
  if (!head) return undefined;
  const { epoch, version } = head.summary;
  const plan = { planId, epoch, version };
  if (head.bytes > maxClaimedLogBytes) return plan;
  const last = plans.appended.at(-1);
  if (log && last?.planId === planId && last.firstVersion === log.length + 1) {
    return { ...plan, entries: [...log, ...entriesOf(last)] };
  }
  return { ...plan, entries: readEntries(plans.tx, tenant, planId, 0, Number.POSITIVE_INFINITY).items };
}

/** The same plans once more, those that are still this driver's. */
function again(plans: PlanTransaction, tenant: string, driver: string, last: LastClaim): Claim {
  const found = last.p
    .map((planId) => plans.plan(tenant, planId))
    .map((memo) => (memo?.head?.summary.driver === driver ? claimed(plans, memo) : undefined));
  return { plans: found.filter((plan) => plan !== undefined), more: last.m };
}

function subscribed<T>(set: Set<T>, listener: T): Disposable {
  set.add(listener);
  return { [Symbol.dispose]: () => void set.delete(listener) };
}

function checkPlanId(planId: string): void {
  if (typeof planId === "string" && planId.length > 0 && planId.length <= 128 && planId.isWellFormed()) return;
  throw new SoormaError(
    "KEY_INVALID",
    `a plan id is 1 to 128 characters of text, not ${JSON.stringify(planId)?.slice(0, 80)}`,
  );
}
