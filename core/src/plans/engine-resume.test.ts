import { describe, expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { type PlanEngines, planEngines, testTask as task } from "../../testing/plan-engines.ts";
import { SimulatedProcess } from "../../testing/simulated-process.ts";
import { NonRetryableError, SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import { sleep } from "../runtime.ts";
import { createPlanEngine } from "./engine.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { TaskSpec } from "./log.ts";

const planOf = (...tasks: TaskSpec[]): PlanHandlers => ({ makeTasks: () => ({ tasks }) });

/** An engine in a process of its own, whose wall clock is off. */
function engineOn({ runtime: world, log, dispatcher }: PlanEngines, agentId: string, clockOffsetMs: number) {
  const process = new SimulatedProcess({ name: agentId, world, seed: 1, clockOffsetMs });
  const { runtime } = process;
  return {
    process,
    engine: createPlanEngine({ log: log.as(agentId), dispatcher, runtime, logger: silentLogger, agentId }),
  };
}

describe("a plan that is taken over", () => {
  test("has no more than its time, though the next driver's clock is behind", async () => {
    const handlers: PlanHandlers = {
      makeTasks: () => ({
        tasks: [{ name: "ask", wait: { kind: "input", prompt: "?" } }],
        budget: { maxDurationMs: 5_000 },
      }),
    };
    const fixture = planEngines();
    const { runtime: world, takeOver, settle } = fixture;
    const a = engineOn(fixture, "a", 0);
    await settle(a.engine.accept(testOrigin, "p", handlers));
    await world.advance(1_000);
    a.process.crash();
    const b = engineOn(fixture, "b", -1_800_000);
    expect(await takeOver(b.engine, "b", () => handlers)).toBe(1);
    expect((await settle(b.engine.ended("p")))?.failure?.code).toBe("BUDGET_EXCEEDED");
    // It begins anew at the most.
    expect(world.elapsedMs).toBeLessThanOrEqual(6_100);
  });

  test.each(["budget", "deadline"])("begins nothing when its %s was over while nobody drove it", async (limit) => {
    const { runtime, engineFor, takeOver, settle, dispatcher, log } = planEngines();
    const isBudget = limit === "budget";
    await log.as("a").append("p", 0, [
      {
        type: "plan.created",
        origin: isBudget ? testOrigin : { ...testOrigin, deadline: runtime.now() + 1_000 },
        driver: "a",
      },
      {
        type: "plan.started",
        tasks: [{ ...task("a"), taskId: "p.1" }],
        ...(isBudget ? { budget: { maxDurationMs: 1_000 } } : {}),
      },
    ]);
    await runtime.advance(60_000);
    const b = engineFor("b");
    await takeOver(b, "b", () => planOf());
    expect((await settle(b.ended("p")))?.failure?.code).toBe(isBudget ? "BUDGET_EXCEEDED" : "TIMEOUT");
    expect(dispatcher.calls).toEqual([]);
  });

  test("goes on with a wait of which only a part was logged, when it was paused and is resumed", async () => {
    const { runtime, engineFor, takeOver, settle, log } = planEngines();
    await log
      .as("a")
      .append("p", 0, [
        { type: "plan.created", origin: testOrigin, driver: "a" },
        { type: "plan.started", tasks: [{ name: "nap", wait: { kind: "sleep", ms: 1_000 }, taskId: "p.1" }] },
        { type: "task.dispatched", taskId: "p.1", attempt: 1 },
        { type: "plan.paused" },
      ]);
    const b = engineFor("b");
    await takeOver(b, "b", () => planOf());
    await runtime.advance(1_000);
    await settle(b.unpause("p"));
    expect((await settle(b.ended("p")))?.status).toBe("completed");
  });

  test("sleeps no longer for each change that others make meanwhile, though the clock that it goes by is ahead", async () => {
    const chain = Array.from({ length: 30 }, (_, i) => task(`t${i}`, ...(i ? [`t${i - 1}`] : [])));
    let isTurn = false;
    const fixture: PlanEngines = planEngines(
      { worker: () => null },
      {
        latencyMs: 500,
        async fault({ agentId, operation, phase, changes }) {
          const isResult = changes.some(({ type }) => type === "task.succeeded");
          if (agentId !== "b" || operation !== "append" || phase !== "before" || !isResult) return;
          isTurn = !isTurn;
          if (!isTurn) return;
          await fixture.log.as("person").record("p", { type: "plan.paused" });
          await fixture.log.as("person").record("p", { type: "plan.resumed" });
        },
      },
    );
    const { runtime: world, log, takeOver, settle } = fixture;
    const handlers = planOf({ name: "nap", wait: { kind: "sleep", ms: 2_000 } }, ...chain);
    const a = engineOn(fixture, "a", 3_600_000);
    await settle(a.engine.accept(testOrigin, "p", handlers));
    await world.advance(900);
    a.process.crash();
    const b = engineOn(fixture, "b", 0);
    const takenAt = world.elapsedMs;
    expect(await takeOver(b.engine, "b", () => handlers)).toBe(1);
    await world.runUntil(() => log.entries("p").some((one) => one.type === "task.succeeded" && one.taskId === "p.1"));
    expect(log.entries("p").filter(({ type }) => type === "plan.paused").length).toBeGreaterThan(1);
    expect(world.elapsedMs - takenAt).toBeLessThanOrEqual(2_600);
  });
});

test("a delegated wait that was answered as its parent failed goes on when that is tried again", async () => {
  const fixture: PlanEngines = planEngines(
    {
      order: async ({ attempt }, { onDelegate, onJoin, signal }) => {
        await onDelegate([{ name: "ask", wait: { kind: "input", prompt: "?" } }]);
        if (attempt > 1) return onJoin("ask", signal);
        await sleep(fixture.runtime, 1_000);
        throw new NonRetryableError("broken");
      },
    },
    {
      async fault({ operation, phase, changes }) {
        const isFailure = changes.some(({ type }) => type === "task.failed");
        if (operation !== "append" || phase !== "before" || !isFailure) return;
        const answer = { type: "task.signalled", taskId: "p.1.1", key: "wait", value: "yes" } as const;
        await fixture.log.as("person").record("p", answer);
      },
    },
  );
  const { runtime, engineFor, settle, log, lease, changes } = fixture;
  const engine = engineFor("p1");
  await lease("p1");
  // The other task keeps the plan open.
  const handlers = planOf(task("order"), { name: "other", wait: { kind: "sleep", ms: 60_000 } });
  await settle(engine.accept(testOrigin, "p", handlers));
  await runtime.advance(5_000);
  expect([changes("task.signalled").length, changes("task.failed").length]).toEqual([1, 1]);
  const { accepted } = await settle(log.as("person").record("p", { type: "task.revived", taskId: "p.1" }));
  expect(accepted).toBe(true);
  expect((await settle(engine.ended("p")))?.result).toMatchObject({ order: "yes" });
});

test("a goal that is accepted again as soon as that failed has one driver, which is known", async () => {
  let failed = 0;
  const fixture: PlanEngines = planEngines(
    { a: () => sleep(fixture.runtime, 10_000) },
    {
      fault({ changes, phase }) {
        if (phase === "before" && changes[0]?.type === "plan.created" && failed++ === 0)
          throw new SoormaError("STORE_UNAVAILABLE", "away");
      },
    },
  );
  const { runtime, engineFor, settle, dispatcher } = fixture;
  const engine = engineFor("p1");
  const accept = () => engine.accept(testOrigin, "p", planOf(task("a")));
  expect(await settle(accept().catch(accept))).toBe(true);
  await runtime.advance(50);
  expect(engine.driving()).toEqual(["p"]);
  await runtime.advance(1_000);
  expect(dispatcher.resumed).toEqual([]);
  expect((await settle(engine.ended("p")))?.status).toBe("completed");
});
