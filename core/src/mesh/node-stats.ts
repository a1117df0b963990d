import { checkData } from "../contracts.ts";
import { isSoormaError, type SoormaError } from "../errors.ts";
import type { Address } from "../plugin/transport.ts";
import { type AgentKind, type AgentRecord, agentKinds } from "../registry/records.ts";
import { Type } from "../schema.ts";
import type { EventStats } from "./event-fabric.ts";
import type { RpcStats } from "./peer-rpc.ts";
import type { Rpc } from "./rpc.ts";

/**
 * Asks a node for its {@link NodeStats}. Every node answers it, the broker too: without parameters, at once, and to
 * whoever asks.
 */
export const statsMethod = "mesh.stats";

/** What the operating system gives a process, from its start. */
export interface ProcessUsage {
  readonly uptimeMs: number;
  /** Resident memory, bytes. */
  readonly rssBytes: number;
  /** Of that, what JavaScript objects take up. */
  readonly heapBytes: number;
  /** Processor time, user and system, of all threads. 1_000 in a second is one core. */
  readonly cpuMs: number;
}

/** What an agent does. Counts are from its start. */
export interface AgentStats {
  readonly agentId: string;
  readonly name: string;
  readonly kind: AgentKind;
  readonly concurrency: number;
  /** Handlers of events and requests: those that run, and what waits for its turn. */
  readonly handlers: { readonly running: number; readonly waiting: number };
  readonly events: { readonly handled: number; readonly failed: number };
  readonly requests: { readonly answered: number; readonly failed: number };
  /** Of a worker. */
  readonly tasks?: {
    readonly running: number;
    /** Handlers that only wait, for time, an event or a person; they take up no place. */
    readonly suspended: number;
    /** Results that no planner has acknowledged yet. */
    readonly unacknowledged: number;
    readonly succeeded: number;
    readonly failed: number;
  };
  /** Of a planner. */
  readonly plans?: {
    readonly driving: number;
    /** Tasks it has out, those that wait for a worker included. */
    readonly tasks: number;
    readonly queued: number;
  };
}

/** What a node says of itself. Plain data. Counts are from the node's start. */
export interface NodeStats {
  readonly nodeId: string;
  readonly role: "agents" | "broker";
  readonly host: string;
  readonly pid: number;
  /** Milliseconds since the node was opened, by its own clock: rates are differences divided by differences of it. */
  readonly uptimeMs: number;
  /** Absent where whoever opened the node did not say how to measure it. */
  readonly process?: ProcessUsage;
  readonly agents: readonly AgentStats[];
  readonly events: EventStats;
  /** Directed calls of every sort: requests, tasks, memory, plans. */
  readonly calls: RpcStats;
  readonly transport: {
    readonly sent: number;
    readonly received: number;
    readonly malformed: number;
    readonly dropped: number;
    readonly waiting: number;
    readonly peers: number;
  };
  /** Of a broker. */
  readonly registry?: {
    readonly agents: number;
    readonly schemas: number;
    readonly watchers: number;
    readonly linked: number;
    readonly revision: number;
  };
}

/** One node's answer, or why there is none. */
export interface NodeAnswer {
  readonly address: Address;
  readonly nodeId: string;
  /** The node's agents as the directory has them; none for a broker. */
  readonly agents: readonly AgentRecord[];
  readonly stats?: NodeStats;
  /** `TIMEOUT` also of a node whose thread is busy; `PEER_UNREACHABLE`; `METHOD_UNKNOWN` of an older version. */
  readonly error?: SoormaError;
}

const count = Type.Number({ minimum: 0 });
const counts = <K extends string>(...names: readonly K[]) =>
  Type.Object(Object.fromEntries(names.map((name) => [name, count])) as Record<K, typeof count>);

const schema = Type.Object({
  nodeId: Type.String({ maxLength: 64 }),
  role: Type.Union([Type.Literal("agents"), Type.Literal("broker")]),
  host: Type.String({ maxLength: 256 }),
  pid: Type.Integer(),
  uptimeMs: count,
  process: Type.Optional(counts("uptimeMs", "rssBytes", "heapBytes", "cpuMs")),
  agents: Type.Array(
    Type.Object({
      agentId: Type.String({ maxLength: 256 }),
      name: Type.String({ maxLength: 256 }),
      kind: Type.Union(agentKinds.map((kind) => Type.Literal(kind))),
      concurrency: count,
      handlers: counts("running", "waiting"),
      events: counts("handled", "failed"),
      requests: counts("answered", "failed"),
      tasks: Type.Optional(counts("running", "suspended", "unacknowledged", "succeeded", "failed")),
      plans: Type.Optional(counts("driving", "tasks", "queued")),
    }),
    { maxItems: 100_000 },
  ),
  events: counts("published", "received", "malformed", "missed", "gaps", "duplicates"),
  calls: counts("pending", "made", "answered", "refused", "malformed", "late", "doubled"),
  transport: counts("sent", "received", "malformed", "dropped", "waiting", "peers"),
  registry: Type.Optional(counts("agents", "schemas", "watchers", "linked", "revision")),
});

/**
 * Asks one node.
 *
 * @throws {SoormaError} what `rpc.call` throws; `PAYLOAD_INVALID` for an answer that is none.
 */
export async function askStats(
  rpc: Pick<Rpc, "call">,
  address: Address,
  options: { readonly timeoutMs?: number; readonly signal?: AbortSignal } = {},
): Promise<NodeStats> {
  const answer = await rpc.call(address, statsMethod, null, options);
  checkData(schema, answer, `what ${address} says of itself`, "Run the same version of Soorma everywhere in the mesh.");
  return answer as NodeStats;
}

/** The error of a call as part of an answer; whatever else was thrown is a bug, and goes on. */
export function callError(error: unknown): SoormaError {
  if (isSoormaError(error)) return error;
  throw error;
}
