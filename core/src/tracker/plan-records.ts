import type { PlanChange, PlanEntry, PlanSummary, Status } from "../plans/log.ts";
import { roughBytes } from "../rough-size.ts";
import type { Key, StoreReader, StoreTransaction } from "../store/store.ts";

/**
 * Where the tracker keeps what, behind the tenant:
 *
 * - `plan`, plan, version of the first entry: a {@link Batch}, the entries of one append
 * - `plans`, plan: its {@link Head}
 * - `plant`, created, plan and `planst`, status, created, plan: plans by time, and by status and time
 * - `planp`, parent plan, created, plan: sub-plans
 * - `plano`, created, plan: plans that somebody drives, until they are answered
 * - `planq`, driver: its last claim
 * - `planw`, plan, task, key: what waits for an event
 * - `pland`, failed, plan, task: dead letters
 * - `planm`, agent name: metrics
 */
export const planKey = {
  head: (tenant: string, planId: string): Key => ["plans", tenant, planId],
  byTime: (tenant: string, createdAtMs: number, planId: string): Key => ["plant", tenant, createdAtMs, planId],
  byStatus: (tenant: string, status: Status, createdAtMs: number, planId: string): Key => [
    "planst",
    tenant,
    status,
    createdAtMs,
    planId,
  ],
  byParent: (tenant: string, parentPlanId: string, createdAtMs: number, planId: string): Key => [
    "planp",
    tenant,
    parentPlanId,
    createdAtMs,
    planId,
  ],
  open: (tenant: string, createdAtMs: number, planId: string): Key => ["plano", tenant, createdAtMs, planId],
} as const;

/** What the tracker knows of a plan without reading its log. */
export interface Head {
  readonly summary: PlanSummary;
  /** Version of the last entry that is no free change. */
  readonly solidVersion: number;
  /** About how many bytes the log takes. */
  readonly bytes: number;
  /** Version of the last entry that its driver should hear of and that somebody else wrote; 0 once the driver appended. */
  readonly foreignVersion: number;
  /** Open waits for events. */
  readonly waits: number;
  readonly answered: boolean;
  /** It takes back what it did, and then ends as failed or cancelled. */
  readonly ending: boolean;
}

/** As a list: packing and reading the names of the fields would take most of the time. */
type StoredHead = readonly [
  goalId: string,
  goalType: string,
  planner: string,
  status: Status,
  version: number,
  taskCount: number,
  doneCount: number,
  tenantId: string,
  parentPlanId: string | null,
  driver: string | null,
  epoch: number,
  createdAtMs: number,
  updatedAtMs: number,
  solidVersion: number,
  bytes: number,
  foreignVersion: number,
  waits: number,
  answered: boolean,
  ending: boolean,
];

export function readHead(reader: StoreReader, tenant: string, planId: string): Head | undefined {
  const stored = reader.get<StoredHead>(planKey.head(tenant, planId));
  if (!stored) return undefined;
  const parentPlanId = stored[8];
  const driver = stored[9];
  return {
    summary: {
      planId,
      goalId: stored[0],
      goalType: stored[1],
      planner: stored[2],
      status: stored[3],
      version: stored[4],
      taskCount: stored[5],
      doneCount: stored[6],
      tenantId: stored[7],
      ...(parentPlanId === null ? {} : { parentPlanId }),
      ...(driver === null ? {} : { driver }),
      epoch: stored[10],
      createdAtMs: stored[11],
      updatedAtMs: stored[12],
    },
    solidVersion: stored[13],
    bytes: stored[14],
    foreignVersion: stored[15],
    waits: stored[16],
    answered: stored[17],
    ending: stored[18],
  };
}

export function writeHead(tx: StoreTransaction, tenant: string, head: Head): void {
  const { summary: s } = head;
  const stored: StoredHead = [
    s.goalId,
    s.goalType,
    s.planner,
    s.status,
    s.version,
    s.taskCount,
    s.doneCount,
    s.tenantId,
    s.parentPlanId ?? null,
    s.driver ?? null,
    s.epoch,
    s.createdAtMs,
    s.updatedAtMs,
    head.solidVersion,
    head.bytes,
    head.foreignVersion,
    head.waits,
    head.answered,
    head.ending,
  ];
  tx.put(planKey.head(tenant, s.planId), stored);
}

/** The entries of one append: they share author and time. Short names: they are stored with each. */
interface Batch {
  readonly t: number;
  readonly b: string;
  readonly c: readonly PlanChange[];
  /** Id of the operation, so that it is known when it is tried again. */
  readonly o?: string;
}

export function writeBatch(
  tx: StoreTransaction,
  tenant: string,
  planId: string,
  entries: readonly PlanEntry[],
  changes: readonly PlanChange[],
  operationId: string | undefined,
): void {
  const [first] = entries;
  if (!first) return;
  const batch: Batch = {
    t: first.timeMs,
    b: first.by,
    c: changes,
    ...(operationId === undefined ? {} : { o: operationId }),
  };
  tx.put(["plan", tenant, planId, first.version], batch);
}

export interface ReadBatch {
  readonly entries: readonly PlanEntry[];
  readonly operationId: string | undefined;
}

/** The appends to a plan, oldest first, beginning with the one that holds the entry after `afterVersion`. */
export function* readBatches(
  reader: StoreReader,
  tenant: string,
  planId: string,
  afterVersion = 0,
): Generator<ReadBatch> {
  const prefix: Key = ["plan", tenant, planId];
  let from = 1;
  if (afterVersion > 0) {
    for (const { key } of reader.range({ prefix, from: [afterVersion + 1], reverse: true, limit: 1 })) {
      from = Number(key[3]);
    }
  }
  for (const { key, value } of reader.range<Batch>({ prefix, from: [from] })) {
    const first = Number(key[3]);
    const entries = value.c.map(
      (change, i): PlanEntry => ({ ...change, version: first + i, timeMs: value.t, by: value.b }),
    );
    yield { entries, operationId: value.o };
  }
}

/** The entries after a version, until one that does not fit `maxBytes` any more; at least one. */
export function readEntries(
  reader: StoreReader,
  tenant: string,
  planId: string,
  afterVersion: number,
  maxBytes: number,
): PlanEntry[] {
  const items: PlanEntry[] = [];
  let bytes = 0;
  for (const { entries } of readBatches(reader, tenant, planId, afterVersion)) {
    for (const entry of entries) {
      if (entry.version <= afterVersion) continue;
      bytes += roughBytes(entry);
      if (items.length > 0 && bytes > maxBytes) return items;
      items.push(entry);
    }
  }
  return items;
}
