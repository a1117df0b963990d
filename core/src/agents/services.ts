import { checkData } from "../contracts.ts";
import { createMemoryClient } from "../memory/client.ts";
import type { Memory } from "../memory/contract.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { SchemaRef } from "../registry/records.ts";
import { createTrackerClient, type TrackerClient } from "../tracker/client.ts";

/** What the agents of one node share: the node and its clients of the state node. */
export interface NodeServices {
  readonly node: MeshNode;
  readonly memory: Memory;
  readonly tracker: TrackerClient;
  /** Checks data against a registered schema. The schema is fetched once: versions are immutable. */
  check(ref: SchemaRef, data: unknown, what: string): void | Promise<void>;
  close(): Promise<void>;
}

export function createServices(node: MeshNode): NodeServices {
  const schemas = new Map<string, object>();
  const { runtime, tenantId: tenant, userId } = node;
  const client = {
    caller: node.state,
    runtime,
    tenant,
    ...(userId === undefined ? {} : { userId }),
    nextId: () => node.nextId(),
  };
  const tracker = createTrackerClient(client);
  return {
    node,
    memory: createMemoryClient(client),
    tracker,
    check(ref, data, what) {
      const key = `${ref.name}@${ref.version}`;
      const known = schemas.get(key);
      if (known) {
        checkData(known, data, what);
        return undefined;
      }
      return (async () => {
        const record = await node.registry.getSchema(ref.name, ref.version);
        // A schema nobody registered checks nothing here; the handler's own contract still does.
        if (!record) return;
        schemas.set(key, record.schema);
        checkData(record.schema, data, what);
      })();
    },
    async close() {
      tracker[Symbol.dispose]();
      await node.close();
    },
  };
}
