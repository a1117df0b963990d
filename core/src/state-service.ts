import type { Static, TSchema } from "typebox";
import { checkData } from "./contracts.ts";
import type { Logger } from "./log.ts";
import { createMemoryStore, type MemoryStore } from "./memory/memory-store.ts";
import { memoryMethods, memoryParams } from "./memory/protocol.ts";
import type { Rpc, RpcPeer } from "./mesh/rpc.ts";
import type { PlanChange } from "./plans/log.ts";
import type { Runtime } from "./runtime.ts";
import type { Store } from "./store/store.ts";
import { trackerMethods, trackerParams } from "./tracker/protocol.ts";
import { createTrackerStore, type TrackerStore } from "./tracker/tracker-store.ts";
import { createWatchers } from "./tracker/watchers.ts";

export interface StateServiceOptions {
  /** Calls are answered here. */
  readonly rpc: Rpc;
  /** Stays open when the service is closed: whoever opened it closes it. */
  readonly store: Store;
  readonly runtime: Runtime;
  readonly log: Logger;
}

/** Memory and tracker, answering calls. */
export interface StateService extends AsyncDisposable {
  readonly memory: MemoryStore;
  readonly tracker: TrackerStore;
  /** Watches of plans that are told of new entries now. */
  readonly watcherCount: number;
  /** Answers no more; resolves when the sweep that may be running is over. */
  close(): Promise<void>;
}

/** Serves the mesh's memory and tracker from a store, with one answer for each call: a result or an error. */
export function createStateService({ rpc, store, runtime, log }: StateServiceOptions): StateService {
  const memory = createMemoryStore({ store, runtime, log: log.child("memory") });
  const tracker = createTrackerStore({ store, runtime });
  const watchers = createWatchers({ rpc, tracker, runtime, log: log.child("tracker") });

  const answer = <S extends TSchema>(
    method: string,
    schema: S,
    body: (params: Static<S>, peer: RpcPeer) => unknown,
  ): Disposable =>
    rpc.handle(method, ({ params, peer }) => {
      checkData(schema, params, `a call of "${method}"`);
      return body(params as Static<S>, peer);
    });

  const handlers = [
    answer(memoryMethods.store, memoryParams.store, ({ tenant, key, value, ttlMs, ifVersion, operationId }) =>
      memory.store(tenant, key, value, given({ ttlMs, ifVersion, operationId })),
    ),
    answer(memoryMethods.entry, memoryParams.entry, ({ tenant, key }) => memory.entry(tenant, key) ?? null),
    answer(memoryMethods.delete, memoryParams.delete, ({ tenant, key, ifVersion, operationId }) =>
      memory.delete(tenant, key, given({ ifVersion, operationId })),
    ),
    answer(memoryMethods.list, memoryParams.list, ({ tenant, prefix, limit, after }) =>
      memory.list(tenant, prefix, given({ limit, after })),
    ),
    answer(memoryMethods.search, memoryParams.search, ({ tenant, query, limit, prefix, minScore }) =>
      memory.search(tenant, query, given({ limit, prefix, minScore })),
    ),
    answer(
      trackerMethods.append,
      trackerParams.append,
      ({ tenant, planId, expectedVersion, changes, operationId, by }, peer) =>
        tracker.append(tenant, planId, expectedVersion, changes as readonly PlanChange[], {
          by: by ?? peer.nodeId,
          ...given({ operationId }),
        }),
    ),
    answer(trackerMethods.read, trackerParams.read, ({ tenant, planId, afterVersion }) =>
      tracker.read(tenant, planId, afterVersion ?? 0),
    ),
    answer(trackerMethods.list, trackerParams.list, ({ tenant, status, goalType, planner, sinceMs, limit }) =>
      tracker.list(tenant, given({ status, goalType, planner, sinceMs, limit })),
    ),
    answer(trackerMethods.watch, trackerParams.watch, ({ tenant, planId, watchId, afterVersion }, peer) => {
      // Read first: a plan there is not is not watched. Both happen in one turn, so nothing slips in between.
      const page = tracker.read(tenant, planId, afterVersion);
      watchers.add(peer, tenant, planId, watchId);
      return page;
    }),
    answer(trackerMethods.unwatch, trackerParams.unwatch, ({ watchId }, peer) => {
      watchers.remove(peer, watchId);
      return null;
    }),
  ];

  return {
    memory,
    tracker,
    get watcherCount() {
      return watchers.size;
    },
    async close() {
      for (const handler of handlers) handler[Symbol.dispose]();
      watchers[Symbol.dispose]();
      await memory.close();
    },
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}

/** The object without its undefined fields. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
