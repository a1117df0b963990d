import {
  type Address,
  type PeerChange,
  type Runtime,
  SoormaError,
  type Transport,
  type TransportHandlers,
  type TransportOpenOptions,
  type TransportStats,
  type TransportSupports,
} from "@soorma/core";
import { formatName, nodeIdIn, parseAddress } from "./address.ts";
import type { Connection, Dial, HubNode } from "./connection.ts";
import type { Hub } from "./hub.ts";
import type { Parcel, Pipe } from "./pipe.ts";
import { matches, Subscriber, type Waiter } from "./subscriber.ts";

export const supports: TransportSupports = {
  backpressure: true,
  peerEvents: true,
  heartbeats: false,
  interprocess: false,
  joins: true,
  security: ["none"],
};

interface Link extends Dial {
  /** Frames that wait for the connection. */
  readonly queued: { readonly frame: Uint8Array; readonly waiter: Waiter }[];
}

const flushMs = 1000;
/** Frames are overwritten with this when their handler returned, so that whoever keeps one notices. */
const poison = 0xdb;

export interface InprocOptions {
  /** The machine the node is said to be on: faults may name it instead of the node, whose id changes with each start. */
  readonly host?: string;
}

/** A transport on `hub`. */
export function inproc(hub: Hub, options: InprocOptions = {}): Transport {
  return new InprocTransport(hub, options);
}

class InprocTransport implements Transport, HubNode {
  readonly supports = supports;
  readonly #hub: Hub;
  readonly #runtime: Runtime;
  #state: "new" | "open" | "closing" | "closed" = "new";
  #closing: Promise<void> | undefined;
  #options: TransportOpenOptions | undefined;
  nodeId = "";
  name = "";
  readonly host: string | undefined;
  readonly #links = new Map<Address, Link>();
  readonly #subscriber: Subscriber;
  readonly #accepted = new Set<Connection>();
  /** Addresses whose last reported state is "up". */
  readonly #up = new Set<Address>();
  /** An event handler's promise is pending: no further event until it settles. */
  #eventPending = false;
  #eventsWaiting: Pipe[] = [];
  #sent = 0;
  #received = 0;
  #malformed = 0;
  #waiting = 0;

  constructor(hub: Hub, { host }: InprocOptions) {
    this.#hub = hub;
    this.host = host;
    this.#runtime = hub.runtime;
    this.#subscriber = new Subscriber({
      hub,
      node: this,
      report: (address, state, reason) => this.#report(address, state, reason),
      tell: (prefixes, connection) => asTransport(connection.acceptor).receiveSubscriptions(prefixes, connection),
    });
  }

  get ended(): boolean {
    return this.#state === "closing" || this.#state === "closed";
  }

  async open(options: TransportOpenOptions): Promise<Address> {
    if (this.#state !== "new") {
      throw new SoormaError("TRANSPORT_CLOSED", `the transport of node "${this.nodeId}" was opened or closed before`);
    }
    if (!/^[a-z0-9-]{1,64}$/.test(options.nodeId)) {
      throw new TypeError(`nodeId must be 1 to 64 characters of [a-z0-9-], not "${options.nodeId}"`);
    }
    const listen = options.listen === undefined ? undefined : parseAddress(options.listen);
    if (listen?.kind === "route" || listen?.nodeId !== undefined) {
      throw new SoormaError("ADDRESS_INVALID", `"${options.listen}" cannot be listened at`, {
        hint: 'listen at "inproc://<name>"',
      });
    }
    this.nodeId = options.nodeId;
    this.name = listen?.name ?? options.nodeId;
    this.#options = options;
    this.#hub.add(this);
    this.#state = "open";
    return formatName(this.name, this.nodeId);
  }

  nodeIdOf(address: Address): string | undefined {
    return nodeIdIn(address);
  }

  send(to: Address, frame: Uint8Array): void | Promise<void> {
    this.#assertOpen("send");
    this.#assertSize(frame, to);
    const target = parseAddress(to);
    if (target.kind === "route") {
      const connection = this.#hub.connection(target.connection);
      if (connection?.acceptor !== this) {
        throw new SoormaError("PEER_UNREACHABLE", `node "${target.nodeId}" is no longer connected to "${this.nodeId}"`);
      }
      this.#sent++;
      return this.#wait(connection.back.push(() => messageParcel(frame, connection, "dialer")));
    }
    const link = this.#link(to);
    if (link.connection) {
      const { connection } = link;
      this.#sent++;
      return this.#wait(connection.forward.push(() => messageParcel(frame, connection, "acceptor")));
    }
    return this.#wait(new Promise((resolve, reject) => link.queued.push({ frame, waiter: { resolve, reject } })));
  }

  link(address: Address): void {
    this.#assertOpen("link");
    this.#link(address);
  }

  unlink(address: Address): void {
    const link = this.#links.get(address);
    if (!link) return;
    this.#links.delete(address);
    this.#hub.hangUp(link, "unlinked");
    for (const { waiter } of link.queued.splice(0)) {
      waiter.reject(new SoormaError("PEER_UNREACHABLE", `"${address}" was unlinked before the frame was sent`));
    }
    this.#forget(address);
  }

  publish(channel: string, frame: Uint8Array): void | Promise<void> {
    this.#assertOpen("publish");
    this.#assertSize(frame, channel);
    assertTokens(channel, "channel");
    const subscribers = new Set<HubNode>();
    let slow: Promise<void>[] | undefined;
    for (const connection of this.#accepted) {
      const subscriber = connection.dial.node;
      if (subscribers.has(subscriber) || !matches(connection.prefixes, channel)) continue;
      subscribers.add(subscriber);
      const taken = connection.events.push(() => eventParcel(frame, channel, connection));
      if (taken) slow = [...(slow ?? []), taken];
    }
    this.#sent++;
    return slow && this.#wait(Promise.all(slow).then(() => {}));
  }

  async subscribe(prefix: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen("subscribe");
    if (prefix !== "") assertTokens(prefix, "prefix");
    await this.#subscriber.subscribe(prefix, options.signal);
  }

  unsubscribe(prefix: string): void {
    this.#subscriber.unsubscribe(prefix);
  }

  async join(address: Address, options: { signal?: AbortSignal } = {}): Promise<void> {
    this.#assertOpen("join");
    await this.#subscriber.join(address, options.signal);
  }

  leave(address: Address): void {
    this.#subscriber.leave(address);
    this.#forget(address);
  }

  stats(): TransportStats {
    const peers = new Set<HubNode>();
    for (const dial of this.#dials()) if (dial.connection) peers.add(dial.connection.acceptor);
    for (const connection of this.#accepted) peers.add(connection.dial.node);
    return {
      sent: this.#sent,
      received: this.#received,
      malformed: this.#malformed,
      dropped: 0,
      waiting: this.#waiting,
      peers: peers.size,
    };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  kill(): void {
    this.#state = "closed";
    this.#closing ??= Promise.resolve();
    this.#end();
  }

  eventGate(pipe: Pipe): boolean {
    if (!this.#eventPending) return true;
    this.#eventsWaiting.push(pipe);
    return false;
  }

  accepted(connection: Connection): void {
    this.#accepted.add(connection);
  }

  dropped(connection: Connection): void {
    this.#accepted.delete(connection);
  }

  /** @internal */
  receiveMessage(frame: Uint8Array, from: Address, connection: Connection): void {
    if (!this.#takes(frame, connection)) return;
    this.#call((handlers) => handlers.onMessage(frame, from));
    frame.fill(poison);
  }

  /** @internal */
  receiveEvent(frame: Uint8Array, channel: string, connection: Connection): void {
    // The publisher may not know yet that this node unsubscribed.
    if (!this.#subscriber.wants(channel) || !this.#takes(frame, connection)) return;
    const handled = this.#call((handlers) => handlers.onEvent(frame));
    frame.fill(poison);
    if (!(handled instanceof Promise)) return;
    this.#eventPending = true;
    const goOn = (): void => {
      this.#eventPending = false;
      const waiting = this.#eventsWaiting;
      this.#eventsWaiting = [];
      for (const pipe of waiting) pipe.resume();
    };
    handled.then(goOn, (error) => {
      goOn();
      this.#rethrow(error);
    });
  }

  /** @internal */
  receiveSubscriptions(prefixes: readonly string[], connection: Connection): void {
    for (const prefix of prefixes) connection.prefixes.add(prefix);
    this.#call((handlers) => handlers.onSubscriber(connection.dial.node.nodeId));
  }

  async #close(): Promise<void> {
    const wasOpen = this.#state === "open";
    this.#state = "closing";
    if (wasOpen) {
      // What waits for a connection was not handed over: it fails now, and nobody waits for it.
      for (const link of this.#links.values()) this.#failQueued(link);
      this.#subscriber.fail(this.#closedError("join"));
      await this.#flush();
    }
    this.#state = "closed";
    this.#end();
  }

  async #flush(): Promise<void> {
    const pipes: Pipe[] = [];
    for (const link of this.#links.values()) if (link.connection) pipes.push(link.connection.forward);
    for (const connection of this.#accepted) pipes.push(connection.back, connection.events);
    if (pipes.every((pipe) => pipe.size === 0)) return;
    await new Promise<void>((resolve) => {
      const timer = this.#runtime.setTimer(resolve, flushMs);
      void Promise.all(pipes.map((pipe) => pipe.drained())).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #end(): void {
    for (const link of this.#links.values()) this.#failQueued(link);
    this.#subscriber.fail(this.#closedError("join"));
    this.#hub.remove(this);
    this.#links.clear();
    this.#subscriber.clear();
    this.#up.clear();
  }

  #failQueued(link: Link): void {
    for (const { waiter } of link.queued.splice(0)) waiter.reject(this.#closedError("send"));
  }

  #link(address: Address): Link {
    const known = this.#links.get(address);
    if (known) return known;
    const target = parseAddress(address);
    if (target.kind === "route")
      throw new SoormaError("ADDRESS_INVALID", `"${address}" is a route and cannot be linked`);
    const link: Link = {
      node: this,
      address,
      name: target.name,
      nodeId: target.nodeId,
      connection: undefined,
      connecting: false,
      closed: false,
      queued: [],
      up: (connection) => {
        for (const { frame, waiter } of link.queued.splice(0)) {
          this.#sent++;
          const taken = connection.forward.push(() => messageParcel(frame, connection, "acceptor"));
          taken ? taken.then(waiter.resolve, waiter.reject) : waiter.resolve();
        }
        this.#report(address, "up", "connected");
      },
      lost: () => {},
      down: (reason) => this.#report(address, "down", reason),
    };
    this.#links.set(address, link);
    this.#hub.dial(link);
    return link;
  }

  /** One address may stand for two connections, a link and a join: it is up while one of them is. */
  #report(address: Address, state: PeerChange["state"], reason: string): void {
    const isUp = this.#isConnected(address);
    if ((state === "up") !== isUp || this.#up.has(address) === isUp) return;
    if (isUp) this.#up.add(address);
    else this.#up.delete(address);
    this.#call((handlers) => handlers.onPeer({ address, state, reason }));
  }

  #forget(address: Address): void {
    if (!this.#isConnected(address)) this.#up.delete(address);
  }

  #isConnected(address: Address): boolean {
    return this.#links.get(address)?.connection !== undefined || this.#subscriber.isJoined(address);
  }

  *#dials(): Generator<Dial> {
    yield* this.#links.values();
    yield* this.#subscriber.joins;
  }

  #takes(frame: Uint8Array, connection: Connection): boolean {
    if (this.#state !== "open" || !this.#options) return false;
    if (frame.byteLength <= this.#options.maxFrameBytes) {
      this.#received++;
      return true;
    }
    this.#malformed++;
    this.#hub.disconnect(
      connection,
      `a frame of ${frame.byteLength} bytes is over the receiver's limit of ${this.#options.maxFrameBytes}`,
    );
    return false;
  }

  #call<R>(call: (handlers: TransportHandlers) => R): R | undefined {
    if (this.#state !== "open" || !this.#options) return undefined;
    try {
      return call(this.#options.handlers);
    } catch (error) {
      this.#rethrow(error);
      return undefined;
    }
  }

  /** A handler that throws breaks the contract: be loud, but outside the turn that serves other nodes too. */
  #rethrow(error: unknown): void {
    this.#runtime.defer(() => {
      throw error;
    });
  }

  #wait(taken: void | Promise<void>): void | Promise<void> {
    if (!taken) return;
    this.#waiting++;
    return taken.finally(() => {
      this.#waiting--;
    });
  }

  #assertOpen(doing: string): void {
    if (this.#state !== "open") throw this.#closedError(doing);
  }

  #closedError(doing: string): SoormaError {
    const state = this.#state === "new" ? "not open yet" : "closed";
    return new SoormaError("TRANSPORT_CLOSED", `cannot ${doing}: the transport of node "${this.nodeId}" is ${state}`);
  }

  #assertSize(frame: Uint8Array, to: string): void {
    const limit = this.#options?.maxFrameBytes ?? 0;
    if (frame.byteLength <= limit) return;
    throw new SoormaError(
      "MESSAGE_TOO_LARGE",
      `a frame of ${frame.byteLength} bytes for "${to}" is over the limit of ${limit} bytes`,
      { details: { bytes: frame.byteLength, limitBytes: limit } },
    );
  }
}

function messageParcel(frame: Uint8Array, connection: Connection, to: "acceptor" | "dialer"): Parcel {
  const copy = new Uint8Array(frame);
  return () => {
    if (to === "acceptor") asTransport(connection.acceptor).receiveMessage(copy, connection.route, connection);
    else asTransport(connection.dial.node).receiveMessage(copy, connection.dial.address, connection);
  };
}

function eventParcel(frame: Uint8Array, channel: string, connection: Connection): Parcel {
  const copy = new Uint8Array(frame);
  return () => asTransport(connection.dial.node).receiveEvent(copy, channel, connection);
}

function asTransport(node: HubNode): InprocTransport {
  if (node instanceof InprocTransport) return node;
  throw new TypeError("a hub's nodes are inproc transports");
}

function assertTokens(text: string, what: string): void {
  if (!text.endsWith("."))
    throw new TypeError(`a ${what} is dot-separated tokens, each ending in a dot, not "${text}"`);
}
