import type { Address, PeerChange, Transport } from "../../src/plugin/transport.ts";

/** What the transport suite is told about the transport. */
export interface TransportSetup {
  /** A new transport, not open, that can reach every other one made by this function. */
  make(): Transport | Promise<Transport>;
  /** An address in short form, as a person would write it into a config, at which nobody listens. */
  freeAddress(): Address | Promise<Address>;
  /** How long a test waits for something before it fails, milliseconds. Default 10_000. */
  readonly patienceMs?: number;
}

export interface OpenOptions {
  readonly listen?: Address;
  readonly maxFrameBytes?: number;
  readonly onMessage?: (frame: Uint8Array, from: Address, peer: Peer) => void;
  readonly onEvent?: (frame: Uint8Array, peer: Peer) => void | Promise<void>;
}

export interface Message {
  readonly frame: Uint8Array;
  readonly from: Address;
}

/** An open transport with everything that has happened to it. Frames are copied as they come. */
export interface Peer {
  readonly transport: Transport;
  readonly nodeId: string;
  readonly address: Address;
  readonly messages: Message[];
  readonly events: Uint8Array[];
  readonly changes: PeerChange[];
  /** Node ids that `onSubscriber` was called with. */
  readonly subscribers: string[];
}

/** The largest frame of a test's transports unless it says otherwise. */
export const limitBytes = 1024 * 1024;

let nodes = 0;

/** Makes the transports of one test, and closes them after it. */
export class Rig implements AsyncDisposable {
  readonly #setup: TransportSetup;
  readonly #made: Transport[] = [];

  constructor(setup: TransportSetup) {
    this.#setup = setup;
  }

  get patienceMs(): number {
    return this.#setup.patienceMs ?? 10_000;
  }

  async make(): Promise<Transport> {
    const transport = await this.#setup.make();
    this.#made.push(transport);
    return transport;
  }

  async freeAddress(): Promise<Address> {
    return this.#setup.freeAddress();
  }

  async open(name: string, options: OpenOptions = {}): Promise<Peer> {
    const transport = await this.make();
    const peer = {
      transport,
      nodeId: `${name}-${++nodes}`,
      address: "",
      messages: [] as Message[],
      events: [] as Uint8Array[],
      changes: [] as PeerChange[],
      subscribers: [] as string[],
    };
    peer.address = await transport.open({
      nodeId: peer.nodeId,
      maxFrameBytes: options.maxFrameBytes ?? limitBytes,
      ...(options.listen === undefined ? {} : { listen: options.listen }),
      handlers: {
        onMessage(frame, from) {
          peer.messages.push({ frame: new Uint8Array(frame), from });
          options.onMessage?.(frame, from, peer);
        },
        onEvent(frame) {
          peer.events.push(new Uint8Array(frame));
          return options.onEvent?.(frame, peer);
        },
        onPeer: (change) => void peer.changes.push(change),
        onSubscriber: (nodeId) => void peer.subscribers.push(nodeId),
      },
    });
    return peer;
  }

  async openMany(name: string, count: number, options: OpenOptions = {}): Promise<Peer[]> {
    return Promise.all(Array.from({ length: count }, () => this.open(name, options)));
  }

  /** A publisher and a subscriber that hears it. */
  async pair(prefix: string, subscriber: OpenOptions = {}): Promise<{ publisher: Peer; subscriber: Peer }> {
    const peers = { publisher: await this.open("publisher"), subscriber: await this.open("subscriber", subscriber) };
    await peers.subscriber.transport.subscribe(prefix);
    await this.within(peers.subscriber.transport.join(peers.publisher.address), "join");
    return peers;
  }

  /**
   * Waits until `condition` holds; gives up when both the time and enough turns have passed.
   *
   * A transport in this process gets on by turns of the event loop. On a machine with too much to do, a time alone says
   * nothing about whether it had any.
   */
  async until(condition: () => boolean, message: () => string): Promise<void> {
    const endMs = performance.now() + this.patienceMs;
    for (let round = 0; !condition(); round++) {
      if (round >= 100 && performance.now() > endMs) throw new Error(`waited ${this.patienceMs} ms: ${message()}`);
      for (let turn = 0; turn < 20 && !condition(); turn++) await new Promise((resolve) => setImmediate(resolve));
      if (!condition()) await Bun.sleep(round < 200 ? 1 : 10);
    }
  }

  async messages(peer: Peer, count: number): Promise<Message[]> {
    await this.until(
      () => peer.messages.length >= count,
      () => `${peer.messages.length} of ${count} messages arrived at ${peer.nodeId}`,
    );
    return peer.messages;
  }

  async events(peer: Peer, count: number): Promise<Uint8Array[]> {
    await this.until(
      () => peer.events.length >= count,
      () => `${peer.events.length} of ${count} events arrived at ${peer.nodeId}`,
    );
    return peer.events;
  }

  /** A directed message there and back: what was on its way before has had its time. */
  async roundTrip(from: Peer, to: Peer): Promise<void> {
    const marker = text(`round trip ${++nodes}`);
    const arrived = (peer: Peer) =>
      peer.messages.findLast(({ frame }) => frame.byteLength === marker.byteLength && show(frame) === show(marker));
    await from.transport.send(to.address, marker);
    await this.until(
      () => arrived(to) !== undefined,
      () => `a message from ${from.nodeId} did not reach ${to.nodeId}`,
    );
    await to.transport.send(arrived(to)?.from ?? "", marker);
    await this.until(
      () => arrived(from) !== undefined,
      () => `a reply from ${to.nodeId} did not reach ${from.nodeId}`,
    );
  }

  /** `promise`, or an error when it takes too long. Not a turn later than that: a fence must hold at once. */
  async within<T>(promise: Promise<T>, what: string): Promise<T> {
    let isDone = false;
    const late = this.until(
      () => isDone,
      () => `${what} did not settle`,
    );
    try {
      return await Promise.race([promise, late.then(() => promise)]);
    } finally {
      isDone = true;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#made.map((transport) => transport.close()));
  }
}

/** Whether a promise is settled, without waiting for it and without leaving a rejection unhandled. */
export function track(promise: Promise<unknown>): { readonly settled: boolean } {
  const state = { settled: false };
  const settle = (): void => {
    state.settled = true;
  };
  promise.then(settle, settle);
  return state;
}

export function text(value: string): Uint8Array {
  return new TextEncoder().encode(value);
}

export function show(frame: Uint8Array): string {
  return new TextDecoder().decode(frame);
}

/** A frame that begins with `index` and is filled with bytes that follow from it. */
export function numbered(index: number, byteLength: number): Uint8Array {
  const frame = new Uint8Array(Math.max(4, byteLength)).fill(index % 251);
  new DataView(frame.buffer).setUint32(0, index);
  return frame;
}

/** The index of a {@link numbered} frame, or what is wrong with it. */
export function indexOf(frame: Uint8Array): number | string {
  if (frame.byteLength < 4) return `a frame of ${frame.byteLength} bytes`;
  const index = new DataView(frame.buffer, frame.byteOffset, frame.byteLength).getUint32(0);
  return frame.subarray(4).every((byte) => byte === index % 251) ? index : `damaged frame ${index}`;
}

/** Sizes from 4 bytes to 64 KiB, mostly small, large ones in between. */
export function mixedSize(index: number): number {
  if (index % 97 === 0) return 64 * 1024;
  return index % 13 === 0 ? 5000 : 4 + ((index * 37) % 300);
}

export function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

/** Sends or publishes frames 0 to `count`, awaiting only where the transport asks for it. */
export async function each(count: number, take: (index: number) => void | Promise<void>): Promise<void> {
  for (let index = 0; index < count; index++) {
    const taken = take(index);
    if (taken) await taken;
  }
}
