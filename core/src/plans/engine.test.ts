import { describe, expect, test } from "bun:test";
import { testOrigin as origin } from "../../testing/plan-changes.ts";
import { planEngines, testTask as task } from "../../testing/plan-engines.ts";
import { NonRetryableError, SoormaError } from "../errors.ts";
import { sleep } from "../runtime.ts";
import type { PlanHandlers } from "./driver.ts";
import type { PlanOrigin, PlanState, TaskSpec } from "./log.ts";
import { foldPlan } from "./reducer.ts";

const diamond = [task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c")];
const plan = (...tasks: TaskSpec[]): PlanHandlers => ({ makeTasks: () => ({ tasks }) });

function setUp(...args: Parameters<typeof planEngines>) {
  const fixture = planEngines(...args);
  const engine = fixture.engineFor("p1");
  /** As the fixture's, for what is known to be there. */
  const settle = <T>(promise: Promise<T>): Promise<NonNullable<T>> =>
    fixture.settle(promise) as Promise<NonNullable<T>>;
  const run = async (handlers: PlanHandlers, from: Partial<PlanOrigin> = {}): Promise<PlanState> => {
    await settle(engine.accept({ ...origin, ...from }, "p", handlers));
    return settle(engine.ended("p"));
  };
  return { ...fixture, engine, settle, run };
}

describe("a plan that goes well", () => {
  test("independent tasks run at the same time, dependents get their inputs, and the answer has every result", async () => {
    const { run, dispatcher, log } = setUp();
    const state = await run(plan(...diamond));
    expect(state.status).toBe("completed");
    expect(state.result).toEqual({
      a: { name: "a", from: [] },
      b: { name: "b", from: ["a"] },
      c: { name: "c", from: ["a"] },
      d: { name: "d", from: ["b", "c"] },
    });
    expect(dispatcher.callsOf("d")[0]?.assignment.inputs).toEqual({
      b: { name: "b", from: ["a"] },
      c: { name: "c", from: ["a"] },
    });
    const [b, c] = [dispatcher.callsOf("b")[0], dispatcher.callsOf("c")[0]];
    expect(b?.beganAtMs).toBe(c?.beganAtMs as number);
    expect(dispatcher.peak).toBe(2);
    expect(log.entries("p").at(-1)?.type).toBe("plan.answered");
    expect(foldPlan("p", log.entries("p").slice(0, -1))).toEqual({ ...state });
  });

  test("every attempt is in the log before anybody is asked, and who took it is told there", async () => {
    const { engine, log, runtime, settle } = setUp({
      a: (assignment) => {
        const logged = log.entries("p").filter((entry) => entry.type === "task.dispatched");
        return logged.map((entry) => [entry.taskId, entry.attempt, assignment.attempt]);
      },
    });
    await engine.accept(origin, "p", plan(task("a")));
    const state = await settle(engine.ended("p"));
    expect(state.result).toEqual({ a: [["p.1", 1, 1]] });
    expect(state.tasks[0]).toMatchObject({ agentId: "worker-1", agentName: "worker", durationMs: 10 });
    expect(runtime.pending).toBe(0);
  });

  test("changes that come together are appended together: three tasks in a row take four appends, and one for the answer", async () => {
    let appends = 0;
    const { run } = setUp(
      {},
      { fault: ({ operation, phase }) => void (operation === "append" && phase === "after" && appends++) },
    );
    await run(plan(task("a"), task("b", "a"), task("c", "b")));
    expect(appends).toBe(5);
  });

  test("a plan of 5,000 tasks takes few appends of few entries when flushing takes its time", async () => {
    let appends = 0;
    const fixture = setUp(
      {},
      {
        async fault({ operation, phase }) {
          if (operation !== "append" || phase !== "before") return;
          appends++;
          await sleep(fixture.runtime, 5);
        },
      },
    );
    const names = Array.from({ length: 4998 }, (_, i) => `t${i}`);
    const layers = names.map((name) => task(name, "first"));
    const state = await fixture.run(plan(task("first"), ...layers, task("last", ...names)));
    expect(state.status).toBe("completed");
    expect(fixture.dispatcher.calls).toHaveLength(5000);
    expect(Object.keys(fixture.dispatcher.callsOf("last")[0]?.assignment.inputs ?? {})).toHaveLength(4998);
    expect(appends).toBeLessThanOrEqual(8);
    // plan.created, plan.started and plan.completed; of each task dispatched, assigned and succeeded.
    expect(state.version).toBe(3 + 3 * 5000);
  });

  test("a plan without tasks is done at once", async () => {
    const { run } = setUp();
    expect(await run(plan())).toMatchObject({ status: "completed", result: {} });
  });

  test("onComplete shapes the answer and onEnd is called with what is in the log", async () => {
    const { run, log } = setUp();
    const ends: PlanState[] = [];
    const state = await run({
      ...plan(task("a"), task("b")),
      onComplete: (results, { tasks }) => ({ names: Object.keys(results), count: tasks.length }),
      onEnd: (end) => {
        expect(log.entries("p").at(-1)?.type).toBe("plan.completed");
        ends.push(end);
      },
    });
    expect(state.result).toEqual({ names: ["a", "b"], count: 2 });
    expect(ends).toEqual([state]);
  });

  test("progress is logged as its latest every 100 ms, not each time", async () => {
    const fixture = setUp({
      async a(_, { onProgress, signal }) {
        for (let i = 1; i <= 500; i++) {
          onProgress(i / 500, `step ${i}`);
          await sleep(fixture.runtime, 1, signal);
        }
      },
    });
    await fixture.run(plan(task("a")));
    const logged = fixture.changes("task.progress");
    expect(logged.length).toBeGreaterThanOrEqual(4);
    expect(logged.length).toBeLessThanOrEqual(6);
    expect(logged.at(-1)).toMatchObject({ attempt: 1, message: expect.stringMatching(/^step 4\d\d$/) });
  });

  test("when several tasks are ready the one of highest priority is dispatched first", async () => {
    const { run, dispatcher } = setUp();
    await run(plan({ ...task("low"), priority: -5 }, task("mid"), { ...task("high"), priority: 9 }, task("mid2")));
    expect(dispatcher.calls.map((call) => call.assignment.name)).toEqual(["high", "mid", "mid2", "low"]);
  });
});

describe("a plan that goes wrong", () => {
  test("a cycle is refused before anything runs", async () => {
    const { run, dispatcher, changes } = setUp();
    const state = await run(plan(task("a", "b"), task("b", "a")));
    expect(state).toMatchObject({ status: "failed", failure: { code: "PLAN_INVALID", retryable: false } });
    expect(state.failure?.message).toContain("a → b → a");
    expect(dispatcher.calls).toHaveLength(0);
    expect(changes("plan.started")).toHaveLength(0);
  });

  test("a handler that throws fails the plan with what it threw", async () => {
    const { run } = setUp();
    const makeTasks = () => {
      throw new Error("no idea");
    };
    expect((await run({ makeTasks })).failure).toMatchObject({
      code: "HANDLER_FAILED",
      message: 'planner "tester" could not plan "test.goal": its onGoal handler failed: no idea',
    });
  });

  test("an onComplete that throws, or returns what cannot be sent, fails the plan", async () => {
    const throws = setUp();
    const onComplete = () => Promise.reject(new Error("no answer"));
    expect((await throws.run({ ...plan(task("a")), onComplete })).failure?.message).toContain(
      'could not finish "test.goal": its onComplete handler failed: no answer',
    );
    const sends = setUp();
    const state = await sends.run({ ...plan(task("a")), onComplete: () => ({ call: () => 1 }) });
    expect(state.failure).toMatchObject({ code: "PAYLOAD_INVALID" });
    expect(state.failure?.message).toContain("result.call is a function");
  });

  test("a failed task fails what depends on it, the rest goes on, and the goal names who failed", async () => {
    const { run, dispatcher } = setUp({
      b: () => {
        throw new NonRetryableError("b is broken");
      },
    });
    const state = await run(plan(...diamond, task("after", "d"), task("aside")));
    expect(state.status).toBe("failed");
    expect(state.tasks.map(({ name, status, failure }) => [name, status, failure?.code])).toEqual([
      ["a", "completed", undefined],
      ["b", "failed", "TASK_FAILED"],
      ["c", "completed", undefined],
      ["d", "failed", "DEPENDENCY_FAILED"],
      ["after", "failed", "DEPENDENCY_FAILED"],
      ["aside", "completed", undefined],
    ]);
    expect(state.tasks[4]?.failure).toMatchObject({
      message: 'task "after" was not run: "b", which it depends on through others, failed',
      details: { failedTask: "b" },
    });
    expect(state.failure).toMatchObject({
      code: "GOAL_FAILED",
      message: 'goal "test.goal" failed: 1 of 6 tasks failed: "b" (TASK_FAILED: b is broken); 2 not run for it',
      details: {
        failedTasks: ["b"],
        tasks: { a: { status: "completed", result: { name: "a" } }, d: { status: "failed" } },
      },
    });
    expect(dispatcher.callsOf("d")).toHaveLength(0);
  });

  test("a failing task is tried again after growing, random delays, three times in all", async () => {
    const { run, dispatcher, changes } = setUp({
      a: () => {
        throw new Error("flaky");
      },
    });
    const state = await run(plan({ ...task("a"), retry: { backoffMs: 1000 } }));
    expect(state.tasks[0]).toMatchObject({ status: "failed", attempt: 3, failures: 3, failure: { message: "flaky" } });
    const delays = changes("task.retried").map((entry) => (entry as { delayMs: number }).delayMs);
    expect(delays).toHaveLength(2);
    expect(delays[0]).toBeLessThanOrEqual(1000);
    expect(delays[1]).toBeLessThanOrEqual(2000);
    const begins = dispatcher.calls.map((call) => call.beganAtMs);
    expect(begins.map((at, i) => at - (begins[i - 1] ?? at))).toEqual([
      0,
      10 + (delays[0] ?? 0),
      10 + (delays[1] ?? 0),
    ]);
  });

  test("a task that works the second time is no failure", async () => {
    const { run } = setUp({
      a: ({ attempt }) => {
        if (attempt === 1) throw new SoormaError("PEER_UNREACHABLE", "the worker died");
        return "fine";
      },
    });
    const state = await run(plan(task("a")));
    expect(state).toMatchObject({ status: "completed", result: { a: "fine" }, tasks: [{ attempt: 2, failures: 1 }] });
    expect(state.tasks[0]).not.toHaveProperty("failure");
  });

  test("what cannot be retried is not, and a task's own policy counts", async () => {
    const { run, dispatcher } = setUp({
      bad: () => {
        throw new SoormaError("PAYLOAD_INVALID", "wrong field");
      },
      flaky: () => {
        throw new Error("flaky");
      },
    });
    await run(plan(task("bad"), { ...task("flaky"), retry: { maxAttempts: 5, backoffMs: 1 } }));
    expect(dispatcher.callsOf("bad")).toHaveLength(1);
    expect(dispatcher.callsOf("flaky")).toHaveLength(5);
  });

  test("an attempt that exceeds its timeoutMs is aborted and retried, and its late result changes nothing", async () => {
    const { run, dispatcher, runtime, changes } = setUp({
      a: async ({ attempt }) => {
        await sleep(runtime, attempt === 1 ? 5000 : 100);
        return attempt;
      },
    });
    const state = await run(plan({ ...task("a"), timeoutMs: 500 }, { ...task("b", "a"), timeoutMs: 500 }));
    expect(state).toMatchObject({ status: "completed", result: { a: 2 } });
    expect(dispatcher.calls[0]?.aborted).toMatchObject({ code: "TIMEOUT" });
    expect(changes("task.retried")[0]).toMatchObject({
      durationMs: 500,
      failure: { code: "TIMEOUT", message: 'attempt 1 at task "a" was not done by worker within its 500 ms' },
    });
    await runtime.runUntilIdle();
    expect(changes("task.succeeded")).toHaveLength(2);
  });

  test("a goal that is not done by its deadline fails, and what runs is aborted", async () => {
    const { run, runtime, dispatcher } = setUp({ a: (_, { signal }) => sleep(runtime, 60_000, signal) });
    const deadline = runtime.now() + 1000;
    const state = await run(plan(task("a"), task("b", "a")), { deadline });
    expect(runtime.now()).toBe(deadline);
    expect(state.failure).toMatchObject({
      code: "TIMEOUT",
      message: 'goal "test.goal" was not done by its deadline, 1000 ms after it came: 2 of 2 tasks are open',
    });
    expect(dispatcher.calls[0]?.aborted).toBeDefined();
    expect(dispatcher.calls[0]?.assignment.deadline).toBe(deadline);
    expect(runtime.pending).toBe(0);
  });

  test("an onEnd that throws is called again, five times in all, and ends nothing else", async () => {
    const { run, engine, runtime, changes } = setUp();
    let calls = 0;
    const onEnd = (): Promise<void> => {
      calls++;
      return Promise.reject(new Error("nobody listens"));
    };
    const state = await run({ ...plan(task("a")), onEnd });
    expect(state.status).toBe("completed");
    await runtime.runUntilIdle();
    expect(calls).toBe(5);
    expect(changes("plan.answered")).toHaveLength(0);
    expect(engine.driving()).toEqual([]);
  });
});

describe("commands", () => {
  test("cancelling aborts what runs, and every open task ends as cancelled", async () => {
    const { engine, runtime, dispatcher, settle } = setUp({ b: (_, { signal }) => sleep(runtime, 60_000, signal) });
    await engine.accept(origin, "p", plan(...diamond));
    await runtime.runUntil(() => dispatcher.callsOf("b").length > 0);
    const ended = engine.ended("p");
    expect(await engine.cancel("p", "enough")).toBe(true);
    expect(await settle(ended)).toMatchObject({ status: "cancelled", failure: { message: "enough" } });
    expect(dispatcher.callsOf("b")[0]?.aborted).toMatchObject({ code: "CANCELLED" });
    expect((await engine.ended("p"))?.tasks.map((one) => one.status)).toEqual([
      "completed",
      "cancelled",
      "cancelled",
      "cancelled",
    ]);
    expect(await engine.cancel("p", "again")).toBe(false);
    expect(runtime.pending).toBe(0);
  });

  test("cancelling while the planner still thinks aborts its signal and drops what it returns", async () => {
    const { engine, runtime, settle, dispatcher } = setUp();
    let aborted = false;
    await engine.accept(origin, "p", {
      makeTasks: async (_, { signal }) => {
        signal.addEventListener("abort", () => {
          aborted = true;
        });
        await sleep(runtime, 1000);
        return { tasks: [task("a")] };
      },
    });
    await runtime.advance(100);
    await engine.cancel("p", "changed my mind");
    expect(aborted).toBe(true);
    expect(await settle(engine.ended("p"))).toMatchObject({ status: "cancelled", tasks: [] });
    await runtime.runUntilIdle();
    expect(dispatcher.calls).toHaveLength(0);
  });

  test("a paused plan finishes what runs and begins nothing until it goes on", async () => {
    const { engine, runtime, dispatcher, settle, log } = setUp();
    await engine.accept(origin, "p", plan(task("a"), task("b", "a")));
    await runtime.runUntil(() => dispatcher.calls.length === 1);
    expect(await engine.pause("p", "lunch")).toBe(true);
    expect(await engine.pause("p")).toBe(false);
    await runtime.advance(60_000);
    expect(foldPlan("p", log.entries("p"))).toMatchObject({
      status: "paused",
      tasks: [{ status: "completed" }, { status: "pending" }],
    });
    expect(await engine.unpause("p")).toBe(true);
    expect((await settle(engine.ended("p"))).status).toBe("completed");
  });

  test("a retry that falls due while the plan is paused waits for its end", async () => {
    const { engine, runtime, dispatcher, settle, changes } = setUp({
      a: ({ attempt }) => {
        if (attempt === 1) throw new Error("once");
        return attempt;
      },
    });
    await engine.accept(origin, "p", plan(task("a")));
    await runtime.runUntil(() => changes("task.retried").length > 0);
    await engine.pause("p");
    await runtime.advance(10_000);
    expect(dispatcher.calls).toHaveLength(1);
    await engine.unpause("p");
    expect((await settle(engine.ended("p"))).result).toEqual({ a: 2 });
  });

  test("a plan driven elsewhere can be cancelled, which its driver notices", async () => {
    const { engine, engineFor, runtime, dispatcher, settle } = setUp();
    const ends: string[] = [];
    await engine.accept(origin, "p", { ...plan(...diamond), onEnd: (state) => void ends.push(state.status) });
    await runtime.runUntil(() => dispatcher.calls.length > 0);
    expect(await engineFor("other").cancel("p", "from afar")).toBe(true);
    expect((await settle(engine.ended("p"))).status).toBe("cancelled");
    expect(ends).toEqual(["cancelled"]);
    expect(dispatcher.calls).toHaveLength(1);
    await expect(engine.cancel("unknown", "x")).rejects.toMatchObject({ code: "PLAN_NOT_FOUND" });
  });
});
