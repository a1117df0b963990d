import {
  type AgentRecord,
  type DirectoryChange,
  isSoormaError,
  type Logger,
  type Rpc,
  type RpcPeer,
  SoormaError,
} from "@soorma/core";
import { type ChangeNote, registryMethods, type WatchAnswer, type WatchParams } from "@soorma/core/registry";
import type { DirectoryEvent } from "./directory.ts";

/** Changes in one note at most. */
const batchSize = 256;

interface Watcher {
  readonly watchId: string;
  readonly tenant: string | undefined;
  /** Follows the watcher through its reconnections. */
  peer: RpcPeer;
  /** The newest revision handed to the transport for it. */
  sent: number;
  queue: DirectoryChange[];
  /** It fell behind: a snapshot replaces what it did not get. */
  behind: boolean;
  sending: boolean;
  seenAtMs: number;
}

export interface WatchersOptions {
  readonly rpc: Pick<Rpc, "notify" | "nodeId">;
  readonly log: Logger;
  readonly epoch: string;
  readonly now: () => number;
  readonly revision: () => number;
  readonly records: (tenant: string | undefined) => readonly AgentRecord[];
  /** Changes kept for a watcher that is slow; more become one snapshot. Default 1024. */
  readonly maxQueued?: number;
  /** A watcher that did not ask for this long is forgotten. Default 60_000. */
  readonly watchLeaseMs?: number;
  /** Default 10_000. */
  readonly maxWatchers?: number;
}

/** Who is told about changes, and how far each of them is. */
export interface Watchers {
  readonly size: number;
  /** Starts a watch, or answers a watcher that makes sure it missed nothing. */
  watch(peer: RpcPeer, params: WatchParams): WatchAnswer;
  unwatch(peer: RpcPeer, watchId: string): void;
  push(events: readonly DirectoryEvent[]): void;
  /** Forgets whoever was reached at the address. */
  dropPeer(address: string): void;
  close(): void;
}

export function createWatchers(options: WatchersOptions): Watchers {
  const { rpc, log, epoch, now, revision, records } = options;
  const { maxQueued = 1_024, watchLeaseMs = 60_000, maxWatchers = 10_000 } = options;
  const watchers = new Map<string, Watcher>();

  const drop = (key: string, reason: string): void => {
    const watcher = watchers.get(key);
    if (!watcher) return;
    watchers.delete(key);
    log.debug("watcher.dropped", { watchId: watcher.watchId, peer: watcher.peer.nodeId, reason });
  };

  const dropStale = (): void => {
    const oldest = now() - watchLeaseMs;
    for (const [key, watcher] of watchers) if (watcher.seenAtMs < oldest) drop(key, "silent");
  };

  const next = (watcher: Watcher): ChangeNote | undefined => {
    const { watchId, sent: after } = watcher;
    if (watcher.behind) {
      watcher.behind = false;
      watcher.queue = [];
      watcher.sent = revision();
      const snapshot = { kind: "snapshot", revision: watcher.sent, records: records(watcher.tenant) } as const;
      return { watchId, epoch, after, changes: [snapshot] };
    }
    const changes = watcher.queue.splice(0, batchSize);
    const last = changes.at(-1);
    if (!last) return undefined;
    watcher.sent = last.revision;
    return { watchId, epoch, after, changes };
  };

  const pump = async (key: string, watcher: Watcher): Promise<void> => {
    if (watcher.sending) return;
    watcher.sending = true;
    try {
      // One note at a time: while the transport holds it back, changes gather here, where they are bounded.
      for (let note = next(watcher); note && watchers.get(key) === watcher; note = next(watcher)) {
        await rpc.notify(watcher.peer.address, registryMethods.change, note);
      }
    } catch (error) {
      // Its next question finds it unknown and gets a snapshot.
      if (watchers.get(key) === watcher) drop(key, isSoormaError(error) ? error.code : String(error));
    } finally {
      watcher.sending = false;
    }
  };

  return {
    get size() {
      return watchers.size;
    },
    watch(peer, params) {
      dropStale();
      const key = keyOf(peer, params.watchId);
      const known = watchers.get(key);
      if (known && params.epoch === epoch && known.tenant === params.tenant) {
        known.peer = peer;
        known.seenAtMs = now();
        return { nodeId: rpc.nodeId, epoch, revision: known.sent, records: null };
      }
      if (!known && watchers.size >= maxWatchers) {
        throw new SoormaError("OVERLOADED", `the registry has ${watchers.size} watchers, which is its limit`);
      }
      const sent = revision();
      watchers.set(key, {
        watchId: params.watchId,
        tenant: params.tenant,
        peer,
        sent,
        queue: [],
        behind: false,
        sending: false,
        seenAtMs: now(),
      });
      return { nodeId: rpc.nodeId, epoch, revision: sent, records: records(params.tenant) };
    },
    unwatch: (peer, watchId) => drop(keyOf(peer, watchId), "asked"),
    push(events) {
      if (events.length === 0) return;
      dropStale();
      for (const [key, watcher] of watchers) {
        for (const { change, tenant } of events) {
          if (watcher.behind) break;
          if (watcher.tenant !== undefined && watcher.tenant !== tenant) continue;
          watcher.queue.push(change);
          if (watcher.queue.length > maxQueued) {
            watcher.behind = true;
            watcher.queue = [];
            log.info("watcher.behind", { watchId: watcher.watchId, peer: watcher.peer.nodeId, changes: maxQueued });
          }
        }
        void pump(key, watcher);
      }
    },
    dropPeer(address) {
      for (const [key, watcher] of watchers) if (watcher.peer.address === address) drop(key, "disconnected");
    },
    close: () => watchers.clear(),
  };
}

/** By node, so that one node cannot take over another's watch; a node the transport cannot name, by its route. */
function keyOf(peer: RpcPeer, watchId: string): string {
  return `${peer.nodeId || peer.address} ${watchId}`;
}
