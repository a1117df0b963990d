import { startBroker } from "@soorma/broker";
import {
  Client,
  createLogger,
  createMesh,
  type Logger,
  type LogLine,
  type Mesh,
  type NodeOptions,
  Planner,
  systemRuntime,
  Tool,
  Worker,
} from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";

import { createMemoryStore } from "@soorma/core/store";
import registryBroker from "@soorma/registry-broker";
import { createHub, inproc } from "@soorma/transport-inproc";

type Options<C extends new (options: never) => unknown> = Omit<ConstructorParameters<C>[0], "mesh"> & { mesh?: Mesh };

/** A whole mesh in this process: real broker, real state node, real agents; only the transport and the disk are memory. */
export async function inProcessMesh(settings: { state?: boolean } = {}) {
  const runtime = systemRuntime;
  const hub = createHub({ runtime });
  const lines: LogLine[] = [];
  const log: Logger = createLogger({ sink: (line) => lines.push(line), now: runtime.now, level: "debug" });
  const brokerStore = createMemoryStore();
  const broker = await startBroker({
    transport: inproc(hub),
    store: brokerStore,
    listen: "inproc://broker",
    runtime,
    log: log.child("broker"),
  });
  const agents: { stop(): Promise<void> }[] = [];

  /** A node of its own, as another process would be. */
  const mesh = (overrides: Partial<NodeOptions> = {}): Mesh =>
    createMesh(async () => ({
      transport: inproc(hub),
      createRegistry: (deps) => createFromPlugin(registryBroker, { address: broker.address, timeoutMs: 1_000 }, deps),
      runtime,
      log: log.child("node"),
      host: "here",
      pid: process.pid,
      ...overrides,
    }));

  const own = <A extends { stop(): Promise<void> }>(agent: A): A => {
    agents.push(agent);
    return agent;
  };
  const stateStore = createMemoryStore();
  let stateNodeId = "";
  if (settings.state !== false) {
    const { StateNode } = await import("@soorma/core/state");
    const state = own(new StateNode({ store: stateStore, mesh: mesh() }));
    await state.run();
    stateNodeId = state.record().nodeId;
  }
  return {
    hub,
    lines,
    broker,
    mesh,
    stateStore,
    stateNodeId,
    worker: (options: Options<typeof Worker>) => own(new Worker({ mesh: mesh(), drainMs: 200, ...options })),
    planner: (options: Options<typeof Planner>) => own(new Planner({ mesh: mesh(), drainMs: 200, ...options })),
    tool: (options: Options<typeof Tool>) => own(new Tool({ mesh: mesh(), drainMs: 200, ...options })),
    async client(options: Options<typeof Client> = {}): Promise<Client> {
      return own(await Client.connect({ mesh: mesh(), drainMs: 200, ...options }));
    },
    async [Symbol.asyncDispose]() {
      for (const agent of agents.reverse()) await agent.stop();
      await broker.close();
      await brokerStore.close();
      await stateStore.close();
    },
  };
}
