import type { Agent, Mesh } from "@soorma/core";
import type { ConnectOptions } from "./mesh.ts";

/** What agents and clients that name no mesh belong to, and how they run there. */
export interface AgentHost {
  /** Options of agents that do not give them. */
  readonly defaults: { readonly leaseMs?: number };
  /** Shared by the agents of the host. */
  mesh(): Mesh;
  /** A mesh of its own, with a node of its own. */
  connect(options: ConnectOptions): Mesh;
  run(agent: Agent, run: () => Promise<void>): Promise<void>;
  /** What stands in for a client, so that the host knows when somebody waits for it. */
  view<T extends object>(client: T): T;
}

/**
 * Who knows which host code that runs now belongs to, if not to the process: a test runs several in one process.
 * Per-process state, because modules with agents in them are imported as they are, and nothing can be handed to them.
 */
const finders = new Set<() => AgentHost | undefined>();

/** The simulated process that the calling code runs in; undefined in real ones. */
export function simulatedHost(): AgentHost | undefined {
  for (const find of finders) {
    const host = find();
    if (host) return host;
  }
  return undefined;
}

/** Has `find` asked which simulated process code runs in, until it is disposed. */
export function simulateHosts(find: () => AgentHost | undefined): Disposable {
  finders.add(find);
  return { [Symbol.dispose]: () => void finders.delete(find) };
}
