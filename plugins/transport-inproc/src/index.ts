import { definePlugin } from "@soorma/core";
import { Type } from "@soorma/core/schema";
import { createHub, type Hub } from "./hub.ts";
import { inproc, supports } from "./transport.ts";

export { createHub, type Hub, type HubOptions, type Nodes } from "./hub.ts";
export type { LinkFaults } from "./pipe.ts";
export { type InprocOptions, inproc } from "./transport.ts";

/** Without a `hub` each transport is on a network of its own, where it can reach only itself. */
const inprocPlugin = definePlugin({
  kind: "transport",
  name: "inproc",
  api: 1,
  supports,
  options: Type.Object(
    {
      hub: Type.Optional(
        Type.Unsafe<Hub>({
          description: "The network made by createHub() that the transport is on. Default: its own.",
        }),
      ),
    },
    { additionalProperties: false },
  ),
  async create({ hub }, { runtime }) {
    return inproc(hub ?? createHub({ runtime }));
  },
});

export default inprocPlugin;
