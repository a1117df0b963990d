import { Client } from "soorma";

// An app that is no agent: finds the tool by what it can do, then invokes it. Needs `bun run dev` beside it.
await using client = await Client.connect();
const tool = await client.registry.find("{{capability}}");
if (!tool) throw new Error("nobody can do {{capability}}: is `bun run dev` running?");

const expression = process.argv[2] ?? "2 * (3 + 4)";
console.log(await tool.invoke("calculate", { expression }));
