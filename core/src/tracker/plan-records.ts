import type { PlanChange, PlanEntry, PlanSummary, Status } from "../plans/log.ts";
import { isTerminal } from "../plans/reducer.ts";
import { roughBytes } from "../rough-size.ts";
import type { Key, StoreReader, StoreTransaction } from "../store/store.ts";

/**
 * Where the tracker keeps what, each behind its tenant:
 *
 * - `plan`, plan, version of the first entry: a batch, the entries of one append with the plan's head after them
 * - `plano`, created, plan: plans that somebody has to go on with
 * - `planst`, status, created, plan: the others
 * - `planp`, parent plan, created, plan: sub-plans
 * - `planq`, driver: its last claim
 * - `planw`, plan, task, key: what waits for an event
 * - `pland`, failed, plan, task: dead letters
 * - `planm`, agent name: metrics
 */
export const planKey = {
  open: (tenant: string, createdAtMs: number, planId: string): Key => ["plano", tenant, createdAtMs, planId],
  finished: (tenant: string, status: Status, createdAtMs: number, planId: string): Key => [
    "planst",
    tenant,
    status,
    createdAtMs,
    planId,
  ],
  subPlan: (tenant: string, parentPlanId: string, createdAtMs: number, planId: string): Key => [
    "planp",
    tenant,
    parentPlanId,
    createdAtMs,
    planId,
  ],
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

/** Whether nobody has anything to do for the plan any more: it ended and, if somebody drives it, its goal is answered. */
export function isFinished({ summary, answered }: Head): boolean {
  return isTerminal(summary.status) && (summary.epoch === 0 || answered);
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
  solidVersion: number,
  bytes: number,
  foreignVersion: number,
  waits: number,
  answered: boolean,
  ending: boolean,
];

function storedHead(head: Head): StoredHead {
  const { summary: s } = head;
  return [
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
    head.solidVersion,
    head.bytes,
    head.foreignVersion,
    head.waits,
    head.answered,
    head.ending,
  ];
}

function headOf(planId: string, updatedAtMs: number, stored: StoredHead): Head {
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
      updatedAtMs,
    },
    solidVersion: stored[12],
    bytes: stored[13],
    foreignVersion: stored[14],
    waits: stored[15],
    answered: stored[16],
    ending: stored[17],
  };
}

/** The entries of one append: they share author and time. The operation's id, so that it is known when it is tried again. */
type StoredBatch = readonly [
  head: StoredHead,
  timeMs: number,
  by: string,
  operationId: string | null,
  changes: readonly PlanChange[],
];

export interface Batch {
  readonly firstVersion: number;
  readonly timeMs: number;
  readonly by: string;
  readonly operationId: string | undefined;
  readonly changes: readonly PlanChange[];
}

export function writeBatch(tx: StoreTransaction, tenant: string, head: Head, batch: Batch): void {
  const { firstVersion, timeMs, by, operationId, changes } = batch;
  const stored: StoredBatch = [storedHead(head), timeMs, by, operationId ?? null, changes];
  tx.put(["plan", tenant, head.summary.planId, firstVersion], stored);
}

/** The plan's head: what its last batch says. */
export function readHead(reader: StoreReader, tenant: string, planId: string): Head | undefined {
  for (const { value } of reader.range<StoredBatch>({ prefix: ["plan", tenant, planId], reverse: true, limit: 1 })) {
    return headOf(planId, value[1], value[0]);
  }
  return undefined;
}

/** Whether there is such a plan. */
export function hasPlan(reader: StoreReader, tenant: string, planId: string): boolean {
  return reader.get(["plan", tenant, planId, 1]) !== undefined;
}

/** The appends to a plan with its head after each, oldest first, beginning with the one that holds the entry after `afterVersion`. */
export function* readBatches(
  reader: StoreReader,
  tenant: string,
  planId: string,
  afterVersion = 0,
): Generator<Batch & { readonly head: Head }> {
  const prefix: Key = ["plan", tenant, planId];
  let from = 1;
  if (afterVersion > 0) {
    for (const { key } of reader.range({ prefix, from: [afterVersion + 1], reverse: true, limit: 1 })) {
      from = Number(key[3]);
    }
  }
  for (const { key, value } of reader.range<StoredBatch>({ prefix, from: [from] })) {
    const [head, timeMs, by, operationId, changes] = value;
    yield {
      firstVersion: Number(key[3]),
      timeMs,
      by,
      operationId: operationId ?? undefined,
      changes,
      head: headOf(planId, timeMs, head),
    };
  }
}

/** A batch's entries. */
export function entriesOf({ firstVersion, timeMs, by, changes }: Batch): PlanEntry[] {
  return changes.map((change, i) => ({ ...change, version: firstVersion + i, timeMs, by }));
}

/** The entries after a version, until one that does not fit `maxBytes` any more; at least one. */
export function readEntries(
  reader: StoreReader,
  tenant: string,
  planId: string,
  afterVersion: number,
  maxBytes: number,
): { readonly items: PlanEntry[]; readonly head: Head | undefined } {
  const items: PlanEntry[] = [];
  let head: Head | undefined;
  let bytes = 0;
  for (const batch of readBatches(reader, tenant, planId, afterVersion)) {
    head = batch.head;
    for (const entry of entriesOf(batch)) {
      if (entry.version <= afterVersion) continue;
      bytes += roughBytes(entry);
      // The last batch's head is not known then.
      if (items.length > 0 && bytes > maxBytes) return { items, head: readHead(reader, tenant, planId) };
      items.push(entry);
    }
  }
  return { items, head: head ?? readHead(reader, tenant, planId) };
}
