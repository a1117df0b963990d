import { defineConfig } from "soorma/config";

// `bun run dev` runs the example on this plugin. With another registry than its own, Soorma needs no broker.
export default defineConfig({
  agents: { greeter: "example/greeter.ts" },
  plugins: { registry: "./src/index.ts" },
});
