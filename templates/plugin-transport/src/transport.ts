import {
  type Address,
  SoormaError,
  type Transport,
  type TransportDeps,
  type TransportOpenOptions,
  type TransportStats,
} from "@soorma/core";
import type { TCPSocketListener } from "bun";
import { parseAddress } from "./address.ts";
import { Caller } from "./caller.ts";
import { type Host, Peer } from "./peer.ts";
import { encode, kinds } from "./wire.ts";

export const supports = {
  // What a slow peer does not read yet waits in memory.
  backpressure: false,
  peerEvents: true,
  heartbeats: false,
  interprocess: true,
  joins: true,
  security: ["none"],
} as const;

export interface Options {
  readonly host: string;
  readonly retryMs: number;
}

export class TcpTransport implements Transport {
  readonly supports = supports;
  readonly #options: Options;
  readonly #runtime: TransportDeps["runtime"];
  readonly #peers = new Map<Address, Peer>();
  readonly #callers = new Set<Caller>();
  readonly #routes = new Map<Address, Caller>();
  readonly #prefixes = new Set<string>();
  readonly #events: Uint8Array[] = [];
  readonly #counts = { sent: 0, received: 0, malformed: 0 };
  #host: Host | undefined;
  #listener: TCPSocketListener<Caller> | undefined;
  #closing: Promise<void> | undefined;
  #isDelivering = false;
  #lastRoute = 0;

  constructor(options: Options, { runtime }: Pick<TransportDeps, "runtime">) {
    this.#options = options;
    this.#runtime = runtime;
  }

  async open(options: TransportOpenOptions): Promise<Address> {
    if (this.#host || this.#closing) throw closed(`open as ${options.nodeId}`);
    const target =
      options.listen === undefined
        ? ({ kind: "peer", host: this.#options.host, port: 0 } as const)
        : parseAddress(options.listen);
    if (target.kind === "route") throw new SoormaError("ADDRESS_INVALID", `nobody can listen at ${options.listen}`);
    const host = this.#hostOf(options);
    try {
      this.#listener = Bun.listen<Caller>({
        hostname: target.host,
        port: target.port,
        socket: {
          open: (socket) => {
            socket.data = new Caller(host, socket, {
              hello: (caller) => {
                caller.route ||= `route:${++this.#lastRoute}#${caller.nodeId}`;
                this.#routes.set(caller.route, caller);
              },
              gone: (caller, problem) => {
                this.#callers.delete(caller);
                this.#routes.delete(caller.route);
                if (problem !== undefined) this.#counts.malformed++;
              },
            });
            this.#callers.add(socket.data);
          },
          data: (socket, chunk) => socket.data.wire.read(chunk),
          drain: (socket) => socket.data.wire.flush(),
          close: (socket) => socket.data.wire.end(),
          error: (socket) => socket.data.wire.end(),
        },
      });
    } catch (cause) {
      throw new SoormaError("ADDRESS_IN_USE", `${options.nodeId} cannot listen at ${target.host}:${target.port}`, {
        cause,
      });
    }
    this.#host = host;
    const name = target.host.includes(":") ? `[${target.host}]` : target.host;
    return `tcp://${name}:${this.#listener.port}#${options.nodeId}`;
  }

  nodeIdOf(address: Address): string | undefined {
    return /#([a-z0-9-]+)$/.exec(address)?.[1];
  }

  send(to: Address, frame: Uint8Array): void | Promise<void> {
    this.#check("send", frame);
    this.#counts.sent++;
    if (parseAddress(to).kind === "peer") return this.#peer(to).send(frame);
    const route = this.#routes.get(to);
    if (!route) throw new SoormaError("PEER_UNREACHABLE", `the peer behind ${to} is gone`);
    route.wire.write(kinds.message, frame);
  }

  link(address: Address): void {
    const peer = this.#peer(address);
    peer.linked = true;
    peer.dial();
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
    await abortable(
      signal,
      Promise.all(joined.map((peer) => peer.fence([prefix]).catch(() => this.#check("subscribe")))),
    );
  }

  unsubscribe(prefix: string): void {
    this.#prefixes.delete(prefix);
    for (const peer of this.#peers.values()) {
      if (peer.joined) peer.wire?.write(kinds.unsubscribe, encode(JSON.stringify([prefix])));
    }
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
    const timeout = new Promise<void>((resolve) => void this.#runtime.setTimer(resolve, 1_000, { background: true }));
    // Those that wait for a connection hear it at once.
    for (const peer of this.#peers.values()) if (!peer.wire) peer.giveUp(closed("send"));
    await Promise.race([Promise.all(wires.map((wire) => wire?.drained())), timeout]);
    for (const peer of this.#peers.values()) peer.giveUp(closed("go on"));
    for (const { wire } of this.#callers) wire.end();
    this.#peers.clear();
  }

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
      runtime: this.#runtime,
      nodeId,
      maxFrameBytes,
      retryMs: this.#options.retryMs,
      prefixes: this.#prefixes,
      onMessage: (content, from) => {
        this.#counts.received++;
        if (!this.#closing) handlers.onMessage(content, from);
      },
      onEvent: (content) => {
        this.#counts.received++;
        this.#events.push(content);
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
