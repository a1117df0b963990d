import type { Failure } from "../errors.ts";
import { identity } from "../memory/protocol.ts";
import { type PlanEntry, type Status, statuses } from "../plans/log.ts";
import { Type } from "../schema.ts";

export const trackerMethods = {
  append: "tracker.append",
  record: "tracker.record",
  journal: "tracker.journal",
  lease: "tracker.lease",
  release: "tracker.release",
  claim: "tracker.claim",
  read: "tracker.read",
  list: "tracker.list",
  tasks: "tracker.tasks",
  metrics: "tracker.metrics",
  deadLetters: "tracker.deadLetters",
  /** Answered when the plan has ended, or after a while with nothing but that it goes on. */
  end: "tracker.end",
  watch: "tracker.watch",
  unwatch: "tracker.unwatch",
} as const;

/** Notes from the state node. */
export const trackerNotes = {
  /** To a watcher: an {@link EntriesNote}. */
  entries: "tracker.entries",
  /** To a driver: a `DriverNote`. */
  changed: "tracker.changed",
} as const;

/** A watch that is not renewed within this many milliseconds is dropped. */
export const watchLeaseMs = 30_000;

const planId = Type.String({ minLength: 1, maxLength: 128 });
const taskId = Type.String({ minLength: 1, maxLength: 512 });
const version = Type.Integer({ minimum: 0 });
const watchId = Type.String({ minLength: 1, maxLength: 128 });
const operationId = Type.Optional(Type.String({ minLength: 1, maxLength: 64 }));
const by = Type.Optional(Type.String({ minLength: 1, maxLength: 256 }));
const planner = Type.String({ minLength: 1, maxLength: 256 });
const driver = Type.String({ minLength: 1, maxLength: 256 });
const limit = Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 }));
const time = Type.Optional(Type.Number());
const filter = Type.Optional(Type.String({ maxLength: 256 }));
const status = Type.Optional(Type.Enum([...statuses]));
/** Its form is {@link checkChange}'s to check. */
const change = Type.Object({ type: Type.String({ minLength: 1, maxLength: 64 }) });
const createdAtMs = Type.Number();

export const trackerParams = {
  append: Type.Object({
    ...identity,
    planId,
    expectedVersion: version,
    changes: Type.Array(change, { minItems: 1, maxItems: 10_000 }),
    epoch: Type.Optional(version),
    operationId,
    by,
  }),
  record: Type.Object({ ...identity, planId, change, operationId, by }),
  journal: Type.Object({ ...identity, planId, taskId }),
  lease: Type.Object({
    ...identity,
    planner,
    driver,
    leaseMs: Type.Optional(Type.Number({ minimum: 10, maximum: 3_600_000 })),
    heard: Type.Optional(Type.Object({ session: Type.String({ maxLength: 64 }), upTo: version })),
  }),
  release: Type.Object({ ...identity, driver }),
  claim: Type.Object({
    ...identity,
    planner,
    driver,
    limit: Type.Integer({ minimum: 1, maximum: 1_000 }),
    operationId,
  }),
  read: Type.Object({ ...identity, planId, afterVersion: Type.Optional(version) }),
  list: Type.Object({
    ...identity,
    status,
    goalType: filter,
    planner: filter,
    parentPlanId: Type.Optional(planId),
    sinceMs: time,
    untilMs: time,
    limit,
    after: Type.Optional(Type.Tuple([createdAtMs, planId])),
  }),
  tasks: Type.Object({
    ...identity,
    planId: Type.Optional(planId),
    status,
    agentName: filter,
    assignedTo: filter,
    goalType: filter,
    planner: filter,
    sinceMs: time,
    untilMs: time,
    limit,
    after: Type.Optional(Type.Union([Type.Tuple([createdAtMs, planId]), Type.Tuple([createdAtMs, planId, version])])),
  }),
  metrics: Type.Object({ ...identity, agentName: filter }),
  deadLetters: Type.Object({
    ...identity,
    planId: Type.Optional(planId),
    goalType: filter,
    planner: filter,
    agentName: filter,
    sinceMs: time,
    untilMs: time,
    limit,
    after: Type.Optional(Type.Tuple([Type.Number(), planId, taskId])),
  }),
  end: Type.Object({ ...identity, planId }),
  watch: Type.Object({ ...identity, planId, watchId, afterVersion: version }),
  unwatch: Type.Object({ ...identity, watchId }),
} as const;

/** Entries of a plan's log, in order and without a gap, as one answer or note. */
export interface EntriesPage {
  readonly items: readonly PlanEntry[];
  /** Version of the log's last entry; beyond the last item's when not all had room. */
  readonly version: number;
  /** The plan has ended. */
  readonly ended: boolean;
}

/** How a plan ended. */
export interface PlanEnd {
  readonly status: Status;
  readonly result?: unknown;
  /** Of one that failed, or was cancelled. */
  readonly failure?: Failure;
}

export type EndAnswer = PlanEnd | { readonly pending: true };

export interface EntriesNote extends EntriesPage {
  readonly watchId: string;
}
