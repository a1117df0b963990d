import type { Logger } from "../log.ts";
import type { Runtime } from "../runtime.ts";

/**
 * Where a node can be reached: text that only the transport that made it reads. Others store, compare and pass it on.
 *
 * A transport also accepts the short form a person would type into a config for a well-known node
 * (`tcp://127.0.0.1:7700` for ZeroMQ): it is enough for directed messages.
 */
export type Address = string;

/** What a transport can do. Users, core and the contract suite read it; the suite skips only by it. */
export interface TransportSupports {
  /** `publish` and `send` wait while a receiver is slow, instead of dropping. */
  readonly backpressure: boolean;
  /** `onPeer` reports a killed peer by itself (a stopped one too, if `heartbeats`). */
  readonly peerEvents: boolean;
  readonly heartbeats: boolean;
  /** Nodes in other processes can be reached. */
  readonly interprocess: boolean;
  /** A subscriber has to `join` each publisher. When false, `join` resolves at once and everybody hears everybody. */
  readonly joins: boolean;
  readonly security: readonly ("none" | "curve")[];
}

export interface PeerChange {
  /** The address that was given to `link`, `send` or `join`. */
  readonly address: Address;
  readonly state: "up" | "down";
  /** For a log line: `disconnected`, `handshake failed`, `heartbeat timeout`. */
  readonly reason: string;
}

/**
 * What a node does with what arrives. The handlers are called from the transport's own turn and must not throw.
 *
 * A frame is only valid during the call: decode or copy it before returning.
 */
export interface TransportHandlers {
  /** A directed message. `from` is an address for {@link Transport.send} that reaches the sender while it is connected. */
  onMessage(frame: Uint8Array, from: Address): void;
  /**
   * Something published on a channel that matches one of this node's subscriptions, once however many match.
   * While a returned promise is pending no further event is delivered: this is how a slow subscriber slows publishers.
   */
  onEvent(frame: Uint8Array): void | Promise<void>;
  onPeer(change: PeerChange): void;
  /** `nodeId`'s subscriptions, as of the call of `join` or `subscribe` it is waiting in, are in place at this node. */
  onSubscriber(nodeId: string): void;
}

export interface TransportOpenOptions {
  /** Unique in the mesh; at most 64 characters of `[a-z0-9-]`. Peers know this node by it. */
  readonly nodeId: string;
  readonly handlers: TransportHandlers;
  /** Where to listen, in the transport's short form. Default: an address of the transport's choice on this host. */
  readonly listen?: Address;
  /** Larger frames are refused at the sender and end the connection at the receiver. */
  readonly maxFrameBytes: number;
}

export interface TransportStats {
  readonly sent: number;
  readonly received: number;
  /** Frames that were not what the protocol says. */
  readonly malformed: number;
  /** Published frames a slow subscriber did not get, after waiting for it. */
  readonly dropped: number;
  /** Sends that wait for a slow receiver now. */
  readonly waiting: number;
  /** Peers connected now. */
  readonly peers: number;
}

/**
 * Carries frames between nodes: directed messages and published events.
 *
 * Between one pair of nodes directed messages keep their order, and so do the events of one publisher.
 * A channel is dot-separated tokens, each ending in a dot (`acme.order.created.@business-facts.`); a subscription is
 * such a prefix, or empty for everything.
 */
export interface Transport extends AsyncDisposable {
  readonly supports: TransportSupports;
  /**
   * Binds, and starts receiving. Resolves with the address others reach this node at.
   *
   * @throws {SoormaError} `ADDRESS_IN_USE`, `ADDRESS_INVALID`, `TRANSPORT_UNSUPPORTED`; `TRANSPORT_CLOSED` when called
   * a second time or after `close`.
   */
  open(options: TransportOpenOptions): Promise<Address>;
  /** The node id an address belongs to, `undefined` for a short form that does not say. */
  nodeIdOf(address: Address): string | undefined;
  /**
   * Sends a directed message. Returns nothing when the transport took it, a promise while the peer is slow or being
   * connected to. The frame must not be changed until then.
   *
   * @throws {SoormaError} (as a rejection too) `PEER_UNREACHABLE` for a route whose peer is gone,
   * `MESSAGE_TOO_LARGE`, `ADDRESS_INVALID`, `TRANSPORT_CLOSED`.
   */
  send(to: Address, frame: Uint8Array): void | Promise<void>;
  /** Opens a connection to a peer and keeps it, so that `onPeer` tells of its life. Linking again does nothing. */
  link(address: Address): void;
  /** Closes the connection that `link` or `send` opened. Frames not handed over yet are dropped. */
  unlink(address: Address): void;
  /** Publishes to all joined subscribers. Returns a promise while a subscriber is slow. */
  publish(channel: string, frame: Uint8Array): void | Promise<void>;
  /** Resolves when every publisher joined has the subscription (or went away). */
  subscribe(prefix: string, options?: { signal?: AbortSignal }): Promise<void>;
  unsubscribe(prefix: string): void;
  /**
   * Starts hearing what the node at `address` publishes. Resolves when all subscriptions of this node are in place
   * there, so that whatever is published from now on arrives. Joining again waits for the same.
   *
   * @throws {SoormaError} `PEER_UNREACHABLE` when the peer goes down meanwhile; the signal's reason when it aborts.
   * The transport goes on trying to connect in the background until `leave`.
   */
  join(address: Address, options?: { signal?: AbortSignal }): Promise<void>;
  leave(address: Address): void;
  stats(): TransportStats;
  /** Sends what was handed over (for at most a second), closes every socket. A second call waits for the first. */
  close(): Promise<void>;
}

/** What a transport plugin's `create` is handed. */
export interface TransportDeps {
  readonly log: Logger;
  readonly runtime: Runtime;
}
