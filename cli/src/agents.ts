import * as core from "@soorma/core";
import { structureConsole } from "./dev/child-console.ts";
import { reportReady, supervisedVariable, tellParent } from "./dev/supervised.ts";
import { connectMesh, processLogger } from "./mesh.ts";
import { reportOf } from "./ui/errors.ts";

/** An agent's options, with the mesh that `soorma dev` runs here as the default. */
type LocalOptions<Options extends { readonly mesh: core.Mesh }> = Omit<Options, "mesh"> & { readonly mesh?: core.Mesh };

/**
 * All agents of a process share one node, whichever modules they are made in: that is what this one per-process value
 * is for. Pass `mesh` to an agent to give it another.
 */
let shared: core.Mesh | undefined;

function sharedMesh(): core.Mesh {
  shared ??= connectMesh();
  return shared;
}

/** Agents of this process that run or are about to. */
const hosted = new Set<core.Agent>();
let starting = 0;

/** Runs an agent as a process's main job: SIGTERM drains it, and a supervisor learns when it is ready or why it is not. */
async function host(agent: core.Agent, run: () => Promise<void>): Promise<void> {
  structureConsole();
  if (hosted.size === 0) for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, drain);
  hosted.add(agent);
  starting++;
  try {
    await run();
  } catch (error) {
    hosted.delete(agent);
    if (process.env[supervisedVariable] !== undefined) await tellParent({ soorma: "failed", report: reportOf(error) });
    throw error;
  } finally {
    starting--;
  }
  // A module that hosts several agents starts one after the other: the process is ready after the last.
  setImmediate(() => {
    if (starting > 0) return;
    void reportReady({ agents: [...hosted].map(({ name, kind, agentId }) => ({ name, kind, agentId })) });
  });
}

function drain(signal: NodeJS.Signals): void {
  process.off("SIGTERM", drain);
  process.off("SIGINT", drain);
  void Promise.allSettled([...hosted].map((agent) => agent.stop())).then(() => {
    // As if nobody had caught it: whoever sent the signal sees that it ended the process.
    process.kill(process.pid, signal);
  });
}

export class Planner extends core.Planner {
  constructor(options: LocalOptions<core.PlannerOptions>) {
    super({ ...options, mesh: options.mesh ?? sharedMesh() });
  }

  override run(): Promise<void> {
    return host(this, () => super.run());
  }
}

export class Worker extends core.Worker {
  constructor(options: LocalOptions<core.AgentOptions>) {
    super({ ...options, mesh: options.mesh ?? sharedMesh() });
  }

  override run(): Promise<void> {
    return host(this, () => super.run());
  }
}

export class Tool extends core.Tool {
  constructor(options: LocalOptions<core.AgentOptions>) {
    super({ ...options, mesh: options.mesh ?? sharedMesh() });
  }

  override run(): Promise<void> {
    return host(this, () => super.run());
  }
}

export class Client extends core.Client {
  constructor(options: LocalOptions<core.ClientOptions> = {}) {
    // An app's terminal is its own: only trouble is told there.
    super({ ...options, mesh: options.mesh ?? connectMesh({ log: processLogger("warn") }) });
  }

  /** A client of the mesh that runs here. @throws {SoormaError} `MESH_NOT_FOUND`, `REGISTRY_UNAVAILABLE`. */
  static override async connect(options: LocalOptions<core.ClientOptions> = {}): Promise<Client> {
    const client = new Client(options);
    await client.run();
    return client;
  }
}
