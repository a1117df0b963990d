import {
  type Address,
  isSoormaError,
  SoormaError,
  type Transport,
  type TransportDeps,
  type TransportOpenOptions,
  type TransportStats,
  type TransportSupports,
} from "@soorma/core";
import {
  type Endpoints,
  type NodeAddress,
  nodeIdPattern,
  type ParsedAddress,
  parseAddress,
  parseShort,
  type RouteAddress,
  routeOf,
} from "./address.ts";
import { hostId } from "./host.ts";
import { isSocketFile } from "./ipc.ts";
import { type ListenOptions, listenAt } from "./listen.ts";
import { type LinkTarget, PeerLink } from "./peer-link.ts";
import { closedError, Publisher } from "./publisher.ts";
import { hello, maxChannelBytes, receiving, type Settings, welcome } from "./settings.ts";
import { createSocket, type DuplexSocket } from "./sockets.ts";
import { Subscriber } from "./subscriber.ts";

export const supports: TransportSupports = {
  backpressure: true,
  peerEvents: true,
  heartbeats: true,
  interprocess: true,
  joins: true,
  security: ["none", "curve"],
};

/** The plugin's options with defaults filled in. */
export interface ZeromqOptions extends ListenOptions {
  readonly hwm: number;
  readonly heartbeatMs: number;
  readonly heartbeatTimeoutMs: number;
  readonly connectTimeoutMs: number;
  readonly reconnectMs: number;
  readonly reconnectMaxMs: number;
  readonly slowSubscriberMs: number;
  readonly security: "none" | "curve";
  readonly publicKey?: string;
  readonly secretKey?: string;
}

/** How long `close` goes on sending what was handed over. */
const flushMs = 1000;
const cacheEntries = 4096;

/** A transport over libzmq; nothing is opened before `open`. */
export function zeromq(options: ZeromqOptions, deps: TransportDeps): Transport {
  return new ZeromqTransport(options, deps);
}

interface Opened {
  readonly settings: Settings;
  readonly handlers: TransportOpenOptions["handlers"];
  readonly router: DuplexSocket;
  readonly publisher: Publisher;
  readonly subscriber: Subscriber;
}

class ZeromqTransport implements Transport {
  readonly supports = supports;
  readonly #options: ZeromqOptions;
  readonly #deps: TransportDeps;
  readonly #hostId = hostId();
  readonly #links = new Map<Address, PeerLink>();
  readonly #parsed = new Map<Address, ParsedAddress>();
  readonly #topics = new Map<string, Uint8Array>();
  readonly #counts = { sent: 0, received: 0, malformed: 0 };
  #nodeId = "";
  #open: Opened | undefined;
  #used = false;
  #closing: Promise<void> | undefined;
  #dropped = 0;
  #routingIds = 0;

  constructor(options: ZeromqOptions, deps: TransportDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  async open(options: TransportOpenOptions): Promise<Address> {
    const { nodeId, handlers, maxFrameBytes } = options;
    if (this.#used) throw closedError(this.#nodeId || nodeId, "opening it a second time");
    this.#used = true;
    if (!nodeIdPattern.test(nodeId)) {
      throw new TypeError(`nodeId must be 1 to 64 characters of [a-z0-9-], not "${nodeId}"`);
    }
    this.#nodeId = nodeId;
    const listen = options.listen === undefined ? undefined : parseShort(options.listen);
    const settings: Settings = {
      ...this.#options,
      nodeId,
      maxFrameBytes,
      runtime: this.#deps.runtime,
      log: this.#deps.log,
      curve: this.#curve(),
    };
    // Distinct in every process that has this node id, so that a ROUTER never confuses an old connection with a new one.
    this.#routingIds = Math.floor(this.#deps.runtime.random() * 36 ** 6);
    const onMalformed = (): void => {
      this.#counts.malformed++;
    };
    const router = createSocket("router", {
      ...receiving(settings),
      mandatory: true,
      ...(settings.curve === undefined ? {} : { curve: settings.curve }),
    });
    let publisher: Publisher | undefined;
    let subscriber: Subscriber;
    try {
      publisher = new Publisher(settings, {
        onMalformed,
        onSubscriber: (subscriber) => {
          if (this.#closing === undefined) handlers.onSubscriber(subscriber);
        },
      });
      subscriber = new Subscriber(settings, {
        onMalformed,
        onEvent: (frame) => {
          if (this.#closing !== undefined || this.#tooLarge(frame)) return undefined;
          this.#counts.received++;
          return handlers.onEvent(frame);
        },
      });
    } catch (error) {
      // No descriptor was left for one of them.
      await Promise.all([router.close(0), publisher?.socket.close(0)]);
      throw error;
    }
    const opened: Opened = { settings, handlers, router, publisher, subscriber };
    this.#open = opened;
    router.onMessage((frames) => this.#onRouterMessage(frames, opened));
    try {
      return await listenAt(router, publisher.socket, this.#options, { settings, hostId: this.#hostId, listen });
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  nodeIdOf(address: Address): string | undefined {
    const parsed = this.#parse(address);
    return parsed.kind === "short" ? undefined : parsed.nodeId;
  }

  send(to: Address, frame: Uint8Array): void | Promise<void> {
    const opened = this.#opened("sending");
    this.#checkSize(frame, to);
    const target = this.#parse(to);
    const sent = target.kind === "route" ? this.#reply(opened, target, frame) : this.#linkTo(to, opened).send(frame);
    if (sent === undefined) {
      this.#counts.sent++;
      return undefined;
    }
    return sent.then(() => {
      this.#counts.sent++;
    });
  }

  link(address: Address): void {
    this.#linkTo(address, this.#opened("linking"));
  }

  unlink(address: Address): void {
    const link = this.#links.get(address);
    if (link === undefined) return;
    link.wanted = false;
    this.#closeUnused(link);
  }

  publish(channel: string, frame: Uint8Array): void | Promise<void> {
    const { publisher } = this.#opened("publishing");
    this.#checkSize(frame, channel);
    const sent = publisher.publish(channel, this.#topic(channel), frame);
    if (sent === undefined) {
      this.#counts.sent++;
      return undefined;
    }
    return sent.then(() => {
      this.#counts.sent++;
    });
  }

  async subscribe(prefix: string, options: { signal?: AbortSignal } = {}): Promise<void> {
    const { subscriber } = this.#opened("subscribing");
    if (prefix !== "") checkChannel(prefix, "a prefix");
    await subscriber.subscribe(prefix, options.signal);
  }

  unsubscribe(prefix: string): void {
    if (this.#closing === undefined) this.#open?.subscriber.unsubscribe(prefix);
  }

  async join(address: Address, options: { signal?: AbortSignal } = {}): Promise<void> {
    const opened = this.#opened("joining");
    options.signal?.throwIfAborted();
    const target = this.#parse(address);
    if (target.kind !== "node") {
      throw new SoormaError(
        "ADDRESS_INVALID",
        `"${address}" cannot be joined: it does not say where the node publishes`,
        {
          hint: "Join the full address that the node announces.",
        },
      );
    }
    // It tells when the publisher is stopped or unreachable, which the SUB socket cannot: see `PeerLink`.
    const link = this.#links.get(address) ?? this.#newLink(address, opened);
    link.joined = true;
    const { nodeId, key } = target;
    const endpoint = this.#choose(target, "publisher");
    await Promise.all([
      opened.subscriber.join(address, { nodeId, endpoint, serverKey: key }, options.signal),
      // So that whoever joined is also told when the publisher goes away.
      link.ready(),
    ]);
  }

  leave(address: Address): void {
    if (this.#closing !== undefined) return;
    this.#open?.subscriber.leave(address);
    const link = this.#links.get(address);
    if (link === undefined) return;
    link.joined = false;
    this.#closeUnused(link);
  }

  stats(): TransportStats {
    let waiting = 0;
    let peers = 0;
    for (const link of this.#links.values()) {
      waiting += link.waiting;
      if (link.up) peers++;
    }
    const open = this.#closing === undefined ? this.#open : undefined;
    return {
      ...this.#counts,
      dropped: open?.publisher.dropped ?? this.#dropped,
      waiting: waiting + (open === undefined ? 0 : open.router.waiting + open.publisher.waiting),
      peers,
    };
  }

  close(): Promise<void> {
    this.#used = true;
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #close(): Promise<void> {
    const reason = closedError(this.#nodeId, "waiting");
    const links = [...this.#links.values()];
    this.#links.clear();
    const open = this.#open;
    this.#dropped = open?.publisher.dropped ?? 0;
    await Promise.all([
      ...links.map((link) => link.close(reason, flushMs)),
      open?.router.close(flushMs),
      open?.publisher.close(reason, flushMs),
      open?.subscriber.close(reason),
    ]);
  }

  #opened(what: string): Opened {
    if (this.#open === undefined || this.#closing !== undefined) throw closedError(this.#nodeId, what);
    return this.#open;
  }

  #curve(): Settings["curve"] {
    const { security, publicKey, secretKey } = this.#options;
    if (security === "none") return undefined;
    if (publicKey === undefined || secretKey === undefined) {
      throw new SoormaError("PLUGIN_OPTIONS_INVALID", "security is curve, but publicKey or secretKey is missing", {
        hint: "Make a pair with curveKeypair() of @soorma/transport-zeromq/sockets.",
      });
    }
    return { publicKey, secretKey };
  }

  #onRouterMessage(frames: readonly Uint8Array[], { handlers, router }: Opened): void {
    if (this.#closing !== undefined) return;
    const [routingId, first, second] = frames;
    const from = routingId === undefined ? undefined : routeOf(routingId);
    if (from !== undefined && first !== undefined && frames.length === 2) {
      if (this.#tooLarge(first)) return;
      this.#counts.received++;
      handlers.onMessage(first, from);
      return;
    }
    if (
      from === undefined ||
      routingId === undefined ||
      first === undefined ||
      second === undefined ||
      !hello.equals(first)
    ) {
      this.#counts.malformed++;
      return;
    }
    // Who asks is gone already, or does not read: it asks again on its next connection.
    try {
      router.trySend([routingId, welcome, Buffer.from(this.#nodeId)]);
    } catch {}
  }

  #reply({ router }: Opened, { nodeId, routingId }: RouteAddress, frame: Uint8Array): void | Promise<void> {
    const explain = (error: unknown): never => {
      if (!isSoormaError(error, "PEER_UNREACHABLE")) throw error;
      throw new SoormaError("PEER_UNREACHABLE", `cannot send to node ${nodeId}: the connection it used is gone`, {
        details: { nodeId },
        cause: error,
      });
    };
    try {
      return router.send([routingId, frame])?.catch(explain);
    } catch (error) {
      return explain(error);
    }
  }

  #linkTo(address: Address, opened: Opened): PeerLink {
    const link = this.#links.get(address) ?? this.#newLink(address, opened);
    link.wanted = true;
    return link;
  }

  #newLink(address: Address, { settings, handlers, subscriber }: Opened): PeerLink {
    const target = this.#parse(address);
    if (target.kind === "route") {
      throw new SoormaError("ADDRESS_INVALID", `"${address}" is a route: it belongs to a connection the peer made`, {
        hint: "Link the address that the node announces.",
      });
    }
    const current = (): boolean => this.#links.get(address) === link;
    const link: PeerLink = new PeerLink(
      settings,
      address,
      () => this.#targetOf(target),
      () => this.#nextRoutingId(),
      {
        onFrame: (frame, from) => {
          if (this.#tooLarge(frame)) return;
          this.#counts.received++;
          handlers.onMessage(frame, from);
        },
        onState: (state, reason) => {
          if (!current()) return;
          if (state === "down") subscriber.interrupt(address, reason);
          else subscriber.resume(address);
          handlers.onPeer({ address, state, reason });
        },
        onMalformed: () => {
          this.#counts.malformed++;
        },
      },
    );
    this.#links.set(address, link);
    return link;
  }

  #closeUnused(link: PeerLink): void {
    if (link.wanted || link.joined) return;
    this.#links.delete(link.address);
    const reason = new SoormaError("PEER_UNREACHABLE", `${link.address} was unlinked before the frame was sent`);
    void link.close(reason, 0);
  }

  #nextRoutingId(): string {
    return `${this.#nodeId}/${(++this.#routingIds).toString(36)}`;
  }

  #targetOf(target: Exclude<ParsedAddress, RouteAddress>): LinkTarget {
    if (target.kind === "short") return { endpoint: target.endpoint, nodeId: undefined, serverKey: undefined };
    return { endpoint: this.#choose(target, "router"), nodeId: target.nodeId, serverKey: target.key };
  }

  /** A unix socket when its path means the same here and it exists, else TCP where there is one. */
  #choose({ ipc, tcp, hostId: host }: NodeAddress, which: keyof Endpoints): string {
    const near = ipc !== undefined && host === this.#hostId && isSocketFile(ipc[which]);
    if (ipc !== undefined && (near || tcp === undefined)) return `ipc://${ipc[which]}`;
    return `tcp://${tcp?.[which]}`;
  }

  #parse(address: Address): ParsedAddress {
    let parsed = this.#parsed.get(address);
    if (parsed === undefined) {
      parsed = parseAddress(address);
      // Routes come and go with their connections.
      if (this.#parsed.size >= cacheEntries) this.#parsed.clear();
      this.#parsed.set(address, parsed);
    }
    return parsed;
  }

  #topic(channel: string): Uint8Array {
    let topic = this.#topics.get(channel);
    if (topic === undefined) {
      topic = checkChannel(channel, "a channel");
      if (this.#topics.size >= cacheEntries) this.#topics.clear();
      this.#topics.set(channel, topic);
    }
    return topic;
  }

  #checkSize(frame: Uint8Array, to: string): void {
    const limit = this.#open?.settings.maxFrameBytes ?? 0;
    if (frame.byteLength <= limit) return;
    throw new SoormaError(
      "MESSAGE_TOO_LARGE",
      `a frame of ${frame.byteLength} bytes for "${to}" is larger than the limit of ${limit} bytes`,
      { hint: "Send less, or raise the mesh's largest message.", details: { bytes: frame.byteLength, limit } },
    );
  }

  #tooLarge(frame: Uint8Array): boolean {
    if (frame.byteLength <= (this.#open?.settings.maxFrameBytes ?? 0)) return false;
    this.#counts.malformed++;
    return true;
  }
}

function checkChannel(text: string, what: string): Uint8Array {
  const bytes = Buffer.from(text);
  if (!text.endsWith(".") || bytes.byteLength > maxChannelBytes) {
    throw new TypeError(`${what} is tokens that each end in a dot, at most ${maxChannelBytes} bytes, not "${text}"`);
  }
  return bytes;
}
