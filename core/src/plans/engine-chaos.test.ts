import { expect, test } from "bun:test";
import { seededRandom } from "../../testing/fake-runtime.ts";
import { testOrigin } from "../../testing/plan-changes.ts";
import { type PlanEngines, planEngines, testTask as task } from "../../testing/plan-engines.ts";
import type { ScriptedTask } from "../../testing/scripted-dispatcher.ts";
import { isSoormaError, NonRetryableError, SoormaError } from "../errors.ts";
import { sleep } from "../runtime.ts";
import type { PlanHandlers } from "./handlers.ts";
import { foldPlan } from "./reducer.ts";

const fail = (message: string) => (): never => {
  throw new NonRetryableError(message);
};

/** A plan with everything in it: a group, a wait, delegation, growth, a failure that is handled, retries. */
const everything: PlanHandlers = {
  makeTasks: () => ({
    tasks: [
      task("list"),
      {
        ...task("each", "list"),
        forEach: { over: "{{results.list}}", concurrency: 2 },
        data: "{{item}}",
        templated: true,
      },
      { name: "nap", wait: { kind: "sleep", ms: 40 }, dependsOn: ["list"] },
      { name: "ask", wait: { kind: "input", prompt: "?" } },
      task("order", "ask"),
      task("broken"),
    ],
    grows: true,
  }),
  onTransition: ({ name, status }) => {
    if (status === "failed") return { handled: true };
    return name === "each" ? { tasks: [task("report", "each", "nap")] } : undefined;
  },
};
const everythingScripts = (fixture: () => PlanEngines): Record<string, ScriptedTask> => ({
  list: () => [1, 2, 3],
  worker: ({ name, data, attempt }, { onProgress }) => {
    onProgress(0.5);
    if (name === "each[1]" && attempt === 1) throw new Error("once");
    return `${name} ${data}`;
  },
  report: ({ inputs }) => inputs.each,
  broken: fail("for good"),
  order: async ({ planId, taskId, attempt }, { onDelegate, onJoin, signal }) => {
    const { runtime, log } = fixture();
    const patiently = async <T>(ask: () => Promise<T>): Promise<T> => {
      for (;;) {
        try {
          return await ask();
        } catch (error) {
          if (!isSoormaError(error, "STORE_UNAVAILABLE")) throw error;
          await sleep(runtime, 5, signal);
        }
      }
    };
    await onDelegate([{ name: "pay", assignedTo: "worker", data: "1 EUR" }]);
    const worker = log.as("worker-1");
    await patiently(() =>
      worker.record(planId, { type: "task.stepped", taskId, attempt, key: "noted", value: attempt }),
    );
    return onJoin("pay", signal);
  },
});
const everythingAnswer = {
  list: [1, 2, 3],
  each: ["each[0] 1", "each[1] 2", "each[2] 3"],
  nap: null,
  ask: "yes",
  order: "order/pay 1 EUR",
  report: ["each[0] 1", "each[1] 2", "each[2] 3"],
};

test("a plan with everything in it, answered by a person, comes out the same", async () => {
  const fixture: PlanEngines = planEngines(everythingScripts(() => fixture));
  const { engineFor, runtime, lease, log, settle } = fixture;
  const engine = engineFor("p1");
  await lease("p1");
  await engine.accept(testOrigin, "p", everything);
  await runtime.advance(30);
  await log.as("a person").record("p", { type: "task.signalled", taskId: "p.4", key: "wait", value: "yes" });
  expect((await settle(engine.ended("p")))?.result).toEqual(everythingAnswer);
});

test("and so it does through crashes, claims, orders and a log that fails, from 300 seeds", async () => {
  let appends = 0;
  let epochs = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const chance = seededRandom(seed);
    const fixture: PlanEngines = planEngines(
      everythingScripts(() => fixture),
      {
        seed,
        latencyMs: () => 1 + Math.floor(chance() * 20),
        progressIntervalMs: 5,
        retry: { backoffMs: 20, maxAttempts: 5 },
        fault: async ({ count, phase, operation }) => {
          if (count === 1) return;
          if (phase === "after" && operation === "append") appends++;
          if (chance() < 0.1) throw new SoormaError("STORE_UNAVAILABLE", "the state node is away");
          if (chance() < 0.5) await sleep(fixture.runtime, Math.floor(chance() * 5));
        },
      },
    );
    const { runtime, engineFor, takeOver, log, dispatcher, settle } = fixture;
    const ends: string[] = [];
    const handlers: PlanHandlers = { ...everything, onEnd: ({ status }) => void ends.push(status) };
    let lives = 0;
    let agentId = "";
    let engine = engineFor("life-0");
    void engine.accept(testOrigin, "p", handlers).catch(() => {});
    await runtime.runUntil(() => log.entries("p").length > 0);
    const person = log.as("a person");
    const record = (change: Parameters<typeof person.record>[1]) => person.record("p", change).catch(() => undefined);
    for (let round = 0; round < 8; round++) {
      await runtime.advance(Math.floor(chance() * 15));
      const event = chance();
      if (event < 0.2) void record({ type: "plan.paused" });
      else if (event < 0.5) void record({ type: "plan.resumed" });
      else if (event < 0.6) void engine.stop();
      if (event > 0.5) {
        agentId = `life-${++lives}`;
        engine = engineFor(agentId);
        await takeOver(engine, agentId, () => handlers).catch(() => {});
      }
    }
    // The last fault is over: everything has to come to its end.
    for (let round = 0; log.entries("p").at(-1)?.type !== "plan.answered"; round++) {
      expect(round).toBeLessThan(50);
      await settle(record({ type: "plan.resumed" }));
      await settle(record({ type: "task.signalled", taskId: "p.4", key: "wait", value: "yes" }));
      agentId = `life-${++lives}`;
      engine = engineFor(agentId);
      await takeOver(engine, agentId, () => handlers).catch(() => {});
      await runtime.runUntilIdle();
    }
    const state = foldPlan("p", log.entries("p"));
    epochs += state.epoch;
    expect(state).toMatchObject({ status: "completed", result: everythingAnswer });
    expect(ends.length).toBeGreaterThanOrEqual(1);
    // No attempt was begun twice.
    const begun = dispatcher.calls.map(({ assignment }) => `${assignment.taskId} ${assignment.attempt}`);
    expect(new Set(begun).size).toBe(begun.length);
    const succeeded = log.entries("p").flatMap((entry) => (entry.type === "task.succeeded" ? [entry.taskId] : []));
    expect(new Set(succeeded).size).toBe(succeeded.length);
  }
  expect(appends).toBeGreaterThan(1_000);
  expect(epochs).toBeGreaterThan(900);
});
