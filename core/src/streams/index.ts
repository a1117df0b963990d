/** Transports over connections that carry bytes in order: a plugin brings the network, everything else is here. */
export { bunSocketHandlers } from "./bun-sockets.ts";
export type { Stream, StreamAccept, StreamHandler, StreamListener, StreamNetwork } from "./network.ts";
export { createStreamTransport, type StreamTransportOptions, streamSupports } from "./transport.ts";
