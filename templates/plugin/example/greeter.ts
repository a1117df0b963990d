import { Tool } from "soorma";

// An agent on a mesh with this plugin, to try it with: `bun run dev`, and in another terminal
// `bunx soorma call greeting greet '{"name":"you"}'`.
const tool = new Tool({ name: "greeter", description: "Greets", capabilities: ["greeting"] });

tool.onInvoke("greet", async (request) => ({ greeting: `Hello, ${request.data.name}!` }));

await tool.run();
