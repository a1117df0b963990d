import { expect, test } from "bun:test";
import { fakeRuntime, memoryPlanLog } from "../../testing/index.ts";
import { ConfirmedLog } from "./confirmed-log.ts";

test("a planner is confirmed by what the log took from it, as of when it asked", async () => {
  const runtime = fakeRuntime();
  const plain = memoryPlanLog({ runtime }).as("planner-1");
  const gate = Promise.withResolvers<void>();
  const lease = async (...params: Parameters<typeof plain.lease>) => {
    await gate.promise;
    return await plain.lease(...params);
  };
  const confirmed = new ConfirmedLog({ ...plain, lease }, runtime);
  expect(confirmed.unconfirmedMs).toBe(Number.POSITIVE_INFINITY);
  const asked = confirmed.log.lease("planner", "planner-1");
  await runtime.advance(3_000);
  expect(confirmed.unconfirmedMs).toBe(Number.POSITIVE_INFINITY);
  gate.resolve();
  await asked;
  expect(confirmed.unconfirmedMs).toBe(3_000);
  // A refusal confirms nothing.
  await confirmed.log.append("plan-1", 5, [{ type: "plan.resumed" }]).catch(() => {});
  expect(confirmed.unconfirmedMs).toBe(3_000);
});
