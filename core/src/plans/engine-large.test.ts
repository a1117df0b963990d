import { expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { planEngines, testTask as task } from "../../testing/plan-engines.ts";
import { silentLogger } from "../log.ts";
import { sleep } from "../runtime.ts";
import { createPlanEngine } from "./engine.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { PlanLog } from "./log.ts";

const many = Array.from({ length: 10_000 }, (_, i) => task(`t${i}`));
const large: PlanHandlers = { makeTasks: () => ({ tasks: many }) };

test("a large plan that a person changes while it is busy is not read anew: only what came meanwhile", async () => {
  const reads: { after: number; entries: number }[] = [];
  const fixture = planEngines(
    {},
    {
      latencyMs: () => 1 + Math.floor(fixture.runtime.random() * 20),
      fault: ({ operation }) => (operation === "append" ? sleep(fixture.runtime, 1) : undefined),
    },
  );
  const { runtime, log, dispatcher, settle, changes } = fixture;
  const own = log.as("p1");
  const watched: PlanLog = {
    ...own,
    read: async (planId, options) => {
      const entries = await own.read(planId, options);
      reads.push({ after: options?.afterVersion ?? 0, entries: entries.length });
      return entries;
    },
  };
  const engine = createPlanEngine({ log: watched, dispatcher, runtime, logger: silentLogger, agentId: "p1" });
  await settle(engine.accept(testOrigin, "p", large));
  await runtime.runUntil(() => changes("task.succeeded").length > 2_000);
  const person = log.as("a person");
  expect(await settle(person.record("p", { type: "plan.paused" }))).toMatchObject({ accepted: true });
  await runtime.advance(5);
  expect(await settle(person.record("p", { type: "plan.resumed" }))).toMatchObject({ accepted: true });
  expect((await settle(engine.ended("p")))?.status).toBe("completed");
  expect(dispatcher.calls).toHaveLength(10_000);
  expect(reads.length).toBeGreaterThan(0);
  expect(Math.max(...reads.map(({ entries }) => entries))).toBeLessThan(10);
  expect(Math.min(...reads.map(({ after }) => after))).toBeGreaterThan(10_000);
});

test("a large plan is taken over where it was, and no task of it is done twice", async () => {
  const fixture = planEngines({}, { latencyMs: () => 1 + Math.floor(fixture.runtime.random() * 20) });
  const { runtime, dispatcher, engineFor, takeOver, settle, changes } = fixture;
  const first = engineFor("first");
  await first.accept(testOrigin, "p", large);
  await runtime.runUntil(() => changes("task.succeeded").length > 5_000);
  await settle(first.stop());
  const second = engineFor("second");
  await takeOver(second, "second", () => large);
  expect(await settle(second.ended("p"))).toMatchObject({ status: "completed", epoch: 2 });
  expect(dispatcher.calls).toHaveLength(10_000);
});
