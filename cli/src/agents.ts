import * as core from "@soorma/core";
import { structureConsole } from "./dev/child-console.ts";
import {
  type Activity,
  drainVariable,
  heldVariable,
  onParentMessage,
  reportReady,
  standbyVariable,
  supervisedVariable,
  tellParent,
} from "./dev/supervised.ts";
import { type AgentHost, simulatedHost } from "./host.ts";
import { connectMesh, processLogger } from "./mesh.ts";
import { reportOf } from "./ui/errors.ts";

/** An agent's options, with the mesh that `soorma dev` runs here as the default. */
type LocalOptions<Options extends { readonly mesh: core.Mesh }> = Omit<Options, "mesh"> & { readonly mesh?: core.Mesh };

/**
 * All agents of a process share one node, whichever modules they are made in: that is what this one per-process value
 * is for. Pass `mesh` to an agent to give it another.
 */
let shared: core.Mesh | undefined;

function defaultMesh(): core.Mesh {
  const simulated = simulatedHost();
  if (simulated) return simulated.mesh();
  shared ??= connectMesh();
  return shared;
}

const stopSignals = ["SIGTERM", "SIGINT"] as const;

/** A process that stands by is in the mesh before it has an agent. */
const ahead = process.env[standbyVariable] === undefined ? undefined : openAhead();

async function openAhead(): Promise<core.Mesh | undefined> {
  for (const signal of stopSignals) process.on(signal, leave);
  const mesh = defaultMesh();
  // Why it cannot be opened is told to the agent that tries again.
  return await mesh.acquire().then(
    () => mesh,
    () => undefined,
  );
}

/** Without an agent there is nothing to finish, but the files of sockets would outlive the process. */
function leave(signal: NodeJS.Signals): void {
  for (const one of stopSignals) process.off(one, leave);
  void ahead
    ?.then((mesh) => mesh?.release())
    .catch(() => {})
    .then(() => process.kill(process.pid, signal));
}

/** Agents of this process that run or are about to. */
const hosted = new Set<core.Agent>();
let starting = 0;

/** Runs an agent as a process's main job: SIGTERM drains it, and a supervisor learns when it is ready or why it is not. */
async function host(agent: core.Agent, simulated: AgentHost | undefined, run: () => Promise<void>): Promise<void> {
  if (simulated) return await simulated.run(agent, run);
  if (hosted.size === 0) attend();
  hosted.add(agent);
  starting++;
  try {
    await allowed();
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

let attended = false;

/** Once a process: signals drain it, its supervisor can ask what it does, and what it prints is in the log with its trace. */
function attend(): void {
  if (attended) return;
  attended = true;
  for (const signal of stopSignals) {
    process.off(signal, leave);
    process.on(signal, drain);
  }
  if (process.env[supervisedVariable] === undefined) return;
  structureConsole();
  onParentMessage(({ soorma }) => {
    if (soorma === "activity") void activity().then((now) => tellParent({ soorma: "activity", activity: now }));
  });
}

let word: Promise<void> | undefined;

/** Resolves when this process's agents may join the mesh: where a supervisor checks types, at its word. */
function allowed(): Promise<void> {
  word ??= process.env[heldVariable] === undefined || !process.connected ? Promise.resolve() : waitForWord();
  return word;
}

async function waitForWord(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  // Waiting for a message keeps no process alive.
  const alive = setInterval(() => {}, 60_000);
  using _ = onParentMessage(({ soorma }) => {
    if (soorma === "work") resolve();
  });
  await tellParent({ soorma: "loaded" });
  await promise;
  clearInterval(alive);
}

async function activity(): Promise<Activity> {
  const tasks = [...hosted].reduce((sum, agent) => sum + (agent.stats().tasks?.running ?? 0), 0);
  if (!shared) return { tasks, published: 0, received: 0 };
  const { node } = await shared.acquire();
  const { published, received } = node.stats().events;
  await shared.release();
  return { tasks, published, received };
}

function drain(signal: NodeJS.Signals): void {
  for (const one of stopSignals) process.off(one, drain);
  const most = Number(process.env[drainVariable] ?? Number.POSITIVE_INFINITY);
  const stops = [...hosted].map((agent) => agent.stop({ drainMs: Math.min(agent.drainMs, most) }));
  void Promise.allSettled(stops).then(async () => {
    await (await ahead)?.release();
    // As if nobody had caught it: whoever sent the signal sees that it ended the process.
    process.kill(process.pid, signal);
  });
}

export class Planner extends core.Planner {
  readonly #simulated = simulatedHost();

  constructor(options: LocalOptions<core.PlannerOptions>) {
    super({ ...simulatedHost()?.defaults, ...options, mesh: options.mesh ?? defaultMesh() });
  }

  override run(): Promise<void> {
    return host(this, this.#simulated, () => super.run());
  }
}

export class Worker extends core.Worker {
  readonly #simulated = simulatedHost();

  constructor(options: LocalOptions<core.AgentOptions>) {
    super({ ...simulatedHost()?.defaults, ...options, mesh: options.mesh ?? defaultMesh() });
  }

  override run(): Promise<void> {
    return host(this, this.#simulated, () => super.run());
  }
}

export class Tool extends core.Tool {
  readonly #simulated = simulatedHost();

  constructor(options: LocalOptions<core.AgentOptions>) {
    super({ ...options, mesh: options.mesh ?? defaultMesh() });
  }

  override run(): Promise<void> {
    return host(this, this.#simulated, () => super.run());
  }
}

export class Client extends core.Client {
  constructor(options: LocalOptions<core.ClientOptions> = {}) {
    // An app's terminal is its own: only trouble is told there.
    super({ ...options, mesh: options.mesh ?? connectMesh({ log: processLogger("warn") }) });
    // biome-ignore lint/correctness/noConstructorReturn: whoever made it must not see the difference
    return simulatedHost()?.view(this) ?? this;
  }

  /** A client of the mesh that runs here. @throws {SoormaError} `MESH_NOT_FOUND`, `REGISTRY_UNAVAILABLE`. */
  static override async connect(options: LocalOptions<core.ClientOptions> = {}): Promise<Client> {
    const client = new Client(options);
    await client.run();
    return client;
  }
}
