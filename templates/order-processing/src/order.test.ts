import { expect, test } from "bun:test";
import { delayed, testMesh } from "soorma/testing";
import { placeOrder } from "./order.ts";

// The agents' files run as they are, in a mesh of this process and in virtual time.
const agents = ["planner", "warehouse", "payments"];
const items = [
  { sku: "tea", quantity: 2 },
  { sku: "cup", quantity: 1 },
];

test("every item is reserved, the sum is charged, and the parcel and the invoice are on their way", async () => {
  await using mesh = await testMesh({ agents });
  const answer = await mesh.goal(placeOrder, { items, card: "4242", address: "Bee Street 1" });
  expect(answer).toMatchObject({ paid: 20, parcel: "parcel to Bee Street 1" });
  expect(await mesh.memory.list("reserved:")).toHaveLength(2);
});

test("what cannot be shipped is refunded and released again, in reverse order", async () => {
  await using mesh = await testMesh({ agents });
  await expect(mesh.goal(placeOrder, { items, card: "4242", address: "nowhere" })).rejects.toThrow("nobody delivers");
  const undone = mesh.calls.map(({ assignedTo }) => assignedTo).slice(-3);
  expect(undone).toEqual(["refund", "release", "release"]);
  expect(await mesh.memory.list("")).toEqual([]);
});

test("a card that is refused releases what was reserved, and nothing is shipped", async () => {
  await using mesh = await testMesh({ agents });
  await expect(mesh.goal(placeOrder, { items, card: "expired", address: "x" })).rejects.toThrow("has expired");
  expect(mesh.callsTo("release")).toHaveLength(2);
  expect(mesh.callsTo("ship")).toEqual([]);
});

test("a crash while the card is charged charges it once", async () => {
  await using mesh = await testMesh({ agents: ["planner", "payments"] });
  mesh.stub("reserve", delayed(1_000, { sku: "tea", amount: 4 }));
  mesh.stub("ship", delayed(5_000, "parcel"));
  const answer = mesh.goal(placeOrder, { items, card: "4242", address: "x" });
  await mesh.until(() => mesh.callsTo("charge").length > 0);
  mesh.crash("payments");
  await mesh.restart("payments");
  expect(await answer).toMatchObject({ paid: 8, parcel: "parcel" });
  expect(mesh.callsTo("charge").map(({ status }) => status)).toEqual(["lost", "done"]);
  expect(await mesh.memory.list("paid:")).toHaveLength(1);
});
