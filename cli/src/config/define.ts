// Loaded by every `soorma.config.ts`, so it loads nothing itself.

/** A project's `soorma.config.ts`. Everything may be left out. */
export interface Config extends Overlay {
  /** By name: a file, or a file with options. Default: `src/agents/*.ts`, else `src/agent.ts`, else `agent.ts`. */
  readonly agents?: Readonly<Record<string, string | AgentConfig>>;
  /**
   * What differs in an environment, by its name. The one that `--env` or `SOORMA_ENV` names is laid over the rest: objects key by
   * key, anything else as a whole.
   */
  readonly environments?: Readonly<Record<string, Overlay>>;
}

/** What an environment can change. */
export interface Overlay {
  /** As above; `entry` may be left out for agents that are there without it. */
  readonly agents?: Readonly<Record<string, string | Partial<AgentConfig>>>;
  readonly mesh?: MeshConfig;
  readonly plugins?: PluginsConfig;
  readonly memory?: MemoryConfig;
  readonly tracker?: TrackerConfig;
  readonly dev?: DevConfig;
}

export interface AgentConfig {
  /** The agent's file, relative to the project. */
  readonly entry: string;
  /** Processes of it, 1 to 64. Default 1. */
  readonly instances?: number;
  /** Set for its processes in addition. */
  readonly env?: Readonly<Record<string, string>>;
}

export interface MeshConfig {
  /** Where the broker listens, as its transport writes it: `tcp://127.0.0.1:7700`, `ipc:///path`. Default: a socket file. */
  readonly address?: string;
  /** Agents see only agents, events, memory and plans of their tenant. Default `default`. */
  readonly tenantId?: string;
  /** Milliseconds an agent that is not heard of stays known. Default 10_000. */
  readonly leaseMs?: number;
  /** Milliseconds between two renewals of a lease; less than `leaseMs`. Default 3_000. */
  readonly renewMs?: number;
  /** Largest message, in bytes. Default 16 MiB. */
  readonly maxMessageBytes?: number;
  /** Where memory and plans are kept, relative to the project. Default `.soorma/data`. */
  readonly dataFolder?: string;
  /** Bytes that memory and plans may take. Default: what the disk has. */
  readonly dataLimitBytes?: number;
}

export interface PluginsConfig {
  /** Default `zeromq`. */
  readonly transport?: string | PluginConfig;
  /** Default `broker`, for which `soorma dev` runs a broker; with another one it runs none. */
  readonly registry?: string | PluginConfig;
}

export interface PluginConfig {
  /** As plugins are found: a short name (`nats`), a package, or a path relative to the project. */
  readonly name?: string;
  /** What the plugin's own schema takes. They go to other processes, so they have to be JSON. */
  readonly options?: Readonly<Record<string, unknown>>;
}

export interface MemoryConfig {
  /** Milliseconds between two removals of expired entries, which are not seen before that either. Default 1_000. */
  readonly sweepMs?: number;
}

export interface TrackerConfig {
  /** Bytes of plan logs that the state node keeps folded in memory, about. Default 256 MiB. */
  readonly cacheBytes?: number;
}

export interface DevConfig {
  /** The broker's TCP port on 127.0.0.1. Default: a socket file. Not together with `mesh.address`. */
  readonly port?: number;
  /** Milliseconds an agent has to finish its work when it is stopped. Default 10_000. */
  readonly drainMs?: number;
  /** Milliseconds after which an agent that is not ready is not waited for any longer. Default 10_000. */
  readonly readyMs?: number;
  /** Milliseconds before the first restart of an agent that crashed; doubles. Default 500. */
  readonly restartMs?: number;
  /** Check types when a file is saved. Default true. */
  readonly types?: boolean;
}

/** Types a project's configuration; returns it as it is. */
export function defineConfig(config: Config): Config {
  return config;
}
