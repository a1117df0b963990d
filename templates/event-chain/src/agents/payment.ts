import { Worker } from "soorma";
import { inventoryReserved, paymentCompleted, paymentFailed } from "../events.ts";

const limit = 1_000;

const agent = new Worker({
  name: "{{name}}-payment",
  description: "Takes the money for what is reserved",
  produces: [paymentCompleted, paymentFailed],
});

agent.onEvent(inventoryReserved, async ({ data: { orderId, amount } }, { bus }) => {
  if (amount <= limit) await bus.publish(paymentCompleted, { orderId, amount });
  else await bus.publish(paymentFailed, { orderId, reason: `${amount} is more than ${limit}` });
});

await agent.run();
