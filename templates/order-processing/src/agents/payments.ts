import { NonRetryableError, type Static, Worker } from "soorma";
import { charge, invoice, type Reservation } from "../order.ts";

const worker = new Worker({ name: "{{name}}-payments", description: "Charges, refunds and writes invoices" });

worker.onTask(charge, async (task, { memory }) => {
  if (task.data.card === "expired") throw new NonRetryableError("the card has expired");
  const reserved = task.inputs.reserve as Static<typeof Reservation>[]; // of every item, in their order
  const amount = reserved.reduce((sum, item) => sum + item.amount, 0);
  // A step that is done is in the plan's log: if this worker crashes after it, the next attempt does not charge again.
  const receipt = await task.step("charge", () => `receipt-${task.planId}`);
  await memory.store(`paid:${task.planId}`, { receipt, amount });
  return { receipt, amount };
});

worker.onTask("refund", async (task, { memory }) => {
  await memory.delete(`paid:${task.planId}`);
});

worker.onTask(invoice, (task) => `invoice for ${task.inputs.charge.receipt}`);

await worker.run();
