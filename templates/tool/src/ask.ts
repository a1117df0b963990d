import { Client } from "soorma";

// Asks the tool, as an agent would: finds it by what it can do, then invokes it.
await using client = await Client.connect();
const tool = await client.registry.find("{{capability}}");
if (!tool) throw new Error("nobody can do {{capability}}: is `bun run dev` running?");

const expression = process.argv[2] ?? "2 * (3 + 4)";
console.log(await tool.invoke("calculate", { expression }));
