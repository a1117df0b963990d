import { Tool } from "soorma";

// An agent on a mesh with this plugin, to try it with: `bun run dev`, and `bun run ask` in another terminal.
const tool = new Tool({ name: "greeter", description: "Greets", capabilities: ["greeting"] });

tool.onInvoke("greet", async (request) => ({ greeting: `Hello, ${request.data.name}!` }));

await tool.run();
