import type { Address } from "../plugin/transport.ts";

export interface CallOptions {
  /** Milliseconds from the call to its deadline. Default 5_000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

/** Who sent a call or note. */
export interface RpcPeer {
  /** Valid for `call` and `notify` back while the peer is connected. */
  readonly address: Address;
  /** The sender's node id as the transport knows it, not as the message claims. */
  readonly nodeId: string;
}

export interface RpcCall<Params = unknown> {
  readonly params: Params;
  readonly peer: RpcPeer;
  /** Aborts when the deadline passed or the caller gave up. */
  readonly signal: AbortSignal;
}

/**
 * Calls with an answer, and notes without one, between two nodes.
 *
 * Whatever a handler throws is the caller's rejection, as a `SoormaError` with the same code and message.
 */
export interface Rpc {
  /**
   * @throws {SoormaError} `TIMEOUT` naming peer, method and milliseconds; `PEER_UNREACHABLE` as soon as the peer's
   * connection is lost; `METHOD_UNKNOWN`; `NODE_STOPPED`; what the handler failed with.
   */
  call<Result = unknown>(to: Address, method: string, params: unknown, options?: CallOptions): Promise<Result>;
  /** Resolves when the transport took it. It may still be lost. */
  notify(to: Address, method: string, params: unknown): Promise<void>;
  /** Answers `method`. One handler a method; disposing takes it away. */
  handle<Params = unknown>(method: string, handler: (call: RpcCall<Params>) => unknown): Disposable;
  /** Called when a linked or called peer appears or is lost; disposing ends it. */
  onPeer(listener: (address: Address, state: "up" | "down", reason: string) => void): Disposable;
  /** Keeps a connection to a peer so that `onPeer` tells of its life; disposing releases it. */
  link(address: Address): Disposable;
  /** This node's own address and id. */
  readonly address: Address;
  readonly nodeId: string;
}
