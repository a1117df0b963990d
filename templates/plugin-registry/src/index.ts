import { definePlugin } from "@soorma/core";
import { Type } from "typebox";
import { openRegistry, supports } from "./registry.ts";

/** A directory of agents in a SQLite file that the processes of one host share. */
export default definePlugin({
  kind: "registry",
  name: "{{name}}",
  api: 1,
  supports,
  options: Type.Object(
    {
      file: Type.String({ minLength: 1, default: ".soorma/registry.sqlite" }),
      timeoutMs: Type.Integer({ minimum: 1, default: 2_000, description: "How long a call waits for the file." }),
      pollMs: Type.Integer({ minimum: 1, default: 200, description: "How often a watch looks for changes." }),
    },
    { additionalProperties: false },
  ),
  create: openRegistry,
});
