import { definePlugin } from "@soorma/core";
import { Type } from "@soorma/core/schema";
import { supports, zeromq } from "./transport.ts";

const milliseconds = (description: string, defaultMs: number) =>
  Type.Integer({ minimum: 1, maximum: 3_600_000, default: defaultMs, description });
const key = (description: string) => Type.Optional(Type.String({ minLength: 40, maxLength: 40, description }));

/** Brokerless messaging over libzmq: `ipc://` between processes of one host, `tcp://` between hosts. */
const zeromqPlugin = definePlugin({
  kind: "transport",
  name: "zeromq",
  api: 1,
  supports,
  options: Type.Object(
    {
      dir: Type.Optional(
        Type.String({
          minLength: 1,
          description: "Folder of the unix sockets. Default: soorma-<uid> in $XDG_RUNTIME_DIR or the temporary folder.",
        }),
      ),
      ipc: Type.Boolean({ default: true, description: "Listen at a unix socket, for peers on this host." }),
      tcp: Type.Boolean({
        default: false,
        description: "Listen at a TCP port too; a tcp:// listen address does so anyway.",
      }),
      host: Type.String({ default: "127.0.0.1", description: "Where to listen when `tcp` is set." }),
      advertiseHost: Type.Optional(
        Type.String({
          minLength: 1,
          description: "The host others connect to. Default: the one listened at, or the host's name.",
        }),
      ),
      hwm: Type.Integer({
        minimum: 1,
        default: 1000,
        description: "Messages that wait for a slow peer, on each side, before senders wait.",
      }),
      heartbeatMs: milliseconds("How often a silent peer is asked whether it lives.", 200),
      heartbeatTimeoutMs: milliseconds("How long it may take to answer before it is down.", 700),
      connectTimeoutMs: milliseconds("How long a connection and its first answer may take.", 2000),
      reconnectMs: milliseconds("First wait before a lost connection is tried again; doubles.", 50),
      reconnectMaxMs: milliseconds("Longest wait before a lost connection is tried again.", 1000),
      slowSubscriberMs: milliseconds(
        "How long publishing waits for a slow subscriber before it loses the event.",
        1000,
      ),
      security: Type.Union([Type.Literal("none"), Type.Literal("curve")], { default: "none" }),
      publicKey: key("CURVE public key, 40 characters of Z85."),
      secretKey: key("CURVE secret key, 40 characters of Z85."),
    },
    { additionalProperties: false },
  ),
  async create(options, deps) {
    return zeromq(options, deps);
  },
});

export default zeromqPlugin;
