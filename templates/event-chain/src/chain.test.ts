import { expect, test } from "bun:test";
import { testMesh } from "soorma/testing";
import { orderCompleted, orderPlaced, paymentFailed } from "./events.ts";

// The agents' files run as they are, in a mesh of this process and in virtual time.
const agents = ["inventory", "payment", "fulfilment"];

test("a placed order is completed, each event caused by the one before, in one trace", async () => {
  await using mesh = await testMesh({ agents });
  await mesh.publish(orderPlaced, { orderId: "o-1", amount: 20 });
  await mesh.event(orderCompleted);

  const chain = ["order.placed", "inventory.reserved", "payment.completed", "order.completed"];
  expect(mesh.events.map(({ type }) => type)).toEqual(chain);
  expect(new Set(mesh.events.map(({ traceId }) => traceId)).size).toBe(1);
  expect(mesh.events.slice(1).map(({ parentId }) => parentId)).toEqual(mesh.events.slice(0, -1).map(({ id }) => id));
});

test("what cannot be paid is not reserved any more", async () => {
  await using mesh = await testMesh({ agents });
  await mesh.publish(orderPlaced, { orderId: "o-2", amount: 5_000 });
  expect((await mesh.event(paymentFailed)).data.reason).toBe("5000 is more than 1000");
  await mesh.settle();
  expect(await mesh.memory.list("")).toEqual([]);
});
