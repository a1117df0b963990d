import { SoormaError, systemRuntime, type Timer } from "@soorma/core";
import { bindIpc, checkIpcPath, ipcPath, removeSocketFile } from "./ipc.ts";
import type { MonitorEvent } from "./monitor.ts";
import type { Pointer } from "./native.ts";
import { applyCurve, applyOptions, type CurveOptions, type SocketOptions, setOption } from "./options.ts";
import { acquireReactor, type Pollable, type Reactor, unfinished, worked } from "./reactor.ts";
import { Monitor } from "./socket-monitor.ts";
import {
  cString,
  errno,
  flag,
  type MonitorEventName,
  option,
  pollIn,
  type SocketType,
  socketTypes,
  zmqError,
} from "./zmq.ts";

export type Frame = Uint8Array | string;

/** One frame, or all frames of a message. */
export type Message = Frame | readonly Frame[];

export interface WaitOptions {
  readonly signal?: AbortSignal;
}

interface Waiter {
  readonly frames: readonly Uint8Array[];
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
  readonly settled: () => void;
}

interface Receiver {
  readonly resolve: (message: Uint8Array[]) => void;
  readonly reject: (reason: unknown) => void;
}

/** Milliseconds after which sends that wait are tried again though nothing was heard of room for them. */
const againMs = 20;
const batchMessages = 1000;
const keptViews = 3;
const batchBytes = 4 * 1024 * 1024;

/**
 * A libzmq socket. Made by `createSocket`, whose types leave out what a kind of socket cannot do.
 *
 * All calls are made on the thread that made it, and none of them blocks.
 */
export class Socket implements Pollable, AsyncDisposable {
  readonly type: SocketType;
  readonly fd: number;
  hot = false;
  slot = -1;
  readonly #reactor: Reactor;
  readonly #handle: Pointer;
  readonly #keepAlive: boolean;
  readonly #lingerMs: number;
  readonly #isRouter: boolean;
  readonly #ipv6: boolean;
  readonly #value = new Int32Array(1);
  readonly #valueBytes = new BigUint64Array([4n]);
  /** Sends that wait, in order; a ROUTER's by receiver. */
  readonly #waiters = new Map<string, Waiter[]>();
  #waiting = 0;
  #receivers: Receiver[] = [];
  #onMessage: ((frames: readonly Uint8Array[]) => void) | undefined;
  #paused = false;
  #again: Timer | undefined;
  #closing: Promise<void> | undefined;
  #monitor: Monitor | undefined;
  readonly #ipcPaths = new Set<string>();
  readonly #views: Uint8Array[] = [];

  constructor(type: SocketType, options: SocketOptions = {}) {
    this.type = type;
    this.#isRouter = type === "router";
    this.#ipv6 = options.ipv6 ?? false;
    this.#keepAlive = options.keepAlive ?? true;
    this.#lingerMs = options.lingerMs ?? 0;
    this.#reactor = acquireReactor();
    const { native, context } = this.#reactor;
    this.#handle = native.zmq_socket(context, socketTypes[type]);
    if (!this.#handle) {
      const error = zmqError(`opening a ${type} socket`, native.zmq_errno());
      void this.#reactor.release();
      throw error;
    }
    try {
      applyOptions(native, this.#handle, type, options);
      this.fd = this.#getNumber(option.fd);
    } catch (error) {
      native.zmq_close(this.#handle);
      void this.#reactor.release();
      throw error;
    }
    if (this.#keepAlive) this.#reactor.keepAlive(true);
    this.#reactor.add(this);
  }

  get closed(): boolean {
    return this.#closing !== undefined;
  }

  /** Sends that wait now. */
  get waiting(): number {
    return this.#waiting;
  }

  /** What was bound last, with the port the system chose. */
  get lastEndpoint(): string {
    this.#check("reading the endpoint");
    const text = Buffer.alloc(1024);
    const bytes = new BigUint64Array([1024n]);
    const { native } = this.#reactor;
    if (native.zmq_getsockopt(this.#handle, option.lastEndpoint, text, bytes) !== 0) return "";
    return text.toString("utf8", 0, Number(bytes[0]) - 1);
  }

  /**
   * Listens at `endpoint`; port 0 or `*` is the system's choice. Resolves with the endpoint as bound.
   *
   * @throws {SoormaError} `ADDRESS_IN_USE`, `ADDRESS_INVALID`, `TRANSPORT_CLOSED`.
   */
  async bind(endpoint: string): Promise<string> {
    const path = ipcPath(endpoint);
    if (path === undefined || path === "*") return this.#bind(endpoint);
    return bindIpc(path, () => this.#bind(endpoint));
  }

  #bind(endpoint: string): string {
    this.#allowIpv6(endpoint);
    const normal = /^tcp:.*:0$/.test(endpoint) ? `${endpoint.slice(0, -1)}*` : endpoint;
    this.#call(`listening at ${endpoint}`, (native) => native.zmq_bind(this.#handle, cString(normal)));
    const bound = this.lastEndpoint;
    const boundPath = ipcPath(bound);
    // libzmq itself removes what it has chosen, with the folder.
    if (boundPath !== undefined && endpoint !== "ipc://*") this.#ipcPaths.add(boundPath);
    return bound;
  }

  /** Stops listening; connections made stay. */
  unbind(endpoint: string): void {
    this.#call(`unbinding ${endpoint}`, (native) => native.zmq_unbind(this.#handle, cString(endpoint)));
    const path = ipcPath(endpoint);
    if (path === undefined) return;
    this.#ipcPaths.delete(path);
    removeSocketFile(path);
  }

  /** Connects in the background, and again whenever the connection is lost. */
  connect(endpoint: string): void {
    const path = ipcPath(endpoint);
    if (path !== undefined) checkIpcPath(path);
    this.#allowIpv6(endpoint);
    this.#call(`connecting to ${endpoint}`, (native) => native.zmq_connect(this.#handle, cString(endpoint)));
  }

  /** Undoes `connect`; what is queued for the peer is sent for `lingerMs`. Does nothing when there is no connection. */
  disconnect(endpoint: string): void {
    this.#check("disconnecting");
    const { native } = this.#reactor;
    this.#reactor.touch(this);
    if (native.zmq_disconnect(this.#handle, cString(endpoint)) !== 0) {
      const number = native.zmq_errno();
      if (number !== errno.noEntry) throw zmqError(`disconnecting from ${endpoint}`, number);
    }
  }

  subscribe(prefix: Frame): void {
    this.#setBytes("subscribe", option.subscribe, prefix);
  }

  unsubscribe(prefix: Frame): void {
    this.#setBytes("unsubscribe", option.unsubscribe, prefix);
  }

  /** Changes the keys of what is bound or connected from now on. */
  setCurve(curve: CurveOptions): void {
    this.#check("setting keys");
    applyCurve(this.#reactor.native, this.#handle, this.type, curve);
  }

  /** Changes `noDrop` of a PUB or XPUB socket. */
  setNoDrop(on: boolean): void {
    this.#check("setting noDrop");
    setOption(this.#reactor.native, this.#handle, "noDrop", option.xpubNoDrop, new Int32Array([Number(on)]));
  }

  /**
   * Sends a message. Returns nothing when it was taken, a promise when it has to wait for a slow or absent peer; its
   * frames must not be changed until that settles. Waiting messages keep their order (a ROUTER's, for each receiver).
   *
   * @throws {SoormaError} (as a rejection too) `PEER_UNREACHABLE` from a `mandatory` ROUTER, `TRANSPORT_CLOSED`; the
   * signal's reason, and then the message was not sent.
   */
  send(message: Message, options?: WaitOptions): void | Promise<void> {
    if (message instanceof Uint8Array && this.#waiting === 0) {
      this.#check("sending");
      let taken = false;
      try {
        taken = this.#sendFrame(message, flag.dontWait);
      } finally {
        this.#lookAfter();
      }
      return taken ? undefined : this.#wait([message], "", options?.signal);
    }
    const frames = toFrames(message);
    const key = this.#keyOf(frames);
    if (this.trySend(frames, key)) return undefined;
    return this.#wait(frames, key, options?.signal);
  }

  /** Sends the message if that is possible now and nothing sent before it waits. */
  trySend(frames: readonly Uint8Array[], key: string = this.#keyOf(frames)): boolean {
    this.#check("sending");
    if (this.#waiting > 0 && this.#waiters.has(key)) return false;
    try {
      return this.#sendFrames(frames);
    } finally {
      this.#lookAfter();
    }
  }

  /** After a send, also one that failed: it may have processed the command that says that a message came, and nothing else tells. */
  #lookAfter(): void {
    if (this.#onMessage !== undefined || this.#receivers.length > 0 || this.#waiting > 0) this.#reactor.touch(this);
  }

  /**
   * Calls `handler` with each message that comes, as long as nothing is paused. The frames are views of a buffer that
   * is used again: they are valid during the call only.
   */
  onMessage(handler: (frames: readonly Uint8Array[]) => void): void {
    this.#check("receiving");
    if (this.#receivers.length > 0) throw new TypeError("the socket is being received from with receive()");
    this.#onMessage = handler;
    this.#reactor.touch(this);
  }

  /** Calls `handler` with up to 1000 messages at a time; they are copies. */
  onBatch(handler: (messages: readonly Uint8Array[][]) => void): void {
    let batch: Uint8Array[][] = [];
    this.onMessage((frames) => {
      batch.push(frames.map((frame) => frame.slice()));
      if (batch.length > 1) return;
      // After the pump that received them: microtasks run when the reactor's turn is over.
      queueMicrotask(() => {
        const full = batch;
        batch = [];
        handler(full);
      });
    });
  }

  /** The next message, copied. Several calls are served in order. */
  receive(options?: WaitOptions): Promise<Uint8Array[]> {
    try {
      this.#check("receiving");
      if (this.#onMessage !== undefined) throw new TypeError("the socket is being received from with a handler");
      if (this.#receivers.length === 0 && !this.#paused) {
        const frames = this.#receiveOwned();
        if (frames !== undefined) return Promise.resolve(frames);
      }
    } catch (error) {
      return Promise.reject(error);
    }
    const signal = options?.signal;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const abort = (): void => {
        this.#receivers = this.#receivers.filter((other) => other !== receiver);
        reject(signal?.reason);
      };
      const settle = (): void => signal?.removeEventListener("abort", abort);
      const receiver: Receiver = {
        resolve: (message) => {
          settle();
          resolve(message);
        },
        reject: (reason) => {
          settle();
          reject(reason);
        },
      };
      signal?.addEventListener("abort", abort, { once: true });
      this.#receivers.push(receiver);
      this.#reactor.touch(this);
    });
  }

  /** Stops receiving, so that peers are held back once the high-water mark is reached. */
  pause(): void {
    this.#paused = true;
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    if (!this.closed) this.#reactor.touch(this);
  }

  /** Calls `handler` for `events`, in the order they happened. Call it once, before `bind` or `connect`. */
  onEvent(events: readonly MonitorEventName[], handler: (event: MonitorEvent) => void): void {
    this.#check("monitoring");
    if (this.#monitor !== undefined) throw new TypeError("the socket is monitored already");
    this.#monitor = new Monitor(this.#reactor, this.#handle, events, handler);
  }

  /**
   * Closes the socket. Sends that wait are rejected with `TRANSPORT_CLOSED`; what was taken is sent for up to `lingerMs`
   * milliseconds. Resolves when it is gone, with all its descriptors. A second call waits for the first.
   */
  close(lingerMs: number = this.#lingerMs): Promise<void> {
    this.#closing ??= this.#close(lingerMs);
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** For the reactor. */
  pump(): number {
    let result = 0;
    if (this.#reads) result = this.#drain();
    if (this.#closing !== undefined) return result;
    // Draining to the end processes all commands; when there was no such end they are processed here.
    if (!this.#reads) this.#getNumber(option.events);
    if (this.#waiting === 0) return result;
    if (this.#retry()) result |= worked;
    // The attempts may have processed commands about messages, and looking for these such about room.
    if (this.#reads) result |= this.#drain();
    if (this.#waiting > 0) this.#tryAgainSoon();
    return result;
  }

  #tryAgainSoon(): void {
    if (this.#closing !== undefined) return;
    const again = (): void => {
      this.#again = undefined;
      if (this.#closing === undefined) this.#reactor.touch(this);
    };
    // The descriptors are real, and so is the time.
    this.#again ??= systemRuntime.setTimer(again, againMs, { background: true });
  }

  get #reads(): boolean {
    return !this.#paused && (this.#onMessage !== undefined || this.#receivers.length > 0);
  }

  #drain(): number {
    const { native, message, arena, arenaAt } = this.#reactor;
    const handle = this.#handle;
    let messages = 0;
    let bytes = 0;
    while (this.#reads && this.#closing === undefined) {
      if (messages === batchMessages || bytes > batchBytes) return worked | unfinished;
      const handler = this.#onMessage;
      if (handler === undefined) {
        const owned = this.#receiveOwned();
        if (owned === undefined) break;
        this.#receivers.shift()?.resolve(owned);
        messages++;
        continue;
      }
      let size = native.zmq_msg_recv(message, handle, flag.dontWait);
      if (size < 0) break;
      const frames: Uint8Array[] = [];
      let offset = 0;
      for (;;) {
        if (size <= arena.length - offset) {
          if (size > 0) native.memcpy(arenaAt + offset, native.zmq_msg_data(message), size);
          frames.push(this.#view(arena, frames.length, offset, size));
          offset += size;
        } else {
          frames.push(this.#copyMessage(size));
        }
        bytes += size;
        if (native.zmq_msg_more(message) === 0) break;
        // The other frames of a message are there when the first is.
        size = native.zmq_msg_recv(message, handle, flag.dontWait);
        if (size < 0) break;
      }
      messages++;
      try {
        handler(frames);
      } catch (error) {
        // A bug in the handler: it is reported like any uncaught error, but the loop that serves all sockets goes on.
        queueMicrotask(() => {
          throw error;
        });
      }
    }
    return messages > 0 ? worked : 0;
  }

  /** Messages of one shape share their views: a new one for each frame costs as much as receiving it. */
  #view(arena: Uint8Array, index: number, offset: number, size: number): Uint8Array {
    const kept = this.#views[index];
    if (kept !== undefined && kept.byteLength === size && kept.byteOffset === arena.byteOffset + offset) return kept;
    const view = arena.subarray(offset, offset + size);
    if (index < keptViews) this.#views[index] = view;
    return view;
  }

  #receiveOwned(): Uint8Array[] | undefined {
    const { native, message } = this.#reactor;
    let size = native.zmq_msg_recv(message, this.#handle, flag.dontWait);
    if (size < 0) {
      const number = native.zmq_errno();
      if (number === errno.wrongState) throw new TypeError(`this ${this.type} socket has to send first`);
      return undefined;
    }
    const frames: Uint8Array[] = [];
    while (size >= 0) {
      frames.push(this.#copyMessage(size));
      if (native.zmq_msg_more(message) === 0) break;
      size = native.zmq_msg_recv(message, this.#handle, flag.dontWait);
    }
    return frames;
  }

  #copyMessage(size: number): Uint8Array {
    const { native, message } = this.#reactor;
    const copy = new Uint8Array(size);
    if (size > 0) native.memcpy(copy as unknown as Pointer, native.zmq_msg_data(message), size);
    return copy;
  }

  #sendFrames(frames: readonly Uint8Array[]): boolean {
    const last = frames.length - 1;
    for (let i = 0; i < last; i++) {
      // `false` can only come for the first frame, or when the peer vanished in the middle: then libzmq has forgotten
      // the frames before, and the message is sent from its start again.
      if (!this.#sendFrame(frames[i] as Uint8Array, flag.dontWait | flag.sendMore)) return false;
    }
    return this.#sendFrame(frames[last] as Uint8Array, flag.dontWait);
  }

  #sendFrame(frame: Uint8Array, flags: number): boolean {
    const { native } = this.#reactor;
    for (;;) {
      if (native.zmq_send(this.#handle, frame, frame.byteLength, flags) >= 0) return true;
      const number = native.zmq_errno();
      if (number === errno.again) return false;
      if (number === errno.interrupted) continue;
      if (number === errno.wrongState) throw new TypeError(`this ${this.type} socket has to receive first`);
      throw zmqError(`sending ${frame.byteLength} bytes on a ${this.type} socket`, number);
    }
  }

  #keyOf(frames: readonly Uint8Array[]): string {
    return this.#isRouter ? Buffer.from(frames[0] as Uint8Array).toString("latin1") : "";
  }

  #wait(frames: readonly Uint8Array[], key: string, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const abort = (): void => {
        const queue = this.#waiters.get(key);
        const index = queue?.indexOf(waiter) ?? -1;
        if (queue === undefined || index < 0) return;
        queue.splice(index, 1);
        if (queue.length === 0) this.#waiters.delete(key);
        this.#waiting--;
        reject(signal?.reason);
      };
      const waiter: Waiter = {
        frames,
        resolve,
        reject,
        settled: () => signal?.removeEventListener("abort", abort),
      };
      signal?.addEventListener("abort", abort, { once: true });
      const queue = this.#waiters.get(key);
      if (queue === undefined) this.#waiters.set(key, [waiter]);
      else queue.push(waiter);
      this.#waiting++;
      this.#reactor.touch(this);
    });
  }

  #retry(): boolean {
    let moved = false;
    for (const [key, queue] of this.#waiters) {
      let done = 0;
      for (const waiter of queue) {
        try {
          if (!this.#sendFrames(waiter.frames)) break;
          waiter.settled();
          waiter.resolve();
        } catch (error) {
          waiter.settled();
          waiter.reject(error);
        }
        done++;
      }
      if (done === 0) continue;
      moved = true;
      this.#waiting -= done;
      queue.splice(0, done);
      if (queue.length === 0) this.#waiters.delete(key);
    }
    return moved;
  }

  async #close(lingerMs: number): Promise<void> {
    const { native } = this.#reactor;
    const reason = new SoormaError("TRANSPORT_CLOSED", `the ${this.type} socket was closed`);
    for (const queue of this.#waiters.values()) {
      for (const waiter of queue) {
        waiter.settled();
        waiter.reject(reason);
      }
    }
    this.#waiters.clear();
    this.#waiting = 0;
    this.#again?.cancel();
    for (const receiver of this.#receivers.splice(0)) receiver.reject(reason);
    setOption(native, this.#handle, "lingerMs", option.linger, new Int32Array([lingerMs]));
    if (lingerMs !== 0) this.#watchLinger();
    // While it is ours for certain: from now on others may listen there, and what lingers would hold this up for long.
    for (const path of this.#ipcPaths) removeSocketFile(path);
    this.#reactor.remove(this);
    native.zmq_close(this.#handle);
    await this.#monitor?.stopped;
    if (this.#keepAlive) this.#reactor.keepAlive(false);
    await this.#reactor.release();
  }

  /** A monitor tells when what lingers is sent, without blocking anybody. */
  #watchLinger(): void {
    try {
      this.#monitor ??= new Monitor(this.#reactor, this.#handle, [], () => {});
    } catch {
      // No descriptor is left for it. The socket has to be closed all the more.
    }
  }

  #check(what: string): void {
    if (this.#closing !== undefined) {
      throw new SoormaError("TRANSPORT_CLOSED", `${what} on a closed ${this.type} socket`);
    }
  }

  /** Only where it is used: with it on, libzmq writes 127.0.0.1 as ::ffff:127.0.0.1 in events and endpoints. */
  #allowIpv6(endpoint: string): void {
    this.#check("using an endpoint");
    const on = this.#ipv6 || endpoint.includes("[");
    setOption(this.#reactor.native, this.#handle, "ipv6", option.ipv6, new Int32Array([Number(on)]));
  }

  #call(what: string, body: (native: Reactor["native"]) => number): void {
    this.#check(what);
    const { native } = this.#reactor;
    this.#reactor.touch(this);
    if (body(native) !== 0) throw zmqError(what, native.zmq_errno());
  }

  #setBytes(name: string, number: number, value: Frame): void {
    this.#check(name);
    setOption(this.#reactor.native, this.#handle, name, number, toFrame(value));
    this.#reactor.touch(this);
  }

  #getNumber(number: number): number {
    const { native } = this.#reactor;
    this.#valueBytes[0] = 4n;
    if (native.zmq_getsockopt(this.#handle, number, this.#value, this.#valueBytes) !== 0) {
      if (number === option.events) return pollIn;
      throw zmqError("reading a socket option", native.zmq_errno());
    }
    return this.#value[0] as number;
  }
}

const encoder = new TextEncoder();

function toFrame(frame: Frame): Uint8Array {
  return typeof frame === "string" ? encoder.encode(frame) : frame;
}

function toFrames(message: Message): readonly Uint8Array[] {
  if (message instanceof Uint8Array) return [message];
  if (typeof message === "string") return [encoder.encode(message)];
  if (message.length === 0) throw new TypeError("a message has at least one frame");
  return message.every((frame) => frame instanceof Uint8Array)
    ? (message as readonly Uint8Array[])
    : message.map(toFrame);
}
