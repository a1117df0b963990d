import { SoormaError } from "@soorma/core";
import { bunSocketHandlers, type StreamNetwork } from "@soorma/core/streams";

/** How nodes reach each other: at `tcp://127.0.0.1:7411`. */
export function tcpNetwork(defaultHost: string): StreamNetwork {
  return {
    check: parse,
    async listen(address, accept) {
      const { hostname, port } = address === undefined ? { hostname: defaultHost, port: 0 } : parse(address);
      try {
        const listener = Bun.listen({ hostname, port, socket: bunSocketHandlers(accept) });
        const name = hostname.includes(":") ? `[${hostname}]` : hostname;
        return { address: `tcp://${name}:${listener.port}`, stop: () => listener.stop() };
      } catch (cause) {
        throw new SoormaError("ADDRESS_IN_USE", `nobody can listen at ${hostname}:${port}`, { cause });
      }
    },
    async connect(address, accept) {
      await Bun.connect({ ...parse(address), socket: bunSocketHandlers(accept) });
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
