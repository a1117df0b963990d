import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { memoryPlanLog } from "../../testing/memory-plan-log.ts";
import { isSoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import type { PlanChange } from "../plans/log.ts";
import { Journal } from "./task-journal.ts";

const origin = {
  goalId: "g",
  goalType: "test.goal",
  goalData: null,
  traceId: "t",
  correlationId: "c",
  tenantId: "default",
  planner: "planner",
};
const begun: readonly PlanChange[] = [
  { type: "plan.created", origin, driver: "planner" },
  { type: "plan.started", tasks: [{ taskId: "a", name: "a", assignedTo: "w" }] },
  { type: "task.dispatched", taskId: "a", attempt: 1 },
];

const offer = {
  taskId: "a",
  planId: "p",
  attempt: 1,
  epoch: 1,
  name: "a",
  assignedTo: "w",
  data: null,
  inputs: {},
  hasJournal: false,
  priority: 0,
  replyTo: { nodeId: "n", address: "x", agentId: "planner" },
};

/** A wait of attempt 1, and what the log says when it is given up. */
async function subject(...meanwhile: PlanChange[]) {
  const runtime = fakeRuntime();
  const plans = memoryPlanLog({ runtime });
  const log = plans.as("worker");
  let stale = 0;
  const journal = new Journal({
    offer,
    currentAt: 0,
    log,
    runtime,
    logger: silentLogger,
    signal: new AbortController().signal,
    onStale: () => stale++,
  });
  const outcome = (async () => {
    await log.append("p", 0, begun);
    await journal.recordWait("input", { kind: "input", prompt: "?" }, 10);
    for (const change of meanwhile) await log.append("p", plans.entries("p").length, [change]);
    return await journal.recordTimeout("input");
  })().catch((error: unknown) => (isSoormaError(error) ? error.code : error));
  let done = false;
  void outcome.finally(() => (done = true));
  await runtime.runUntil(() => done);
  return { outcome: await outcome, last: plans.entries("p").at(-1)?.type, stale };
}

test("a wait that is given up is so when it is in the log", async () => {
  expect(await subject()).toEqual({ outcome: undefined, last: "task.timedout", stale: 0 });
});

test("an answer that was in the log before its time-out counts", async () => {
  const answered: PlanChange = { type: "task.signalled", taskId: "a", key: "input", value: "just in time" };
  expect(await subject(answered)).toEqual({ outcome: { value: "just in time" }, last: "task.signalled", stale: 0 });
});

test("an attempt that is not the current one gives nothing up", async () => {
  const next: PlanChange = { type: "task.dispatched", taskId: "a", attempt: 2 };
  expect(await subject(next)).toEqual({ outcome: "ATTEMPT_STALE", last: "task.dispatched", stale: 1 });
});

test("a step of an offer that was long on its way is not done when another attempt began meanwhile", async () => {
  const runtime = fakeRuntime();
  const log = memoryPlanLog({ runtime }).as("worker");
  await log.append("p", 0, [...begun, { type: "task.dispatched", taskId: "a", attempt: 2 }]);
  const journalOf = (ageMs: number): Journal =>
    new Journal({
      offer,
      currentAt: runtime.monotonic() - ageMs,
      log,
      runtime,
      logger: silentLogger,
      signal: new AbortController().signal,
      onStale: () => {},
    });
  const late = await journalOf(100)
    .stepByNow("charge")
    .catch((error: unknown) => error);
  expect(isSoormaError(late, "ATTEMPT_STALE")).toBe(true);
  // What was offered just now asks nobody.
  expect(await journalOf(10).stepByNow("charge")).toBeUndefined();
});
