import { expect, test } from "bun:test";
import { collectingLogger } from "../../testing/collecting-logger.ts";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { SoormaError } from "../errors.ts";
import type { Claim, ClaimedPlan } from "../plans/log.ts";
import { PlannerLease } from "./planner-lease.ts";

test("a claim that failed is made again although nothing is left to claim: it may have been made, and its answer lost", async () => {
  const runtime = fakeRuntime();
  const plan: ClaimedPlan = { planId: "p1", epoch: 2, version: 5 };
  const answers: (() => Promise<Claim>)[] = [
    () => Promise.reject(new SoormaError("STORE_FULL", "the disk is full")),
    () => Promise.reject(new SoormaError("STORE_UNAVAILABLE", "the state node is away")),
    () => Promise.resolve({ plans: [plan], more: false }),
  ];
  let claims = 0;
  const taken: string[] = [];
  const log = collectingLogger();
  const lease = new PlannerLease({
    log: {
      // What this instance drives already, whether it knows or not, is not to be claimed.
      lease: async (_planner, _driver, leaseMs = 0) => ({ leaseMs, claimable: claims === 0 ? 1 : 0 }),
      release: async () => {},
      claim: async () => (await answers[claims++]?.()) ?? { plans: [], more: false },
    },
    planner: "planner",
    driver: "planner-1",
    runtime,
    logger: log,
    leaseMs: 10_000,
    renewMs: 3_000,
    onClaimed: async ({ planId }) => taken.push(planId),
  });
  lease.start();
  await runtime.advance(15_000);
  expect(taken).toEqual(["p1"]);
  expect(log.events().filter((event) => event === "claim.failed")).toHaveLength(2);
  // And then no more: it was answered.
  expect(claims).toBe(3);
  await lease.stop();
});
