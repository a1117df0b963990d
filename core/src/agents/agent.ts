import {
  type AnyContract,
  checkData,
  type EventContract,
  type GoalContract,
  type InputOf,
  type OutputOf,
  refOf,
  schemasOf,
  type TaskContract,
  type ToolContract,
} from "../contracts.ts";
import { isSoormaError, SoormaError } from "../errors.ts";
import { type HandlingContext, runWith } from "../events/context.ts";
import type { Envelope } from "../events/envelope.ts";
import { checkType, compilePattern } from "../events/pattern.ts";
import { type Topic, topicOf } from "../events/topics.ts";
import type { Logger } from "../log.ts";
import type { Subscription } from "../mesh/event-fabric.ts";
import type { HostedAgent } from "../mesh/hosted-agents.ts";
import type { Mesh } from "../mesh/mesh.ts";
import { envelopeOf, viewOf } from "../mesh/node.ts";
import type { AgentStats } from "../mesh/node-stats.ts";
import type { HandlerRun } from "../mesh/observer.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import { WorkQueue } from "../mesh/work-queue.ts";
import type { AgentKind, AgentRecord, EventRef, Operation } from "../registry/records.ts";
import { registryLimits } from "../registry/validate.ts";
import { atMost, randomId } from "../runtime.ts";
import type { AnyData } from "./any-data.ts";
import {
  type Bus,
  type BusOwner,
  type BusSubscription,
  createBus,
  type EventHandler,
  type EventMessage,
  makeEnvelope,
  type SubscribeOptions,
} from "./bus.ts";
import type { PlatformContext } from "./context.ts";
import { createRegistryService } from "./registry-service.ts";
import { checkResult, type Request, type RequestHandler, withSignal } from "./request.ts";
import type { NodeServices } from "./services.ts";

/** Handlers an agent runs at the same time when it does not say. */
const defaultConcurrency = 16;
/** Milliseconds running handlers have to finish after `stop()`. */
const defaultDrainMs = 10_000;

export interface AgentOptions {
  /** Shared by all instances of the agent: lower-case letters, digits, `-`, `_` and `.`. */
  readonly name: string;
  readonly description?: string;
  /** Semver of the agent itself. Default `0.0.0`. */
  readonly version?: string;
  readonly capabilities?: readonly string[];
  /** Handlers at the same time, at most. Default 16. */
  readonly concurrency?: number;
  /** Events it publishes. Others are announced when they are first published, which costs that one event a round trip. */
  readonly produces?: readonly (string | EventContract)[];
  /** Milliseconds running handlers have to finish after `stop()`. Default 10_000. */
  readonly drainMs?: number;
  readonly mesh: Mesh;
}

/** A subscription with what handles it. */
interface HandledSubscription extends Subscription {
  readonly contract: EventContract | undefined;
  readonly handler: EventHandler<AnyData>;
}

interface Offered {
  readonly contract: ToolContract | undefined;
  readonly handler: (request: Request<AnyData>, context: PlatformContext) => unknown;
}

const namePattern = /^[a-z0-9][a-z0-9._-]{0,99}$/;

/** What Planner, Worker, Tool and Client have in common. */
export abstract class Agent implements HostedAgent {
  abstract readonly kind: AgentKind;
  readonly name: string;
  readonly concurrency: number;
  /** Milliseconds running handlers have to finish after {@link Agent.stop}. */
  readonly drainMs: number;
  protected readonly options: AgentOptions;
  readonly #operations = new Map<string, Offered>();
  readonly #subscriptions = new Set<HandledSubscription>();
  readonly #produces = new Map<string, EventRef>();
  readonly #eventContracts = new Map<string, EventContract>();
  readonly #contracts = new Set<AnyContract>();
  readonly #announcing = new Map<string, Promise<void>>();
  readonly #stopping = new AbortController();
  protected readonly queue: WorkQueue;
  #capabilities: readonly string[];
  #agentId: string | undefined;
  #services: NodeServices | undefined;
  #context: PlatformContext | undefined;
  #log: Logger | undefined;
  #ready = false;
  #startedAtMs = 0;
  #running: Promise<void> | undefined;
  #stopped: Promise<void> | undefined;
  #turning: Promise<void> = Promise.resolve();
  #gaps: Disposable | undefined;
  readonly #events = { handled: 0, failed: 0 };
  readonly #requests = { answered: 0, failed: 0 };
  /** Give up a request that was taken and is not answered yet. */
  readonly #unanswered = new Set<(reason: unknown) => void>();

  constructor(options: AgentOptions) {
    if (!namePattern.test(options.name)) {
      throw new TypeError(
        `agent name ${JSON.stringify(options.name)} must match ${namePattern}: lower-case letters, digits, ".", "_" and "-"`,
      );
    }
    const { concurrency = defaultConcurrency } = options;
    if (!Number.isInteger(concurrency) || concurrency < 1)
      throw new TypeError(`concurrency must be a whole number of at least 1, not ${concurrency}`);
    this.options = options;
    this.name = options.name;
    this.concurrency = concurrency;
    this.drainMs = options.drainMs ?? defaultDrainMs;
    this.queue = new WorkQueue(concurrency);
    this.#capabilities = options.capabilities ?? [];
    for (const produced of options.produces ?? []) this.#produce(produced);
  }

  /** Id of this running instance. @throws {SoormaError} `NODE_STOPPED` before `run()`. */
  get agentId(): string {
    if (this.#agentId === undefined)
      throw new SoormaError("NODE_STOPPED", `${this.name} has no id before it runs`, { hint: "Await run() first." });
    return this.#agentId;
  }

  /** The services of the mesh. @throws {SoormaError} `NODE_STOPPED` before `run()` and after `stop()`. */
  get context(): PlatformContext {
    if (!this.#context)
      throw new SoormaError("NODE_STOPPED", `${this.name} is not running`, { hint: "Await run() first." });
    return this.#context;
  }

  /** Takes events: one instance of this agent's name gets each, unless `group` says otherwise; `null` for every instance. */
  onEvent<C extends EventContract>(
    event: C,
    handler: (event: EventMessage<InputOf<C>>, context: PlatformContext) => unknown,
    options?: AgentEventOptions,
  ): this;
  onEvent(
    pattern: string,
    handler: (event: EventMessage<AnyData>, context: PlatformContext) => unknown,
    options?: AgentEventOptions,
  ): this;
  onEvent(
    event: string | EventContract,
    handler: (event: EventMessage<AnyData>, context: PlatformContext) => unknown,
    options: AgentEventOptions = {},
  ): this {
    this.#mustNotRun("onEvent");
    const { group = this.name, topic } = options;
    this.#subscriptions.add(
      this.#subscription(event, (message: EventMessage<AnyData>) => handler(message, this.context), {
        ...(group === null ? {} : { group }),
        ...(topic === undefined ? {} : { topic }),
      }),
    );
    return this;
  }

  /** Answers requests of a type: what the handler returns is the answer, what it throws the caller's error. */
  onRequest<C extends ToolContract>(operation: C, handler: RequestHandler<InputOf<C>, OutputOf<C>>): this;
  onRequest(type: string, handler: RequestHandler<AnyData>): this;
  onRequest(operation: string | ToolContract, handler: RequestHandler<AnyData>): this {
    this.#mustNotRun("onRequest");
    const contract = typeof operation === "string" ? undefined : operation;
    const type = typeof operation === "string" ? operation : operation.name;
    checkType(type);
    if (this.#operations.has(type)) throw new TypeError(`${this.name} has a handler for "${type}" already`);
    this.#operations.set(type, { contract, handler });
    if (contract) this.keepSchemas(contract);
    return this;
  }

  /**
   * Joins the mesh. Resolves when the agent is ready: registered, and what it subscribes to reaches it from every live
   * publisher. The process then stays alive until {@link Agent.stop}.
   *
   * @throws {SoormaError} `MESH_NOT_FOUND`, `REGISTRY_UNAVAILABLE`, `REGISTRY_REFUSED`, `SCHEMA_CONFLICT`.
   */
  run(): Promise<void> {
    this.#running ??= this.#start().catch((error) => {
      this.#running = undefined;
      throw error;
    });
    return this.#running;
  }

  /** Resolves when {@link Agent.run} has; starts nothing. */
  async ready(): Promise<void> {
    if (!this.#running)
      throw new SoormaError("NODE_STOPPED", `${this.name} was not started`, { hint: "Call run() first." });
    await this.#running;
  }

  /**
   * Leaves the mesh: takes no new work, lets what runs finish within `drainMs`, and closes. A second call waits for
   * the first.
   */
  stop(options: { readonly drainMs?: number } = {}): Promise<void> {
    this.#stopped ??= this.#stop(options.drainMs ?? this.drainMs);
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /**
   * Takes no new work until {@link Agent.resume}: other instances get it. What runs goes on, and so do plans that it
   * drives. Resolves when the directory says so; twice is fine.
   */
  pause(): Promise<void> {
    return this.#turn(async ({ node }) => {
      if (!this.#ready) return;
      this.#ready = false;
      for (const subscription of this.#subscriptions) node.events.unsubscribe(subscription);
      await node.put(this);
      this.log.debug("agent.paused", { agentId: this.agentId });
    });
  }

  /** Takes work again after {@link Agent.pause}. Resolves when it is as ready as after `run()`. */
  resume(): Promise<void> {
    return this.#turn(async ({ node }) => {
      if (this.#ready) return;
      await Promise.all([...this.#subscriptions].map((subscription) => node.events.subscribe(subscription)));
      // Told to stop meanwhile it has said that it takes nothing any more.
      if (this.#stopped) return;
      this.#ready = true;
      const revision = await node.put(this);
      await node.events.joined();
      await node.knownToPublishers(this.record(), revision);
      this.log.debug("agent.resumed", { agentId: this.agentId });
    });
  }

  /** One change of readiness after the other; none once it stops. */
  #turn(change: (services: NodeServices) => Promise<void>): Promise<void> {
    this.#turning = this.#turning.then(async () => {
      await this.#running;
      if (this.#services && !this.#stopped) await change(this.#services);
    });
    const result = this.#turning;
    this.#turning = result.catch(() => {});
    return result;
  }

  /** What the directory shall say of this agent. */
  record(): AgentRecord {
    const { node } = this.services();
    return {
      agentId: this.agentId,
      name: this.name,
      kind: this.kind,
      description: this.options.description ?? "",
      version: this.options.version ?? "0.0.0",
      tenant: node.tenantId,
      capabilities: this.#capabilities,
      goals: [],
      tasks: [],
      operations: [...this.#operations].map(([name, { contract }]) => this.operation(name, contract)),
      consumes: [...this.#subscriptions].map(({ pattern, topic, group, contract }) => ({
        type: pattern.source,
        ...(topic === undefined ? {} : { topic }),
        ...(group === undefined ? {} : { group }),
        ...this.#schemaOf(contract),
      })),
      produces: [...this.#produces.values()].map((ref) => ({
        ...ref,
        ...this.#schemaOf(this.#eventContracts.get(ref.type)),
      })),
      concurrency: this.concurrency,
      ready: this.#ready,
      nodeId: node.nodeId,
      address: node.address,
      host: node.host,
      pid: node.pid,
      startedAtMs: this.#startedAtMs,
    };
  }

  /** What this agent does now, and has done since it started. */
  stats(): AgentStats {
    return {
      agentId: this.agentId,
      name: this.name,
      kind: this.kind,
      concurrency: this.concurrency,
      handlers: { running: this.queue.running, waiting: this.queue.waiting },
      events: { ...this.#events },
      requests: { ...this.#requests },
    };
  }

  /** A call from another agent. Subclasses add methods of their own. */
  onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    if (method === "request") return this.#answer(envelopeOf(params), call);
    throw new SoormaError("METHOD_UNKNOWN", `${this.name} has no method "${method.slice(0, 100)}"`);
  }

  protected services(): NodeServices {
    if (!this.#services)
      throw new SoormaError("NODE_STOPPED", `${this.name} is not running`, { hint: "Await run() first." });
    return this.#services;
  }

  protected get log(): Logger {
    return this.#log ?? this.services().node.log;
  }

  /** Aborts what still runs when the drain time is over. */
  protected get stopSignal(): AbortSignal {
    return this.#stopping.signal;
  }

  protected get isStopping(): boolean {
    return this.#stopped !== undefined;
  }

  /** Called when the node is open and the agent is about to be registered. */
  protected async onStart(_services: NodeServices): Promise<void> {}

  /** Called when the agent is ready. What it begins here may go on in the background. */
  protected async onReady(_services: NodeServices): Promise<void> {}

  /** Resolves when no handler runs. */
  protected async idle(): Promise<void> {
    await this.queue.idle();
  }

  /** Called when nothing runs any more, or had to be given up; also when the start failed, at whatever point. */
  protected async onStop(): Promise<void> {}

  /** Runs a handler as part of what `context` says. */
  protected handle<R>(
    run: Pick<HandlerRun, "kind" | "name" | "assignedTo" | "data">,
    context: HandlingContext,
    body: () => R,
  ): R {
    const { observer } = this.services().node;
    if (!observer) return runWith(context, body);
    const { agentId, name: agentName } = this;
    return runWith(context, () => observer.handle({ ...run, agentId, agentName, context }, body));
  }

  /** Has the contract's schemas registered when the agent starts. */
  protected keepSchemas(contract: AnyContract): void {
    this.#contracts.add(contract);
  }

  /** A task, operation or goal as the directory lists it. */
  protected operation(name: string, contract: TaskContract | ToolContract | GoalContract | undefined): Operation {
    if (!contract) return { name };
    const { input, output } = schemasOf(contract, this.services().node.schemaVersions);
    return {
      name,
      ...(contract.description === undefined ? {} : { description: contract.description }),
      input: refOf(input),
      ...(output ? { output: refOf(output) } : {}),
      ...(contract.kind === "task" ? defaultsOf(contract) : {}),
    };
  }

  /** What buses and handles of this agent work with. */
  protected owner(): BusOwner {
    return {
      agentId: this.agentId,
      services: () => this.services(),
      announce: (ref) => this.#announce(ref),
      contractOf: (type) => this.#eventContracts.get(type),
      addSubscription: (pattern, handler, options) => this.#subscribe(pattern, handler, options),
    };
  }

  async #start(): Promise<void> {
    if (this.#stopped) throw new SoormaError("NODE_STOPPED", `${this.name} was stopped and cannot run again`);
    const services = await this.options.mesh.acquire();
    const { node } = services;
    try {
      this.#services = services;
      this.#agentId ??= `${this.name}-${randomId(node.runtime, 10)}`;
      this.#log = node.log.child(this.name);
      this.#startedAtMs = node.runtime.now();
      const owner = this.owner();
      const bus: Bus = createBus(owner);
      const context: PlatformContext = {
        bus,
        memory: services.memory,
        tracker: services.tracker,
        registry: createRegistryService(owner, async ({ capabilities }) => {
          const before = this.#capabilities;
          const changed = capabilities ?? before;
          this.#capabilities = changed;
          try {
            await node.put(this);
          } catch (error) {
            // Whatever else is to be announced of this agent would be refused with it.
            if (this.#capabilities === changed) this.#capabilities = before;
            throw error;
          }
        }),
      };
      this.#context = viewOf(node, context);
      const schemas = [...this.#contracts].flatMap((contract) => {
        const { input, output } = schemasOf(contract, node.schemaVersions);
        return output ? [input, output] : [input];
      });
      await Promise.all(schemas.map((schema) => node.registry.putSchema(schema)));
      await Promise.all([...this.#subscriptions].map((subscription) => node.events.subscribe(subscription)));
      // A subscriber can miss something, and says so by an event; who wants to know has to be connected for that.
      if (this.#subscriptions.size > 0) this.#produce(gapEvent);
      this.#gaps = node.onGap((gap) => this.#reportGap(gap));
      await this.onStart(services);
      this.#ready = true;
      const revision = await node.put(this);
      await node.events.joined();
      await node.knownToPublishers(this.record(), revision);
      await Promise.all(
        [...this.#produces.values()].map((ref) =>
          node.events.subscribersOf(ref.type, (ref.topic as Topic | undefined) ?? topicOf(ref.type)),
        ),
      );
      for (const ref of this.#produces.values()) this.#announcing.set(refKey(ref), Promise.resolve());
      void this.onReady(services).catch((error) => this.log.warn("ready.failed", { error }));
      this.log.info("agent.ready", { agentId: this.agentId, kind: this.kind });
    } catch (error) {
      this.#ready = false;
      this.#gaps?.[Symbol.dispose]();
      for (const subscription of this.#subscriptions) node.events.unsubscribe(subscription);
      // The registry may have it although the answer was lost: then others found it, and it is at work already.
      const removed = node.remove(this.agentId);
      await this.onStop().catch((cause) => this.log.warn("start.undo.failed", { error: cause }));
      await removed;
      this.#services = undefined;
      this.#context = undefined;
      await this.options.mesh.release();
      throw error;
    }
  }

  async #stop(drainMs: number): Promise<void> {
    await this.#running?.catch(() => {});
    const services = this.#services;
    if (!services) return;
    const { node } = services;
    this.#ready = false;
    // Peers stop sending before this side stops taking. Without a registry they find out by being refused.
    const unannounced = (error: unknown): void => this.log.debug("stop.unannounced", { error });
    await atMost(node.runtime, 500, node.put(this).catch(unannounced));
    for (const subscription of this.#subscriptions) node.events.unsubscribe(subscription);
    await atMost(node.runtime, drainMs, this.idle());
    this.#stopping.abort(new SoormaError("NODE_STOPPED", `${this.name} stops; its ${drainMs} ms to finish are over`));
    this.queue.clear();
    // The node may live on with other agents: nothing else would tell their callers to ask another one.
    for (const giveUp of this.#unanswered) giveUp(this.#stopping.signal.reason);
    this.#unanswered.clear();
    await this.onStop();
    this.#gaps?.[Symbol.dispose]();
    await node.remove(this.agentId);
    this.log.info("agent.stopped", { agentId: this.agentId });
    this.#services = undefined;
    this.#context = undefined;
    await this.options.mesh.release();
  }

  #schemaOf(contract: EventContract | undefined): Pick<EventRef, "schema"> {
    return contract ? { schema: refOf(schemasOf(contract, this.services().node.schemaVersions).input) } : {};
  }

  #mustNotRun(method: string): void {
    if (this.#running)
      throw new TypeError(`${method}() of ${this.name} must be called before run(); use context.bus.subscribe() later`);
  }

  #produce(produced: string | EventContract): void {
    const type = typeof produced === "string" ? produced : produced.name;
    const topic = typeof produced === "string" ? topicOf(type) : (produced.topic ?? topicOf(type));
    compilePattern(type);
    const ref: EventRef = { type, topic };
    this.#produces.set(refKey(ref), ref);
    if (typeof produced !== "string") {
      this.#eventContracts.set(type, produced);
      this.keepSchemas(produced);
    }
  }

  /** Adds to what this agent produces, once, and waits until those who want it are connected. */
  #announce(ref: EventRef): void | Promise<void> {
    const key = refKey(ref);
    const under = this.#announcing.get(key);
    if (under) return under;
    const { node } = this.services();
    const announcing = (async () => {
      if (!this.#produces.has(key)) {
        if (this.#produces.size >= mostProduced) throw tooMany(ref.type, this.name);
        this.#produces.set(key, ref);
        await node.put(this);
      }
      await node.events.subscribersOf(ref.type, (ref.topic as Topic | undefined) ?? topicOf(ref.type));
    })();
    this.#announcing.set(key, announcing);
    announcing.catch(() => this.#announcing.delete(key));
    return announcing;
  }

  async #subscribe(
    pattern: string | EventContract,
    handler: EventHandler<never>,
    options: SubscribeOptions,
  ): Promise<BusSubscription> {
    const { node } = this.services();
    const subscription = this.#subscription(pattern, handler, options);
    this.#subscriptions.add(subscription);
    const unsubscribe = async (): Promise<void> => {
      if (!this.#subscriptions.delete(subscription)) return;
      if (!this.#services) return;
      node.events.unsubscribe(subscription);
      await node.put(this);
    };
    try {
      await node.events.subscribe(subscription);
      this.#produce(gapEvent);
      const revision = await node.put(this);
      await node.events.joined();
      await node.knownToPublishers(this.record(), revision);
      await this.#announce({ type: gapEvent, topic: topicOf(gapEvent) });
    } catch (error) {
      await unsubscribe();
      throw error;
    }
    return { pattern: subscription.pattern.source, unsubscribe, [Symbol.asyncDispose]: unsubscribe };
  }

  #subscription(
    event: string | EventContract,
    handler: EventHandler<never>,
    options: SubscribeOptions,
  ): HandledSubscription {
    const contract = typeof event === "string" ? undefined : event;
    if (contract) this.keepSchemas(contract);
    const topic = options.topic ?? contract?.topic;
    const self = this;
    return {
      // Made before the agent has its id.
      get agentId() {
        return self.agentId;
      },
      contract,
      handler: handler as EventHandler<AnyData>,
      pattern: compilePattern(typeof event === "string" ? event : event.name),
      topic,
      group: options.group,
      full: (envelope) => this.queue.full && !this.#isFromWithin(envelope),
      deliver: (envelope) =>
        this.queue.add(
          () => this.#handleEvent(envelope, contract, handler as EventHandler<AnyData>),
          this.#isFromWithin(envelope),
        ),
    };
  }

  /** Whether a handler of this very agent published it, and so holds a place that others wait for. */
  #isFromWithin({ source, parentId }: Envelope): boolean {
    return source === this.agentId && parentId !== undefined;
  }

  async #handleEvent(
    envelope: Envelope,
    contract: EventContract | undefined,
    handler: EventHandler<AnyData>,
  ): Promise<void> {
    try {
      if (contract) checkData(contract.data, envelope.data, `data of event "${envelope.type}" from ${envelope.source}`);
      const { type: name, data } = envelope;
      await this.handle({ kind: "event", name, data }, envelope, () => handler(this.#message(envelope)));
      this.#events.handled++;
    } catch (error) {
      this.#events.failed++;
      this.log.error("event.failed", {
        type: envelope.type,
        id: envelope.id,
        traceId: envelope.traceId,
        from: envelope.source,
        error,
      });
    }
  }

  #message(envelope: Envelope): EventMessage<AnyData> {
    return {
      ...envelope,
      respond: async (data) => {
        const { responseEvent, responseTopic, correlationId } = envelope;
        if (!responseEvent) {
          throw new SoormaError("PAYLOAD_INVALID", `event "${envelope.type}" asked for no response`, {
            hint: "Its publisher has to pass `responseEvent`.",
          });
        }
        // Not what is being handled decides whose answer it is: that may be something else by now.
        const topic = responseTopic ? { topic: responseTopic } : {};
        await this.context.bus.publish(responseEvent, data, { ...topic, correlationId });
      },
    };
  }

  #answer(envelope: Envelope, call: Pick<RpcCall, "signal">): Promise<unknown> {
    const { node } = this.services();
    if (envelope.tenantId !== node.tenantId) {
      throw new SoormaError("MESSAGE_MALFORMED", `request "${envelope.type}" is of another tenant`);
    }
    if (this.isStopping) throw new SoormaError("NODE_STOPPED", `${this.name} is stopping`);
    if (this.queue.full) throw new SoormaError("OVERLOADED", `${this.name} has too many requests waiting`);
    const offered = this.#operations.get(envelope.type);
    if (!offered)
      throw new SoormaError("NO_RESPONDER", `${this.name} does not answer "${envelope.type}"`, { retryable: false });
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    this.#unanswered.add(reject);
    void this.queue.add(async () => {
      try {
        const { contract } = offered;
        if (contract)
          checkData(contract.input, envelope.data, `data of request "${envelope.type}" from ${envelope.source}`);
        const request = withSignal(envelope, call);
        const { type: name, data } = envelope;
        const result = await this.handle({ kind: "request", name, data }, envelope, () =>
          offered.handler(request, this.context),
        );
        if (contract) checkResult(contract.output, result, `result of "${envelope.type}" by ${this.name}`);
        this.#requests.answered++;
        resolve(result);
      } catch (error) {
        this.#requests.failed++;
        if (!isSoormaError(error))
          this.log.warn("request.failed", { type: envelope.type, traceId: envelope.traceId, error });
        reject(error);
      } finally {
        this.#unanswered.delete(reject);
      }
    });
    return promise;
  }

  #reportGap({ publisher, channel, from, to }: { publisher: string; channel: string; from: number; to: number }): void {
    // A loss among these reports is counted and logged; reporting it in turn would never end.
    if (channel.includes(`.${gapEvent}.`) || this.isStopping) return;
    const envelope = makeEnvelope(this.owner(), {
      type: gapEvent,
      data: { publisher, channel, from, to, count: to - from + 1 },
    });
    const failed = (error: unknown): void => this.log.debug("gap.unreported", { error });
    try {
      this.services().node.events.publish(envelope)?.catch(failed);
    } catch (error) {
      failed(error);
    }
  }
}

/** Types that are announced when they are first published: a record with more is refused, whatever else it is to say. */
const mostProduced = registryLimits.events - 1;

function tooMany(type: string, name: string): SoormaError {
  return new SoormaError(
    "PAYLOAD_INVALID",
    `event "${type}" cannot be published: ${name} has published ${mostProduced} types of events already, and registries list no more`,
    { hint: "A type names a kind of event; put what it is about into its data or its `subject`." },
  );
}

/** The event by which a subscriber says that it missed something. */
const gapEvent = "system.bus.gap";

export interface AgentEventOptions {
  /** Queue group; default the agent's name, `null` for none. */
  readonly group?: string | null;
  readonly topic?: Topic;
}

/** What a task's contract says of how it is tried, for whoever assigns it by its name only. */
function defaultsOf({ retry, timeoutMs, priority }: TaskContract): Pick<Operation, "retry" | "timeoutMs" | "priority"> {
  return {
    ...(retry ? { retry } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(priority === undefined ? {} : { priority }),
  };
}

function refKey({ type, topic }: EventRef): string {
  return `${type} ${topic ?? ""}`;
}
