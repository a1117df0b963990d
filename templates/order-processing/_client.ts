import { Client } from "soorma";
import { placeOrder } from "./order.ts";

// An app that is no agent: submits a goal, follows its progress, prints the answer. Needs `bun run dev` beside it.
await using client = await Client.connect();
const address = process.argv[2] ?? "Bee Street 1";

const run = await client.submitGoal(placeOrder, { items: [{ sku: "tea", quantity: 2 }], card: "4242", address });
for await (const progress of run.progress()) console.error(`${Math.round(progress.fraction * 100)} %`);
console.log(await run.result());
