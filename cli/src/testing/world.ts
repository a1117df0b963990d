import { startBroker } from "@soorma/broker";
import { createLogger, isSoormaError, type LogLine } from "@soorma/core";
import { nearest } from "@soorma/core/nearest";
import { StateNode } from "@soorma/core/state";
import {
  type FakeRuntime,
  fakeRuntime,
  type SimulatedDisk,
  SimulatedProcess,
  simulatedDisk,
} from "@soorma/core/testing";
import { createHub, type Hub, inproc } from "@soorma/transport-inproc";
import { type AgentHost, simulateHosts } from "../host.ts";
import { ActivityLog, currentActivity } from "./activity.ts";
import { Driver } from "./driver.ts";
import { brokerAddress, leaseMs, SimulatedHost } from "./simulated-host.ts";

/** Starts what runs in a process; resolves when it is ready. What it gives back is stopped with the process. */
export type Start = (host: SimulatedHost) => Promise<{ stop(): Promise<unknown> } | undefined>;

/** A place where processes of one kind run, one after the other: an agent's file, a stub, the broker. */
export interface Member {
  readonly name: string;
  readonly start: Start;
  readonly disk: SimulatedDisk | undefined;
  host: SimulatedHost | undefined;
  running: { stop(): Promise<unknown> } | undefined;
  starts: number;
}

export interface WorldOptions {
  readonly seed: number;
  readonly startMs?: number;
  readonly maxMs: number;
  readonly maxRealMs: number;
  readonly outsideMs: number;
  readonly tenantId?: string;
  readonly userId?: string;
  readonly stuck: (what: string, why: string) => Promise<Error>;
}

/** Names that no agent can have: they are the mesh's own. */
export const ownNames: readonly string[] = ["broker", "state", "test", "test-planner"];

/** Starts of one process, until its error is the caller's. */
const mostTries = 20;

/** A module is evaluated outside of any context, so that one at a time can be: whose it is would not be known. */
let starting: Promise<unknown> = Promise.resolve();

/** A network in this process, with a broker, a state node, and whoever else is added. */
export class World {
  readonly runtime: FakeRuntime;
  readonly hub: Hub;
  readonly activity: ActivityLog;
  readonly driver: Driver;
  readonly members = new Map<string, Member>();
  readonly logs: LogLine[] = [];
  readonly #options: WorldOptions;
  readonly #ambient: Disposable;
  #startingHost: AgentHost | undefined;
  #uncaught: { readonly process: string; readonly error: unknown } | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    const { seed, startMs, maxMs, maxRealMs, outsideMs, stuck } = options;
    this.runtime = fakeRuntime({
      seed,
      holds: () => this.activity.isOutside(),
      ...(startMs === undefined ? {} : { startMs }),
    });
    this.activity = new ActivityLog({ elapsedMs: () => this.runtime.elapsedMs, outsideMs });
    this.hub = createHub({ runtime: this.runtime });
    this.driver = new Driver({ runtime: this.runtime, maxMs, maxRealMs, check: () => this.#check(), stuck });
    this.#ambient = simulateHosts(() => {
      const place = currentActivity()?.place;
      return place instanceof SimulatedHost && this.#isOwn(place) ? place : this.#startingHost;
    });
  }

  /** Starts what every mesh has. */
  async open(): Promise<void> {
    const { runtime } = this;
    await this.start(
      this.add(
        "broker",
        async ({ process, name }) => {
          const store = process.store(this.member(name).disk?.open() ?? fail("the broker has a disk"));
          const broker = await this.activity.waiting(
            startBroker({
              transport: process.transport(inproc(this.hub, { host: name })),
              store,
              listen: brokerAddress,
              runtime: process.runtime,
              log: this.#log(process),
            }),
          );
          return { stop: () => broker.close().then(() => store.close()) };
        },
        simulatedDisk({ runtime }),
      ),
    );
    await this.start(
      this.add(
        "state",
        async (host) => {
          const store = host.process.store(this.member(host.name).disk?.open() ?? fail("the state node has a disk"));
          const node = new StateNode({ store, mesh: host.mesh(), sweepMs: leaseMs });
          await host.run(node, () => node.run());
          return { stop: () => store.close() };
        },
        simulatedDisk({ runtime }),
      ),
    );
  }

  add(name: string, start: Start, disk?: SimulatedDisk): Member {
    if (this.members.has(name)) throw new TypeError(`the mesh has a "${name}" already`);
    const member: Member = { name, start, disk, host: undefined, running: undefined, starts: 0 };
    this.members.set(name, member);
    return member;
  }

  /** Whether an agent of that name is, or was, in one of the processes. */
  hasAgent(name: string): boolean {
    return this.#withAgent(name) !== undefined;
  }

  /** By its name, or that of an agent in it. @throws {TypeError} with the names there are. */
  member(name: string): Member {
    const member = this.members.get(name) ?? this.#withAgent(name);
    if (member) return member;
    const names = [...this.members.keys()].filter((known) => !known.startsWith("test"));
    const near = nearest(name, names);
    throw new TypeError(
      `nothing in this mesh is called "${name}"${near ? `; did you mean "${near}"?` : ""} There are: ${names.join(", ")}`,
    );
  }

  /** Whether an agent that runs can be assigned such a task. */
  canDo(assignedTo: string): boolean {
    return [...this.members.values()].some(({ host }) =>
      [...(host?.process.alive ? host.agents : [])].some((agent) => {
        try {
          const { name, agentId, capabilities } = agent.record();
          return name === assignedTo || agentId === assignedTo || capabilities.includes(assignedTo);
        } catch {
          return false;
        }
      }),
    );
  }

  /** Runs a member in a new process. Resolves when it is ready. */
  async start(member: Member): Promise<void> {
    const before = starting;
    const done = Promise.withResolvers<void>();
    starting = done.promise;
    try {
      await before;
      await this.#startOften(member);
    } finally {
      done.resolve();
    }
  }

  /** Ends a member's process at once, as SIGKILL does. */
  crash(member: Member): void {
    const { host } = member;
    if (!host?.process.alive) throw new TypeError(`"${member.name}" does not run`);
    host.process.crash();
  }

  /** Stops a member's process as SIGSTOP does. */
  freeze({ name, host }: Member): void {
    host?.process.freeze();
    this.#silence(name);
  }

  /** Lets it go on. */
  thaw({ name, host }: Member): void {
    // Of its nodes alone, which the faults of a test do not name.
    this.hub.heal("*", this.hub.nodeIdsOf(name));
    host?.process.thaw();
  }

  /** Ends what the test did to messages and connections. What is frozen stays so. */
  heal(): void {
    this.hub.heal();
    this.hub.clearFaults();
    for (const { name, host } of this.members.values()) if (host?.process.frozen) this.#silence(name);
  }

  /** Nothing comes through to it, heartbeats neither. */
  #silence(name: string): void {
    this.hub.cut("*", this.hub.nodeIdsOf(name));
  }

  /** Ends a member's process as SIGTERM does: what runs there may finish. */
  async stop(member: Member): Promise<void> {
    const { host, running } = member;
    if (!host?.process.alive) throw new TypeError(`"${member.name}" does not run`);
    const stopping = Promise.all(Array.from(host.agents, (agent) => agent.stop())).then(() => running?.stop());
    await this.driver.settle(stopping, `"${member.name}" to stop`);
    host.process.crash();
  }

  /** Runs code of the test as if it were in one of the processes. */
  async runIn<T>(host: SimulatedHost, what: string, body: () => T | Promise<T>): Promise<T> {
    return await this.driver.settle(
      this.activity.run(host, what, async () => await body()),
      what,
    );
  }

  /** Nothing of it runs any more. */
  close(): void {
    for (const { host } of this.members.values()) host?.process.crash();
    this.#ambient[Symbol.dispose]();
  }

  #withAgent(name: string): Member | undefined {
    return [...this.members.values()].find(({ host }) =>
      [...(host?.agents ?? [])].some((agent) => agent.name === name),
    );
  }

  /** As a supervisor does: a process that could not reach the mesh is started again. */
  async #startOften(member: Member): Promise<void> {
    for (let tries = 1; ; tries++) {
      try {
        return await this.#start(member);
      } catch (error) {
        if (!isSoormaError(error) || !error.retryable || tries >= mostTries) throw error;
        await this.driver.advance(300);
      }
    }
  }

  async #start(member: Member): Promise<void> {
    if (member.host?.process.alive) throw new TypeError(`"${member.name}" runs already`);
    member.starts++;
    const { tenantId, userId } = this.#options;
    const process = new SimulatedProcess({
      name: member.name,
      world: this.runtime,
      seed: seedOf(this.#options.seed, `${member.name} ${member.starts}`),
      onCrash: () => this.#crashed(member),
      onError: (_process, error) => {
        this.#uncaught ??= { process: member.name, error };
      },
    });
    const host = new SimulatedHost({
      name: member.name,
      process,
      hub: this.hub,
      log: this.#log(process),
      activity: this.activity,
      ...(tenantId === undefined ? {} : { tenantId }),
      ...(userId === undefined ? {} : { userId }),
    });
    member.host = host;
    member.running = undefined;
    this.#startingHost = host;
    try {
      const started = this.activity.run(host, `start of "${member.name}"`, async (activity) => {
        this.activity.starting = activity;
        return await member.start(host);
      });
      member.running = await this.driver.settle(started, `"${member.name}" to start`);
    } catch (error) {
      process.crash();
      throw error;
    } finally {
      this.#startingHost = undefined;
      this.activity.starting = undefined;
    }
  }

  #crashed(member: Member): void {
    for (const id of this.hub.nodeIdsOf(member.name)) this.hub.crash(id);
    member.disk?.crash();
    member.running = undefined;
    if (member.host) this.activity.lose(member.host);
  }

  #isOwn(host: SimulatedHost): boolean {
    return this.members.get(host.name)?.host === host;
  }

  #check(): void {
    const uncaught = this.#uncaught;
    if (!uncaught) return;
    this.#uncaught = undefined;
    throw new Error(`uncaught in "${uncaught.process}": ${String(uncaught.error)}`, { cause: uncaught.error });
  }

  #log(process: SimulatedProcess) {
    return createLogger({
      sink: (line) => void this.logs.push(line),
      now: process.runtime.now,
    }).child(process.name);
  }
}

/** A seed of its own for one part, so that one part drawing more moves no other. */
function seedOf(seed: number, part: string): number {
  return Number(Bun.hash.xxHash32(part, seed >>> 0));
}

function fail(message: string): never {
  throw new Error(message);
}
