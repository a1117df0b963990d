import type { Static, TSchema } from "typebox";
import type { RpcPeer } from "../mesh/rpc.ts";
import type { PlanChange } from "../plans/log.ts";
import { checkChange } from "./change-schemas.ts";
import type { EventWaits } from "./event-waits.ts";
import type { Holder } from "./leases.ts";
import { trackerMethods, trackerParams } from "./protocol.ts";
import type { TrackerStore } from "./tracker-store.ts";

/** Answers a method's calls, once their parameters are what the schema says. */
export type Answer = <S extends TSchema>(
  method: string,
  schema: S,
  body: (params: NoInfer<Static<S>>, peer: RpcPeer) => unknown,
) => Disposable;

export interface TrackerCallsOptions {
  readonly tracker: TrackerStore;
  readonly holderOf: (peer: RpcPeer) => Holder;
  /** Who listens for events; undefined while nobody does. */
  readonly waits: () => EventWaits | undefined;
}

/** Answers everything that is asked of the tracker but watching. */
export function trackerCalls(answer: Answer, { tracker, holderOf, waits }: TrackerCallsOptions): Disposable[] {
  /** Whatever these changes wait for is listened for before they are in the log. */
  const prepared = <T>(tenant: string, changes: readonly PlanChange[], write: () => Promise<T>): Promise<T> => {
    const listening = waits();
    if (!listening || !changes.some((change) => change.type === "task.waiting" && change.on.kind === "event")) {
      return write();
    }
    return (async () => {
      using _held = await listening.prepare(tenant, changes);
      return await write();
    })();
  };

  return [
    answer(trackerMethods.append, trackerParams.append, (params, peer) => {
      const { tenant, planId, expectedVersion, operationId, epoch, by = peer.nodeId } = params;
      const changes = checked(params.changes, tenant);
      return prepared(tenant, changes, () =>
        tracker.append(tenant, planId, expectedVersion, changes, { by, ...given({ operationId, epoch }) }),
      );
    }),
    answer(trackerMethods.record, trackerParams.record, (params, peer) => {
      const { tenant, planId, operationId, by = peer.nodeId } = params;
      const [change] = checked([params.change], tenant);
      return prepared(tenant, [change], () =>
        tracker.record(tenant, planId, change, { by, ...given({ operationId }) }),
      );
    }),
    answer(trackerMethods.journal, trackerParams.journal, ({ tenant, planId, taskId }) =>
      tracker.journal(tenant, planId, taskId),
    ),
    answer(trackerMethods.lease, trackerParams.lease, ({ tenant, planner, driver, leaseMs, heard }, peer) =>
      tracker.lease(tenant, planner, driver, { holder: holderOf(peer), ...given({ leaseMs, heard }) }),
    ),
    answer(trackerMethods.release, trackerParams.release, async ({ tenant, driver }, peer) => {
      await tracker.release(tenant, driver, peer.nodeId);
      return null;
    }),
    answer(trackerMethods.claim, trackerParams.claim, ({ tenant, planner, driver, limit, operationId }) =>
      tracker.claim(tenant, planner, driver, { limit, ...given({ operationId }) }),
    ),
    answer(trackerMethods.read, trackerParams.read, ({ tenant, planId, afterVersion }) =>
      tracker.read(tenant, planId, afterVersion ?? 0),
    ),
    answer(trackerMethods.list, trackerParams.list, ({ tenant, user: _user, after, ...query }) =>
      tracker.list(tenant, given(query), after),
    ),
    answer(trackerMethods.tasks, trackerParams.tasks, ({ tenant, user: _user, after, ...query }) =>
      tracker.tasks(tenant, given(query), after),
    ),
    answer(trackerMethods.metrics, trackerParams.metrics, ({ tenant, agentName }) =>
      tracker.metrics(tenant, agentName),
    ),
    answer(trackerMethods.deadLetters, trackerParams.deadLetters, ({ tenant, user: _user, after, ...query }) =>
      tracker.deadLetters(tenant, given(query), after),
    ),
  ];
}

function checked(changes: readonly { readonly type: string }[], tenant: string): [PlanChange, ...PlanChange[]] {
  for (const change of changes) checkChange(change, tenant);
  return changes as [PlanChange, ...PlanChange[]];
}

/** The object without its undefined fields. */
export function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
