import type { AgentRecord, Logger, SchemaRecord } from "@soorma/core";
import { parseAgentRecord, parseLeaseMs, parseSchemaRecord } from "@soorma/core/registry";
import type { Store } from "@soorma/core/store";
import type { Leased } from "./directory.ts";

/**
 * Revisions are reserved in blocks, so that pushing a change never waits for the disk: half a block is what a directory at its limit
 * gives out in several crashes of everybody, while the disk is slow or full. There are enough for any number of restarts.
 */
const revisionBlock = 1_000_000;

/** What a broker remembers over a restart. */
interface Remembered {
  readonly agents: readonly Leased[];
  readonly schemas: readonly SchemaRecord[];
  /** Higher than any revision given out before. */
  readonly revision: number;
}

/** The directory's records and the schemas on disk. Leases are not: a renewal writes nothing. */
export interface BrokerStore {
  /** Reads what is there and reserves revisions. To be called once, first. */
  load(): Promise<Remembered>;
  putAgent(agent: Leased): void;
  deleteAgent(agentId: string): void;
  putSchema(schema: SchemaRecord): void;
  /**
   * Resolves when everything put or deleted so far is on disk; at once if it is already. Whatever came while the disk
   * was busy goes into one write. After a failure nothing is forgotten: the next flush tries it again.
   *
   * @throws {SoormaError} `STORE_FULL`, `STORE_READ_ONLY`, `STORE_CORRUPT`, `STORE_FAILED`
   */
  flush(revision: number): Promise<void>;
}

type Write = { readonly key: readonly string[]; readonly value: unknown };

export function createBrokerStore(store: Store, log: Logger): BrokerStore {
  /** What the disk does not have yet, by key; `value` undefined deletes. */
  let dirty = new Map<string, Write>();
  let reserved = 0;
  let writing: Promise<void> | undefined;

  const put = (key: readonly string[], value: unknown): void => {
    dirty.set(JSON.stringify(key), { key, value });
  };

  const write = async (revision: number): Promise<void> => {
    const batch = dirty;
    dirty = new Map();
    // Half a block ahead, so that a burst of changes during this write stays below what was reserved.
    const reserve = revision + revisionBlock / 2 > reserved ? revision + revisionBlock : reserved;
    try {
      await store.transact((tx) => {
        for (const { key, value } of batch.values()) {
          if (value === undefined) tx.delete(key);
          else tx.put(key, value);
        }
        if (reserve !== reserved) tx.put(["meta", "revision"], reserve);
      });
      reserved = reserve;
    } catch (error) {
      for (const [key, write] of dirty) batch.set(key, write);
      dirty = batch;
      throw error;
    }
  };

  const readEach = <T>(kind: string, parse: (value: unknown) => T): T[] => {
    const read: T[] = [];
    for (const { key, value } of store.range({ prefix: [kind] })) {
      try {
        read.push(parse(value));
      } catch (error) {
        // Written by another version of the broker: better to lose one record than to refuse to start.
        log.warn("record.skipped", { key, error });
      }
    }
    return read;
  };

  return {
    async load() {
      const agents = readEach("agent", parseLeased);
      const schemas = readEach("schema", parseSchemaRecord);
      const known = store.get(["meta", "revision"]);
      const revision = typeof known === "number" && Number.isSafeInteger(known) ? known : 0;
      await write(revision);
      return { agents, schemas, revision };
    },
    putAgent: ({ record, leaseMs }) => put(["agent", record.agentId], { record, leaseMs }),
    deleteAgent: (agentId) => put(["agent", agentId], undefined),
    putSchema: (schema) => put(["schema", schema.name, schema.version], schema),
    async flush(revision) {
      // One write under way may have begun before what the caller waits for; the one after it has it.
      const before = writing;
      if (before) await before.catch(() => {});
      if (writing && writing !== before) return writing;
      if (dirty.size === 0 && revision + revisionBlock / 2 <= reserved) return;
      writing = write(revision).finally(() => {
        writing = undefined;
      });
      return writing;
    },
  };
}

function parseLeased(value: unknown): Leased {
  const { record, leaseMs } = (value ?? {}) as { record?: AgentRecord; leaseMs?: number };
  return { record: parseAgentRecord(record), leaseMs: parseLeaseMs(leaseMs) };
}
