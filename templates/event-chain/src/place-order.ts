import { Client } from "soorma";
import { orderCompleted, orderPlaced, paymentFailed } from "./events.ts";

// Places an order and prints what it leads to, each event under the one that caused it. Needs `bun run dev` beside it.
const amount = Number(process.argv[2] ?? 20);
const orderId = crypto.randomUUID().slice(0, 8);

await using client = await Client.connect();
const depths = new Map<string, number>();
const over = Promise.withResolvers<void>();
await client.bus.subscribe(">", ({ id, parentId, traceId, type, data }) => {
  if (data?.orderId !== orderId) return;
  const depth = (depths.get(parentId ?? "") ?? -1) + 1;
  depths.set(id, depth);
  console.log(`${"  ".repeat(depth)}${type}  trace ${traceId}`);
  if (type === orderCompleted.name || type === paymentFailed.name) over.resolve();
});
await client.bus.publish(orderPlaced, { orderId, amount });
await over.promise;
