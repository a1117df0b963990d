import { expect, test } from "bun:test";
import { codeOf } from "../../testing/code-of.ts";
import { changes } from "../../testing/plan-changes.ts";
import { stateStage } from "../../testing/state-stage.ts";
import { SoormaError } from "../errors.ts";
import type { PlanChange } from "../plans/log.ts";
import { trackerMethods } from "./protocol.ts";

const begun: PlanChange[] = [changes.created(), { type: "plan.started", tasks: [] }];
const completed: PlanChange = { type: "plan.completed", result: { papers: 3 } };

async function setUp() {
  const stage = stateStage();
  stage.start();
  const asked: string[] = [];
  stage.intercept(({ kind, method }) => {
    if (kind === "call" && method === trackerMethods.end) asked.push(method);
    return undefined;
  });
  const { tracker } = stage.node("inproc://client");
  await stage.settled(tracker.append("plan", 0, begun));
  return { stage, tracker, asked };
}

test("whoever waits for the end of a plan has one answer, when it is there", async () => {
  const { stage, tracker, asked } = await setUp();
  let told: unknown;
  const end = tracker.end("plan").then((answer) => {
    told = answer;
  });
  await stage.runtime.advance(1_000);
  await stage.settled(tracker.append("plan", 2, [{ type: "plan.paused" }, { type: "plan.resumed" }]));
  expect(told).toBeUndefined();
  await stage.settled(tracker.append("plan", 4, [completed]));
  await stage.settled(end);
  expect(told).toEqual({ status: "completed", result: { papers: 3 } });
  expect(asked.length).toBe(1);
});

test("the end of a plan that has ended is told at once, with why it failed or was cancelled", async () => {
  const { stage, tracker } = await setUp();
  await stage.settled(tracker.append("plan", 2, [completed]));
  expect(await stage.settled(tracker.end("plan"))).toEqual({ status: "completed", result: { papers: 3 } });
  await stage.settled(tracker.append("other", 0, [...begun, { type: "plan.cancelled", reason: "not needed" }]));
  const { status, failure } = await stage.settled(tracker.end("other"));
  expect([status, failure?.message]).toEqual(["cancelled", expect.stringContaining("not needed")]);
});

test("an end is heard of although the state node was killed and was away for minutes meanwhile", async () => {
  const { stage, tracker, asked } = await setUp();
  let told: unknown;
  const end = tracker.end("plan").then((answer) => {
    told = answer;
  });
  await stage.runtime.advance(60_000);
  expect(asked.length).toBeGreaterThan(5);
  await stage.kill();
  await stage.runtime.advance(120_000);
  expect(told).toBeUndefined();
  stage.start();
  const other = stage.node("inproc://planner").tracker;
  await stage.settled(other.append("plan", 2, [completed]));
  await stage.settled(end);
  expect(told).toEqual({ status: "completed", result: { papers: 3 } });
});

test("waiting ends with its signal, and at once for a plan there is not", async () => {
  const { stage, tracker } = await setUp();
  const controller = new AbortController();
  expect(await stage.settled(codeOf(tracker.end("nothing")))).toBe("PLAN_NOT_FOUND");
  const waiting = stage.settled(codeOf(tracker.end("plan", { signal: controller.signal })));
  await stage.runtime.advance(100);
  controller.abort(new SoormaError("TIMEOUT", "enough"));
  expect(await waiting).toBe("TIMEOUT");
});
