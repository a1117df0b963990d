import { type Address, SoormaError, type Timer } from "@soorma/core";
import { fenceMark, fenceTopic } from "./publisher.ts";
import { resolveHost } from "./resolve.ts";
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
  /** Its link is down: it is connected to, but does not answer. */
  silent: boolean;
  /** Its link was down: this connection may have been lost without a word meanwhile. */
  doubtful: boolean;
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
  /** Several where a node came after another that was not left yet: libzmq makes one connection to an endpoint. */
  readonly #byEndpoint = new Map<string, Set<Source>>();
  readonly #prefixes = new Set<string>();
  readonly #fences = new Map<number, Fence>();
  /** Collected until the end of the turn, so that many joins share a fence. */
  #next: Map<Source, Waiter[]> | undefined;
  #sequence = 0;
  #paused = false;
  #closed = false;

  constructor(settings: Settings, handlers: SubscriberHandlers) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#socket = new Socket("sub", {
      ...receiving(settings),
      // What it sends are subscriptions, and libzmq drops those beyond the limit without saying so.
      sendHwm: 0,
      reconnectMs: settings.reconnectMs,
      reconnectMaxMs: settings.reconnectMaxMs,
      connectTimeoutMs: settings.connectTimeoutMs,
    });
    try {
      this.#socket.onEvent(["handshakeSucceeded", "disconnected", "closed"], (event) => this.#onMonitor(event));
    } catch (error) {
      void this.#socket.close(0);
      throw error;
    }
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
      source = {
        target,
        addresses: new Set(),
        endpoint: undefined,
        up: false,
        silent: false,
        doubtful: false,
        joining: [],
      };
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
      if (!source.addresses.has(address)) continue;
      source.silent = true;
      this.#giveUp(source, reason);
    }
  }

  /** Undoes `interrupt`: the peer answers again. */
  resume(address: Address): void {
    for (const source of this.#sources.values()) {
      if (!source.silent || !source.addresses.has(address)) continue;
      source.silent = false;
      if (!source.up) continue;
      source.doubtful = true;
      this.#ask(source, undefined);
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
    const up = [...this.#sources.values()].filter((source) => source.up && !source.silent);
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
      const others = this.#byEndpoint.get(resolved);
      if (others !== undefined) {
        const [other] = others;
        others.add(source);
        if (other?.target.serverKey === serverKey) {
          if (other?.up) this.#cameUp(source);
          return;
        }
        // Another key: it has to be connected to again.
        this.#socket.disconnect(resolved);
        for (const lost of others) this.#lost(lost, "another node listens there");
      } else this.#byEndpoint.set(resolved, new Set([source]));
      this.#dial(resolved, serverKey);
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

  #dial(endpoint: string, serverKey: string | undefined): void {
    const { curve } = this.#settings;
    if (curve !== undefined) this.#socket.setCurve({ ...curve, serverKey: serverKey ?? curve.publicKey });
    this.#socket.connect(endpoint);
  }

  #drop(source: Source, reason: string): void {
    this.#sources.delete(source.target.nodeId);
    this.#lost(source, reason);
    if (source.endpoint === undefined) return;
    const others = this.#byEndpoint.get(source.endpoint);
    others?.delete(source);
    if (others === undefined || others.size > 0) return;
    this.#byEndpoint.delete(source.endpoint);
    this.#socket.disconnect(source.endpoint);
  }

  #onMonitor(event: MonitorEvent): void {
    const sources = this.#byEndpoint.get(event.endpoint);
    if (sources === undefined || this.#closed) return;
    const why = event.type === "closed" ? "nobody listens" : "the connection was lost";
    for (const source of sources) {
      if (event.type === "handshakeSucceeded") this.#cameUp(source);
      else this.#lost(source, `${why} at ${event.endpoint}`);
    }
  }

  #cameUp(source: Source): void {
    source.up = true;
    source.doubtful = false;
    // Also after a reconnect: libzmq has sent the subscriptions again, and the publisher is told.
    const waiters = source.joining.splice(0);
    if (waiters.length === 0) this.#ask(source, undefined);
    for (const waiter of waiters) this.#ask(source, waiter);
  }

  #lost(source: Source, reason: string): void {
    source.up = false;
    this.#giveUp(source, reason);
  }

  /** Refuses what waits for it. */
  #giveUp(source: Source, reason: string): void {
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
    const left = new Map<Source, Waiter[]>();
    for (const source of [...fence.missing]) {
      const waiters = fence.waiters.get(source) ?? [];
      if (source.doubtful && !this.#paused && source.endpoint !== undefined) {
        // Its connection is one that only this side believes in.
        source.up = false;
        source.doubtful = false;
        source.joining.push(...waiters);
        this.#socket.disconnect(source.endpoint);
        this.#dial(source.endpoint, source.target.serverKey);
      } else left.set(source, waiters);
    }
    fence.missing.clear();
    this.#finish(fence);
    if (left.size > 0) this.#raise(left);
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
    this.#paused = true;
    const resume = (): void => {
      this.#paused = false;
      this.#socket.resume();
    };
    pending.then(resume, resume);
  }

  #onFence(topic: Uint8Array, payload: Uint8Array): void {
    const source = this.#sources.get(Buffer.from(payload).toString("latin1"));
    if (source === undefined) return;
    source.doubtful = false;
    for (const fence of this.#fences.values()) {
      // A fence of another node comes here when this one subscribed to everything.
      if (!Buffer.from(fence.topic).equals(topic) || !fence.missing.delete(source)) continue;
      for (const waiter of fence.waiters.get(source) ?? []) waiter.resolve();
      this.#finish(fence);
    }
  }
}
