import { type DirectoryChange, type RegistryBackend, type RegistryDeps, SoormaError } from "@soorma/core";
import * as rules from "@soorma/core/registry";
import { openTables } from "./tables.ts";

export const supports = { leases: true, push: false, schemas: true, writable: true } as const;

export interface Options {
  readonly file: string;
  readonly timeoutMs: number;
  readonly pollMs: number;
}

export async function openRegistry(
  { file, timeoutMs, pollMs }: Options,
  { runtime }: RegistryDeps,
): Promise<RegistryBackend> {
  const tables = openTables(file);
  const watches = new Set<Disposable>();
  let closed = false;

  /** Everything happens in a transaction that first removes whose lease ran out. */
  const once = <T>(body: () => T): T =>
    tables.transaction(() => {
      for (const agentId of tables.expired(runtime.now())) tables.remove(agentId, "expired");
      return body();
    });
  /** Tries until the other processes leave the file alone for a moment. */
  const patiently = async <T>(what: string, body: () => T, signal?: AbortSignal): Promise<T> => {
    for (const deadlineMs = runtime.monotonic() + timeoutMs; ; await pause()) {
      signal?.throwIfAborted();
      if (closed) throw unavailable(what, "it is closed");
      try {
        return body();
      } catch (cause) {
        if (!tables.isBusy(cause)) throw cause;
        if (runtime.monotonic() >= deadlineMs) throw unavailable(what, `it is locked for ${timeoutMs} ms`, cause);
      }
    }
  };
  const call = <T>(what: string, body: () => T, signal?: AbortSignal) => patiently(what, () => once(body), signal);
  const pause = () => new Promise<void>((resolve) => void runtime.setTimer(resolve, 10));
  const unavailable = (what: string, why: string, cause?: unknown) =>
    new SoormaError("REGISTRY_UNAVAILABLE", `the registry ${file} did not ${what}: ${why}`, { cause });

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    for (const watch of watches) watch[Symbol.dispose]();
    tables.close();
  };

  try {
    await patiently("open", tables.create);
  } catch (error) {
    tables.close();
    throw error;
  }
  return {
    supports,
    async register(wanted, { leaseMs, signal }) {
      const record = rules.parseAgentRecord(wanted);
      const expiresAtMs = runtime.now() + rules.parseLeaseMs(leaseMs);
      return await call("register", () => ({ revision: tables.put(record, expiresAtMs) }), signal);
    },
    async renew(agentIds, { leaseMs, signal }) {
      const expiresAtMs = runtime.now() + rules.parseLeaseMs(leaseMs);
      const renew = () => agentIds.filter((agentId) => !tables.renew(agentId, expiresAtMs));
      return { unknown: await call("renew", renew, signal) };
    },
    async deregister(agentIds) {
      await call("deregister", () => {
        for (const agentId of agentIds) tables.remove(agentId, "left");
      });
    },
    async find(query) {
      const wanted = rules.parseAgentQuery(query);
      const records = await call("find", () => tables.agents());
      return records.filter((record) => rules.matchesAgent(record, wanted)).sort(rules.compareAgents);
    },
    async watch(listener) {
      let revision = 0;
      /** Whether the file could not be read for a while, so that something may have been missed. */
      let missed = false;
      const snapshot = (): DirectoryChange[] => [
        { kind: "snapshot", revision: tables.revision(), records: tables.agents() },
      ];
      const news = () => (missed || !tables.remembers(revision) ? snapshot() : tables.changesAfter(revision));
      const tell = (changes: readonly DirectoryChange[]): void => {
        for (const change of changes) {
          revision = change.revision;
          listener(change);
        }
      };
      const poll = (): void => {
        timer = runtime.setTimer(poll, pollMs, { background: true });
        try {
          tell(once(news));
          missed = false;
        } catch (cause) {
          if (!tables.isBusy(cause)) throw cause;
          missed = true;
        }
      };
      tell(await call("watch", snapshot));
      let timer = runtime.setTimer(poll, pollMs, { background: true });
      const watch = { [Symbol.dispose]: () => timer.cancel() };
      watches.add(watch);
      return {
        get revision() {
          return revision;
        },
        async [Symbol.asyncDispose]() {
          watch[Symbol.dispose]();
          watches.delete(watch);
        },
      };
    },
    async putSchema(wanted) {
      const schema = rules.parseSchemaRecord(wanted);
      await call("store the schema", () => {
        rules.checkImmutable(tables.schemas().get(schema.name)?.get(schema.version), schema);
        tables.putSchema(schema);
      });
    },
    async getSchema(name, version) {
      const versions = await call("look for the schema", () => tables.schemas().get(name));
      return rules.pickSchema(versions ?? new Map(), version);
    },
    async querySchemas(query) {
      return rules.findSchemas(await call("look for schemas", () => tables.schemas()), query);
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
