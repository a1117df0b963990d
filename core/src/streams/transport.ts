import { SoormaError } from "../errors.ts";
import type {
  Address,
  Transport,
  TransportDeps,
  TransportOpenOptions,
  TransportStats,
  TransportSupports,
} from "../plugin/transport.ts";
import { atMost } from "../runtime.ts";
import { parseTarget } from "./address.ts";
import { Caller } from "./caller.ts";
import type { Host } from "./host.ts";
import type { StreamListener, StreamNetwork } from "./network.ts";
import { Peer } from "./peer.ts";
import { kinds } from "./wire.ts";

/** What every transport over streams can do. */
export const streamSupports = {
  // What a slow peer does not read yet waits in memory.
  backpressure: false,
  peerEvents: true,
  heartbeats: false,
  interprocess: true,
  joins: true,
  security: ["none"],
} as const satisfies TransportSupports;

export interface StreamTransportOptions {
  readonly network: StreamNetwork;
  /** Milliseconds after which a peer that cannot be reached is tried again. */
  readonly retryMs: number;
}

/** Milliseconds to send what was handed over before everything is closed. */
const drainMs = 1_000;

/** A transport over connections that carry bytes in order, one for each peer: TCP, TLS, pipes, whatever the network is. */
export function createStreamTransport(
  options: StreamTransportOptions,
  deps: Pick<TransportDeps, "runtime">,
): Transport {
  return new StreamTransport(options, deps);
}

class StreamTransport implements Transport {
  readonly supports = streamSupports;
  readonly #options: StreamTransportOptions;
  readonly #runtime: TransportDeps["runtime"];
  readonly #peers = new Map<Address, Peer>();
  readonly #callers = new Set<Caller>();
  readonly #routes = new Map<Address, Caller>();
  readonly #prefixes = new Set<string>();
  readonly #events: Uint8Array[] = [];
  readonly #counts = { sent: 0, received: 0, malformed: 0 };
  #host: Host | undefined;
  #listener: StreamListener | undefined;
  #closing: Promise<void> | undefined;
  #isDelivering = false;
  #lastRoute = 0;

  constructor(options: StreamTransportOptions, { runtime }: Pick<TransportDeps, "runtime">) {
    this.#options = options;
    this.#runtime = runtime;
  }

  async open(options: TransportOpenOptions): Promise<Address> {
    const { nodeId, listen } = options;
    if (this.#host || this.#closing) throw closed(`open as ${nodeId}`);
    const { network } = this.#options;
    const target = listen === undefined ? undefined : parseTarget(listen);
    if (target?.kind === "route") throw new SoormaError("ADDRESS_INVALID", `nobody can listen at ${listen}`);
    if (target) network.check(target.place);
    const host = this.#hostOf(options);
    this.#host = host;
    let listener: StreamListener;
    try {
      listener = await network.listen(target?.place, (stream) => {
        const caller = new Caller(host, stream, {
          hello: (one) => {
            const route = `route:${++this.#lastRoute}#${one.nodeId}`;
            this.#routes.set(route, one);
            return route;
          },
          gone: (one, problem) => {
            this.#callers.delete(one);
            if (one.route !== undefined) this.#routes.delete(one.route);
            if (problem !== undefined) this.#counts.malformed++;
          },
        });
        this.#callers.add(caller);
        return caller.wire;
      });
    } catch (error) {
      this.#host = undefined;
      throw error;
    }
    if (this.#closing) {
      listener.stop();
      for (const { wire } of this.#callers) wire.end();
      throw closed(`open as ${nodeId}`);
    }
    this.#listener = listener;
    return `${listener.address}#${nodeId}`;
  }

  nodeIdOf(address: Address): string | undefined {
    return parseTarget(address).nodeId;
  }

  send(to: Address, frame: Uint8Array): void | Promise<void> {
    this.#check("send", frame);
    if (parseTarget(to).kind === "peer") {
      const peer = this.#peer(to);
      this.#counts.sent++;
      return peer.send(frame);
    }
    const route = this.#routes.get(to);
    if (!route) throw new SoormaError("PEER_UNREACHABLE", `the peer behind ${to} is gone`);
    this.#counts.sent++;
    route.wire.write(kinds.message, frame);
  }

  link(address: Address): void {
    this.#peer(address).link();
  }

  unlink(address: Address): void {
    this.#peers.get(address)?.unlink();
    this.#forget(address);
  }

  publish(channel: string, frame: Uint8Array): void {
    this.#check("publish", frame);
    for (const caller of this.#callers) {
      if (!caller.wants(channel)) continue;
      this.#counts.sent++;
      caller.wire.write(kinds.event, frame);
    }
  }

  async subscribe(prefix: string, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#check("subscribe");
    signal?.throwIfAborted();
    this.#prefixes.add(prefix);
    const joined = [...this.#peers.values()].filter((peer) => peer.joined && peer.wire);
    // A publisher that goes away has nothing to say any more.
    const told = joined.map((peer) => peer.subscribe([prefix]).catch(() => void this.#check("subscribe")));
    await abortable(signal, Promise.all(told));
  }

  unsubscribe(prefix: string): void {
    this.#prefixes.delete(prefix);
    for (const peer of this.#peers.values()) if (peer.joined) peer.unsubscribe([prefix]);
  }

  async join(address: Address, { signal }: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#check("join");
    signal?.throwIfAborted();
    await abortable(signal, this.#peer(address).join());
  }

  leave(address: Address): void {
    this.#peers.get(address)?.leave();
    this.#forget(address);
  }

  stats(): TransportStats {
    const peers = [...this.#peers.values()];
    const connected = [...this.#routes.values(), ...peers].flatMap(({ nodeId }) => nodeId ?? []);
    const waiting = peers.reduce((sum, peer) => sum + peer.waiting, 0);
    return { ...this.#counts, dropped: 0, waiting, peers: new Set(connected).size };
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    this.#listener?.stop();
    const wires = [...this.#callers, ...this.#peers.values()].map(({ wire }) => wire);
    // Those that wait for a connection hear it at once.
    for (const peer of this.#peers.values()) if (!peer.wire) peer.giveUp(closed("send"));
    await atMost(this.#runtime, drainMs, Promise.all(wires.map((wire) => wire?.drained())));
    for (const peer of this.#peers.values()) peer.giveUp(closed("go on"));
    for (const { wire } of this.#callers) wire.end();
    this.#peers.clear();
  }

  /** @throws {SoormaError} `TRANSPORT_CLOSED`, `MESSAGE_TOO_LARGE` */
  #check(what: string, frame?: Uint8Array): Host {
    if (!this.#host || this.#closing) throw closed(what);
    const { maxFrameBytes } = this.#host;
    if (frame && frame.byteLength > maxFrameBytes) {
      const reason = `${frame.byteLength} bytes, and ${maxFrameBytes} is the most`;
      throw new SoormaError("MESSAGE_TOO_LARGE", `cannot ${what} a frame of ${reason}`);
    }
    return this.#host;
  }

  #peer(address: Address): Peer {
    const peer = this.#peers.get(address) ?? new Peer(this.#check(`reach ${address}`), address);
    this.#peers.set(address, peer);
    return peer;
  }

  #forget(address: Address): void {
    const peer = this.#peers.get(address);
    if (peer && !peer.linked && !peer.joined) this.#peers.delete(address);
  }

  #hostOf({ nodeId, maxFrameBytes, handlers }: TransportOpenOptions): Host {
    return {
      ...this.#options,
      runtime: this.#runtime,
      nodeId,
      maxFrameBytes,
      prefixes: this.#prefixes,
      onMessage: (content, from) => {
        this.#counts.received++;
        if (!this.#closing) handlers.onMessage(content, from);
      },
      onEvent: (content) => {
        this.#counts.received++;
        this.#events.push(content.slice());
        if (!this.#isDelivering) void this.#deliver(handlers);
      },
      onPeer: (change) => {
        if (!this.#closing) handlers.onPeer(change);
      },
      onSubscriber: (peerId) => {
        if (!this.#closing) handlers.onSubscriber(peerId);
      },
    };
  }

  /** One event after the other: a handler that returns a promise is waited for. */
  async #deliver(handlers: TransportOpenOptions["handlers"]): Promise<void> {
    this.#isDelivering = true;
    for (let event = this.#events.shift(); event && !this.#closing; event = this.#events.shift()) {
      await handlers.onEvent(event);
    }
    this.#isDelivering = false;
  }
}

function closed(what: string): SoormaError {
  return new SoormaError("TRANSPORT_CLOSED", `cannot ${what}: the transport is not open`);
}

/** The promise, or a rejection with the signal's reason when that comes first. */
function abortable(signal: AbortSignal | undefined, promise: Promise<unknown>): Promise<unknown> {
  if (!signal) return promise;
  const aborted = new Promise((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  promise.catch(() => {});
  return Promise.race([promise, aborted]);
}
