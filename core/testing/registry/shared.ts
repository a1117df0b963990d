import type { RegistryBackend, RegistrySupports } from "../../src/plugin/registry.ts";
import type { AgentRecord, DirectoryChange } from "../../src/registry/records.ts";
import { agentRecord } from "../records.ts";

/** A registry of a test's own, and the switch that makes it fail. */
export interface RegistryFixture extends AsyncDisposable {
  /** Another client of the same registry, as another process would have. Disposing the fixture closes it. */
  connect(): Promise<RegistryBackend>;
  /** Makes the registry unreachable, as far as its clients are concerned killed. */
  outage(): Promise<void>;
  /** Brings it back, with what it has to remember. */
  restore(): Promise<void>;
  /** How long a test waits for what has to happen before it fails. Default 20_000 ms. */
  readonly patienceMs?: number;
}

/** A lease of a test that waits for its end: short enough to wait for, long enough for a slow machine. */
export const shortLeaseMs = 1_000;
export const lease = { leaseMs: 60_000 } as const;
/** How long a test waits for what has to happen. */
export function bound(fixture: RegistryFixture): { readonly timeoutMs: number } {
  return { timeoutMs: fixture.patienceMs ?? 20_000 };
}

export type RegistryCheck = (
  title: string,
  body: (registry: RegistryBackend, fixture: RegistryFixture) => Promise<void>,
  needs?: keyof RegistrySupports,
) => void;

export type KnownCheck = (
  title: string,
  records: readonly AgentRecord[],
  body: (registry: RegistryBackend, fixture: RegistryFixture) => Promise<void>,
) => void;

export const researcher = agentRecord({
  agentId: "researcher-1",
  name: "researcher",
  description: "Finds papers — and häuft them",
  capabilities: ["web_research", "paper_search"],
  tasks: [
    {
      name: "paper_search",
      description: "By title",
      input: { name: "papers.query", version: "1.2.0" },
      output: { name: "papers.list", version: "2.0.0-rc.1" },
    },
  ],
  consumes: [
    { type: "paper.published", topic: "business-facts", group: "researcher" },
    { type: "paper.published", topic: "system-events" },
    { type: "order.*" },
  ],
  produces: [{ type: "paper.found", schema: { name: "paper", version: "1.0.0" } }],
  concurrency: 8,
});
export const planner = agentRecord({
  agentId: "planner-1",
  name: "planner",
  kind: "planner",
  goals: [{ name: "research.goal" }],
  ready: false,
});
export const calculator = agentRecord({
  agentId: "calculator-1",
  name: "calculator",
  kind: "tool",
  operations: [{ name: "calculate", description: "Adds up" }],
  capabilities: ["sea"],
  tenant: "acme",
});
export const twin = agentRecord({ agentId: "a-researcher-2", name: "researcher", capabilities: ["web_research_pro"] });
export const everybody = [researcher, planner, calculator, twin];

/** Changes without snapshots: a registry may send one whenever it likes. */
export function told(changes: readonly DirectoryChange[]): Exclude<DirectoryChange, { kind: "snapshot" }>[] {
  return changes.filter((change) => change.kind !== "snapshot");
}

export interface View {
  readonly records: ReadonlyMap<string, AgentRecord>;
  readonly snapshots: number;
  /** Pairs of revisions that came in the wrong order. */
  readonly outOfOrder: readonly (readonly [number, number])[];
  apply(change: DirectoryChange): void;
}

/** What a node makes out of the changes it is told. */
export function directoryView(): View {
  const records = new Map<string, AgentRecord>();
  const outOfOrder: [number, number][] = [];
  let snapshots = 0;
  let revision = 0;
  return {
    records,
    get snapshots() {
      return snapshots;
    },
    outOfOrder,
    apply(change) {
      if (change.kind === "snapshot") {
        snapshots++;
        records.clear();
        for (const record of change.records) records.set(record.agentId, record);
      } else {
        if (change.revision <= revision) outOfOrder.push([revision, change.revision]);
        if (change.kind === "down") records.delete(change.agentId);
        else records.set(change.record.agentId, change.record);
      }
      revision = change.revision;
    },
  };
}
