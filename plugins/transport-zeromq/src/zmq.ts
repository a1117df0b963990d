import { constants } from "node:os";
import { type ErrorCode, SoormaError } from "@soorma/core";

/** Numbers of zmq.h (libzmq 4.3). */
export const socketTypes = {
  pair: 0,
  pub: 1,
  sub: 2,
  req: 3,
  rep: 4,
  dealer: 5,
  router: 6,
  pull: 7,
  push: 8,
  xpub: 9,
  xsub: 10,
} as const;

export type SocketType = keyof typeof socketTypes;

export const option = {
  routingId: 5,
  subscribe: 6,
  unsubscribe: 7,
  sendBufferBytes: 11,
  receiveBufferBytes: 12,
  fd: 14,
  events: 15,
  linger: 17,
  reconnectInterval: 18,
  backlog: 19,
  reconnectIntervalMax: 21,
  maxMessageBytes: 22,
  sendHwm: 23,
  receiveHwm: 24,
  lastEndpoint: 32,
  routerMandatory: 33,
  immediate: 39,
  xpubVerbose: 40,
  ipv6: 42,
  curveServer: 47,
  curvePublicKey: 48,
  curveSecretKey: 49,
  curveServerKey: 50,
  routerHandover: 56,
  handshakeInterval: 66,
  xpubNoDrop: 69,
  heartbeatInterval: 75,
  heartbeatTtl: 76,
  heartbeatTimeout: 77,
  connectTimeout: 79,
} as const;

export const contextOption = { maxSockets: 2 } as const;

export const flag = { dontWait: 1, sendMore: 2 } as const;

export const pollIn = 1;

/** `ZMQ_EVENT_*` bits with the names this package uses for them. */
export const monitorEvents = {
  connected: 0x1,
  connectDelayed: 0x2,
  connectRetried: 0x4,
  listening: 0x8,
  bindFailed: 0x10,
  accepted: 0x20,
  acceptFailed: 0x40,
  closed: 0x80,
  closeFailed: 0x100,
  disconnected: 0x200,
  stopped: 0x400,
  handshakeFailed: 0x800,
  handshakeSucceeded: 0x1000,
  handshakeFailedProtocol: 0x2000,
  handshakeFailedAuth: 0x4000,
} as const;

export type MonitorEventName = keyof typeof monitorEvents;

const hausnumero = 156384712;
const { errno: os } = constants;

/** What `zmq_errno` returns; the system's own numbers differ between Linux and macOS. */
export const errno = {
  interrupted: os.EINTR,
  again: os.EAGAIN,
  hostUnreachable: os.EHOSTUNREACH,
  inUse: os.EADDRINUSE,
  notAvailable: os.EADDRNOTAVAIL,
  invalid: os.EINVAL,
  noDevice: os.ENODEV,
  noEntry: os.ENOENT,
  noProtocol: os.EPROTONOSUPPORT,
  notSocket: os.ENOTSOCK,
  tooManyFiles: os.EMFILE,
  noMemory: os.ENOMEM,
  access: os.EACCES,
  wrongState: hausnumero + 51,
  incompatible: hausnumero + 52,
  terminated: hausnumero + 53,
} as const;

const names = new Map<number, string>([
  ...Object.entries(os).map(([name, number]): [number, string] => [number, name]),
  [errno.wrongState, "EFSM"],
  [errno.incompatible, "ENOCOMPATPROTO"],
  [errno.terminated, "ETERM"],
]);

/** `EADDRINUSE` for a number of `zmq_errno`. */
function errnoName(number: number): string {
  return names.get(number) ?? `errno ${number}`;
}

const codes = new Map<number, ErrorCode>([
  [errno.hostUnreachable, "PEER_UNREACHABLE"],
  [errno.inUse, "ADDRESS_IN_USE"],
  [errno.terminated, "TRANSPORT_CLOSED"],
  [errno.notSocket, "TRANSPORT_CLOSED"],
  [errno.tooManyFiles, "TRANSPORT_UNSUPPORTED"],
  [errno.noMemory, "TRANSPORT_UNSUPPORTED"],
]);

/** The error for a failed libzmq call: `what` says what was attempted on what. */
export function zmqError(what: string, number: number): SoormaError {
  const name = errnoName(number);
  const hint =
    number === errno.tooManyFiles ? "Raise the limit of open files (ulimit -n) or open fewer sockets." : undefined;
  return new SoormaError(codes.get(number) ?? "ADDRESS_INVALID", `${what} failed with ${name}`, {
    details: { errno: name },
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A C string. */
export function cString(text: string): Uint8Array {
  return Buffer.from(`${text}\0`);
}
