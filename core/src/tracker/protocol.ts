import { Type } from "typebox";
import { identity } from "../memory/protocol.ts";
import { type PlanEntry, statuses } from "../plans/log.ts";

export const trackerMethods = {
  append: "tracker.append",
  read: "tracker.read",
  list: "tracker.list",
  watch: "tracker.watch",
  unwatch: "tracker.unwatch",
  /** A note, from the state node to a watcher. */
  entries: "tracker.entries",
} as const;

/** A watch that is not renewed within this many milliseconds is dropped. */
export const watchLeaseMs = 30_000;

const planId = Type.String({ minLength: 1, maxLength: 128 });
const version = Type.Integer({ minimum: 0 });
const watchId = Type.String({ minLength: 1, maxLength: 128 });

export const trackerParams = {
  append: Type.Object({
    ...identity,
    planId,
    expectedVersion: version,
    // What the changes hold is the reducer's business: it ignores what it does not know or what is not legal.
    changes: Type.Array(Type.Object({ type: Type.String({ minLength: 1, maxLength: 64 }) }), {
      minItems: 1,
      maxItems: 10_000,
    }),
    operationId: Type.Optional(Type.String({ minLength: 1, maxLength: 64 })),
    by: Type.Optional(Type.String({ maxLength: 256 })),
  }),
  read: Type.Object({ ...identity, planId, afterVersion: Type.Optional(version) }),
  list: Type.Object({
    ...identity,
    status: Type.Optional(Type.Enum([...statuses])),
    goalType: Type.Optional(Type.String({ maxLength: 256 })),
    planner: Type.Optional(Type.String({ maxLength: 256 })),
    sinceMs: Type.Optional(Type.Number()),
    limit: Type.Optional(Type.Integer({ minimum: 0, maximum: 10_000 })),
  }),
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

export interface EntriesNote extends EntriesPage {
  readonly watchId: string;
}
