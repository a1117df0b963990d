import type { Address, PeerChange } from "../plugin/transport.ts";
import type { Runtime } from "../runtime.ts";
import type { StreamNetwork } from "./network.ts";

/** What a connection needs of the transport it belongs to. */
export interface Host {
  readonly network: StreamNetwork;
  readonly runtime: Runtime;
  readonly nodeId: string;
  readonly maxFrameBytes: number;
  readonly retryMs: number;
  /** This node's subscriptions; live. */
  readonly prefixes: ReadonlySet<string>;
  /** `content` is only valid during the call, here and below. */
  onMessage(content: Uint8Array, from: Address): void;
  onEvent(content: Uint8Array): void;
  onPeer(change: PeerChange): void;
  onSubscriber(nodeId: string): void;
}
