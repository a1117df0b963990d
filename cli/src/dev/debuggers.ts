import { CommandError } from "../ui/errors.ts";

/** Where each agent's debugger listens, the same for as long as `soorma dev` runs. */
export interface Debuggers {
  /** `ws://127.0.0.1:6499/worker-1`. @throws {CommandError} `PORT_TAKEN` when all are. */
  urlOf(agent: string): string;
}

/** Bun's own default, and what debug configurations name. */
const firstPort = 6_499;
const lastPort = 65_535;

/** Hands out the first ports from 6499 up that nobody listens on. */
export function createDebuggers(from = firstPort): Debuggers {
  const given = new Map<string, string>();
  let next = from;
  return {
    urlOf(agent) {
      let url = given.get(agent);
      if (url === undefined) {
        while (next <= lastPort && !isFree(next)) next++;
        if (next > lastPort) {
          throw new CommandError(
            "PORT_TAKEN",
            `there is no free port for the debugger of "${agent}": none from ${from} to ${lastPort}`,
            { hint: "leave out --inspect, or end what listens there" },
          );
        }
        url = `ws://127.0.0.1:${next++}/${agent}`;
        given.set(agent, url);
      }
      return url;
    },
  };
}

/** For people with a browser at hand. */
export function browserUrl(url: string): string {
  return `https://debug.bun.sh/#${url.replace("ws://", "")}`;
}

function isFree(port: number): boolean {
  try {
    Bun.listen({ hostname: "127.0.0.1", port, socket: { data() {} } }).stop(true);
    return true;
  } catch {
    return false;
  }
}
