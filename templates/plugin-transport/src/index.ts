import { definePlugin } from "@soorma/core";
import { Type } from "typebox";
import { supports, TcpTransport } from "./transport.ts";

/** Messages over plain TCP, a connection for each peer. */
export default definePlugin({
  kind: "transport",
  name: "{{name}}",
  api: 1,
  supports,
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
  create: async (options, deps) => new TcpTransport(options, deps),
});
