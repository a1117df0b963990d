import { Worker } from "soorma";
import { orderCompleted, paymentCompleted } from "../events.ts";

const agent = new Worker({
  name: "{{name}}-fulfilment",
  description: "Completes what is paid",
  produces: [orderCompleted],
});

agent.onEvent(paymentCompleted, async ({ data: { orderId } }, { bus, memory }) => {
  await memory.store(`completed:${orderId}`, true);
  await bus.publish(orderCompleted, { orderId });
});

await agent.run();
