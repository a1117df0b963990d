import type { Static, TSchema } from "typebox";
import { checkData } from "./contracts.ts";
import type { Logger } from "./log.ts";
import { createMemoryStore, type MemoryStore } from "./memory/memory-store.ts";
import { memoryMethods, memoryParams } from "./memory/protocol.ts";
import type { Rpc, RpcPeer } from "./mesh/rpc.ts";
import type { Address } from "./plugin/transport.ts";
import type { Runtime } from "./runtime.ts";
import type { Store } from "./store/store.ts";
import { createEventWaits, type EventSource, type EventWaits } from "./tracker/event-waits.ts";
import type { Holder } from "./tracker/leases.ts";
import { createPlanEnds } from "./tracker/plan-ends.ts";
import { trackerMethods, trackerNotes, trackerParams } from "./tracker/protocol.ts";
import { given, trackerCalls } from "./tracker/tracker-calls.ts";
import { createTrackerStore, type TrackerStore } from "./tracker/tracker-store.ts";
import { createWatchers } from "./tracker/watchers.ts";

export interface StateServiceOptions {
  /** Calls are answered here. */
  readonly rpc: Rpc;
  /** Stays open when the service is closed: whoever opened it closes it. */
  readonly store: Store;
  readonly runtime: Runtime;
  readonly log: Logger;
  /** See `MemoryStoreOptions.sweepMs`. */
  readonly sweepMs?: number;
  /** See `TrackerStoreOptions.foldBytes`. */
  readonly cacheBytes?: number;
  /**
   * Where a peer's node listens, by which the transport tells of its life: a driver's lease ends with that. Undefined
   * while it is not known. Default: where it calls from.
   */
  readonly homeOf?: (peer: RpcPeer) => Address | undefined;
}

/** Memory and tracker, answering calls. */
export interface StateService extends AsyncDisposable {
  readonly memory: MemoryStore;
  readonly tracker: TrackerStore;
  /** Watches of plans that are told of new entries now. */
  readonly watcherCount: number;
  /** Begins to listen for what tasks wait for. Once; ends with the service. */
  listenForEvents(source: EventSource): void;
  /** Answers no more; resolves when the sweep that may be running is over. */
  close(): Promise<void>;
}

/** Serves the mesh's memory and tracker from a store, with one answer for each call: a result or an error. */
export function createStateService(options: StateServiceOptions): StateService {
  const { rpc, store, runtime, log, homeOf = ({ address }) => address } = options;
  const memory = createMemoryStore({
    store,
    runtime,
    log: log.child("memory"),
    ...given({ sweepMs: options.sweepMs }),
  });
  const tracker = createTrackerStore({
    store,
    runtime,
    // A node on this very process is here as long as this one is.
    link: (home) => (home === rpc.address ? { [Symbol.dispose]() {} } : rpc.link(home)),
    ...given({ foldBytes: options.cacheBytes }),
  });
  const ends = createPlanEnds(tracker, runtime);
  const watchers = createWatchers({ rpc, tracker, runtime, log: log.child("tracker") });

  let waits: EventWaits | undefined;
  const peers = rpc.onPeer((address, state) => {
    if (state === "down") tracker.peerDown(address);
  });
  const driverNotes = tracker.onDriverNote((_tenant, note, address) => {
    if (address === undefined) return;
    rpc.notify(address, trackerNotes.changed, note).catch((error: unknown) => {
      log.debug("note.failed", { to: address, driver: note.driver, error });
    });
  });
  const holderOf = (peer: RpcPeer): Holder => ({
    address: peer.address,
    nodeId: peer.nodeId,
    home: homeOf(peer),
  });

  const answer = <S extends TSchema>(
    method: string,
    schema: S,
    body: (params: NoInfer<Static<S>>, peer: RpcPeer) => unknown,
  ): Disposable =>
    rpc.handle(method, ({ params, peer }) => {
      checkData(schema, params, `a call of "${method}"`, "Correct the field.");
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
    answer(memoryMethods.search, memoryParams.search, ({ tenant, query, limit, prefix, minScore, skip }) =>
      memory.search(tenant, query, given({ limit, prefix, minScore, skip })),
    ),
    ...trackerCalls(answer, { tracker, holderOf, waits: () => waits }),
    answer(trackerMethods.end, trackerParams.end, ({ tenant, planId }) => ends.wait(tenant, planId)),
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
    listenForEvents(source) {
      waits ??= createEventWaits({ tracker, source, runtime, log: log.child("tracker") });
    },
    async close() {
      for (const handler of handlers) handler[Symbol.dispose]();
      peers[Symbol.dispose]();
      driverNotes[Symbol.dispose]();
      await waits?.[Symbol.asyncDispose]();
      watchers[Symbol.dispose]();
      ends[Symbol.dispose]();
      tracker[Symbol.dispose]();
      await memory.close();
    },
    async [Symbol.asyncDispose]() {
      await this.close();
    },
  };
}
