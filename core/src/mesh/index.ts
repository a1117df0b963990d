/** What takes part in a mesh without being an agent needs: a broker, a registry, a test. */
export { type Codec, createCodec } from "../events/codec.ts";
export { askStats, type NodeStats, type ProcessUsage, statsMethod } from "./node-stats.ts";
export { createPeerRpc, type PeerRpc, type PeerRpcOptions, type RpcStats } from "./peer-rpc.ts";
export { Wakefulness, type WakefulnessOptions } from "./wakefulness.ts";
