import { releasedVersions, type SchemaVersioning } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import { createCodec } from "../events/codec.ts";
import { type Envelope, unpackEnvelope } from "../events/envelope.ts";
import type { Logger } from "../log.ts";
import type { RegistryBackend, RegistryDeps } from "../plugin/registry.ts";
import type { Address, Transport } from "../plugin/transport.ts";
import type { AgentRecord } from "../registry/records.ts";
import { atMost, type Runtime, randomId } from "../runtime.ts";
import type { StateCaller } from "../state-caller.ts";
import { Balance } from "./balance.ts";
import { DirectoryView } from "./directory-view.ts";
import { EventFabric } from "./event-fabric.ts";
import type { Gap } from "./gap-detector.ts";
import { type HostedAgent, HostedAgents } from "./hosted-agents.ts";
import { Membership } from "./membership.ts";
import { askStats, callError, type NodeAnswer, type NodeStats, type ProcessUsage, statsMethod } from "./node-stats.ts";
import type { NodeObserver } from "./observer.ts";
import { createPeerRpc, type PeerRpc } from "./peer-rpc.ts";
import { requestOneOf } from "./request.ts";
import type { CallOptions, Rpc } from "./rpc.ts";
import { createStateCaller } from "./state-link.ts";
import { recorderCapability, recordMethod, Tap } from "./tap.ts";

/** Largest frame a mesh carries unless it is told otherwise. */
const defaultMaxFrameBytes = 16 * 1024 * 1024;
const defaultLeaseMs = 10_000;
const defaultRenewMs = 3_000;

const agentCall = "agent.call";
/** Milliseconds a recorder has to take what is left when a node closes. */
const drainTapMs = 500;
const syncMethod = "mesh.sync";

export interface NodeOptions {
  /** Not opened yet; the node opens and closes it. */
  readonly transport: Transport;
  readonly createRegistry: (deps: RegistryDeps) => Promise<RegistryBackend>;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly host: string;
  readonly pid: number;
  /** Scopes everything this node sees and sends. Default `default`. */
  readonly tenantId?: string;
  readonly userId?: string;
  readonly listen?: Address;
  readonly leaseMs?: number;
  readonly renewMs?: number;
  readonly maxFrameBytes?: number;
  /** How versions of registered schemas are made of a contract's. Default `releasedVersions`. */
  readonly schemaVersions?: SchemaVersioning;
  /** Measures this process, for {@link NodeStats}. Default: these figures are left out. */
  readonly usage?: () => ProcessUsage;
  /** Sees what the node's agents do. Default: nobody does. */
  readonly observer?: NodeObserver;
}

/** Where an agent is: what a call to it needs. */
export type AgentPlace = Pick<AgentRecord, "agentId" | "nodeId" | "address">;

/** One process's place in the mesh: a transport, a registry, and the agents it hosts. */
export class MeshNode {
  readonly nodeId: string;
  readonly tenantId: string;
  readonly userId: string | undefined;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly host: string;
  readonly pid: number;
  readonly directory: DirectoryView;
  readonly balance: Balance;
  readonly events: EventFabric;
  readonly state: StateCaller;
  readonly rpc: Rpc;
  readonly maxFrameBytes: number;
  readonly schemaVersions: SchemaVersioning;
  readonly observer: NodeObserver | undefined;
  readonly registry: RegistryBackend;
  readonly address: Address;
  readonly #rpc: PeerRpc;
  readonly #transport: Transport;
  readonly #membership: Membership;
  readonly #agents: HostedAgents;
  readonly #contacted = new Set<Address>();
  readonly #gapListeners = new Set<(gap: Gap) => void>();
  /** Ends the waits of {@link until}, so that none outlives the node. */
  readonly #waits = new Set<() => void>();
  readonly #codec = createCodec();
  readonly #usage: NodeOptions["usage"];
  readonly #openedAt: number;
  /** Only there while somebody records the mesh. */
  #tap: Tap | undefined;
  #tapSessions = 0;
  readonly #closed = new AbortController();
  #counter = 0;
  #closing: Promise<void> | undefined;

  private constructor(
    options: NodeOptions,
    parts: {
      nodeId: string;
      address: Address;
      rpc: PeerRpc;
      registry: RegistryBackend;
      directory: DirectoryView;
      events: (node: MeshNode) => EventFabric;
    },
  ) {
    this.nodeId = parts.nodeId;
    this.address = parts.address;
    this.tenantId = options.tenantId ?? "default";
    this.userId = options.userId;
    this.runtime = options.runtime;
    this.log = options.log;
    this.host = options.host;
    this.pid = options.pid;
    this.maxFrameBytes = options.maxFrameBytes ?? defaultMaxFrameBytes;
    this.schemaVersions = options.schemaVersions ?? releasedVersions;
    this.observer = options.observer;
    this.directory = parts.directory;
    this.balance = new Balance(options.runtime);
    this.#agents = new HostedAgents({
      runtime: options.runtime,
      codec: this.#codec,
      here: { address: parts.address, nodeId: parts.nodeId },
    });
    this.rpc = parts.rpc;
    this.registry = parts.registry;
    this.#rpc = parts.rpc;
    this.#transport = options.transport;
    this.#usage = options.usage;
    this.#openedAt = options.runtime.monotonic();
    this.#membership = new Membership({
      registry: parts.registry,
      directory: parts.directory,
      runtime: options.runtime,
      log: options.log.child("membership"),
      leaseMs: options.leaseMs ?? defaultLeaseMs,
      renewMs: options.renewMs ?? defaultRenewMs,
    });
    this.events = parts.events(this);
    this.state = createStateCaller(this);
    parts.rpc.handle(agentCall, (call) => this.#agents.serve(call));
    parts.rpc.handle(syncMethod, async ({ params, signal }) => {
      if (typeof params === "number") await this.revision(params, signal);
      return this.directory.revision;
    });
    parts.rpc.handle(statsMethod, () => this.stats());
    parts.rpc.onPeer((address, state) => this.directory.setReachable(address, state === "up"));
    this.directory.onChange(() => {
      this.#dropGone();
      this.#followRecorders();
    });
  }

  /**
   * Opens the transport, reaches the registry and takes in the directory.
   *
   * @throws {SoormaError} what `transport.open` throws; `REGISTRY_UNAVAILABLE`.
   */
  static async open(options: NodeOptions): Promise<MeshNode> {
    const { transport, runtime, log } = options;
    const nodeId = `n-${randomId(runtime, 12)}`;
    const codec = createCodec();
    const rpc = createPeerRpc({ transport, codec, runtime, log: log.child("rpc") });
    const directory = new DirectoryView(options.tenantId ?? "default");
    let node: MeshNode | undefined;
    let registry: RegistryBackend | undefined;
    const maxFrameBytes = options.maxFrameBytes ?? defaultMaxFrameBytes;
    try {
      const address = await transport.open({
        nodeId,
        maxFrameBytes,
        ...(options.listen === undefined ? {} : { listen: options.listen }),
        handlers: {
          onMessage: (frame, from) => rpc.onMessage(frame, from),
          onEvent: (frame) => node?.events.onEvent(frame),
          onPeer: (change) => rpc.onPeerChange(change),
          onSubscriber: (subscriber) => node?.events.onSubscriber(subscriber),
        },
      });
      rpc.started(nodeId, address);
      registry = await options.createRegistry({ log: log.child("registry"), runtime, rpc });
      node = new MeshNode(options, {
        nodeId,
        address,
        rpc,
        registry,
        directory,
        events: (self) =>
          new EventFabric({
            nodeId,
            tenantId: self.tenantId,
            transport,
            rpc,
            codec,
            directory,
            balance: self.balance,
            runtime,
            log: log.child("events"),
            maxFrameBytes,
            onContact: (address) => self.noteContact(address),
            onGap: (gap) => {
              for (const listener of self.#gapListeners) listener(gap);
            },
            ...(options.observer ? { onPublish: (event) => options.observer?.published(event) } : {}),
          }),
      });
      await node.#membership.start();
      return node;
    } catch (error) {
      rpc.stop();
      await registry?.close();
      await transport.close();
      throw error;
    }
  }

  /** An id nobody else makes. */
  nextId(): string {
    return `${this.nodeId}-${(++this.#counter).toString(36)}`;
  }

  onGap(listener: (gap: Gap) => void): Disposable {
    this.#gapListeners.add(listener);
    return { [Symbol.dispose]: () => void this.#gapListeners.delete(listener) };
  }

  /** Registers an agent, or what changed of it, and resolves when this node's directory has it. */
  async put(agent: HostedAgent): Promise<number> {
    this.#agents.add(agent);
    try {
      const revision = await this.#membership.put(agent.record());
      await this.revision(revision);
      return revision;
    } catch (error) {
      if (!this.directory.has(agent.agentId)) this.#agents.delete(agent.agentId);
      throw error;
    }
  }

  async remove(agentId: string): Promise<void> {
    // At once: until the registry has answered, others may find it and give it something to do.
    this.#agents.delete(agentId);
    await this.#membership.remove(agentId);
  }

  /** Resolves when the directory view has reached a revision, or after two seconds: the registry may be gone. */
  async revision(revision: number, signal?: AbortSignal): Promise<void> {
    await this.until(() => this.directory.revision >= revision, 2_000, signal);
  }

  /** Resolves with whether `condition` came true, looking again at each change of the directory; at once when the node closes. */
  async until(condition: () => boolean, timeoutMs: number, signal?: AbortSignal): Promise<boolean> {
    if (condition()) return true;
    signal?.throwIfAborted();
    if (this.#closing) return false;
    return await new Promise<boolean>((resolve, reject) => {
      const end = (): void => {
        timer.cancel();
        changed[Symbol.dispose]();
        this.#waits.delete(giveUp);
        signal?.removeEventListener("abort", onAbort);
      };
      const onAbort = (): void => {
        end();
        reject(signal?.reason);
      };
      const giveUp = (): void => {
        end();
        resolve(condition());
      };
      this.#waits.add(giveUp);
      const timer = this.runtime.setTimer(giveUp, timeoutMs);
      const changed = this.directory.onChange(() => {
        if (!condition()) return;
        end();
        resolve(true);
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /**
   * Waits until the live nodes that publish something `agent` subscribes to in a queue group know of it. (Ungrouped
   * subscriptions are connected by this node itself.)
   */
  async knownToPublishers(agent: AgentRecord, revision: number): Promise<void> {
    const grouped = agent.consumes.filter((ref) => ref.group !== undefined);
    if (grouped.length === 0) return;
    const waits: Promise<unknown>[] = [];
    for (const node of this.directory.nodes()) {
      if (node.nodeId === this.nodeId || !this.directory.isReachable(node.address)) continue;
      const publishes = [...node.agents.values()].some((other) =>
        other.produces.some((produced) =>
          grouped.some(
            (ref) =>
              this.directory.takes(ref, produced.type, produced.topic ?? ref.topic ?? "") ||
              !this.directory.pattern(produced.type)?.exact,
          ),
        ),
      );
      if (!publishes) continue;
      this.#contacted.add(node.address);
      waits.push(
        this.rpc
          .call(node.address, syncMethod, revision, { timeoutMs: 3_000 })
          .catch((error) => this.log.debug("sync.failed", { node: node.nodeId, error })),
      );
    }
    await Promise.all(waits);
  }

  /**
   * Calls a method of one agent.
   *
   * @throws {SoormaError} what {@link Rpc.call} throws; `NO_RESPONDER` when the agent is not there any more.
   */
  callAgent<Result>(agent: AgentPlace, method: string, params: unknown, options?: CallOptions): Promise<Result> {
    if (this.#tap === undefined) return this.#call(agent, method, params, options);
    const send = (): Promise<unknown> => this.#call(agent, method, params, options);
    return this.#tap.call(agent.agentId, method, params, send) as Promise<Result>;
  }

  #call<Result>(agent: AgentPlace, method: string, params: unknown, options?: CallOptions): Promise<Result> {
    if (agent.nodeId === this.nodeId) return this.#agents.call<Result>(agent.agentId, method, params, options);
    this.#contacted.add(agent.address);
    return this.rpc.call<Result>(agent.address, agentCall, [agent.agentId, method, params], options);
  }

  /** Tells an agent something, without an answer. It may be lost. */
  async tellAgent(agent: AgentPlace, method: string, params: unknown): Promise<void> {
    this.#tap?.note(agent.agentId, method, params);
    if (agent.nodeId === this.nodeId) {
      await this.#agents.call(agent.agentId, method, params);
      return;
    }
    this.#contacted.add(agent.address);
    await this.rpc.notify(agent.address, agentCall, [agent.agentId, method, params]);
  }

  /** Sends a request to one of the agents `candidates` names: see {@link requestOneOf}. */
  request(
    method: string,
    envelope: Envelope,
    candidates: () => readonly AgentRecord[],
    options?: CallOptions,
  ): Promise<unknown> {
    return requestOneOf(this, { method, envelope, candidates }, options);
  }

  stats(): NodeStats {
    return {
      nodeId: this.nodeId,
      role: "agents",
      host: this.host,
      pid: this.pid,
      uptimeMs: this.runtime.monotonic() - this.#openedAt,
      ...(this.#usage ? { process: this.#usage() } : {}),
      agents: this.#agents.stats(),
      events: this.events.stats(),
      calls: this.#rpc.stats(),
      transport: this.#transport.stats(),
    };
  }

  /** What every node of the mesh says of itself: this one, those in the directory, and the registry's if it is one. */
  async statsOfAll(options: CallOptions = {}): Promise<NodeAnswer[]> {
    const { timeoutMs = 1_000, signal } = options;
    const ask = async (node: Omit<NodeAnswer, "stats" | "error">): Promise<NodeAnswer> => {
      if (node.nodeId === this.nodeId) return { ...node, stats: this.stats() };
      try {
        const stats = await askStats(this.rpc, node.address, { timeoutMs, ...(signal ? { signal } : {}) });
        return { ...node, nodeId: stats.nodeId, stats };
      } catch (error) {
        signal?.throwIfAborted();
        return { ...node, error: callError(error) };
      }
    };
    const nodes = [...this.directory.nodes()].map(({ nodeId, address, agents }) => {
      if (nodeId !== this.nodeId) this.#contacted.add(address);
      return ask({ nodeId, address, agents: [...agents.values()] });
    });
    const { node: address } = this.registry;
    // Not noted as contacted: whoever made the registry keeps the connection to it.
    if (address !== undefined)
      nodes.push(ask({ nodeId: this.#transport.nodeIdOf(address) ?? "", address, agents: [] }));
    return await Promise.all(nodes);
  }

  /** Only there while somebody records the mesh. */
  get tap(): Tap | undefined {
    return this.#tap;
  }

  /** Aborts with `NODE_STOPPED` when {@link close} is called. */
  get closed(): AbortSignal {
    return this.#closed.signal;
  }

  /** True from the call of {@link close} on. */
  get isClosing(): boolean {
    return this.#closed.signal.aborted;
  }

  /** Leaves the mesh: deregisters what is still registered and closes every socket. A second call waits for the first. */
  close(): Promise<void> {
    this.#closing ??= (async () => {
      this.#closed.abort(new SoormaError("NODE_STOPPED", "this node has stopped"));
      for (const giveUp of [...this.#waits]) giveUp();
      if (this.#tap) await atMost(this.runtime, drainTapMs, this.#tap.drain());
      this.#tap?.close();
      // Whatever fails, nothing stays open: a process would not end.
      try {
        await this.#membership.close();
      } finally {
        this.events.close();
        try {
          await this.registry.close();
        } finally {
          this.#rpc.stop();
          await this.#transport.close();
        }
      }
    })();
    return this.#closing;
  }

  /** Has what this node sends copied for as long as somebody records, from the first message on that is sent after both are there. */
  #followRecorders(): void {
    if (this.#closing) return;
    const recorders = this.directory.announcing(recorderCapability);
    if (recorders.length > 0 && !this.#tap) {
      const { nodeId, runtime, maxFrameBytes } = this;
      this.#tap = new Tap({
        nodeId,
        codec: this.#codec,
        runtime,
        maxFrameBytes,
        nextSession: () => ++this.#tapSessions,
        isReachable: ({ address }) => this.directory.isReachable(address),
        send: (recorder, batch, timeoutMs) => this.#call(recorder, recordMethod, batch, { timeoutMs }),
      });
    }
    this.#tap?.follow(recorders);
    if (recorders.length === 0) this.#tap = undefined;
    this.events.tap = this.#tap;
  }

  /** Notes that something is sent to a node of the directory: the connection is closed when that is gone. */
  noteContact(address: Address): void {
    this.#contacted.add(address);
  }

  /** Closes connections to nodes that left the directory and are not connected either, and forgets that they were lost. */
  #dropGone(): void {
    if (this.#closing) return;
    for (const address of this.directory.lostStrangers()) {
      if (this.#contacted.delete(address)) this.#transport.unlink(address);
      this.directory.setReachable(address, true);
    }
  }
}

/** What handlers get in place of `given`, where somebody observes the node. */
export function viewOf<T extends object>({ observer }: MeshNode, given: T): T {
  return observer ? observer.view(given) : given;
}

/** Reads the envelope out of a directed call. */
export function envelopeOf(params: unknown): Envelope {
  return unpackEnvelope(params);
}
