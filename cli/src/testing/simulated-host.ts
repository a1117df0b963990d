import { type Agent, createMesh, type Logger, type Mesh } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import type { SimulatedProcess } from "@soorma/core/testing";
import registryBroker from "@soorma/registry-broker";
import { type Hub, inproc } from "@soorma/transport-inproc";
import type { AgentHost } from "../host.ts";
import type { ConnectOptions } from "../mesh.ts";
import type { ActivityLog, ActivityPlace } from "./activity.ts";

export const brokerAddress = "inproc://broker";

/**
 * Who is gone is noticed by connections that break. What only makes sure of that is rare here: it would be most of what
 * happens while an agent sleeps for a day.
 */
export const leaseMs = 3_600_000;

export interface SimulatedHostOptions {
  /** Of the member whose process it is. */
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly hub: Hub;
  readonly log: Logger;
  readonly activity: ActivityLog;
  readonly tenantId?: string;
  readonly userId?: string;
}

/** One run of a member: a simulated process, and the agents that were made in it. */
export class SimulatedHost implements AgentHost, ActivityPlace {
  readonly name: string;
  readonly process: SimulatedProcess;
  readonly agents = new Set<Agent>();
  readonly #options: SimulatedHostOptions;
  #shared: Mesh | undefined;

  constructor(options: SimulatedHostOptions) {
    this.name = options.name;
    this.process = options.process;
    this.#options = options;
  }

  /** What agents say that do not say it themselves. */
  readonly defaults = { leaseMs };

  get isRunning(): boolean {
    return this.process.alive && !this.process.frozen;
  }

  mesh(): Mesh {
    this.#shared ??= this.connect();
    return this.#shared;
  }

  connect(wanted: Pick<ConnectOptions, "tenantId" | "userId"> = {}): Mesh {
    const { hub, process, log, activity } = this.#options;
    const { tenantId = this.#options.tenantId, userId = this.#options.userId } = wanted;
    return createMesh(async () => ({
      transport: process.transport(inproc(hub, { host: this.name })),
      createRegistry: (deps) =>
        createFromPlugin(registryBroker, { address: brokerAddress, checkMs: leaseMs / 2 }, deps),
      leaseMs,
      renewMs: leaseMs / 3,
      runtime: process.runtime,
      log,
      host: this.name,
      pid: 1,
      observer: activity.observer(this),
      ...(tenantId === undefined ? {} : { tenantId }),
      ...(userId === undefined ? {} : { userId }),
    }));
  }

  async run(agent: Agent, run: () => Promise<void>): Promise<void> {
    this.agents.add(agent);
    await this.#options.activity.waiting(run());
  }

  view<T extends object>(client: T): T {
    return this.#options.activity.view(client);
  }
}
