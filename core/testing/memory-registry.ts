import { SoormaError } from "../src/errors.ts";
import { definePlugin } from "../src/plugin/plugin.ts";
import type { RegistryBackend } from "../src/plugin/registry.ts";
import { compareAgents, matchesAgent } from "../src/registry/match.ts";
import type { AgentRecord, DirectoryChange, SchemaRecord } from "../src/registry/records.ts";
import { checkImmutable, findSchemas, parseSchemaRecord, pickSchema } from "../src/registry/schemas.ts";
import { parseAgentQuery, parseAgentRecord, parseLeaseMs } from "../src/registry/validate.ts";
import { type Runtime, systemRuntime, type Timer } from "../src/runtime.ts";
import { Type } from "../src/schema.ts";

/** A registry inside one process: what every client of it registers, every other one sees. */
export interface MemoryRegistry {
  /** A client, as each node has one. */
  connect(): RegistryBackend;
  /** While false every call fails with `REGISTRY_UNAVAILABLE` and nobody is told of changes. */
  available: boolean;
}

type Listener = (change: DirectoryChange) => void;

const supports = { leases: true, push: true, schemas: true, writable: true } as const;

/** A directory in memory, for tests of what stands on a registry. Passes the same contract as the real ones. */
export function memoryRegistry({ runtime = systemRuntime }: { readonly runtime?: Runtime } = {}): MemoryRegistry {
  const agents = new Map<string, { record: AgentRecord; revision: number; lease: Timer }>();
  const schemas = new Map<string, Map<string, SchemaRecord>>();
  const listeners = new Map<Listener, (revision: number) => void>();
  let revision = 0;
  let available = true;

  const tell = (change: DirectoryChange): void => {
    if (!available) return;
    for (const [listener, seen] of [...listeners]) {
      seen(change.revision);
      listener(structuredClone(change));
    }
  };
  const records = (): AgentRecord[] => [...agents.values()].map(({ record }) => record).sort(compareAgents);
  const snapshot = (): DirectoryChange => ({ kind: "snapshot", revision, records: records() });
  const remove = (agentId: string, reason: "left" | "expired"): void => {
    const entry = agents.get(agentId);
    if (!entry) return;
    entry.lease.cancel();
    agents.delete(agentId);
    tell({ kind: "down", revision: ++revision, agentId, reason });
  };
  const lease = (agentId: string, leaseMs: number): Timer =>
    runtime.setTimer(() => remove(agentId, "expired"), parseLeaseMs(leaseMs), { background: true });

  const connect = (): RegistryBackend => {
    const own = new Set<Listener>();
    let closed = false;
    /** Runs `body` a turn later, as if it had come from elsewhere. */
    const call = async <T>(what: string, body: () => T): Promise<T> => {
      await new Promise<void>((resolve) => runtime.defer(resolve));
      if (closed || !available) {
        const why = closed ? "this client of it is closed" : "it is switched off";
        throw new SoormaError("REGISTRY_UNAVAILABLE", `the memory registry did not ${what}: ${why}`);
      }
      return structuredClone(body());
    };
    const close = async (): Promise<void> => {
      closed = true;
      for (const listener of own) listeners.delete(listener);
    };
    return {
      supports,
      register: (wanted, { leaseMs, signal }) =>
        call("register", () => {
          signal?.throwIfAborted();
          const record = structuredClone(parseAgentRecord(wanted));
          const known = agents.get(record.agentId);
          const timer = lease(record.agentId, leaseMs);
          known?.lease.cancel();
          if (known && Bun.deepEquals(known.record, record)) {
            known.lease = timer;
            return { revision: known.revision };
          }
          agents.set(record.agentId, { record, revision: ++revision, lease: timer });
          tell({ kind: known ? "changed" : "up", revision, record });
          return { revision };
        }),
      renew: (agentIds, { leaseMs }) =>
        call("renew", () => {
          const unknown = agentIds.filter((agentId) => !agents.has(agentId));
          for (const agentId of agentIds) {
            const entry = agents.get(agentId);
            entry?.lease.cancel();
            if (entry) entry.lease = lease(agentId, leaseMs);
          }
          return { unknown };
        }),
      deregister: (agentIds) =>
        call("deregister", () => {
          for (const agentId of agentIds) remove(agentId, "left");
        }),
      find: (query) =>
        call("find", () => {
          const wanted = parseAgentQuery(query);
          return records().filter((record) => matchesAgent(record, wanted));
        }),
      async watch(listener) {
        let seen = 0;
        await call("watch", () => {
          own.add(listener);
          listeners.set(listener, (newest) => {
            seen = newest;
          });
          seen = revision;
          // In the same turn, so that no change can come before it.
          listener(structuredClone(snapshot()));
        });
        return {
          get revision() {
            return seen;
          },
          async [Symbol.asyncDispose]() {
            own.delete(listener);
            listeners.delete(listener);
          },
        };
      },
      putSchema: (wanted) =>
        call("store the schema", () => {
          const schema = parseSchemaRecord(wanted);
          const versions = schemas.get(schema.name) ?? new Map<string, SchemaRecord>();
          checkImmutable(versions.get(schema.version), schema);
          schemas.set(schema.name, versions.set(schema.version, schema));
        }),
      getSchema: (name, version) => call("look", () => pickSchema(schemas.get(name) ?? new Map(), version)),
      querySchemas: (query) => call("look", () => findSchemas(schemas, query)),
      close,
      [Symbol.asyncDispose]: close,
    };
  };

  return {
    connect,
    get available() {
      return available;
    },
    set available(value) {
      const back = value && !available;
      available = value;
      if (back) tell(snapshot());
    },
  };
}

/** {@link memoryRegistry} as a plugin, each `create` on a registry of its own. */
export const memoryRegistryPlugin = definePlugin({
  kind: "registry",
  name: "memory",
  api: 1,
  supports,
  options: Type.Object({}, { additionalProperties: false }),
  create: async (_options, { runtime }) => memoryRegistry({ runtime }).connect(),
});
