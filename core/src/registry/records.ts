import type { RetryPolicy } from "../plans/log.ts";
import type { Address } from "../plugin/transport.ts";

export const agentKinds = ["planner", "worker", "tool", "client", "service"] as const;
export type AgentKind = (typeof agentKinds)[number];

/** A reference to one version of a registered schema. */
export interface SchemaRef {
  readonly name: string;
  readonly version: string;
}

/** One thing an agent can be asked for: a task of a worker, an operation of a tool, a goal of a planner. */
export interface Operation {
  readonly name: string;
  readonly description?: string;
  readonly input?: SchemaRef;
  readonly output?: SchemaRef;
  /** Of a task: how it is tried when whoever wants it done does not say. */
  readonly retry?: RetryPolicy;
  readonly timeoutMs?: number;
  readonly priority?: number;
}

/** An event type or pattern an agent takes or emits. */
export interface EventRef {
  /** A type (`order.created`); for what is consumed also a pattern (`order.*`). */
  readonly type: string;
  /** Absent: any topic for what is consumed; the topic that follows from the type for what is produced. */
  readonly topic?: string;
  /** For what is consumed: one member of the group gets each event. Absent: this agent gets every one. */
  readonly group?: string;
  readonly schema?: SchemaRef;
}

/** One live agent, as the directory knows it. Plain data: survives msgpack and JSON. */
export interface AgentRecord {
  /** Unique per running instance. */
  readonly agentId: string;
  /** Shared by all instances of one agent. */
  readonly name: string;
  readonly kind: AgentKind;
  readonly description: string;
  readonly version: string;
  readonly tenant: string;
  readonly capabilities: readonly string[];
  /** Goals of a planner. */
  readonly goals: readonly Operation[];
  /** Tasks of a worker. */
  readonly tasks: readonly Operation[];
  /** Operations of a tool, and request types of any agent. */
  readonly operations: readonly Operation[];
  readonly consumes: readonly EventRef[];
  readonly produces: readonly EventRef[];
  /** Tasks run at the same time at most. */
  readonly concurrency: number;
  /** False while the agent does not take work yet, or not any more. */
  readonly ready: boolean;
  readonly nodeId: string;
  readonly address: Address;
  readonly host: string;
  readonly pid: number;
  readonly startedAtMs: number;
}

/** Every field given must match exactly. */
export interface AgentQuery {
  readonly agentId?: string;
  readonly name?: string;
  readonly kind?: AgentKind;
  readonly capability?: string;
  /** An agent that handles this goal, task or operation name. */
  readonly operation?: string;
  /** Agents that announced this very type or pattern as consumed. */
  readonly consumes?: string;
  readonly produces?: string;
  readonly tenant?: string;
}

export type DirectoryChange =
  | { readonly kind: "snapshot"; readonly revision: number; readonly records: readonly AgentRecord[] }
  | { readonly kind: "up" | "changed"; readonly revision: number; readonly record: AgentRecord }
  | {
      readonly kind: "down";
      readonly revision: number;
      readonly agentId: string;
      /** `left` deregistered, `expired` lost its lease, `crashed` lost its connection. */
      readonly reason: "left" | "expired" | "crashed";
    };

/** One immutable version of a named schema. */
export interface SchemaRecord {
  readonly name: string;
  /** Semver 2.0.0. */
  readonly version: string;
  /** JSON Schema (what a TypeBox schema is). */
  readonly schema: Readonly<Record<string, unknown>>;
  readonly description?: string;
}

export interface SchemaQuery {
  readonly name?: string;
  /** Exact, range or `latest`; default all versions. */
  readonly version?: string;
}
