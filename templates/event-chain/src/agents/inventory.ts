import { Worker } from "soorma";
import { inventoryReserved, orderPlaced, paymentFailed } from "../events.ts";

const agent = new Worker({
  name: "{{name}}-inventory",
  description: "Reserves what is ordered",
  produces: [inventoryReserved],
});

agent.onEvent(orderPlaced, async ({ data }, { bus, memory }) => {
  await memory.store(`reserved:${data.orderId}`, data);
  // Belongs to the event being handled: same trace, with that as its parent.
  await bus.publish(inventoryReserved, data);
});

// Choreography has no planner to take things back: whoever did something listens for what makes it void.
agent.onEvent(paymentFailed, async ({ data }, { memory }) => {
  await memory.delete(`reserved:${data.orderId}`);
});

await agent.run();
