import { expect, test } from "bun:test";
import { fakeRuntime, memoryPlanLog } from "../../testing/index.ts";
import { changes } from "../../testing/plan-changes.ts";
import { ConfirmedLog } from "./confirmed-log.ts";

const created = changes.created({}, "planner-1");

test("a plan is confirmed by what its log took from the planner, as of when that was asked", async () => {
  const runtime = fakeRuntime();
  const plain = memoryPlanLog({ runtime }).as("planner-1");
  const gate = Promise.withResolvers<void>();
  const append: typeof plain.append = async (...params) => {
    await gate.promise;
    return await plain.append(...params);
  };
  const confirmed = new ConfirmedLog({ ...plain, append }, runtime);
  expect(confirmed.unconfirmedMs("p")).toBe(Number.POSITIVE_INFINITY);
  const asked = confirmed.log.append("p", 0, [created]);
  await runtime.advance(3_000);
  expect(confirmed.unconfirmedMs("p")).toBe(Number.POSITIVE_INFINITY);
  gate.resolve();
  await asked;
  expect(confirmed.unconfirmedMs("p")).toBe(3_000);
  // A refusal confirms nothing.
  await confirmed.log.append("p", 5, [{ type: "plan.resumed" }]).catch(() => {});
  expect(confirmed.unconfirmedMs("p")).toBe(3_000);
});

test("neither a lease nor another plan confirms a plan: others may have taken it over meanwhile", async () => {
  const runtime = fakeRuntime();
  const confirmed = new ConfirmedLog(memoryPlanLog({ runtime }).as("planner-1"), runtime);
  await confirmed.log.append("p", 0, [created]);
  await runtime.advance(5_000);
  await confirmed.log.lease("planner", "planner-1", 10_000);
  await confirmed.log.append("q", 0, [created]);
  expect([confirmed.unconfirmedMs("p"), confirmed.unconfirmedMs("q")]).toEqual([5_000, 0]);
});

test("plans that changed long ago are forgotten, and then not confirmed", async () => {
  const runtime = fakeRuntime();
  const plain = memoryPlanLog({ runtime }).as("planner-1");
  const confirmed = new ConfirmedLog({ ...plain, append: async () => 1 }, runtime);
  for (let i = 0; i <= 4_096; i++) await confirmed.log.append(`p${i}`, 0, []);
  expect([confirmed.unconfirmedMs("p0"), confirmed.unconfirmedMs("p1")]).toEqual([Number.POSITIVE_INFINITY, 0]);
});
