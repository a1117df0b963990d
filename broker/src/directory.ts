import { isDeepStrictEqual } from "node:util";
import type { Address, AgentQuery, AgentRecord, DirectoryChange } from "@soorma/core";
import { compareAgents, matchesAgent } from "@soorma/core/registry";

/** Why an agent is no longer there. */
export type DownReason = "left" | "expired" | "crashed";

/** A change, with what a watcher of one tenant is filtered by; `down` itself does not say. */
export interface DirectoryEvent {
  readonly change: Exclude<DirectoryChange, { kind: "snapshot" }>;
  readonly tenant: string;
  /** The record that this change replaced or took away. */
  readonly previous?: AgentRecord;
}

/** A record as it is kept: with the lease its owner asked for. */
export interface Leased {
  readonly record: AgentRecord;
  readonly leaseMs: number;
}

interface Entry extends Leased {
  /** When the lease ends, by the clock of the caller. */
  endsAt: number;
  /** The revision that has this record in it. */
  readonly revision: number;
  /** When the node, its lease over and its link up, was first heard without renewing this agent. */
  passedOverAt: number | undefined;
}

export interface RegisterOutcome {
  readonly revision: number;
  /** Empty when the same record was there already: its lease was renewed. */
  readonly events: readonly DirectoryEvent[];
}

export interface RenewOutcome {
  /** Ids it does not know: their owner registers them again. */
  readonly unknown: readonly string[];
}

/**
 * Who is there: leases, links and revisions. Does no I/O and asks no clock; `now` is milliseconds of any clock that
 * never goes back, always the same one.
 *
 * An agent stays while its lease runs. It also stays, however long its renewals fail to come, while the link to its node
 * is up and the node says nothing at all: then its process lives (transport heartbeats do not run on the agent's thread)
 * and merely has no time. A node that talks, yet does not renew an agent for a whole lease after that agent's lease
 * was over, has forgotten it, and it expires.
 */
export interface Directory {
  readonly revision: number;
  readonly size: number;
  register(record: AgentRecord, leaseMs: number, now: number): RegisterOutcome;
  /** `leaseMs` replaces what was asked for when the agent was registered. */
  renew(agentIds: readonly string[], leaseMs: number, now: number): RenewOutcome;
  /** The node was heard, in whatever matter. Returns when the first agent expires that the node passed over. */
  heard(nodeId: string, now: number): number | undefined;
  deregister(agentIds: readonly string[]): readonly DirectoryEvent[];
  /** Takes away what expired. */
  expire(now: number): readonly DirectoryEvent[];
  /** When `expire` next has something to do if nothing else happens; looks at every agent. */
  nextExpiry(): number | undefined;
  linkUp(address: Address): void;
  /**
   * The link broke, and perhaps only because nobody was there at this end. The agents behind the address stay, and have a lease's
   * time to renew. @returns whether there are any, behind a link that was up.
   */
  linkDoubted(address: Address, now: number): boolean;
  /** All agents behind the address crashed, if the link was up before. */
  linkDown(address: Address): readonly DirectoryEvent[];
  get(agentId: string): Leased | undefined;
  find(query: AgentQuery): AgentRecord[];
  /** True while at least one agent listens there. */
  hasAddress(address: Address): boolean;
  addresses(): Iterable<Address>;
}

export interface DirectoryOptions {
  /** The revision to go on from. Default 0. */
  readonly revision?: number;
  /** Agents that were known before; their leases end at `now` plus the longer of their own and `graceMs`. */
  readonly restored?: { readonly agents: Iterable<Leased>; readonly now: number; readonly graceMs: number };
}

export function createDirectory({ revision = 0, restored }: DirectoryOptions = {}): Directory {
  const entries = new Map<string, Entry>();
  const byNode = new Map<string, Set<string>>();
  const byAddress = new Map<Address, Set<string>>();
  const up = new Set<Address>();

  const add = (entry: Entry): void => {
    const { agentId, nodeId, address } = entry.record;
    entries.set(agentId, entry);
    include(byNode, nodeId, agentId);
    include(byAddress, address, agentId);
  };

  const take = (agentId: string): Entry | undefined => {
    const entry = entries.get(agentId);
    if (!entry) return undefined;
    entries.delete(agentId);
    exclude(byNode, entry.record.nodeId, agentId);
    exclude(byAddress, entry.record.address, agentId);
    // A later agent at the same address is linked anew; until then nothing is known about it.
    if (!byAddress.has(entry.record.address)) up.delete(entry.record.address);
    return entry;
  };

  const remove = (agentIds: Iterable<string>, reason: DownReason): DirectoryEvent[] => {
    const events: DirectoryEvent[] = [];
    for (const agentId of agentIds) {
      const entry = take(agentId);
      if (!entry) continue;
      const { record: previous } = entry;
      const change = { kind: "down", revision: ++revision, agentId, reason } as const;
      events.push({ change, tenant: previous.tenant, previous });
    }
    return events;
  };

  const deadline = (entry: Entry): number | undefined => {
    if (!up.has(entry.record.address)) return entry.endsAt;
    return entry.passedOverAt === undefined ? undefined : entry.passedOverAt + entry.leaseMs;
  };

  if (restored) {
    for (const { record, leaseMs } of restored.agents) {
      const endsAt = restored.now + Math.max(leaseMs, restored.graceMs);
      add({ record, leaseMs, endsAt, revision, passedOverAt: undefined });
    }
  }

  return {
    get revision() {
      return revision;
    },
    get size() {
      return entries.size;
    },
    register(record, leaseMs, now) {
      const known = entries.get(record.agentId);
      const lease = { leaseMs, endsAt: now + leaseMs, passedOverAt: undefined };
      if (known && isDeepStrictEqual(known.record, record)) {
        entries.set(record.agentId, { ...known, ...lease });
        return { revision: known.revision, events: [] };
      }
      const reachable = up.has(record.address);
      // Whoever watches the tenant it was in has to see it go.
      const moved = known && known.record.tenant !== record.tenant ? remove([record.agentId], "left") : [];
      const previous = take(record.agentId)?.record;
      add({ record, revision: ++revision, ...lease });
      if (reachable) up.add(record.address);
      const change = { kind: previous ? "changed" : "up", revision, record } as const;
      const { tenant } = record;
      return { revision, events: [...moved, previous ? { change, tenant, previous } : { change, tenant }] };
    },
    renew(agentIds, leaseMs, now) {
      const unknown: string[] = [];
      for (const agentId of agentIds) {
        const entry = entries.get(agentId);
        if (!entry) {
          unknown.push(agentId);
          continue;
        }
        entries.set(agentId, { ...entry, leaseMs, endsAt: now + leaseMs, passedOverAt: undefined });
      }
      return { unknown };
    },
    heard(nodeId, now) {
      let first: number | undefined;
      for (const agentId of byNode.get(nodeId) ?? []) {
        const entry = entries.get(agentId);
        if (!entry || entry.endsAt > now) continue;
        entry.passedOverAt ??= now;
        first = Math.min(first ?? Number.POSITIVE_INFINITY, entry.passedOverAt + entry.leaseMs);
      }
      return first;
    },
    deregister: (agentIds) => remove(agentIds, "left"),
    expire(now) {
      const over: string[] = [];
      for (const [agentId, entry] of entries) {
        const endsAt = deadline(entry);
        if (endsAt !== undefined && endsAt <= now) over.push(agentId);
      }
      return remove(over, "expired");
    },
    nextExpiry() {
      let next: number | undefined;
      for (const entry of entries.values()) {
        const endsAt = deadline(entry);
        if (endsAt !== undefined && (next === undefined || endsAt < next)) next = endsAt;
      }
      return next;
    },
    linkUp(address) {
      if (byAddress.has(address)) up.add(address);
    },
    linkDoubted(address, now) {
      if (!up.has(address)) return false;
      for (const agentId of byAddress.get(address) ?? []) {
        const entry = entries.get(agentId);
        if (entry) entry.passedOverAt ??= now;
      }
      return true;
    },
    linkDown(address) {
      // A link that never came up says nothing: the agent may be reachable from elsewhere. Its lease decides.
      if (!up.delete(address)) return [];
      return remove([...(byAddress.get(address) ?? [])], "crashed");
    },
    get: (agentId) => entries.get(agentId),
    find: (query) =>
      [...candidates(entries, query)]
        .map((entry) => entry.record)
        .filter((record) => matchesAgent(record, query))
        .sort(compareAgents),
    hasAddress: (address) => byAddress.has(address),
    addresses: () => byAddress.keys(),
  };
}

function candidates(entries: ReadonlyMap<string, Entry>, query: AgentQuery): Iterable<Entry> {
  if (query.agentId === undefined) return entries.values();
  const entry = entries.get(query.agentId);
  return entry ? [entry] : [];
}

function include(index: Map<string, Set<string>>, key: string, agentId: string): void {
  const ids = index.get(key);
  if (ids) ids.add(agentId);
  else index.set(key, new Set([agentId]));
}

function exclude(index: Map<string, Set<string>>, key: string, agentId: string): void {
  const ids = index.get(key);
  ids?.delete(agentId);
  if (ids?.size === 0) index.delete(key);
}
