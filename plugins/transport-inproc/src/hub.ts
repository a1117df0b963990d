import { type Runtime, SoormaError } from "@soorma/core";
import { type Connection, createConnection, type Dial, type HubNode } from "./connection.ts";
import { type LinkFaults, Pipe } from "./pipe.ts";

export interface HubOptions {
  readonly runtime: Runtime;
  /** Frames on their way in one direction of one connection before the sender has to wait. Default 1_000. */
  readonly highWaterMark?: number;
}

/**
 * A private network inside this process: transports on one hub reach each other, and nobody else.
 *
 * Time, timers and chance come from the runtime alone, so with a seeded one a run can be repeated exactly.
 */
export class Hub {
  readonly runtime: Runtime;
  readonly #highWaterMark: number;
  readonly #byId = new Map<string, HubNode>();
  readonly #byName = new Map<string, HubNode>();
  readonly #dials = new Set<Dial>();
  readonly #connections = new Map<number, Connection>();
  readonly #faults = new Map<string, LinkFaults>();
  readonly #severed = new Set<string>();
  #everywhere: LinkFaults = {};
  #lastConnection = 0;

  constructor(options: HubOptions) {
    this.runtime = options.runtime;
    this.#highWaterMark = options.highWaterMark ?? 1000;
  }

  /** The ids of the nodes that are open. */
  get nodeIds(): string[] {
    return [...this.#byId.keys()];
  }

  /** What goes wrong on the way from one node to another; replaces what was said before, `{}` heals it. */
  setLink(fromNodeId: string, toNodeId: string, faults: LinkFaults): void {
    this.#faults.set(pair(fromNodeId, toNodeId), faults);
  }

  /** What goes wrong between any two nodes that `setLink` says nothing about. */
  setEveryLink(faults: LinkFaults): void {
    this.#everywhere = faults;
  }

  /** Breaks the connections between two groups of nodes and lets no new ones through, until {@link heal}. */
  partition(some: string | readonly string[], others: string | readonly string[]): void {
    for (const a of [some].flat()) {
      for (const b of [others].flat()) {
        this.#severed.add(pair(a, b)).add(pair(b, a));
      }
    }
    for (const connection of [...this.#connections.values()]) {
      if (this.#isSevered(connection.dial.node, connection.acceptor)) this.disconnect(connection, "partitioned");
    }
  }

  /** Ends the partition between two groups of nodes, or every partition. */
  heal(some?: string | readonly string[], others?: string | readonly string[]): void {
    if (some === undefined || others === undefined) this.#severed.clear();
    else {
      for (const a of [some].flat()) {
        for (const b of [others].flat()) {
          this.#severed.delete(pair(a, b));
          this.#severed.delete(pair(b, a));
        }
      }
    }
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
    const key = pair(from.nodeId, to.nodeId);
    return {
      runtime: this.runtime,
      faults: () => this.#faults.get(key) ?? this.#everywhere,
      highWaterMark: this.#highWaterMark,
    };
  }

  #isSevered(a: HubNode, b: HubNode): boolean {
    return this.#severed.has(pair(a.nodeId, b.nodeId));
  }
}

/** A private network for transports of this process. */
export function createHub(options: HubOptions): Hub {
  return new Hub(options);
}

function pair(from: string, to: string): string {
  return `${from}>${to}`;
}
