import { expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { planEngines } from "../../testing/plan-engines.ts";
import { SimulatedProcess } from "../../testing/simulated-process.ts";
import { SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import { sleep } from "../runtime.ts";
import type { PlanHandlers } from "./driver.ts";
import { createPlanEngine } from "./engine.ts";

const handlers: PlanHandlers = {
  makeTasks: () => ({
    tasks: [
      { name: "first", assignedTo: "slow" },
      { name: "second", assignedTo: "worker", dependsOn: ["first"] },
    ],
  }),
};

test("an engine that was stopped while others drove its plan, and claims it back, drives it again", async () => {
  const fixture = planEngines({ slow: (_, { signal }) => sleep(fixture.runtime, 10_000, signal).then(() => "done") });
  const { runtime: world, log, dispatcher, takeOver, settle, changes } = fixture;
  const engineOn = (agentId: string) => {
    const process = new SimulatedProcess({ name: agentId, world, seed: 1 });
    const { runtime } = process;
    return {
      process,
      engine: createPlanEngine({ log: log.as(agentId), dispatcher, runtime, logger: silentLogger, agentId }),
    };
  };
  const a = engineOn("a");
  await settle(a.engine.accept(testOrigin, "p", handlers));
  await world.advance(500);
  a.process.freeze();
  const b = engineOn("b");
  expect(await takeOver(b.engine, "b", () => handlers)).toBe(1);
  await world.advance(500);
  b.process.crash();
  a.process.thaw();
  // It has not heard of the other one yet.
  expect(a.engine.driving()).toEqual(["p"]);
  expect(await takeOver(a.engine, "a", () => handlers)).toBe(1);
  expect((await settle(a.engine.ended("p")))?.status).toBe("completed");
  expect(changes("plan.driven").map(({ driver, epoch }) => [driver, epoch])).toEqual([
    ["b", 2],
    ["a", 3],
  ]);
});

test("an attempt's time and its time-out go on where they are when its plan is taken over", async () => {
  const never: PlanHandlers = {
    makeTasks: () => ({ tasks: [{ name: "slow", assignedTo: "slow", timeoutMs: 1_000, retry: { maxAttempts: 1 } }] }),
  };
  const fixture = planEngines({
    slow: ({ planId }, { signal }) =>
      sleep(fixture.runtime, planId === "stuck" ? 10_000 : 890, signal).then(() => "done"),
  });
  const { runtime, log, engineFor, takeOver, settle } = fixture;
  const a = engineFor("a");
  for (const planId of ["stuck", "quick"]) await settle(a.accept(testOrigin, planId, never));
  await runtime.advance(700);
  await settle(a.stop());
  const b = engineFor("b");
  expect(await takeOver(b, "b", () => never)).toBe(2);
  await settle(Promise.all([b.ended("stuck"), b.ended("quick")]));
  const ended = (planId: string) => log.entries(planId).find(({ type }) => /^task\.(succeeded|failed)/.test(type));
  const { timeMs: begun = 0 } = log.entries("stuck").find(({ type }) => type === "task.dispatched") ?? {};
  expect(ended("stuck")).toMatchObject({
    type: "task.failed",
    failure: { code: "TIMEOUT" },
    timeMs: begun + 1_000,
    durationMs: 1_000,
  });
  // 10 ms are the way to its agent.
  expect(ended("quick")).toMatchObject({ type: "task.succeeded", durationMs: 900 });
});

test("what ended while nobody drove its plan counts, and has taken as long as it took", async () => {
  const timed: PlanHandlers = {
    makeTasks: () => ({ tasks: [{ name: "slow", assignedTo: "slow", timeoutMs: 1_000, retry: { maxAttempts: 1 } }] }),
  };
  const fixture = planEngines({ slow: (_, { signal }) => sleep(fixture.runtime, 900, signal).then(() => "done") });
  const { runtime, engineFor, takeOver, settle, changes } = fixture;
  const a = engineFor("a");
  await settle(a.accept(testOrigin, "p", timed));
  await runtime.advance(500);
  await settle(a.stop());
  await runtime.advance(60_000);
  const b = engineFor("b");
  expect(await takeOver(b, "b", () => timed)).toBe(1);
  expect((await settle(b.ended("p")))?.status).toBe("completed");
  expect(changes("task.succeeded")).toMatchObject([{ durationMs: 910 }]);
});

test.each(["before", "after"] as const)(
  "a plan claimed back while its engine reads that it lost it is driven, held up %s the read",
  async (phase) => {
    for (let hops = 0; hops < 24; hops++) {
      let gate: PromiseWithResolvers<void> | undefined;
      const fixture = planEngines(
        { slow: (_, { signal }) => sleep(fixture.runtime, 10_000, signal).then(() => "done") },
        { fault: (call) => (call.operation === "read" && call.phase === phase ? gate?.promise : undefined) },
      );
      const { runtime, log, engineFor, takeOver, settle } = fixture;
      const [a, b] = [engineFor("a"), engineFor("b")];
      await settle(a.accept(testOrigin, "p", handlers));
      expect(await takeOver(b, "b", () => handlers)).toBe(1);
      await settle(b.stop());
      gate = Promise.withResolvers();
      a.refresh();
      await runtime.advance(0);
      const { plans } = await settle(log.as("a").claim("tester", "a", 10));
      gate.resolve();
      for (let hop = 0; hop < hops; hop++) await undefined;
      for (const plan of plans) await settle(a.take(plan, () => handlers));
      gate = undefined;
      expect((await settle(a.ended("p")))?.status).toBe("completed");
      await settle(a.stop());
    }
  },
);

test("a plan whose creation seemed to fail, and is in the log all the same, is driven", async () => {
  let failed = 0;
  const { engineFor, settle, log, runtime } = planEngines(
    { slow: () => "done" },
    {
      fault({ changes, phase }) {
        if (phase !== "after" || changes[0]?.type !== "plan.created" || failed > 0) return;
        failed++;
        throw new SoormaError("STORE_FULL", "so it says");
      },
    },
  );
  const engine = engineFor("a");
  const refused = await settle(engine.accept(testOrigin, "p", handlers).catch((error: SoormaError) => error.code));
  expect<unknown>([refused, log.entries("p").length > 0]).toEqual(["STORE_FULL", true]);
  await runtime.runUntil(() => log.entries("p").some(({ type }) => type === "plan.completed"), { maxMs: 60_000 });
});

test("one that is not in the log is soon forgotten", async () => {
  const { engineFor, settle, log, runtime } = planEngines(
    {},
    {
      fault() {
        throw new SoormaError("STORE_FULL", "so it says");
      },
    },
  );
  const engine = engineFor("a");
  const refused = await settle(engine.accept(testOrigin, "p", handlers).catch((error: SoormaError) => error.code));
  await runtime.advance(1_000);
  await engine.stop();
  await runtime.advance(0);
  expect<unknown>([refused, log.entries("p"), engine.driving(), runtime.pending]).toEqual(["STORE_FULL", [], [], 0]);
});

test.each(["while its answer is published", "after it was answered"])(
  "a plan claimed in the epoch that it ended in, %s, is answered once in its log",
  async (when) => {
    const { engineFor, settle, log, runtime, changes } = planEngines({ slow: () => "done" });
    const engine = engineFor("a");
    const published = Promise.withResolvers<void>();
    let answers = 0;
    const answering: PlanHandlers = {
      ...handlers,
      onEnd() {
        answers++;
        return published.promise;
      },
    };
    await settle(engine.accept(testOrigin, "p", answering));
    await runtime.runUntil(() => answers > 0);
    // The answer to a claim that was sent before.
    const claimed = { planId: "p", epoch: 1, version: log.entries("p").length, entries: [...log.entries("p")] };
    const isLate = when.startsWith("after");
    if (isLate) {
      published.resolve();
      await runtime.runUntil(() => engine.driving().length === 0);
    }
    const taken = engine.take(claimed, () => answering);
    published.resolve();
    await settle(taken);
    await runtime.runUntil(() => engine.driving().length === 0);
    expect(changes("plan.answered")).toHaveLength(1);
    // Whoever hears it again knows it by its id.
    expect(answers).toBe(isLate ? 2 : 1);
  },
);
