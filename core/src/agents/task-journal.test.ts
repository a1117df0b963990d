import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { memoryPlanLog } from "../../testing/memory-plan-log.ts";
import { changes } from "../../testing/plan-changes.ts";
import { isSoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import type { PlanChange } from "../plans/log.ts";
import { sleep } from "../runtime.ts";
import { graceMs, Journal, provenMs } from "./task-journal.ts";

const begun: readonly PlanChange[] = [
  changes.created({}, "planner"),
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
  mayOverlap: false,
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
    takenAt: 0,
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

/** The journal of an attempt that was offered `ageMs` ago and taken just now, and what its log is asked. */
async function stepping({ ageMs = 0, mayOverlap = false, replaced = false, answerMs = (_nth: number): number => 0 }) {
  const runtime = fakeRuntime();
  const plans = memoryPlanLog({ runtime });
  const log = plans.as("worker");
  await log.append("p", 0, begun);
  /** Another instance begins the next attempt. */
  const replace = () => log.append("p", begun.length, [{ type: "task.dispatched", taskId: "a", attempt: 2 }]);
  if (replaced) await replace();
  let asked = 0;
  const takenAt = runtime.monotonic();
  const journal = new Journal({
    offer: { ...offer, mayOverlap },
    currentAt: takenAt - ageMs,
    takenAt,
    log: {
      ...log,
      async journal(...args) {
        const answer = await log.journal(...args);
        await sleep(runtime, answerMs(++asked));
        return answer;
      },
    },
    runtime,
    logger: silentLogger,
    signal: new AbortController().signal,
    onStale: () => {},
  });
  let outcome: unknown = "pending";
  void journal.stepByNow("charge").then(
    () => (outcome = "goes on"),
    (error: unknown) => (outcome = isSoormaError(error) ? error.code : error),
  );
  return {
    runtime,
    asked: () => asked,
    outcome: () => outcome,
    replace,
  };
}

test("a step of what was offered just now asks nobody", async () => {
  const { runtime, asked, outcome } = await stepping({ ageMs: provenMs - 1 });
  await runtime.advance(0);
  expect([outcome(), asked()]).toEqual(["goes on", 0]);
});

test("a step of an offer that was long on its way is not done when another attempt began meanwhile", async () => {
  const { runtime, outcome } = await stepping({ ageMs: provenMs, replaced: true });
  await runtime.advance(0);
  expect(outcome()).toBe("ATTEMPT_STALE");
});

test("answers that are long on their way are no proof, however many they are", async () => {
  const late = 12;
  const { runtime, asked, outcome, replace } = await stepping({
    ageMs: provenMs,
    answerMs: (nth) => (nth <= late ? provenMs : 1),
  });
  await runtime.runUntil(() => asked() === late);
  expect(outcome()).toBe("pending");
  await replace();
  await runtime.runUntil(() => outcome() !== "pending");
  expect([outcome(), asked()]).toEqual(["ATTEMPT_STALE", late + 1]);
});

test("an attempt lets an earlier one that may still be running end before its first step", async () => {
  expect(graceMs).toBeGreaterThan(provenMs);
  const { runtime, asked, outcome } = await stepping({ mayOverlap: true });
  await runtime.advance(graceMs - 1);
  expect([outcome(), asked()]).toEqual(["pending", 0]);
  await runtime.advance(1);
  expect([outcome(), asked()]).toEqual(["goes on", 1]);
});
