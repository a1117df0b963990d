import { type Address, SoormaError, type Timer } from "@soorma/core";
import { nodeIdPattern } from "./address.ts";
import { resolveHost } from "./resolve.ts";
import { heartbeats, hello, receiving, type Settings, welcome } from "./settings.ts";
import { createSocket, type DuplexSocket, type MonitorEvent, type SocketOptions } from "./sockets.ts";

export interface LinkTarget {
  readonly endpoint: string;
  /** Who has to answer there; `undefined` takes anybody. */
  readonly nodeId: string | undefined;
  readonly serverKey: string | undefined;
}

export interface LinkHandlers {
  onFrame(frame: Uint8Array, from: Address): void;
  onState(state: "up" | "down", reason: string): void;
  onMalformed(): void;
}

interface Pending {
  readonly frame: Uint8Array;
  readonly deadlineMs: number;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/**
 * A DEALER's connection to one peer, made again whenever it is lost.
 *
 * Every attempt has a socket and a routing id of its own, so a frame that was on its way when a connection died can
 * never come out at whoever listens at the endpoint next; and only after the peer said who it is, frames are sent.
 */
export class PeerLink {
  readonly address: Address;
  /** `link` or `send` was called for it. */
  wanted = false;
  /** `join` was called for it. */
  joined = false;
  readonly #settings: Settings;
  readonly #target: () => LinkTarget;
  readonly #handlers: LinkHandlers;
  readonly #routingId: () => string;
  #state: "connecting" | "up" | "down" = "connecting";
  #reason = "connecting";
  #socket: DuplexSocket | undefined;
  #pulse: DuplexSocket | undefined;
  #pulseFelt = false;
  #greeted = false;
  #welcomedBy: string | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #closed: SoormaError | undefined;
  #attempts = 0;
  #pending: Pending[] = [];
  #pendingTimer: Timer | undefined;
  #ready: { readonly resolve: () => void; readonly reject: (reason: unknown) => void }[] = [];

  constructor(
    settings: Settings,
    address: Address,
    target: () => LinkTarget,
    routingId: () => string,
    handlers: LinkHandlers,
  ) {
    this.#settings = settings;
    this.address = address;
    this.#target = target;
    this.#routingId = routingId;
    this.#handlers = handlers;
    // Not in this turn: whoever makes a link knows it before it hears of it.
    this.#timer = settings.runtime.setTimer(() => this.#attempt(), 0);
  }

  get up(): boolean {
    return this.#state === "up";
  }

  get waiting(): number {
    return this.#pending.length + (this.#socket?.waiting ?? 0);
  }

  /** Resolves when the peer is up; rejects when the connection fails meanwhile. */
  ready(): Promise<void> {
    if (this.up) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#ready.push({ resolve, reject });
    });
  }

  /** A frame waits for a connection for `connectTimeoutMs`, then it is refused. */
  send(frame: Uint8Array): void | Promise<void> {
    if (this.#state === "up" && this.#socket !== undefined) {
      const sent = this.#socket.send(frame);
      return sent === undefined ? undefined : sent.catch((error: unknown) => this.#explain(error));
    }
    const { runtime, connectTimeoutMs } = this.#settings;
    return new Promise((resolve, reject) => {
      this.#pending.push({ frame, deadlineMs: runtime.monotonic() + connectTimeoutMs, resolve, reject });
      this.#pendingTimer ??= runtime.setTimer(() => this.#expire(), connectTimeoutMs);
    });
  }

  /** Closes the connection; what was taken is sent for `lingerMs`. */
  async close(reason: SoormaError, lingerMs: number): Promise<void> {
    this.#closed = reason;
    this.#timer?.cancel();
    this.#pendingTimer?.cancel();
    for (const { reject } of [...this.#pending.splice(0), ...this.#ready.splice(0)]) reject(reason);
    await Promise.all([this.#socket?.close(lingerMs), this.#pulse?.close(0)]);
  }

  #attempt(): void {
    const { runtime, connectTimeoutMs } = this.#settings;
    this.#greeted = false;
    this.#welcomedBy = undefined;
    this.#pulseFelt = false;
    let target: LinkTarget;
    try {
      target = this.#target();
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
      return;
    }
    void this.#connect(target, ++this.#attempts);
    this.#timer = runtime.setTimer(
      () => {
        if (!this.#greeted) this.#fail(`no connection to ${target.endpoint} within ${connectTimeoutMs} ms`);
        // The connection stands and its heartbeats are answered: the peer is only too busy to answer us.
        else this.#down(`connected to ${target.endpoint}, but nobody answered within ${connectTimeoutMs} ms`);
      },
      connectTimeoutMs,
      { background: true },
    );
  }

  /** Names are looked up here: libzmq would do it on the thread that serves all connections of the process. */
  async #connect(target: LinkTarget, attempt: number): Promise<void> {
    const current = (): boolean => !this.#closed && attempt === this.#attempts;
    try {
      const endpoint = await resolveHost(target.endpoint);
      if (!current()) return;
      const socket = createSocket("dealer", {
        ...this.#socketOptions(target),
        immediate: true,
      });
      this.#socket = socket;
      socket.onEvent(
        [
          "handshakeSucceeded",
          "disconnected",
          "closed",
          "handshakeFailed",
          "handshakeFailedProtocol",
          "handshakeFailedAuth",
        ],
        (event) => {
          if (this.#socket === socket && !this.#closed) this.#onEvent(event, socket, target);
        },
      );
      socket.onMessage((frames) => {
        if (this.#socket === socket && !this.#closed) this.#onMessage(frames, target);
      });
      socket.connect(endpoint);
      this.#feelPulse(target, endpoint);
    } catch (error) {
      if (current()) this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  #onEvent(event: MonitorEvent, socket: DuplexSocket, target: LinkTarget): void {
    switch (event.type) {
      case "handshakeSucceeded":
        this.#greeted = true;
        socket.send([hello, Buffer.from(this.#settings.nodeId)])?.catch(() => {});
        return;
      case "disconnected":
        this.#fail(this.#state === "up" ? "disconnected or silent" : `${target.endpoint} closed the connection`);
        return;
      case "closed":
        this.#fail(`nobody listens at ${target.endpoint}`);
        return;
      default:
        this.#fail(`the handshake with ${target.endpoint} failed (${event.type})`);
    }
  }

  #onMessage(frames: readonly Uint8Array[], target: LinkTarget): void {
    const [first, second] = frames;
    if (frames.length === 1 && first !== undefined && this.#state === "up") {
      this.#handlers.onFrame(first, this.address);
      return;
    }
    if (frames.length !== 2 || first === undefined || second === undefined || !welcome.equals(first)) {
      this.#handlers.onMalformed();
      return;
    }
    const nodeId = Buffer.from(second).toString("latin1");
    if (!nodeIdPattern.test(nodeId)) this.#handlers.onMalformed();
    else if (target.nodeId !== undefined && target.nodeId !== nodeId) {
      this.#fail(`node ${nodeId} answered at ${target.endpoint} instead of node ${target.nodeId}`);
    } else {
      this.#welcomedBy = nodeId;
      this.#comeUp();
    }
  }

  #comeUp(): void {
    const nodeId = this.#welcomedBy;
    if (nodeId === undefined || !this.#pulseFelt || this.#state === "up") return;
    this.#timer?.cancel();
    this.#pendingTimer?.cancel();
    this.#pendingTimer = undefined;
    this.#failures = 0;
    this.#state = "up";
    const socket = this.#socket;
    for (const { frame, resolve, reject } of this.#pending.splice(0)) {
      const sent = socket?.send(frame);
      if (sent === undefined) resolve();
      else sent.catch((error: unknown) => this.#explain(error)).then(resolve, reject);
    }
    this.#handlers.onState("up", `connected to node ${nodeId}`);
    for (const { resolve } of this.#ready.splice(0)) resolve();
  }

  /**
   * Asks for signs of life on a connection of its own, which carries nothing else.
   *
   * On the one with messages they would be read too late: libzmq stops reading a connection while its receiver is behind
   * by the high-water mark, so a peer that is only busy would be taken for dead.
   */
  #feelPulse(target: LinkTarget, endpoint: string): void {
    const pulse = createSocket("dealer", { ...this.#socketOptions(target), ...heartbeats(this.#settings) });
    this.#pulse = pulse;
    pulse.onEvent(["handshakeSucceeded", "disconnected", "closed"], ({ type }) => {
      if (this.#pulse !== pulse || this.#closed) return;
      if (type !== "handshakeSucceeded") {
        this.#fail(this.#pulseFelt ? "disconnected or silent" : `nobody listens at ${target.endpoint}`);
        return;
      }
      this.#pulseFelt = true;
      this.#comeUp();
    });
    pulse.connect(endpoint);
  }

  #socketOptions(target: LinkTarget): SocketOptions {
    const { curve, connectTimeoutMs } = this.#settings;
    return {
      ...receiving(this.#settings),
      routingId: this.#routingId(),
      reconnectMs: -1,
      connectTimeoutMs,
      ...(curve === undefined ? {} : { curve: { ...curve, serverKey: target.serverKey ?? curve.publicKey } }),
    };
  }

  #fail(reason: string): void {
    if (this.#closed) return;
    this.#attempts++;
    this.#timer?.cancel();
    const socket = this.#socket;
    this.#socket = undefined;
    const pulse = this.#pulse;
    this.#pulse = undefined;
    const { runtime, reconnectMs, reconnectMaxMs } = this.#settings;
    const delayMs = Math.min(reconnectMs * 2 ** Math.min(this.#failures++, 16), reconnectMaxMs);
    // Spread out: all peers of a node that restarts lost it in the same moment.
    this.#timer = runtime.setTimer(() => this.#attempt(), delayMs * (0.75 + runtime.random() / 2), {
      background: true,
    });
    this.#down(reason);
    void socket?.close(0);
    void pulse?.close(0);
  }

  #down(reason: string): void {
    this.#reason = reason;
    const before = this.#state;
    this.#state = "down";
    for (const { reject } of this.#ready.splice(0)) reject(this.#unreachable());
    if (before !== "down") this.#handlers.onState("down", reason);
  }

  #expire(): void {
    const { runtime } = this.#settings;
    const now = runtime.monotonic();
    const left = this.#pending.findIndex(({ deadlineMs }) => deadlineMs > now);
    for (const { reject } of this.#pending.splice(0, left < 0 ? this.#pending.length : left))
      reject(this.#unreachable());
    const [next] = this.#pending;
    this.#pendingTimer = next && runtime.setTimer(() => this.#expire(), next.deadlineMs - now);
  }

  #unreachable(): SoormaError {
    return new SoormaError("PEER_UNREACHABLE", `cannot send to ${this.address}: ${this.#reason}`, {
      hint: "It is tried again in the background.",
      details: { address: this.address, reason: this.#reason },
    });
  }

  #explain(error: unknown): never {
    // Its socket was closed because the connection was lost.
    throw this.#closed === undefined ? this.#unreachable() : error instanceof SoormaError ? this.#closed : error;
  }
}
