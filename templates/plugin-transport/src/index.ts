import { definePlugin } from "@soorma/core";
import { createStreamTransport, streamSupports } from "@soorma/core/streams";
import { Type } from "typebox";
import { tcpNetwork } from "./network.ts";

/** Messages over plain TCP, a connection for each peer. */
export default definePlugin({
  kind: "transport",
  name: "{{name}}",
  api: 1,
  supports: streamSupports,
  options: Type.Object(
    {
      host: Type.String({
        minLength: 1,
        default: "127.0.0.1",
        description: "Where nodes listen that are told no address.",
      }),
      retryMs: Type.Integer({ minimum: 1, default: 50, description: "How long to wait before a peer is tried again." }),
    },
    { additionalProperties: false },
  ),
  create: async ({ host, retryMs }, deps) => createStreamTransport({ network: tcpNetwork(host), retryMs }, deps),
});
