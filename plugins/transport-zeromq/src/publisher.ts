import { SoormaError, type Timer } from "@soorma/core";
import { minMaxMessageBytes, receiving, type Settings } from "./settings.ts";
import { createSocket, type ExtendedPublisherSocket } from "./sockets.ts";

/**
 * A fence: the topic a subscriber subscribes to after everything else, to be told that everything else has arrived.
 *
 * Its first byte occurs in no UTF-8 text, so in no channel; and it is the largest, so libzmq, which sends subscriptions
 * again in the order of their bytes after a reconnect, sends it last.
 */
export const fenceMark = 0xff;
const fencePattern = /^\xfffence\.([a-z0-9-]{1,64})\.([a-z0-9]{1,16})$/;

/** The topic of a fence. */
export function fenceTopic(nodeId: string, sequence: number): Uint8Array {
  return Buffer.from(`\xfffence.${nodeId}.${sequence.toString(36)}`, "latin1");
}

export interface PublisherHandlers {
  onSubscriber(nodeId: string): void;
  onMalformed(): void;
}

interface Queued {
  readonly frames: readonly Uint8Array[];
  readonly channel: string;
  readonly resolve: () => void;
  readonly reject: (reason: unknown) => void;
}

/** Between two lines of the log about dropped frames. */
const burstMs = 5000;

/** The bound XPUB socket of a node. */
export class Publisher {
  readonly socket: ExtendedPublisherSocket;
  readonly #settings: Settings;
  readonly #handlers: PublisherHandlers;
  readonly #nodeId: Uint8Array;
  #queue: Queued[] = [];
  #flushing = false;
  #timer: Timer | undefined;
  #dropped = 0;
  #lastDropMs = Number.NEGATIVE_INFINITY;
  #closed = false;

  constructor(settings: Settings, handlers: PublisherHandlers) {
    this.#settings = settings;
    this.#handlers = handlers;
    this.#nodeId = Buffer.from(settings.nodeId);
    this.socket = createSocket("xpub", {
      ...receiving(settings),
      // What comes in are subscriptions.
      maxMessageBytes: minMaxMessageBytes,
      verbose: true,
      noDrop: true,
      ...(settings.curve === undefined ? {} : { curve: settings.curve }),
    });
    this.socket.onMessage((frames) => this.#onSubscription(frames));
  }

  get dropped(): number {
    return this.#dropped;
  }

  get waiting(): number {
    return this.#queue.length;
  }

  publish(channel: string, topic: Uint8Array, frame: Uint8Array): void | Promise<void> {
    const frames = [topic, frame];
    if (this.#queue.length === 0 && this.socket.trySend(frames)) return undefined;
    return new Promise((resolve, reject) => {
      this.#queue.push({ frames, channel, resolve, reject });
      void this.#flush();
    });
  }

  async close(reason: SoormaError, lingerMs: number): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    for (const { reject } of this.#queue.splice(0)) reject(reason);
    await this.socket.close(lingerMs);
  }

  async #flush(): Promise<void> {
    if (this.#flushing) return;
    this.#flushing = true;
    while (!this.#closed) {
      const head = this.#queue[0];
      if (head === undefined) break;
      let failure: unknown;
      try {
        if (!this.socket.trySend(head.frames) && !(await this.#waitToSend(head.frames))) this.#drop(head);
      } catch (error) {
        failure = error;
      }
      if (this.#closed) break;
      this.#queue.shift();
      if (failure === undefined) head.resolve();
      else head.reject(failure);
    }
    this.#flushing = false;
  }

  /** Resolves with whether all subscribers took the frames in time. */
  async #waitToSend(frames: readonly Uint8Array[]): Promise<boolean> {
    const { runtime, slowSubscriberMs } = this.#settings;
    const timeout = new AbortController();
    this.#timer = runtime.setTimer(() => timeout.abort(), slowSubscriberMs);
    try {
      await this.socket.send(frames, { signal: timeout.signal });
      return true;
    } catch (error) {
      if (timeout.signal.aborted) return false;
      throw error;
    } finally {
      this.#timer.cancel();
    }
  }

  /** Sends to those who can take it. libzmq leaves the others out from then on, until they have caught up. */
  #drop({ frames, channel }: Queued): void {
    this.socket.setNoDrop(false);
    try {
      this.socket.trySend(frames);
    } finally {
      this.socket.setNoDrop(true);
    }
    this.#dropped++;
    const { log, runtime, slowSubscriberMs } = this.#settings;
    const now = runtime.monotonic();
    if (now - this.#lastDropMs > burstMs) {
      log.warn("publish.dropped", { channel, waitedMs: slowSubscriberMs, dropped: this.#dropped });
    }
    this.#lastDropMs = now;
  }

  #onSubscription(frames: readonly Uint8Array[]): void {
    const [frame] = frames;
    if (frames.length !== 1 || frame === undefined || (frame[0] !== 0 && frame[0] !== 1)) {
      this.#handlers.onMalformed();
      return;
    }
    if (frame[0] !== 1 || frame[1] !== fenceMark) return;
    const topic = frame.slice(1);
    const nodeId = fencePattern.exec(Buffer.from(topic).toString("latin1"))?.[1];
    if (nodeId === undefined) {
      this.#handlers.onMalformed();
      return;
    }
    this.#handlers.onSubscriber(nodeId);
    // Only that subscriber has the topic, so this need not wait for what waits for others.
    if (this.socket.trySend([topic, this.#nodeId])) return;
    this.publish("fence", topic, this.#nodeId)?.catch(() => {});
  }
}

/** The error for calls on, or interrupted by, a transport that is closed. */
export function closedError(nodeId: string, what: string): SoormaError {
  return new SoormaError("TRANSPORT_CLOSED", `${what}: the transport of node ${nodeId} is closed`);
}
