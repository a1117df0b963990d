import { defineConfig } from "soorma/config";

// `bun run dev` runs the example on this plugin. The broker has to be found, so its address is a fixed one.
export default defineConfig({
  agents: { greeter: "example/greeter.ts" },
  mesh: { address: "tcp://127.0.0.1:7411" },
  plugins: { transport: "./src/index.ts" },
});
