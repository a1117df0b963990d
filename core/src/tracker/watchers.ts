import { isSoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Rpc, RpcPeer } from "../mesh/rpc.ts";
import { isTerminal } from "../plans/reducer.ts";
import type { Address } from "../plugin/transport.ts";
import { roughBytes } from "../rough-size.ts";
import type { Runtime } from "../runtime.ts";
import { entriesOf } from "./plan-records.ts";
import { type EntriesNote, trackerNotes, watchLeaseMs } from "./protocol.ts";
import type { Appended, TrackerStore } from "./tracker-store.ts";

/** Beyond this a note only says that there is something to read. */
const maxNoteBytes = 256 * 1024;

interface Watcher {
  readonly watchId: string;
  readonly planKey: string;
  readonly address: Address;
  expiresAtMs: number;
}

export interface Watchers extends Disposable {
  /** Begins or renews a watch: entries appended from now on are sent to the peer. */
  add(peer: RpcPeer, tenant: string, planId: string, watchId: string): void;
  remove(peer: RpcPeer, watchId: string): void;
  readonly size: number;
}

export interface WatchersOptions {
  readonly rpc: Rpc;
  readonly tracker: TrackerStore;
  readonly runtime: Runtime;
  readonly log: Logger;
}

/** Who is told of what is appended to which plan. A watcher is forgotten when its peer is gone or it is not renewed. */
export function createWatchers({ rpc, tracker, runtime, log }: WatchersOptions): Watchers {
  const watchers = new Map<string, Watcher>();
  const byPlan = new Map<string, Set<Watcher>>();

  const drop = (watcher: Watcher): void => {
    const id = idOf(watcher.address, watcher.watchId);
    if (watchers.get(id) !== watcher) return;
    watchers.delete(id);
    const others = byPlan.get(watcher.planKey);
    others?.delete(watcher);
    if (others?.size === 0) byPlan.delete(watcher.planKey);
  };

  const tell = (appended: Appended): void => {
    if (byPlan.size === 0) return;
    const { tenant, planId } = appended;
    const watching = byPlan.get(planKeyOf(tenant, planId));
    if (!watching) return;
    const { version, status } = appended.head.summary;
    const ended = isTerminal(status);
    const items = entriesOf(appended);
    const isLarge = roughBytes(items) > maxNoteBytes;
    const now = runtime.monotonic();
    for (const watcher of [...watching]) {
      if (watcher.expiresAtMs <= now) {
        drop(watcher);
        continue;
      }
      const note: EntriesNote = { watchId: watcher.watchId, items: isLarge ? [] : items, version, ended };
      // A lost note shows as a gap at the watcher, who then reads; so nothing is sent twice.
      rpc.notify(watcher.address, trackerNotes.entries, note).catch((error: unknown) => {
        log.debug("note.failed", { to: watcher.address, planId, error });
        // Its peer is gone. Should it be back, its next renewal is a new watch.
        if (isSoormaError(error, "PEER_UNREACHABLE")) drop(watcher);
      });
    }
  };

  const appends = tracker.onAppend(tell);

  return {
    add(peer, tenant, planId, watchId) {
      const id = idOf(peer.address, watchId);
      const planKey = planKeyOf(tenant, planId);
      const expiresAtMs = runtime.monotonic() + watchLeaseMs;
      const known = watchers.get(id);
      if (known?.planKey === planKey) {
        known.expiresAtMs = expiresAtMs;
        return;
      }
      if (known) drop(known);
      for (const watcher of [...watchers.values()]) if (watcher.expiresAtMs <= runtime.monotonic()) drop(watcher);
      const watcher: Watcher = { watchId, planKey, address: peer.address, expiresAtMs };
      watchers.set(id, watcher);
      const others = byPlan.get(planKey) ?? new Set();
      byPlan.set(planKey, others.add(watcher));
    },
    remove(peer, watchId) {
      const watcher = watchers.get(idOf(peer.address, watchId));
      if (watcher) drop(watcher);
    },
    get size() {
      return watchers.size;
    },
    [Symbol.dispose]() {
      appends[Symbol.dispose]();
      for (const watcher of [...watchers.values()]) drop(watcher);
    },
  };
}

function idOf(address: Address, watchId: string): string {
  return `${address} ${watchId}`;
}

function planKeyOf(tenant: string, planId: string): string {
  return JSON.stringify([tenant, planId]);
}
