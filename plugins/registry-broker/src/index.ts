import { definePlugin } from "@soorma/core";
import { Type } from "@soorma/core/schema";
import { createBrokerRegistry, supports } from "./backend.ts";

/** A client of the discovery broker, over the mesh's own transport. */
const brokerPlugin = definePlugin({
  kind: "registry",
  name: "broker",
  api: 1,
  supports,
  options: Type.Object(
    {
      address: Type.String({
        minLength: 1,
        description: "Where the broker listens, in the transport's short form: tcp://127.0.0.1:7700.",
      }),
      timeoutMs: Type.Integer({
        minimum: 1,
        default: 5_000,
        description: "How long a call goes on trying while the broker is away. Milliseconds.",
      }),
      checkMs: Type.Integer({
        minimum: 10,
        default: 2_000,
        description: "How often a watch makes sure that it missed nothing. Milliseconds.",
      }),
    },
    { additionalProperties: false },
  ),
  async create(options, deps) {
    return createBrokerRegistry(options, deps);
  },
});

export default brokerPlugin;
