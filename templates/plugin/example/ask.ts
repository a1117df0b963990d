import { Client } from "soorma";

await using client = await Client.connect();
const greeter = await client.registry.find("greeting");
if (!greeter) throw new Error("nobody greets: is `bun run dev` running?");

console.log(await greeter.invoke("greet", { name: process.argv[2] ?? "world" }));
