import type { AgentRecord } from "../src/registry/records.ts";

/** A valid agent record with every list empty; `over` replaces what a test cares about. */
export function agentRecord(over: Partial<AgentRecord> & { readonly agentId: string }): AgentRecord {
  return {
    name: over.agentId,
    kind: "worker",
    description: "",
    version: "1.0.0",
    tenant: "default",
    capabilities: [],
    goals: [],
    tasks: [],
    operations: [],
    consumes: [],
    produces: [],
    concurrency: 1,
    ready: true,
    nodeId: `node-${over.agentId.replaceAll(/[^a-z0-9-]/g, "-")}`.slice(0, 64),
    address: `nowhere-${over.agentId}`,
    host: "localhost",
    pid: 1,
    startedAtMs: 1_700_000_000_000,
    ...over,
  };
}
