import { expect, test } from "bun:test";
import type { PlanChange, PlanLog } from "@soorma/core";
import { StateNode } from "@soorma/core/state";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";

const created = (driver: string): PlanChange => ({
  type: "plan.created",
  driver,
  origin: {
    goalId: "g",
    goalType: "x",
    goalData: null,
    traceId: "t",
    correlationId: "c",
    tenantId: "default",
    planner: "p",
  },
});
const running: PlanChange[] = [
  { type: "plan.started", tasks: [{ taskId: "t", name: "t", assignedTo: "w" }] },
  { type: "task.dispatched", taskId: "t", attempt: 1 },
];
const waiting = (pattern: string): PlanChange => ({
  type: "task.waiting",
  taskId: "t",
  attempt: 1,
  key: "w",
  on: { kind: "event", pattern },
});

const signalOf = async (log: PlanLog, planId: string): Promise<unknown> =>
  (await log.journal(planId, "t")).waits[0]?.signalled?.value;

test("an event that a task waits for is heard by the state node, also by the next one", async () => {
  await using s = await inProcessMesh({ state: false });
  const first = new StateNode({ store: s.stateStore, mesh: s.mesh() });
  await first.run();
  const { tracker } = await s.client();
  const shop = s.tool({ name: "shop", produces: ["order.paid"] });
  await shop.run();
  await tracker.append("p1", 0, [created("me"), ...running]);
  await tracker.append("p1", 3, [waiting("order.*")], { epoch: 1 });
  await shop.context.bus.publish("order.paid", { amount: 5 });
  await waitFor(async () => (await signalOf(tracker, "p1")) !== undefined);
  expect(await signalOf(tracker, "p1")).toMatchObject({
    type: "order.paid",
    data: { amount: 5 },
    source: shop.agentId,
  });
  expect((await tracker.read("p1")).at(-1)).toMatchObject({ type: "task.signalled", by: first.agentId });

  await tracker.append("p2", 0, [created("me"), ...running, waiting("order.*")]);
  await first.stop();
  await using second = new StateNode({ store: s.stateStore, mesh: s.mesh() });
  await second.run();
  await waitFor(() => second.record().consumes.some(({ type }) => type === "order.*"));
  await waitFor(async () => {
    await shop.context.bus.publish("order.paid", { amount: 6 });
    return (await signalOf(tracker, "p2")) !== undefined;
  });
  expect(await signalOf(tracker, "p2")).toMatchObject({ data: { amount: 6 } });
  expect(await signalOf(tracker, "p1")).toMatchObject({ data: { amount: 5 } });
});

test("the plans of a driver whose node is gone can be claimed at once, those of a live one not", async () => {
  await using s = await inProcessMesh();
  const gone = await s.client();
  const live = await s.client();
  const other = await s.client();
  for (const [name, { tracker }] of Object.entries({ gone, live })) {
    await tracker.lease("p", name, 60_000);
    await tracker.append(`of-${name}`, 0, [created(name), ...running]);
  }
  expect((await other.tracker.lease("p", "other")).claimable).toBe(0);
  await gone.stop();
  await waitFor(async () => (await other.tracker.lease("p", "other")).claimable === 1);
  const { plans } = await other.tracker.claim("p", "other", 10);
  expect(plans.map(({ planId, epoch }) => [planId, epoch])).toEqual([["of-gone", 2]]);
});

test("a driver hears of orders given elsewhere", async () => {
  await using s = await inProcessMesh();
  const driver = await s.client();
  const person = await s.client();
  const heard: string[] = [];
  using _heard = driver.tracker.onForeignChange("me", (planId, version) => heard.push(`${planId}@${version}`));
  await driver.tracker.lease("p", "me");
  await driver.tracker.append("p1", 0, [created("me"), ...running]);
  expect(await person.tracker.cancelPlan("p1", "enough")).toBe(true);
  await waitFor(() => heard.length > 0);
  expect(heard).toEqual(["p1@4"]);
  expect(await person.tracker.cancelPlan("p1")).toBe(false);
});
