import { expect, test } from "bun:test";
import type { PlanChange, PlanLog } from "@soorma/core";
import { StateNode } from "@soorma/core/state";
import type { Store } from "@soorma/core/store";
import { planOrigin, waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";

const created = (driver: string): PlanChange => ({
  type: "plan.created",
  driver,
  origin: planOrigin({ tenantId: "default" }),
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

test("one state node serves every tenant, and keeps them apart", async () => {
  await using s = await inProcessMesh();
  const own = await s.client();
  const acme = await s.client({ mesh: s.mesh({ tenantId: "acme" }) });
  await own.memory.store("key", "ours");
  expect(await acme.memory.retrieve("key")).toBeUndefined();
  await acme.memory.store("key", "theirs");
  expect(await own.memory.retrieve("key")).toBe("ours");
  expect((await acme.memory.list("")).map(({ value }) => value)).toEqual(["theirs"]);
  expect((await acme.registry.findAll("soorma.state")).length).toBe(0);
});

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

test("how often expired memory is removed, and how much of the plans stays in memory, are its options", async () => {
  await using s = await inProcessMesh({ state: false });
  let ranges = 0;
  const store: Store = {
    ...s.stateStore,
    transact: (body) =>
      s.stateStore.transact((tx) =>
        body({
          losses: tx.losses,
          get: (key) => tx.get(key),
          put: (key, value) => tx.put(key, value),
          putLater: (key, make) => tx.putLater(key, make),
          delete: (key) => tx.delete(key),
          range(options) {
            if (!["memx", "memox"].includes(String(options.prefix[0]))) ranges++;
            return tx.range(options);
          },
        }),
      ),
  };
  const entries = (): number => [...s.stateStore.range({ prefix: ["mem"] })].length;
  const run = async (options: { sweepMs: number; cacheBytes: number }, planId: string): Promise<number> => {
    await using node = new StateNode({ store, mesh: s.mesh(), ...options });
    await node.run();
    const client = await s.client();
    await client.memory.store(planId, "x", { ttlMs: 1 });
    await client.tracker.append(planId, 0, [created("me"), ...running]);
    // Another plan in between: what was used last is in memory whatever the limit.
    await client.tracker.append(`${planId}-b`, 0, [created("me"), ...running]);
    ranges = 0;
    await client.tracker.append(planId, 3, [waiting("order.*")], { epoch: 1 });
    const read = ranges;
    if (options.sweepMs < 1_000) await waitFor(() => entries() === 0, { timeoutMs: 900 });
    else expect(entries()).toBe(1);
    return read;
  };
  expect(await run({ sweepMs: 60_000, cacheBytes: 1_000_000 }, "p1")).toBe(0);
  expect(await run({ sweepMs: 20, cacheBytes: 0 }, "p2")).toBeGreaterThan(0);
});
