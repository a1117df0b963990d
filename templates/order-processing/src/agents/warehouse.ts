import { NonRetryableError, Worker } from "soorma";
import { priceOf, reserve, ship } from "../order.ts";

const worker = new Worker({ name: "{{name}}-warehouse", description: "Reserves, releases and ships items" });

worker.onTask(reserve, async (task, { memory }) => {
  const { sku, quantity } = task.data;
  const amount = priceOf(task.data);
  if (amount === undefined) throw new NonRetryableError(`there is no ${sku}`); // trying again would not help
  // A task may run twice, after a crash say. The same key makes that as good as once.
  await memory.store(`reserved:${task.planId}:${sku}`, quantity);
  return { sku, amount };
});

// Takes `reserve` back: gets what that was given and what it returned.
worker.onTask("release", async (task, { memory }) => {
  await memory.delete(`reserved:${task.planId}:${task.data.result.sku}`);
});

worker.onTask(ship, (task) => {
  if (task.data.address === "nowhere") throw new NonRetryableError("nobody delivers to nowhere");
  return `parcel to ${task.data.address}`;
});

await worker.run();
