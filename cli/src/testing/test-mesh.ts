import { dirname } from "node:path";
import {
  type AnyData,
  Client,
  type Envelope,
  type ErrorCode,
  type EventContract,
  errorCodes,
  type GoalContract,
  type InputOf,
  type LogLine,
  type Memory,
  type OutputOf,
  type RegistryService,
  type RequestOptions,
  SoormaError,
  type SubmitOptions,
  type TaskContract,
  type TaskSpec,
  type ToolContract,
  type Tracker,
} from "@soorma/core";
import { type Recording, readRecording, recordedStubs } from "@soorma/core/recording";
import type { LinkFaults } from "@soorma/transport-inproc";
import type { MeshCall } from "./activity.ts";
import { fileOf, findSources, runSource } from "./agent-source.ts";
import type { Answer } from "./answers.ts";
import { driven } from "./driven.ts";
import type { AnswerOptions, TaskOptions, TestMeshOptions } from "./options.ts";
import { currentSeed } from "./seeds.ts";
import type { SimulatedHost } from "./simulated-host.ts";
import { type Stub, StubAgent, type StubPart } from "./stub.ts";
import { waitedInVain } from "./stuck.ts";
import { startTaskPlanner, taskGoal } from "./task-planner.ts";
import { untilEnded, waitingPlans, waitsForPerson } from "./waits.ts";
import { ownNames, World } from "./world.ts";

/**
 * A whole mesh in this process, in virtual time: broker, state node, the agents of the project as they are, and stubs for
 * those that are not there. Only clock, network and disk are simulated.
 *
 * Time stands still unless the test waits for something of the mesh: then it jumps from one thing that is due to the next.
 * What does not come within `maxMs` is an error that says what is waited for. Waits of one test may overlap.
 */
export class TestMesh implements AsyncDisposable {
  readonly seed: number;
  readonly #world: World;
  readonly #pending = new Set<Promise<void>>();
  #host: SimulatedHost | undefined;
  #client: Client | undefined;
  #planner: Promise<void> | undefined;
  #isClosed = false;

  private constructor(options: TestMeshOptions) {
    const { seed = currentSeed() ?? 1, startMs, tenantId, userId } = options;
    const { maxMs = 90_000_000, maxRealMs = 4_000, outsideMs = 1_000 } = options;
    this.seed = seed;
    this.#world = new World({
      seed,
      maxMs,
      maxRealMs,
      outsideMs,
      stuck: (what, why) => this.#stuck(what, why),
      ...(startMs === undefined ? {} : { startMs }),
      ...(tenantId === undefined ? {} : { tenantId }),
      ...(userId === undefined ? {} : { userId }),
    });
  }

  /** See {@link testMesh}. */
  static async open(options: TestMeshOptions = {}): Promise<TestMesh> {
    const sources = await findSources(options.agents, dirname(Bun.main));
    const mesh = new TestMesh(options);
    try {
      await mesh.#open(sources, options);
      return mesh;
    } catch (error) {
      await mesh[Symbol.asyncDispose]();
      throw error;
    }
  }

  // What the test asks of the mesh.

  /**
   * Submits a goal and resolves with its answer.
   *
   * @throws {SoormaError} what `submitGoal` and `GoalRun.result` throw: `GOAL_FAILED`, `NO_RESPONDER`, …
   */
  goal<C extends GoalContract>(goal: C, data: InputOf<C>, options?: SubmitOptions): Promise<OutputOf<C>>;
  goal(type: string, data?: unknown, options?: SubmitOptions): Promise<AnyData>;
  async goal(goal: string | GoalContract, data: unknown = {}, options: SubmitOptions = {}): Promise<AnyData> {
    const client = await this.#ready();
    const type = typeof goal === "string" ? goal : goal.name;
    const answered = async (): Promise<unknown> => {
      const run = await (typeof goal === "string"
        ? client.submitGoal(goal, data, options)
        : client.submitGoal(goal, data as never, options));
      await untilEnded(this.#world, run);
      return await run.result();
    };
    return await this.#settle(answered(), `goal "${type}" to be answered`);
  }

  /** Has one task done, without a planner of yours, and resolves with its result. @throws {SoormaError} its failure. */
  task<C extends TaskContract>(task: C, data: InputOf<C>, options?: TaskOptions): Promise<OutputOf<C>>;
  task(assignedTo: string, data?: unknown, options?: TaskOptions): Promise<AnyData>;
  async task(to: string | TaskContract, data: unknown = {}, options: TaskOptions = {}): Promise<AnyData> {
    const client = await this.#ready();
    const assignedTo = typeof to === "string" ? to : to.name;
    await this.#startPlanner();
    const done = async (): Promise<unknown> => {
      const spec: TaskSpec = { ...options, name: options.name ?? assignedTo, assignedTo, data };
      const run = await client.submitGoal(taskGoal, spec);
      await untilEnded(this.#world, run);
      try {
        return await run.result();
      } catch (error) {
        const { tasks } = await run.plan();
        const failure = tasks[0]?.failure;
        if (!failure) throw error;
        const { code, message, ...rest } = failure;
        throw new SoormaError(Object.hasOwn(errorCodes, code) ? (code as ErrorCode) : "HANDLER_FAILED", message, rest);
      }
    };
    return await this.#settle(done(), `task "${assignedTo}" to be done`);
  }

  /** Sends a request to whichever agent answers that type, and resolves with the answer. @throws {SoormaError} */
  request<C extends ToolContract>(operation: C, data: InputOf<C>, options?: RequestOptions): Promise<OutputOf<C>>;
  request(type: string, data?: unknown, options?: RequestOptions): Promise<AnyData>;
  async request(operation: string | ToolContract, data: unknown = {}, options: RequestOptions = {}): Promise<AnyData> {
    const { bus } = await this.#ready();
    const type = typeof operation === "string" ? operation : operation.name;
    const answer =
      typeof operation === "string"
        ? bus.request(operation, data, options)
        : bus.request(operation, data as never, options);
    return await this.#settle(answer as Promise<AnyData>, `request "${type}" to be answered`);
  }

  /** Publishes an event. What comes of it is for {@link event} and {@link settle} to wait for. */
  publish<C extends EventContract>(event: C, data: InputOf<C>): Promise<void>;
  publish(type: string, data?: unknown): Promise<void>;
  async publish(event: string | EventContract, data: unknown = {}): Promise<void> {
    const { bus } = await this.#ready();
    const published = typeof event === "string" ? bus.publish(event, data) : bus.publish(event, data as never);
    await this.#settle(published, `event "${typeof event === "string" ? event : event.name}" to be published`);
  }

  /** The first event of a type that was published, or will be. */
  event<C extends EventContract>(
    event: C,
    where?: (event: Envelope<InputOf<C>>) => boolean,
  ): Promise<Envelope<InputOf<C>>>;
  event(type: string, where?: (event: Envelope<AnyData>) => boolean): Promise<Envelope<AnyData>>;
  async event(
    event: string | EventContract,
    where: (event: Envelope<AnyData>) => boolean = () => true,
  ): Promise<Envelope<AnyData>> {
    await this.#ready();
    const type = typeof event === "string" ? event : event.name;
    const find = (): Envelope<AnyData> | undefined => this.events.find((one) => one.type === type && where(one));
    await this.#world.driver.until(() => find() !== undefined, `event "${type}"`);
    return find() as Envelope<AnyData>;
  }

  /** Answers a task or state that waits for a person, as soon as there is one. */
  async answer(value: unknown, options: AnswerOptions = {}): Promise<void> {
    const { tracker } = await this.#ready();
    const { planId, ...which } = options;
    const answered = async (): Promise<void> => {
      // Nobody tells that a person is waited for: looked at again and again, at ever longer intervals.
      for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 60_000)) {
        const waiting = planId === undefined ? await waitingPlans(tracker) : [planId];
        const [found] = waiting;
        if (waiting.length > 1)
          throw new TypeError(`several plans wait for a person: ${waiting.join(", ")}; say which`);
        if (found !== undefined && (await waitsForPerson(tracker, found)))
          return await tracker.answer(found, value, which);
        await new Promise<void>((resolve) => void this.#world.runtime.setTimer(resolve, pauseMs));
      }
    };
    await this.#settle(answered(), "a task that waits for a person");
  }

  // What happened.

  /** Every task, request and goal that reached a handler of an agent or a stub, in the order in which they began. */
  get calls(): readonly MeshCall[] {
    return this.#world.activity.calls;
  }

  /** Of {@link calls} those of an agent or stub, of a task's, operation's or goal's name, or assigned to that. */
  callsTo(name: string): MeshCall[] {
    return this.calls.filter((call) => call.agent === name || call.name === name || call.assignedTo === name);
  }

  /** Every event that was published, in that order, whoever heard it. */
  get events(): readonly Envelope<AnyData>[] {
    return this.#world.activity.events as Envelope<AnyData>[];
  }

  /** What all parts of the mesh logged, from `info` up. */
  get logs(): readonly LogLine[] {
    return this.#world.logs;
  }

  /** Virtual milliseconds since the mesh was made. */
  get elapsedMs(): number {
    return this.#world.runtime.elapsedMs;
  }

  /** A client of the mesh, as an app has it. Awaiting what its methods return lets virtual time run. */
  get client(): Client {
    return driven(this.#connected, "client", (promise, what) => this.#settle(promise, what));
  }

  /** What all agents share. */
  get memory(): Memory {
    return this.client.memory;
  }

  /** Plans and their history. */
  get tracker(): Tracker {
    return this.client.tracker;
  }

  /** Who is in the mesh. */
  get registry(): RegistryService {
    return this.client.registry;
  }

  // Who takes part.

  /**
   * Stands in for whoever does a task, offers an operation or plans a goal. A text is a task's capability, or the name of the agent it
   * is assigned to; a contract says which of the three it is, and types the answer.
   */
  stub<C extends TaskContract | GoalContract | ToolContract>(
    contract: C,
    answer: Answer<InputOf<C>, OutputOf<C>>,
  ): Stub<InputOf<C>, OutputOf<C>>;
  stub(capability: string, answer: Answer): Stub;
  stub(to: string | TaskContract | GoalContract | ToolContract, answer: unknown): Stub {
    if (typeof to === "string") return this.#addStub(to, [{ kind: "task", task: to, answer }], to);
    if (to.kind === "task")
      return this.#addStub(to.name, [{ kind: "task", task: to as TaskContract, answer }], to.name);
    if (to.kind === "goal")
      return this.#addStub(to.name, [{ kind: "goal", goal: to as GoalContract, answer }], to.name);
    return this.#addStub(to.name, [{ kind: "operation", operation: to as ToolContract, answer }], to.name);
  }

  /** Stands in for a tool that is found by `capability`, and answers its operations. */
  stubTool(capability: string, operations: Readonly<Record<string, Answer>>): Stub {
    const parts = Object.entries(operations).map(
      ([operation, answer]): StubPart => ({ kind: "operation", operation, answer }),
    );
    const [first] = Object.keys(operations);
    if (first === undefined) throw new TypeError(`the stub of "${capability}" has no operation`);
    return this.#addStub(capability, parts, first);
  }

  /** Runs an agent beside the others, or one again that was stopped. */
  async start(name: string, source?: string | (() => unknown)): Promise<void> {
    await this.#ready();
    if (source === undefined) {
      await this.#world.start(this.#world.member(name));
      return;
    }
    const [found] = await findSources({ [name]: source }, dirname(Bun.main));
    if (found) await this.#startSource(found.name, found.source);
  }

  /** Stops an agent as SIGTERM does: it takes nothing new, and what runs may finish. */
  async stop(name: string): Promise<void> {
    await this.#ready();
    await this.#world.stop(this.#world.member(name));
  }

  /** Ends an agent's process at once, as SIGKILL does. Also of `state` and `broker`; what they had acknowledged is kept. */
  crash(name: string): void {
    this.#world.crash(this.#world.member(name));
  }

  /** Runs in a new process what crashed or was stopped; what runs is stopped before. */
  async restart(name: string): Promise<void> {
    await this.#ready();
    const member = this.#world.member(name);
    if (member.host?.process.alive) await this.#world.stop(member);
    await this.#world.start(member);
  }

  /**
   * Stops an agent's process for a while, as SIGSTOP does, until {@link thaw}: it answers no heartbeats, so that after a second
   * the others know, and what it had goes to other instances. Also of `state` and `broker`.
   */
  freeze(name: string): void {
    this.#world.freeze(this.#world.member(name));
  }

  /** Lets a process that was frozen go on, with everything that waited for it. */
  thaw(name: string): void {
    this.#world.thaw(this.#world.member(name));
  }

  // What goes wrong.

  /**
   * What goes wrong with messages from now on: between any two processes, or from one to another; `"*"` is any. `{}` heals it.
   * Messages from and to the test itself are spared, unless `"test"` is named.
   */
  faults(faults: LinkFaults): void;
  faults(from: string, to: string, faults: LinkFaults): void;
  faults(first: LinkFaults | string, to?: string, faults: LinkFaults = {}): void {
    const { hub } = this.#world;
    if (typeof first !== "string") hub.setEveryLink(first);
    else if (to !== undefined) hub.setLink(this.#nameOf(first), this.#nameOf(to), faults);
  }

  /** Lets nothing through between two groups of processes, until {@link heal}. */
  partition(some: string | readonly string[], others: string | readonly string[]): void {
    const names = (of: string | readonly string[]): string[] => [of].flat().map((name) => this.#nameOf(name));
    this.#world.hub.partition(names(some), names(others));
  }

  /** Ends all partitions and faults of messages. */
  heal(): void {
    this.#world.heal();
    this.#spareTest();
  }

  // Time.

  /** Lets so much virtual time pass. */
  async advance(ms: number): Promise<void> {
    await this.#ready();
    await this.#world.driver.advance(ms);
  }

  /** Lets time pass until no handler runs and nothing was handled or published for `quietMs`, by default a second. */
  async settle(quietMs = 1_000): Promise<void> {
    await this.#ready();
    const { activity, driver, runtime } = this.#world;
    let changes = activity.changes;
    let sinceMs = runtime.elapsedMs;
    const isQuiet = (): boolean => {
      if (changes !== activity.changes || activity.active.length > 0) {
        changes = activity.changes;
        sinceMs = runtime.elapsedMs;
      }
      return runtime.elapsedMs - sinceMs >= quietMs;
    };
    await driver.until(isQuiet, "the mesh to become quiet");
  }

  /** Lets time pass until a condition holds, or a promise is settled; resolves with what the promise did. */
  until(condition: () => boolean): Promise<void>;
  until<T>(promise: Promise<T>): Promise<T>;
  async until<T>(what: Promise<T> | (() => boolean)): Promise<T | undefined> {
    await this.#ready();
    if (typeof what !== "function") return await this.#settle(what, "a promise of the test");
    await this.#world.driver.until(what, "a condition of the test");
    return undefined;
  }

  /** Runs code that connects by itself, `Client.connect()` say, as if in a process of the mesh. */
  async run<T>(body: () => T | Promise<T>): Promise<T> {
    await this.#ready();
    if (!this.#host) throw closed();
    return await this.#world.runIn(this.#host, "code of the test", body);
  }

  /** Ends everything. Nothing of it runs any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    this.#world.close();
  }

  async #open(sources: readonly { name: string; source: string | (() => unknown) }[], options: TestMeshOptions) {
    const world = this.#world;
    this.#spareTest();
    await world.open();
    for (const { name } of sources) {
      if (ownNames.includes(name))
        throw new TypeError(`"${name}" is the name of a part of every mesh; name the agent otherwise`);
    }
    const member = world.add("test", async (host) => {
      this.#host = host;
      const client = new Client({ name: "test", mesh: host.mesh() });
      await host.run(client, () => client.run());
      this.#client = client;
      return undefined;
    });
    await world.start(member);
    for (const { name, source } of sources) await this.#startSource(name, source);
    if (options.recording !== undefined) await this.#startRecorded(options.recording, options.ignore);
    await this.#ready();
    if (options.faults) world.hub.setEveryLink(options.faults);
  }

  /** What the test asks gets through, so that what fails is the mesh's doing. */
  #spareTest(): void {
    for (const name of ["test", "test-planner"]) {
      this.#world.hub.setLink(name, "*", {});
      this.#world.hub.setLink("*", name, {});
    }
  }

  async #startSource(name: string, source: string | (() => unknown)): Promise<void> {
    const member = this.#world.add(name, async (host) => {
      const made = await runSource(source);
      if (made) host.agents.add(made);
      if (host.agents.size === 0)
        throw new Error(`${typeof source === "string" ? source : `"${name}"`} ran no agent: it has to await run()`);
      return undefined;
    });
    await this.#world.start(member);
  }

  async #startRecorded(recording: string | Recording, ignore: readonly string[] | undefined): Promise<void> {
    const read = typeof recording === "string" ? await readRecording(fileOf(recording, dirname(Bun.main))) : recording;
    for (const stub of recordedStubs(read, ignore ? { ignore } : {})) {
      if (this.#world.hasAgent(stub.name)) continue;
      const member = this.#world.add(stub.name, async (host) => {
        const agent = stub.create({ ...host.defaults, mesh: host.mesh() });
        await host.run(agent, () => agent.run());
        return undefined;
      });
      await this.#world.start(member);
    }
  }

  /** The client, once everything that was begun is ready. */
  async #ready(): Promise<Client> {
    while (this.#pending.size > 0) await Promise.all(this.#pending);
    return this.#connected;
  }

  get #connected(): Client {
    if (!this.#client || this.#isClosed) throw closed();
    return this.#client;
  }

  #settle<T>(promise: Promise<T>, what: string): Promise<T> {
    return this.#world.driver.settle(promise, what);
  }

  #nameOf(name: string): string {
    return name === "*" || name === "test" ? name : this.#world.member(name).name;
  }

  #addStub(capability: string, parts: StubPart[], answers: string): Stub {
    // A task may be assigned to an agent's name as well as to what it can do.
    const stub = this.#runStub(capability.toLowerCase().replace(/[^a-z0-9._-]/g, "-"), [capability], parts);
    return {
      name: stub.name,
      get calls() {
        return stub.calls;
      },
      answer: (answer) => stub.answer(answers, answer),
    };
  }

  #runStub(name: string, capabilities: readonly string[], parts: StubPart[]): StubAgent {
    if (this.#isClosed) throw closed();
    const stub = new StubAgent(name, capabilities, parts, this.#world.activity);
    const starting = this.#world.start(this.#world.add(name, stub.start)).finally(() => this.#pending.delete(starting));
    // Whoever asks the mesh for something next gets the error.
    starting.catch(() => {});
    this.#pending.add(starting);
    return stub;
  }

  #startPlanner(): Promise<void> {
    this.#planner ??= this.#world.start(this.#world.add("test-planner", startTaskPlanner));
    return this.#planner;
  }

  #stuck(what: string, why: string): Promise<Error> {
    return waitedInVain(this.#world, this.#isClosed ? undefined : this.#client?.tracker, {
      what,
      why,
      seed: this.seed,
    });
  }
}

/**
 * A mesh in this process, with the agents of the project (or those that are asked for) running in it.
 *
 * @throws what an agent's module throws; `TypeError` for agents there are not.
 */
export function testMesh(options: TestMeshOptions = {}): Promise<TestMesh> {
  return TestMesh.open(options);
}

function closed(): Error {
  return new Error("this mesh was disposed of");
}
