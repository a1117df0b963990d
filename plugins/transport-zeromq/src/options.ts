import type { Native, Pointer } from "./native.ts";
import { option, type SocketType, zmqError } from "./zmq.ts";

export interface CurveKeypair {
  /** 40 characters of Z85. */
  readonly publicKey: string;
  readonly secretKey: string;
}

/** Encryption and authentication of the server by CurveZMQ. All keys are 40 characters of Z85. */
export interface CurveOptions extends CurveKeypair {
  /** The other side's public key, on the connecting side; left out on the side that binds, which is the server. */
  readonly serverKey?: string;
}

/** What a socket is made with. Left out means libzmq's default, given in brackets. */
export interface SocketOptions {
  /** Messages kept for a slow peer before a send waits [1000]; 0 is no limit. */
  readonly sendHwm?: number;
  /** Messages taken from a peer before it is held back [1000]; 0 is no limit. */
  readonly receiveHwm?: number;
  /** How long `close` keeps sending what was taken. Default 0: not at all; -1 is for ever. */
  readonly lingerMs?: number;
  /** A peer whose message is larger is disconnected [no limit]. Not checked on `inproc://`. */
  readonly maxMessageBytes?: number;
  /** How often a silent peer is pinged, from libzmq's own thread [0: never]. */
  readonly heartbeatIntervalMs?: number;
  /** How long a pinged peer may stay silent before it is disconnected [the interval]. */
  readonly heartbeatTimeoutMs?: number;
  /** How long the peer shall wait for our pings before it disconnects us; rounded up to 0.1 s [0]. */
  readonly heartbeatTtlMs?: number;
  /** First wait before connecting again [100]; -1: never. */
  readonly reconnectMs?: number;
  /** Waits double up to this [0: no doubling]. */
  readonly reconnectMaxMs?: number;
  /** How long a ZMTP handshake may take [30000]. */
  readonly handshakeTimeoutMs?: number;
  /** How long a TCP connection may take [the system's]. */
  readonly connectTimeoutMs?: number;
  /** Queue for completed connections only: a send waits while there is none [false]. */
  readonly immediate?: boolean;
  /** Who this socket is to a ROUTER [chosen by the ROUTER]; 1 to 255 bytes. */
  readonly routingId?: string;
  /** ROUTER: sending to an unknown peer is an error [false: it is dropped]; a full one makes the send wait. */
  readonly mandatory?: boolean;
  /** ROUTER: a new connection with a known routing id takes it over [false: it is refused]. */
  readonly handover?: boolean;
  /** XPUB: pass on every subscription, also those that are there already [false]. */
  readonly verbose?: boolean;
  /** PUB and XPUB: wait for a slow subscriber [false: leave it out]. */
  readonly noDrop?: boolean;
  /** Look host names up as IPv6 too [false]; an endpoint with an IPv6 number needs it not. */
  readonly ipv6?: boolean;
  /** Connections waiting to be accepted [100]. */
  readonly backlog?: number;
  readonly curve?: CurveOptions;
  /** Whether the process stays alive while the socket is open. Default true. */
  readonly keepAlive?: boolean;
}

type NumberOption = {
  [K in keyof SocketOptions]-?: NonNullable<SocketOptions[K]> extends number | boolean ? K : never;
}[keyof SocketOptions];

const integers: Partial<Record<NumberOption, number>> = {
  sendHwm: option.sendHwm,
  receiveHwm: option.receiveHwm,
  heartbeatIntervalMs: option.heartbeatInterval,
  heartbeatTimeoutMs: option.heartbeatTimeout,
  heartbeatTtlMs: option.heartbeatTtl,
  reconnectMs: option.reconnectInterval,
  reconnectMaxMs: option.reconnectIntervalMax,
  handshakeTimeoutMs: option.handshakeInterval,
  connectTimeoutMs: option.connectTimeout,
  immediate: option.immediate,
  mandatory: option.routerMandatory,
  handover: option.routerHandover,
  verbose: option.xpubVerbose,
  noDrop: option.xpubNoDrop,
  backlog: option.backlog,
};

/** Calls `zmq_setsockopt`. */
export function setOption(native: Native, socket: Pointer, name: string, number: number, value: ArrayBufferView): void {
  if (native.zmq_setsockopt(socket, number, value, value.byteLength) !== 0) {
    const error = zmqError(`setting ${name}`, native.zmq_errno());
    throw new TypeError(`socket option ${name} is not valid here: ${error.message}`, { cause: error });
  }
}

/**
 * Applies `options` to a new socket.
 *
 * @throws {TypeError} for a value libzmq refuses.
 */
export function applyOptions(native: Native, socket: Pointer, type: SocketType, options: SocketOptions): void {
  for (const [name, number] of Object.entries(integers) as [NumberOption, number][]) {
    const value = options[name];
    if (value !== undefined) setOption(native, socket, name, number, new Int32Array([Number(value)]));
  }
  if (options.maxMessageBytes !== undefined) {
    const value = new BigInt64Array([BigInt(options.maxMessageBytes)]);
    setOption(native, socket, "maxMessageBytes", option.maxMessageBytes, value);
  }
  if (options.routingId !== undefined) {
    setOption(native, socket, "routingId", option.routingId, Buffer.from(options.routingId));
  }
  setOption(native, socket, "lingerMs", option.linger, new Int32Array([options.lingerMs ?? 0]));
  if (options.curve !== undefined) applyCurve(native, socket, type, options.curve);
}

/** Applies keys: to what is bound or connected from then on. */
export function applyCurve(native: Native, socket: Pointer, type: SocketType, curve: CurveOptions): void {
  const key = (name: keyof CurveOptions, number: number): void => {
    // 41 bytes: libzmq wants the closing zero of a Z85 key counted.
    setOption(native, socket, `curve.${name} of a ${type} socket`, number, Buffer.from(`${curve[name]}\0`));
  };
  if (curve.serverKey === undefined) {
    setOption(native, socket, "curve", option.curveServer, new Int32Array([1]));
  } else {
    key("serverKey", option.curveServerKey);
    key("publicKey", option.curvePublicKey);
  }
  key("secretKey", option.curveSecretKey);
}
