import { loadNative } from "./native.ts";
import type { CurveKeypair, SocketOptions } from "./options.ts";
import { Socket } from "./socket.ts";
import type { SocketType } from "./zmq.ts";

export type { MonitorEvent } from "./monitor.ts";
export type { CurveKeypair, CurveOptions, SocketOptions } from "./options.ts";
export type { Frame, Message, WaitOptions } from "./socket.ts";
export type { MonitorEventName, SocketType } from "./zmq.ts";

type Common =
  | "type"
  | "closed"
  | "bind"
  | "unbind"
  | "connect"
  | "disconnect"
  | "lastEndpoint"
  | "onEvent"
  | "close"
  | typeof Symbol.asyncDispose;
type Writes = "send" | "trySend" | "waiting";
type Reads = "receive" | "onMessage" | "onBatch" | "pause" | "resume";

export type WritableSocket = Pick<Socket, Common | Writes>;
export type ReadableSocket = Pick<Socket, Common | Reads>;
export type DuplexSocket = Pick<Socket, Common | Writes | Reads>;
export type SubscriberSocket = Pick<Socket, Common | Reads | "subscribe" | "unsubscribe">;
export type PublisherSocket = Pick<Socket, Common | Writes | "setNoDrop">;
/** Receives subscriptions too: 1 or 0 for subscribe or unsubscribe, then the prefix. */
export type ExtendedPublisherSocket = Pick<Socket, Common | Writes | Reads | "setNoDrop">;

interface SocketKinds {
  pair: DuplexSocket;
  pub: PublisherSocket;
  sub: SubscriberSocket;
  req: DuplexSocket;
  rep: DuplexSocket;
  dealer: DuplexSocket;
  router: DuplexSocket;
  pull: ReadableSocket;
  push: WritableSocket;
  xpub: ExtendedPublisherSocket;
  xsub: DuplexSocket;
}

export type SocketOf<T extends SocketType> = SocketKinds[T];

/**
 * Opens a socket; it has to be closed.
 *
 * The first socket of a process starts a thread, the last one closed ends it.
 *
 * @throws {SoormaError} `TRANSPORT_UNSUPPORTED` where libzmq cannot be loaded or has no socket left; `TypeError` for an
 * option libzmq refuses.
 */
export function createSocket<T extends SocketType>(type: T, options: SocketOptions = {}): SocketOf<T> {
  return new Socket(type, options) as Pick<Socket, keyof Socket> as SocketOf<T>;
}

/** A new pair of keys for CURVE. */
export function curveKeypair(): CurveKeypair {
  const publicKey = Buffer.alloc(41);
  const secretKey = Buffer.alloc(41);
  loadNative().native.zmq_curve_keypair(publicKey, secretKey);
  return { publicKey: publicKey.toString("ascii", 0, 40), secretKey: secretKey.toString("ascii", 0, 40) };
}
