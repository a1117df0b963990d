import { type Runtime, SoormaError } from "@soorma/core";
import { type Connection, createConnection, type Dial, type HubNode } from "./connection.ts";
import { type LinkFaults, Pipe } from "./pipe.ts";

export interface HubOptions {
  readonly runtime: Runtime;
  /** Frames on their way in one direction of one connection before the sender has to wait. Default 1_000. */
  readonly highWaterMark?: number;
  /** Milliseconds after which a connection that a {@link Hub.cut} silenced is found dead and breaks. Default 1_000. */
  readonly heartbeatMs?: number;
}

/** Which nodes: by their ids or by the names of their hosts; `"*"` is all of them. */
export type Nodes = string | readonly string[];

/**
 * A private network inside this process: transports on one hub reach each other, and nobody else.
 *
 * Time, timers and chance come from the runtime alone, so with a seeded one a run can be repeated exactly.
 */
export class Hub {
  readonly runtime: Runtime;
  readonly #highWaterMark: number;
  readonly #heartbeatMs: number;
  readonly #byId = new Map<string, HubNode>();
  readonly #byName = new Map<string, HubNode>();
  readonly #dials = new Set<Dial>();
  readonly #connections = new Map<number, Connection>();
  readonly #faults = new Map<string, LinkFaults>();
  readonly #severed = new Set<string>();
  /** Ways nothing gets through, though nobody is told. */
  readonly #cuts = new Set<string>();
  #everywhere: LinkFaults = {};
  #lastConnection = 0;

  constructor(options: HubOptions) {
    this.runtime = options.runtime;
    this.#highWaterMark = options.highWaterMark ?? 1000;
    this.#heartbeatMs = options.heartbeatMs ?? 1000;
  }

  /** The ids of the nodes that are open. */
  get nodeIds(): string[] {
    return [...this.#byId.keys()];
  }

  /** The ids of the open nodes on a host. */
  nodeIdsOf(host: string): string[] {
    return [...this.#byId.values()].filter((node) => node.host === host).map(({ nodeId }) => nodeId);
  }

  /** What goes wrong on the way from one node or host to another; replaces what was said before, `{}` heals it. */
  setLink(from: string, to: string, faults: LinkFaults): void {
    this.#faults.set(pair(from, to), faults);
  }

  /** What goes wrong between any two nodes that `setLink` says nothing about. */
  setEveryLink(faults: LinkFaults): void {
    this.#everywhere = faults;
  }

  /** Ends all that {@link setLink} and {@link setEveryLink} said. */
  clearFaults(): void {
    this.#faults.clear();
    this.#everywhere = {};
  }

  /** Breaks the connections between two groups of nodes and lets no new ones through, until {@link heal}. */
  partition(some: Nodes, others: Nodes): void {
    for (const key of pairs(some, others)) this.#severed.add(key);
    for (const key of pairs(others, some)) this.#severed.add(key);
    for (const connection of [...this.#connections.values()]) {
      if (this.#matches(this.#severed, connection.dial.node, connection.acceptor)) {
        this.disconnect(connection, "partitioned");
      }
    }
  }

  /**
   * Lets nothing through from one group of nodes to another, as a network does that loses every packet one way: what is
   * sent is held, and neither end is told, until a heartbeat is missed after `heartbeatMs` and the connection breaks. New
   * ones cannot be made meanwhile, in neither direction. What is held arrives late if {@link heal} comes before that.
   */
  cut(from: Nodes, to: Nodes): void {
    for (const key of pairs(from, to)) this.#cuts.add(key);
    for (const connection of [...this.#connections.values()]) this.#silence(connection);
  }

  /** Ends the partitions and cuts between two groups of nodes, in both directions, or all of them. */
  heal(some?: Nodes, others?: Nodes): void {
    if (some === undefined || others === undefined) {
      this.#severed.clear();
      this.#cuts.clear();
    } else {
      for (const key of [...pairs(some, others), ...pairs(others, some)]) {
        this.#severed.delete(key);
        this.#cuts.delete(key);
      }
    }
    for (const connection of this.#connections.values()) this.#silence(connection);
    this.#connectAll();
  }

  /**
   * Ends a node as a killed process ends: what it was sending is lost, its handlers are not called again, its calls
   * fail with `TRANSPORT_CLOSED`, its peers see the connection break.
   *
   * @returns whether there was such a node.
   */
  crash(nodeId: string): boolean {
    const node = this.#byId.get(nodeId);
    node?.kill();
    return node !== undefined;
  }

  /** @internal */
  add(node: HubNode): void {
    const taken = this.#byName.get(node.name) ?? this.#byId.get(node.nodeId);
    if (taken) {
      throw new SoormaError(
        "ADDRESS_IN_USE",
        `cannot listen as "${node.nodeId}" at inproc://${node.name}: node "${taken.nodeId}" listens at inproc://${taken.name}`,
      );
    }
    this.#byName.set(node.name, node);
    this.#byId.set(node.nodeId, node);
    this.#connectAll();
  }

  /** @internal */
  remove(node: HubNode): void {
    if (this.#byId.get(node.nodeId) !== node) return;
    this.#byName.delete(node.name);
    this.#byId.delete(node.nodeId);
    for (const dial of [...this.#dials]) if (dial.node === node) this.hangUp(dial, "disconnected");
    for (const connection of [...this.#connections.values()]) {
      if (connection.dial.node === node || connection.acceptor === node) this.disconnect(connection, "disconnected");
    }
  }

  /** @internal */
  dial(dial: Dial): void {
    this.#dials.add(dial);
    this.#connect(dial);
  }

  /** @internal */
  hangUp(dial: Dial, reason: string): void {
    dial.closed = true;
    this.#dials.delete(dial);
    if (dial.connection) this.disconnect(dial.connection, reason);
  }

  /** @internal */
  connection(id: number): Connection | undefined {
    return this.#connections.get(id);
  }

  /** @internal */
  disconnect(connection: Connection, reason: string): void {
    if (!connection.up) return;
    connection.up = false;
    connection.heartbeat?.cancel();
    this.#connections.delete(connection.id);
    const { dial, acceptor } = connection;
    dial.connection = undefined;
    const goneFor = (node: HubNode, peer: string) => () =>
      node.ended
        ? new SoormaError("TRANSPORT_CLOSED", `node "${node.nodeId}" was closed before a frame reached "${peer}"`)
        : new SoormaError("PEER_UNREACHABLE", `a frame for "${peer}" was lost with the connection: ${reason}`);
    connection.forward.close(goneFor(dial.node, acceptor.nodeId));
    connection.back.close(goneFor(acceptor, dial.node.nodeId));
    // A subscriber that is gone is nobody a publisher has to wait for.
    connection.events.close(acceptor.ended ? goneFor(acceptor, dial.node.nodeId) : undefined);
    acceptor.dropped(connection);
    if (dial.closed) return;
    dial.lost(reason);
    this.runtime.defer(() => {
      if (dial.closed) return;
      dial.down(reason);
      this.#connect(dial);
    });
  }

  /** Holds and lets go what the cuts say of a connection's two directions. */
  #silence(connection: Connection): void {
    const { dial, acceptor } = connection;
    const there = this.#matches(this.#cuts, dial.node, acceptor);
    const back = this.#matches(this.#cuts, acceptor, dial.node);
    connection.forward.held = there;
    connection.back.held = back;
    connection.events.held = back;
    if (!there && !back) {
      connection.heartbeat?.cancel();
      connection.heartbeat = undefined;
      return;
    }
    const dies = (): void => this.disconnect(connection, "heartbeat timeout");
    connection.heartbeat ??= this.runtime.setTimer(dies, this.#heartbeatMs, { background: true });
  }

  #connectAll(): void {
    for (const dial of this.#dials) this.#connect(dial);
  }

  #connect(dial: Dial): void {
    const acceptor = this.#reachable(dial);
    if (dial.connecting || !acceptor) return;
    dial.connecting = true;
    const connect = (): void => {
      dial.connecting = false;
      const acceptor = this.#reachable(dial);
      if (!acceptor) return;
      const connection = this.#open(dial, acceptor);
      acceptor.accepted(connection);
      dial.up(connection);
    };
    const wire = new Pipe(this.#wire(dial.node, acceptor));
    wire.pushControl(connect);
  }

  #reachable(dial: Dial): HubNode | undefined {
    if (dial.closed || dial.connection) return undefined;
    const acceptor = this.#byName.get(dial.name);
    if (!acceptor || (dial.nodeId !== undefined && dial.nodeId !== acceptor.nodeId)) return undefined;
    return this.#isSevered(dial.node, acceptor) ? undefined : acceptor;
  }

  #open(dial: Dial, acceptor: HubNode): Connection {
    const id = ++this.#lastConnection;
    const events: Pipe = new Pipe({
      ...this.#wire(acceptor, dial.node),
      gate: () => dial.node.eventGate(events),
    });
    const connection = createConnection(id, dial, acceptor, {
      forward: new Pipe(this.#wire(dial.node, acceptor)),
      back: new Pipe(this.#wire(acceptor, dial.node)),
      events,
    });
    this.#connections.set(id, connection);
    dial.connection = connection;
    return connection;
  }

  #wire(from: HubNode, to: HubNode): { runtime: Runtime; faults: () => LinkFaults; highWaterMark: number } {
    const keys = keysOf(from, to);
    const own = (): LinkFaults | undefined => {
      if (this.#faults.size === 0) return undefined;
      for (const key of keys) {
        const faults = this.#faults.get(key);
        if (faults) return faults;
      }
      return undefined;
    };
    return { runtime: this.runtime, faults: () => own() ?? this.#everywhere, highWaterMark: this.#highWaterMark };
  }

  /** No connection can be made: it takes both directions. */
  #isSevered(a: HubNode, b: HubNode): boolean {
    return this.#matches(this.#severed, a, b) || this.#matches(this.#cuts, a, b) || this.#matches(this.#cuts, b, a);
  }

  #matches(ways: ReadonlySet<string>, from: HubNode, to: HubNode): boolean {
    return ways.size > 0 && keysOf(from, to).some((key) => ways.has(key));
  }
}

/** A private network for transports of this process. */
export function createHub(options: HubOptions): Hub {
  return new Hub(options);
}

function pair(from: string, to: string): string {
  return `${from}>${to}`;
}

function pairs(from: Nodes, to: Nodes): string[] {
  return [from].flat().flatMap((a) => [to].flat().map((b) => pair(a, b)));
}

/** Every name a way between two nodes has, the most particular first. */
function keysOf(from: HubNode, to: HubNode): string[] {
  const names = (node: HubNode): string[] => (node.host === undefined ? [node.nodeId] : [node.nodeId, node.host]);
  return pairs([...names(from), "*"], [...names(to), "*"]);
}
