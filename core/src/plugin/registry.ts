import type { Logger } from "../log.ts";
import type { Rpc } from "../mesh/rpc.ts";
import type { AgentQuery, AgentRecord, DirectoryChange, SchemaQuery, SchemaRecord } from "../registry/records.ts";
import type { Runtime } from "../runtime.ts";
import type { Address } from "./transport.ts";

export interface RegistrySupports {
  /** A record vanishes when its lease is not renewed. */
  readonly leases: boolean;
  /** Changes are pushed to watchers. When false, `watch` polls. */
  readonly push: boolean;
  readonly schemas: boolean;
  /** Records can be registered at all; a static list cannot. */
  readonly writable: boolean;
}

export interface RegisterOptions {
  readonly leaseMs: number;
  readonly signal?: AbortSignal;
}

export interface Registered {
  /** The directory's revision that has the record in it; watchers that saw this revision know it. */
  readonly revision: number;
}

export interface RenewResult {
  /** Ids the registry does not know (any more): their owner registers them again. */
  readonly unknown: readonly string[];
}

export interface RegistryWatch extends AsyncDisposable {
  /** The newest revision delivered. */
  readonly revision: number;
}

/**
 * A directory of live agents and of schema versions.
 *
 * Every call rejects with `REGISTRY_UNAVAILABLE` when the registry cannot be reached in time and `REGISTRY_REFUSED` when
 * it refuses; an empty list always means that there is nobody.
 */
export interface RegistryBackend extends AsyncDisposable {
  readonly supports: RegistrySupports;
  /** Of a registry that is itself a node of the mesh: where it is. It answers `mesh.stats` like every node. */
  readonly node?: Address;
  /** Adds or replaces a record. Registering the same record again only renews its lease. */
  register(record: AgentRecord, options: RegisterOptions): Promise<Registered>;
  renew(agentIds: readonly string[], options: RegisterOptions): Promise<RenewResult>;
  deregister(agentIds: readonly string[]): Promise<void>;
  /** Exact matches of every field given; sorted by name, then id. */
  find(query: AgentQuery): Promise<AgentRecord[]>;
  /**
   * Calls `listener` with a snapshot first, then with each change in order of revision; after an interruption with a
   * new snapshot. Resolves when the first snapshot was delivered; keeps itself alive until disposed.
   */
  watch(listener: (change: DirectoryChange) => void): Promise<RegistryWatch>;
  /**
   * Stores a schema version; the same content again is fine.
   *
   * @throws {SoormaError} `SCHEMA_CONFLICT` when the version exists with other content, `SCHEMA_INVALID` for a bad
   * name, version (semver 2.0.0) or schema.
   */
  putSchema(schema: SchemaRecord): Promise<void>;
  /** `version` may be exact, a semver range, or `latest`: the highest version that is no prerelease. */
  getSchema(name: string, version?: string): Promise<SchemaRecord | undefined>;
  querySchemas(query: SchemaQuery): Promise<SchemaRecord[]>;
  close(): Promise<void>;
}

/** What a registry plugin's `create` is handed. */
export interface RegistryDeps {
  readonly log: Logger;
  readonly runtime: Runtime;
  /** Calls to other nodes over the mesh's own transport, for registries that are nodes themselves. */
  readonly rpc: Rpc;
}
