import { silentLogger, systemRuntime } from "@soorma/core";
import { transportContract } from "@soorma/core/testing";
import plugin from "./index.ts";

/** A port that is free now. */
function freePort(): number {
  const listener = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  listener.stop(true);
  return listener.port;
}

transportContract(plugin, {
  make: () => plugin.create({ host: "127.0.0.1", retryMs: 10 }, { log: silentLogger, runtime: systemRuntime }),
  freeAddress: () => `tcp://127.0.0.1:${freePort()}`,
});
