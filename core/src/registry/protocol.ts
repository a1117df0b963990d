import type { AgentRecord, DirectoryChange } from "./records.ts";

/**
 * The calls of a registry that is itself a node of the mesh, between that node and its clients.
 *
 * All parameters and answers are plain data. `undefined` travels as null.
 */
export const registryMethods = {
  register: "registry.register",
  renew: "registry.renew",
  deregister: "registry.deregister",
  find: "registry.find",
  watch: "registry.watch",
  unwatch: "registry.unwatch",
  putSchema: "registry.putSchema",
  getSchema: "registry.getSchema",
  querySchemas: "registry.querySchemas",
  status: "registry.status",
  /** A note, from the registry to a watcher. */
  change: "registry.change",
} as const;

export interface WatchParams {
  /** Chosen by the watcher, unique within its node. */
  readonly watchId: string;
  /** Only changes of that tenant. */
  readonly tenant?: string;
  /** Of the last answer. When given, and the registry still knows the watch, the answer brings no records. */
  readonly epoch?: string;
}

export interface WatchAnswer {
  /** The registry's own node: only its notes count. */
  readonly nodeId: string;
  /** Differs after every start of the registry. */
  readonly epoch: string;
  /** What the watcher has once it took `records`, or every note sent before this answer. */
  readonly revision: number;
  /** The snapshot; null when the watch is known and nothing but the notes is needed. */
  readonly records: readonly AgentRecord[] | null;
}

export interface ChangeNote {
  readonly watchId: string;
  readonly epoch: string;
  /** What the watcher must have for `changes` to follow on it. A snapshot follows on anything. */
  readonly after: number;
  readonly changes: readonly DirectoryChange[];
}

/** What the registry says about itself. */
export interface RegistryStatus {
  readonly nodeId: string;
  readonly epoch: string;
  readonly revision: number;
  readonly agents: number;
  readonly schemas: number;
  readonly watchers: number;
  /** Agents' addresses it holds a connection to now. */
  readonly linked: number;
  /** Milliseconds since it started. */
  readonly uptimeMs: number;
}
