import { compilePattern, type Pattern } from "../events/pattern.ts";
import type { Address } from "../plugin/transport.ts";
import type { AgentRecord, DirectoryChange, EventRef } from "../registry/records.ts";
import { stateCapability } from "../state-caller.ts";

/** A node, as the agents it hosts describe it. */
export interface KnownNode {
  readonly nodeId: string;
  readonly address: Address;
  readonly agents: ReadonlyMap<string, AgentRecord>;
}

/** Members of a queue group that take a certain event. */
export interface GroupMembers {
  readonly group: string;
  readonly members: readonly AgentRecord[];
}

/**
 * A node's own copy of the directory, fed by a registry's `watch`.
 *
 * It outlives the registry: with the registry gone it still says who was there, less the peers whose connection is
 * lost. Of other tenants nothing is kept but who keeps the state: one state node serves all, and keeps them apart.
 */
export class DirectoryView {
  readonly #tenant: string;
  readonly #agents = new Map<string, AgentRecord>();
  /** State nodes registered by another tenant. */
  readonly #states = new Map<string, AgentRecord>();
  readonly #nodes = new Map<string, { nodeId: string; address: Address; agents: Map<string, AgentRecord> }>();
  /** Addresses whose connection is lost; their agents are not offered anything. */
  readonly #lost = new Set<Address>();
  readonly #listeners = new Set<() => void>();
  readonly #patterns = new Map<string, Pattern | undefined>();
  /** Answers that hold until the next change. */
  readonly #memo = new Map<string, unknown>();
  #revision = 0;

  constructor(tenant: string) {
    this.#tenant = tenant;
  }

  /** The newest revision taken in. */
  get revision(): number {
    return this.#revision;
  }

  apply(change: DirectoryChange): void {
    if (change.kind === "snapshot") {
      this.#agents.clear();
      this.#states.clear();
      this.#nodes.clear();
      for (const record of change.records) this.#add(record);
    } else if (change.kind === "down") {
      this.#remove(change.agentId);
    } else {
      this.#add(change.record);
    }
    this.#revision = change.revision;
    this.#changed();
  }

  /** Notes that the connection to a peer was lost or is there again. */
  setReachable(address: Address, reachable: boolean): void {
    const before = this.#lost.size;
    if (reachable) this.#lost.delete(address);
    else this.#lost.add(address);
    if (this.#lost.size !== before) this.#changed();
  }

  isReachable(address: Address): boolean {
    return !this.#lost.has(address);
  }

  /** Addresses whose connection is lost, and at which the directory knows nobody (any more). */
  lostStrangers(): Address[] {
    if (this.#lost.size === 0) return [];
    const known = new Set<Address>();
    for (const { address } of this.#nodes.values()) known.add(address);
    for (const { address } of this.#states.values()) known.add(address);
    return [...this.#lost].filter((address) => !known.has(address));
  }

  /** Called after every change; disposing ends it. */
  onChange(listener: () => void): Disposable {
    this.#listeners.add(listener);
    return { [Symbol.dispose]: () => void this.#listeners.delete(listener) };
  }

  nodes(): Iterable<KnownNode> {
    return this.#nodes.values();
  }

  get(agentId: string): AgentRecord | undefined {
    return this.#agents.get(agentId);
  }

  has(agentId: string): boolean {
    return this.#agents.has(agentId);
  }

  all(): AgentRecord[] {
    return [...this.#agents.values()];
  }

  /** Ready, reachable agents whose name, id or capability is `assignedTo`. */
  assignable(assignedTo: string): readonly AgentRecord[] {
    return this.#remember(`a ${assignedTo}`, () =>
      this.#ready().filter(
        (agent) =>
          agent.kind !== "planner" &&
          agent.kind !== "client" &&
          (agent.agentId === assignedTo || agent.name === assignedTo || agent.capabilities.includes(assignedTo)),
      ),
    );
  }

  /** Ready, reachable agents with that capability. */
  capable(capability: string): readonly AgentRecord[] {
    return this.#remember(`c ${capability}`, () =>
      this.#ready().filter((agent) => agent.capabilities.includes(capability)),
    );
  }

  /** Agents with that capability, whether they are ready and can be reached or not. */
  announcing(capability: string): readonly AgentRecord[] {
    return this.#remember(`n ${capability}`, () =>
      [...this.#agents.values()].filter((agent) => agent.capabilities.includes(capability)),
    );
  }

  /** Ready, reachable state nodes, the tenant's own first. */
  stateNodes(): readonly AgentRecord[] {
    return this.#remember("states", () => [
      ...this.capable(stateCapability),
      ...[...this.#states.values()].filter((agent) => agent.ready && !this.#lost.has(agent.address)),
    ]);
  }

  /** Ready, reachable planners that take the goal. */
  planners(goalType: string): readonly AgentRecord[] {
    return this.#remember(`p ${goalType}`, () =>
      this.#ready().filter((agent) => agent.goals.some((goal) => goal.name === goalType)),
    );
  }

  /** Ready, reachable agents with an operation of that name. */
  responders(type: string): readonly AgentRecord[] {
    return this.#remember(`r ${type}`, () =>
      this.#ready().filter((agent) => agent.operations.some((operation) => operation.name === type)),
    );
  }

  /**
   * The queue groups that want an event, with their ready, reachable members: none for a group whose members cannot be
   * reached just now, and still has to be waited for.
   */
  groups(type: string, topic: string): readonly GroupMembers[] {
    return this.#remember(`g ${type} ${topic}`, () => {
      const groups = new Map<string, AgentRecord[]>();
      for (const agent of this.#agents.values()) {
        if (!agent.ready) continue;
        const names = new Set<string>();
        for (const ref of agent.consumes) {
          if (ref.group !== undefined && this.takes(ref, type, topic)) names.add(ref.group);
        }
        for (const name of names) {
          const members = groups.get(name) ?? [];
          if (!this.#lost.has(agent.address)) members.push(agent);
          groups.set(name, members);
        }
      }
      return [...groups].map(([group, members]) => ({ group, members }));
    });
  }

  /** Reachable agents that want every event of that type for themselves. */
  subscribers(type: string, topic: string): readonly AgentRecord[] {
    return [...this.#agents.values()].filter(
      (agent) =>
        !this.#lost.has(agent.address) &&
        agent.consumes.some((ref) => ref.group === undefined && this.takes(ref, type, topic)),
    );
  }

  /** Nodes with an agent that wants every event of that type for itself. */
  broadcastNodes(type: string, topic: string): readonly KnownNode[] {
    return this.#remember(`b ${type} ${topic}`, () =>
      [...this.#nodes.values()].filter((node) =>
        [...node.agents.values()].some((agent) =>
          agent.consumes.some((ref) => ref.group === undefined && this.takes(ref, type, topic)),
        ),
      ),
    );
  }

  /** True when something announced as consumed matches an event. */
  takes(ref: EventRef, type: string, topic: string): boolean {
    if (ref.topic !== undefined && ref.topic !== topic) return false;
    return this.pattern(ref.type)?.matches(type) ?? false;
  }

  /** Compiles a pattern out of somebody's record; `undefined` for nonsense. */
  pattern(source: string): Pattern | undefined {
    if (!this.#patterns.has(source)) {
      let pattern: Pattern | undefined;
      try {
        pattern = compilePattern(source);
      } catch {
        // Another node's record: what it says wrongly matches nothing, and must not stop this node.
      }
      this.#patterns.set(source, pattern);
    }
    return this.#patterns.get(source);
  }

  #ready(): readonly AgentRecord[] {
    return this.#remember("ready", () =>
      [...this.#agents.values()].filter((agent) => agent.ready && !this.#lost.has(agent.address)),
    );
  }

  #remember<T>(key: string, make: () => T): T {
    if (!this.#memo.has(key)) this.#memo.set(key, make());
    return this.#memo.get(key) as T;
  }

  #add(record: AgentRecord): void {
    this.#remove(record.agentId);
    if (record.tenant !== this.#tenant) {
      if (record.capabilities.includes(stateCapability)) this.#states.set(record.agentId, record);
      return;
    }
    this.#agents.set(record.agentId, record);
    let node = this.#nodes.get(record.nodeId);
    if (!node || node.address !== record.address) {
      node = { nodeId: record.nodeId, address: record.address, agents: new Map() };
      this.#nodes.set(record.nodeId, node);
    }
    node.agents.set(record.agentId, record);
  }

  #remove(agentId: string): void {
    this.#states.delete(agentId);
    const record = this.#agents.get(agentId);
    if (!record) return;
    this.#agents.delete(agentId);
    const node = this.#nodes.get(record.nodeId);
    node?.agents.delete(agentId);
    if (node?.agents.size === 0) this.#nodes.delete(record.nodeId);
  }

  #changed(): void {
    this.#memo.clear();
    for (const listener of [...this.#listeners]) listener();
  }
}
