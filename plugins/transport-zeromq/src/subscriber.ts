import { lookup } from "node:dns/promises";
import { type Address, SoormaError, type Timer } from "@soorma/core";
import { isHostName, parseShort } from "./address.ts";
import { fenceMark, fenceTopic } from "./publisher.ts";
import { receiving, type Settings } from "./settings.ts";
import { Socket } from "./socket.ts";
import type { MonitorEvent } from "./sockets.ts";

export interface PublisherTarget {
  readonly nodeId: string;
  readonly endpoint: string;
  readonly serverKey: string | undefined;
}

export interface SubscriberHandlers {
  onEvent(frame: Uint8Array): void | Promise<void>;
  onMalformed(): void;
}

interface Waiter {
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** A publisher listened to. */
interface Source {
  readonly target: PublisherTarget;
  /** Given to `join`; several may lead to one publisher. */
  readonly addresses: Set<Address>;
  /** As libzmq's events name it, once the host is looked up. */
  endpoint: string | undefined;
  up: boolean;
  /** `join`s that wait for the next fence asked for once it is up. */
  joining: Waiter[];
}

interface Fence {
  readonly sequence: number;
  readonly topic: Uint8Array;
  readonly missing: Set<Source>;
  /** Settled for a source when it answered, or is gone. */
  readonly waiters: Map<Source, Waiter[]>;
  timer: Timer | undefined;
}

/** A publisher that has not answered a fence by then is asked again: the answer may have been dropped. */
const fenceRetryMs = 1000;

/** The SUB socket of a node, and the fences that say when publishers know its subscriptions. */
export class Subscriber {
  readonly #socket: Socket;
  readonly #settings: Settings;
  readonly #handlers: SubscriberHandlers;
  readonly #sources = new Map<string, Source>();
  readonly #byEndpoint = new Map<string, Source>();
  readonly #prefixes = new Set<string>();
  readonly #fences = new Map<number, Fence>();
  /** Collected until the end of the turn, so that many joins share a fence. */
  #next: Map<Source, Waiter[]> | undefined;
  #sequence = 0;
  #closed = false;

  constructor(settings: Settings, handlers: SubscriberHandlers) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#socket = new Socket("sub", {
      ...receiving(settings),
      reconnectMs: settings.reconnectMs,
      reconnectMaxMs: settings.reconnectMaxMs,
      connectTimeoutMs: settings.connectTimeoutMs,
    });
    this.#socket.onEvent(["handshakeSucceeded", "disconnected", "closed"], (event) => this.#onMonitor(event));
    this.#socket.onMessage((frames) => this.#onMessage(frames));
  }

  join(address: Address, target: PublisherTarget, signal?: AbortSignal): Promise<void> {
    let source = this.#sources.get(target.nodeId);
    if (source !== undefined && source.target.endpoint !== target.endpoint) {
      // The node has moved.
      this.#drop(source, "it has moved to another endpoint");
      source = undefined;
    }
    if (source === undefined) {
      source = { target, addresses: new Set(), endpoint: undefined, up: false, joining: [] };
      this.#sources.set(target.nodeId, source);
      void this.#connect(source);
    }
    source.addresses.add(address);
    const joined = source;
    return this.#wait(signal, (waiter) => {
      if (joined.up) this.#ask(joined, waiter);
      else joined.joining.push(waiter);
    });
  }

  /** What `join` waits for cannot come now. The connection is tried again in the background. */
  interrupt(address: Address, reason: string): void {
    for (const source of this.#sources.values()) {
      if (source.addresses.has(address)) this.#rejectJoins(source, reason);
    }
  }

  leave(address: Address): void {
    for (const source of this.#sources.values()) {
      if (source.addresses.delete(address) && source.addresses.size === 0) this.#drop(source, "it was left");
    }
  }

  async subscribe(prefix: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (!this.#prefixes.has(prefix)) {
      this.#prefixes.add(prefix);
      this.#socket.subscribe(prefix);
    }
    const up = [...this.#sources.values()].filter((source) => source.up);
    const asked = up.map((source) =>
      this.#wait(signal, (waiter) => {
        // One that goes away has nothing to say any more.
        const gone = (reason: unknown): void => (this.#closed ? waiter.reject(reason) : waiter.resolve());
        this.#ask(source, { resolve: waiter.resolve, reject: gone });
      }),
    );
    await Promise.all(asked);
  }

  unsubscribe(prefix: string): void {
    if (this.#prefixes.delete(prefix)) this.#socket.unsubscribe(prefix);
  }

  async close(reason: SoormaError): Promise<void> {
    this.#closed = true;
    const reject = (waiters: Iterable<Waiter>): void => {
      for (const waiter of waiters) waiter.reject(reason);
    };
    for (const source of this.#sources.values()) reject(source.joining.splice(0));
    for (const waiters of this.#next?.values() ?? []) reject(waiters);
    for (const fence of this.#fences.values()) {
      fence.timer?.cancel();
      for (const waiters of fence.waiters.values()) reject(waiters);
    }
    this.#fences.clear();
    await this.#socket.close(0);
  }

  #wait(signal: AbortSignal | undefined, start: (waiter: Waiter) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const abort = (): void => reject(signal?.reason);
      const settled = (): void => signal?.removeEventListener("abort", abort);
      signal?.addEventListener("abort", abort, { once: true });
      start({
        resolve: () => {
          settled();
          resolve();
        },
        reject: (reason) => {
          settled();
          reject(reason);
        },
      });
    });
  }

  async #connect(source: Source): Promise<void> {
    const { endpoint, serverKey } = source.target;
    const current = (): boolean => !this.#closed && this.#sources.get(source.target.nodeId) === source;
    try {
      const resolved = await resolveHost(endpoint);
      if (!current()) return;
      source.endpoint = resolved;
      this.#byEndpoint.set(resolved, source);
      const { curve } = this.#settings;
      if (curve !== undefined) this.#socket.setCurve({ ...curve, serverKey: serverKey ?? curve.publicKey });
      this.#socket.connect(resolved);
    } catch (error) {
      if (!current()) return;
      this.#rejectJoins(source, error instanceof Error ? error.message : String(error));
      this.#settings.runtime.setTimer(
        () => {
          if (current()) void this.#connect(source);
        },
        this.#settings.reconnectMaxMs,
        { background: true },
      );
    }
  }

  #drop(source: Source, reason: string): void {
    this.#sources.delete(source.target.nodeId);
    this.#lost(source, reason);
    if (source.endpoint === undefined) return;
    this.#byEndpoint.delete(source.endpoint);
    this.#socket.disconnect(source.endpoint);
  }

  #onMonitor(event: MonitorEvent): void {
    const source = this.#byEndpoint.get(event.endpoint);
    if (source === undefined || this.#closed) return;
    if (event.type === "handshakeSucceeded") {
      source.up = true;
      // Also after a reconnect: libzmq has sent the subscriptions again, and the publisher is told.
      const waiters = source.joining.splice(0);
      if (waiters.length === 0) this.#ask(source, undefined);
      for (const waiter of waiters) this.#ask(source, waiter);
      return;
    }
    const why = event.type === "closed" ? "nobody listens" : "the connection was lost";
    this.#lost(source, `${why} at ${event.endpoint}`);
  }

  #lost(source: Source, reason: string): void {
    source.up = false;
    this.#rejectJoins(source, reason);
    const unreachable = this.#unreachable(source, reason);
    const reject = (waiters: readonly Waiter[] | undefined): void => {
      for (const waiter of waiters ?? []) waiter.reject(unreachable);
    };
    reject(this.#next?.get(source));
    this.#next?.delete(source);
    for (const fence of this.#fences.values()) {
      if (!fence.missing.delete(source)) continue;
      reject(fence.waiters.get(source));
      this.#finish(fence);
    }
  }

  #rejectJoins(source: Source, reason: string): void {
    const unreachable = this.#unreachable(source, reason);
    for (const waiter of source.joining.splice(0)) waiter.reject(unreachable);
  }

  #unreachable({ target }: Source, reason: string): SoormaError {
    return new SoormaError("PEER_UNREACHABLE", `cannot join node ${target.nodeId} at ${target.endpoint}: ${reason}`, {
      hint: "It is tried again in the background.",
      details: { nodeId: target.nodeId, endpoint: target.endpoint },
    });
  }

  #ask(source: Source, waiter: Waiter | undefined): void {
    if (this.#next === undefined) {
      this.#next = new Map();
      queueMicrotask(() => {
        const waiters = this.#next;
        this.#next = undefined;
        if (waiters !== undefined && waiters.size > 0 && !this.#closed) this.#raise(waiters);
      });
    }
    const waiters = this.#next.get(source);
    if (waiters === undefined) this.#next.set(source, waiter === undefined ? [] : [waiter]);
    else if (waiter !== undefined) waiters.push(waiter);
  }

  #raise(waiters: Map<Source, Waiter[]>): void {
    const sequence = ++this.#sequence;
    const fence: Fence = {
      sequence,
      topic: fenceTopic(this.#settings.nodeId, sequence),
      missing: new Set(waiters.keys()),
      waiters,
      timer: undefined,
    };
    this.#fences.set(sequence, fence);
    fence.timer = this.#settings.runtime.setTimer(() => this.#again(fence), fenceRetryMs, { background: true });
    this.#socket.subscribe(fence.topic);
  }

  #again(fence: Fence): void {
    const left = new Map([...fence.missing].map((source) => [source, fence.waiters.get(source) ?? []]));
    fence.missing.clear();
    this.#finish(fence);
    this.#raise(left);
  }

  #finish(fence: Fence): void {
    if (fence.missing.size > 0) return;
    fence.timer?.cancel();
    if (this.#fences.delete(fence.sequence)) this.#socket.unsubscribe(fence.topic);
  }

  #onMessage(frames: readonly Uint8Array[]): void {
    const [channel, payload] = frames;
    if (frames.length !== 2 || channel === undefined || payload === undefined) {
      this.#handlers.onMalformed();
      return;
    }
    if (channel[0] === fenceMark) {
      this.#onFence(channel, payload);
      return;
    }
    const pending = this.#handlers.onEvent(payload);
    if (pending === undefined) return;
    this.#socket.pause();
    const resume = (): void => this.#socket.resume();
    pending.then(resume, resume);
  }

  #onFence(topic: Uint8Array, payload: Uint8Array): void {
    const source = this.#sources.get(Buffer.from(payload).toString("latin1"));
    if (source === undefined) return;
    for (const fence of this.#fences.values()) {
      // A fence of another node comes here when this one subscribed to everything.
      if (!Buffer.from(fence.topic).equals(topic) || !fence.missing.delete(source)) continue;
      for (const waiter of fence.waiters.get(source) ?? []) waiter.resolve();
      this.#finish(fence);
    }
  }
}

/** Events name the endpoint by its number, so that is what is connected to. */
async function resolveHost(endpoint: string): Promise<string> {
  const short = parseShort(endpoint);
  if ("path" in short) return endpoint;
  // In the one form libzmq writes IPv6 numbers in too.
  if (!isHostName(short.host)) return `tcp://${new URL(`http://${short.host}`).hostname}:${short.port}`;
  const { address, family } = await lookup(short.host, { order: "ipv4first" });
  return `tcp://${family === 6 ? `[${address}]` : address}:${short.port}`;
}
