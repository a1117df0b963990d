import type { Socket, SocketHandler } from "bun";
import type { StreamAccept, StreamHandler } from "./network.ts";

type Connection = Socket<StreamHandler | undefined>;

/**
 * What `Bun.listen` and `Bun.connect` take as `socket`, for TCP, TLS and Unix sockets. A socket of Bun is a stream as it is:
 * its `write` says how much it took, and what is left goes on after `drain`.
 */
export function bunSocketHandlers(accept: StreamAccept): SocketHandler<StreamHandler | undefined> {
  const closed = ({ data }: Connection): void => data?.closed();
  return {
    open(socket) {
      socket.data = accept(socket);
    },
    data: ({ data }, bytes) => data?.read(bytes),
    drain: ({ data }) => data?.drain(),
    close: closed,
    error: closed,
    // The promise of `Bun.connect` tells of it.
    connectError() {},
  };
}
