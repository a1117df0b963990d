import { SoormaError } from "@soorma/core";
import type { StreamAccept, StreamHandler, StreamNetwork } from "@soorma/core/streams";
import type { Socket } from "bun";

/** How nodes reach each other: at `tcp://127.0.0.1:7411`. */
export function tcpNetwork(defaultHost: string): StreamNetwork {
  return {
    check: parse,
    async listen(address, accept) {
      const { hostname, port } = address === undefined ? { hostname: defaultHost, port: 0 } : parse(address);
      try {
        const listener = Bun.listen({ hostname, port, socket: eventsFor(accept) });
        const name = hostname.includes(":") ? `[${hostname}]` : hostname;
        return { address: `tcp://${name}:${listener.port}`, stop: () => listener.stop() };
      } catch (cause) {
        throw new SoormaError("ADDRESS_IN_USE", `nobody can listen at ${hostname}:${port}`, { cause });
      }
    },
    async connect(address, accept) {
      await Bun.connect({ ...parse(address), socket: { ...eventsFor(accept), connectError() {} } });
    },
  };
}

const pattern = /^tcp:\/\/([\w.-]+|\[[\da-fA-F:]+\]):(\d{1,5})$/;

function parse(address: string): { hostname: string; port: number } {
  const [, host, port] = pattern.exec(address) ?? [];
  if (host !== undefined) return { hostname: host.replace(/[[\]]/g, ""), port: Number(port) };
  throw new SoormaError("ADDRESS_INVALID", `"${address}" is no address of this transport`, {
    hint: "write it like tcp://127.0.0.1:7411",
  });
}

type Connection = Socket<StreamHandler | undefined>;

/** A socket of Bun is a stream as it is: what its `write` does not take, it wants again after `drain`. */
function eventsFor(accept: StreamAccept) {
  return {
    open(socket: Connection) {
      socket.data = accept(socket);
    },
    data: ({ data }: Connection, bytes: Uint8Array) => data?.read(bytes),
    drain: ({ data }: Connection) => data?.drain(),
    close: ({ data }: Connection) => data?.closed(),
    error: ({ data }: Connection) => data?.closed(),
  };
}
