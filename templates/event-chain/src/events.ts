import { defineEvent, Type } from "soorma";

const orderId = Type.String({ minLength: 1 });
const amount = Type.Number({ minimum: 0 });

// What the agents tell each other. Who publishes an event does not know who takes it.
export const orderPlaced = defineEvent({ name: "order.placed", data: Type.Object({ orderId, amount }) });
export const inventoryReserved = defineEvent({
  name: "inventory.reserved",
  data: Type.Object({ orderId, amount }),
});
export const paymentCompleted = defineEvent({ name: "payment.completed", data: Type.Object({ orderId, amount }) });
export const paymentFailed = defineEvent({
  name: "payment.failed",
  data: Type.Object({ orderId, reason: Type.String() }),
});
export const orderCompleted = defineEvent({ name: "order.completed", data: Type.Object({ orderId }) });
