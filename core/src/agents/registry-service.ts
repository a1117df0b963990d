import { checkData, type InputOf, type OutputOf, type ToolContract } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import { checkType } from "../events/pattern.ts";
import { type Topic, topicOf } from "../events/topics.ts";
import type { NodeAnswer } from "../mesh/node-stats.ts";
import type { AgentQuery, AgentRecord, SchemaQuery, SchemaRecord } from "../registry/records.ts";
import type { AnyData } from "./any-data.ts";
import { type BusOwner, type RequestOptions, requestEnvelope } from "./bus.ts";

/** A live agent that was found. */
export interface AgentHandle {
  readonly record: AgentRecord;
  readonly agentId: string;
  readonly name: string;
  readonly capabilities: readonly string[];
  /**
   * Invokes an operation of this very agent.
   *
   * @throws {SoormaError} `TIMEOUT`, `PEER_UNREACHABLE`, `PAYLOAD_INVALID`, `NO_RESPONDER` when the agent has no such
   * operation or is gone; what the handler failed with.
   */
  invoke<C extends ToolContract>(operation: C, data: InputOf<C>, options?: RequestOptions): Promise<OutputOf<C>>;
  invoke(operation: string, data: unknown, options?: RequestOptions): Promise<AnyData>;
}

export interface FindOptions {
  /** Waits so long for somebody to appear. Default 0. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** What changed among the agents of this mesh. */
export interface AgentsChange {
  readonly agents: readonly AgentRecord[];
}

/** Who gets an event. Agents that cannot be reached just now are left out. */
export interface EventReceivers {
  /** Each of them gets it. */
  readonly subscribers: readonly AgentRecord[];
  /** One member of each group gets it. */
  readonly groups: readonly { readonly group: string; readonly members: readonly AgentRecord[] }[];
}

export interface RegistryService {
  /** A live agent with exactly that capability, the less busy of several; `undefined` when there is none. */
  find(capability: string, options?: FindOptions): Promise<AgentHandle | undefined>;
  /** All live agents with exactly that capability. */
  findAll(capability: string): Promise<AgentHandle[]>;
  /**
   * The live agents that match every field given, exactly: by name, kind, capability, operation, or what they consume or
   * produce. Asks the registry itself, and so fails when it cannot be reached.
   *
   * @throws {SoormaError} `REGISTRY_UNAVAILABLE`, `REGISTRY_REFUSED`
   */
  query(query: Omit<AgentQuery, "tenant">): Promise<AgentHandle[]>;
  /** Announces this agent again, after `capabilities` changed. */
  register(changes?: { readonly capabilities?: readonly string[] }): Promise<void>;
  querySchemas(query?: SchemaQuery): Promise<SchemaRecord[]>;
  /**
   * What every process of the mesh says of itself: memory, processor time, its agents and what they do, counts of events
   * and calls. All are asked at the same time; one that does not answer in time has an `error` instead. Counts only grow:
   * ask twice for rates.
   *
   * @param options.timeoutMs - Milliseconds for all of them. Default 1_000.
   */
  stats(options?: RequestOptions): Promise<NodeAnswer[]>;
  /** Who would get an event of that type now. Default topic: the one that follows from the type. */
  receivers(type: string, options?: { readonly topic?: Topic }): EventReceivers;
  /** The live agents now, then again after each change, until the signal aborts, the caller stops iterating or this node stops. */
  watch(options?: { readonly signal?: AbortSignal }): AsyncIterable<AgentsChange>;
}

export function createRegistryService(
  owner: Pick<BusOwner, "agentId" | "services">,
  register: (changes: { readonly capabilities?: readonly string[] }) => Promise<void>,
): RegistryService {
  const handle = (record: AgentRecord): AgentHandle => createHandle(owner, record);
  return {
    async find(capability, { timeoutMs = 0, signal } = {}) {
      const { node } = owner.services();
      const candidates = (): readonly AgentRecord[] => node.directory.capable(capability);
      if (timeoutMs > 0) await node.until(() => candidates().length > 0, timeoutMs, signal);
      const record = node.balance.pick(candidates());
      return record && handle(record);
    },
    async findAll(capability) {
      return owner.services().node.directory.capable(capability).map(handle);
    },
    async query(query) {
      const { node } = owner.services();
      return (await node.registry.find({ ...query, tenant: node.tenantId })).map(handle);
    },
    async register(changes = {}) {
      await register(changes);
    },
    querySchemas: (query = {}) => owner.services().node.registry.querySchemas(query),
    receivers(type, { topic = topicOf(type) } = {}) {
      checkType(type);
      const { directory } = owner.services().node;
      return { subscribers: directory.subscribers(type, topic), groups: directory.groups(type, topic) };
    },
    stats: (options = {}) => owner.services().node.statsOfAll(options),
    async *watch({ signal } = {}) {
      const { directory, closed } = owner.services().node;
      const ends = signal ? AbortSignal.any([signal, closed]) : closed;
      let wake: (() => void) | undefined;
      let changed = true;
      const poke = (): void => {
        changed = true;
        wake?.();
      };
      const listening = directory.onChange(poke);
      ends.addEventListener("abort", poke, { once: true });
      try {
        while (!ends.aborted) {
          if (!changed) {
            await new Promise<void>((resolve) => {
              wake = resolve;
            });
            continue;
          }
          changed = false;
          yield { agents: directory.all() };
        }
      } finally {
        listening[Symbol.dispose]();
        ends.removeEventListener("abort", poke);
      }
    },
  };
}

function createHandle(owner: Pick<BusOwner, "agentId" | "services">, record: AgentRecord): AgentHandle {
  return {
    record,
    agentId: record.agentId,
    name: record.name,
    capabilities: record.capabilities,
    async invoke(operation: string | ToolContract, data: unknown, options: RequestOptions = {}) {
      const services = owner.services();
      const type = typeof operation === "string" ? operation : operation.name;
      const known = record.operations.find((offered) => offered.name === type);
      if (!known) {
        const offered = record.operations.map((o) => o.name).join(", ") || "none";
        throw new SoormaError("NO_RESPONDER", `${record.name} has no operation "${type}"; it has: ${offered}`, {
          retryable: false,
        });
      }
      if (typeof operation !== "string") checkData(operation.input, data, `data of "${type}"`);
      else if (known.input) await services.check(known.input, data, `data of "${type}"`);
      const { envelope, timeoutMs } = requestEnvelope(owner, type, data, options);
      const { node } = services;
      return (await node.request("request", envelope, () => liveOnly(services.node.directory.get(record.agentId)), {
        ...options,
        timeoutMs,
      })) as AnyData;
    },
  };
}

function liveOnly(record: AgentRecord | undefined): readonly AgentRecord[] {
  return record?.ready ? [record] : [];
}
