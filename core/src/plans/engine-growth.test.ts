import { describe, expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { planEngines, testTask as task } from "../../testing/plan-engines.ts";
import type { ScriptedTask } from "../../testing/scripted-dispatcher.ts";
import { isSoormaError, NonRetryableError, SoormaError } from "../errors.ts";
import { sleep } from "../runtime.ts";
import type { PlanHandlers, TransitionDraft } from "./handlers.ts";
import type { PlanState, TaskSpec, TaskState } from "./log.ts";
import { foldPlan } from "./reducer.ts";

const plan = (...tasks: TaskSpec[]): PlanHandlers => ({ makeTasks: () => ({ tasks }) });
const growing = (
  tasks: TaskSpec[],
  onTransition: (task: TaskState, plan: PlanState) => TransitionDraft | undefined,
): PlanHandlers => ({ makeTasks: () => ({ tasks, grows: true, state: "first" }), onTransition });
const fail = (message: string) => (): never => {
  throw new NonRetryableError(message);
};

describe("a plan that grows", () => {
  test("is asked after each task's end, one at a time, and ends when nothing was added", async () => {
    const asked: string[] = [];
    const { run, changes } = planEngines();
    const state = await run(
      growing([task("a"), task("b")], ({ name, status }, { tasks }) => {
        asked.push(`${name} ${status} of ${tasks.length}`);
        if (name === "a")
          return { tasks: [{ ...task("c", "a", "b"), data: "{{results.a.name}}", templated: true }], to: "second" };
        return undefined;
      }),
    );
    expect(asked).toEqual(["a completed of 2", "b completed of 3", "c completed of 3"]);
    expect(state).toMatchObject({ status: "completed", state: "second" });
    expect(state.result).toMatchObject({ c: { from: ["a", "b"] } });
    expect(changes("plan.transitioned").map(({ taskId }) => taskId)).toEqual(["p.1", "p.2", "p.3"]);
  });

  test("a failure that is handled is none", async () => {
    const { run } = planEngines({ a: fail("broken") });
    const state = await run(
      growing([task("a")], ({ status }) =>
        status === "failed" ? { handled: true, tasks: [task("instead")] } : undefined,
      ),
    );
    expect(state).toMatchObject({ status: "completed", result: { instead: { from: [] } } });
    expect(Object.keys(state.result as object)).toEqual(["instead"]);
  });

  test("may be completed early: what is open is aborted", async () => {
    const fixture = planEngines({ slow: (_, { signal }) => sleep(fixture.runtime, 60_000, signal) });
    const state = await fixture.run(
      growing([task("a"), task("slow")], () => ({ complete: { result: "good enough" } })),
    );
    expect(state).toMatchObject({ status: "completed", result: "good enough" });
    expect(fixture.dispatcher.callsOf("slow")[0]?.aborted).toMatchObject({ code: "CANCELLED" });
    expect(fixture.runtime.elapsedMs).toBeLessThan(1_000);
  });

  test("may be paused, and fails as its planner says or when its planner throws", async () => {
    const paused = planEngines();
    const engine = paused.engineFor("p1");
    await engine.accept(
      testOrigin,
      "p",
      growing([task("a")], () => ({ pause: "look at this", tasks: [task("b")] })),
    );
    await paused.runtime.advance(60_000);
    expect(foldPlan("p", paused.log.entries("p"))).toMatchObject({
      status: "paused",
      tasks: [{}, { status: "pending" }],
    });
    expect(await engine.unpause("p")).toBe(true);

    const failure = { code: "GOAL_FAILED", message: "no way", retryable: false };
    expect((await planEngines().run(growing([task("a")], () => ({ fail: failure })))).failure).toEqual(failure);

    const throws = await planEngines().run(
      growing([task("a")], () => {
        throw new Error("confused");
      }),
    );
    expect(throws.failure?.message).toContain(
      'could not go on with "test.goal": its onTransition handler failed: confused',
    );
  });

  test("adding what cannot be added fails the plan with the path", async () => {
    const state = await planEngines().run(growing([task("a")], () => ({ tasks: [task("x", "nobody")] })));
    expect(state.failure).toMatchObject({ code: "PLAN_INVALID" });
    expect(state.failure?.message).toContain("tasks[0].dependsOn[0]");
  });

  test("that grows for ever is ended by its budget, which names the numbers", async () => {
    let n = 0;
    const state = await planEngines().run({
      makeTasks: () => ({ tasks: [task("t0")], grows: true, budget: { maxTasks: 10 } }),
      onTransition: () => ({ tasks: [task(`t${++n}`)] }),
    });
    expect(state.tasks).toHaveLength(10);
    expect(state.failure).toMatchObject({ code: "BUDGET_EXCEEDED", details: { maxTasks: 10, tasks: 10, added: 1 } });
  });
});

describe("a budget", () => {
  test("of time ends the plan, waiting included", async () => {
    const { run, runtime } = planEngines();
    const state = await run({
      makeTasks: () => ({
        tasks: [{ name: "nap", wait: { kind: "sleep", ms: 60_000 } }],
        budget: { maxDurationMs: 5_000 },
      }),
    });
    expect(runtime.elapsedMs).toBe(5_000);
    expect(state.failure).toMatchObject({
      code: "BUDGET_EXCEEDED",
      message: expect.stringContaining("may take 5000 ms"),
    });
    expect(runtime.pending).toBe(0);
  });

  test("of tasks refuses a list that is too long, before one of its tasks runs", async () => {
    const { run, dispatcher } = planEngines({ list: () => Array.from({ length: 1_000 }) });
    const each = { ...task("each", "list"), forEach: { over: "{{results.list}}" } };
    const state = await run({ makeTasks: () => ({ tasks: [task("list"), each], budget: { maxTasks: 100 } }) });
    expect(state.failure).toMatchObject({ code: "BUDGET_EXCEEDED", details: { added: 1_000, tasks: 2 } });
    expect(dispatcher.calls).toHaveLength(1);
  });
});

describe("delegated tasks", () => {
  const child = (name: string): TaskSpec => ({ name, assignedTo: "worker", data: name });

  test("run as tasks of the plan; the handler gets their results and they are not part of the answer", async () => {
    const { run, dispatcher } = planEngines({
      order: async (_, { onDelegate, onJoin, signal }) => {
        await onDelegate([child("stock"), child("pay")]);
        await onDelegate([child("pay")]);
        return Promise.all([onJoin("pay", signal), onJoin("stock", signal)]);
      },
    });
    const state = await run(plan(task("order")));
    expect(state.result).toEqual({
      order: [
        { name: "order/pay", from: [] },
        { name: "order/stock", from: [] },
      ],
    });
    expect(state.tasks.map(({ taskId, name, status }) => [taskId, name, status])).toEqual([
      ["p.1", "order", "completed"],
      ["p.1.1", "order/stock", "completed"],
      ["p.1.2", "order/pay", "completed"],
    ]);
    expect(dispatcher.peak).toBe(3);
  });

  test("are joined, not run again, by the next attempt", async () => {
    const { run, dispatcher } = planEngines({
      order: async ({ attempt }, { onDelegate, onJoin, signal }) => {
        await onDelegate([child("stock")]);
        const stock = await onJoin("stock", signal);
        if (attempt === 1) throw new Error("once");
        return stock;
      },
    });
    expect((await run(plan(task("order")))).result).toEqual({ order: { name: "order/stock", from: [] } });
    expect(dispatcher.callsOf("order/stock")).toHaveLength(1);
  });

  test("that fail reject the join, and it is the handler that decides", async () => {
    const { run } = planEngines({
      "order/pay": fail("card refused"),
      order: async (_, { onDelegate, onJoin, signal }) => {
        await onDelegate([child("pay")]);
        return onJoin("pay", signal).catch((error) => (isSoormaError(error) ? `${error.code}: ${error.message}` : "?"));
      },
    });
    expect(await run(plan(task("order")))).toMatchObject({
      status: "completed",
      result: { order: "TASK_FAILED: card refused" },
    });
  });

  test("end with the task that delegated them", async () => {
    const fixture = planEngines({
      "order/slow": (_, { signal }) => sleep(fixture.runtime, 60_000, signal),
      order: async (_, { onDelegate }) => {
        await onDelegate([child("slow")]);
        await sleep(fixture.runtime, 100);
        throw new NonRetryableError("enough");
      },
    });
    const state = await fixture.run(plan(task("order")));
    expect(state.tasks.map(({ status }) => status)).toEqual(["failed", "cancelled"]);
    expect(fixture.dispatcher.callsOf("order/slow")[0]?.aborted).toMatchObject({ code: "CANCELLED" });
  });

  test("more than the budget allows end the plan, and the handler hears of it", async () => {
    let heard: unknown;
    const { run } = planEngines({
      order: async (_, { onDelegate }) => {
        await onDelegate([child("x"), child("y")]).catch((error) => {
          heard = error;
        });
      },
    });
    const state = await run({ makeTasks: () => ({ tasks: [task("order")], budget: { maxTasks: 2 } }) });
    expect(state.failure).toMatchObject({ code: "BUDGET_EXCEEDED" });
    expect(heard).toMatchObject({ code: "BUDGET_EXCEEDED" });
  });

  test("are joined across engines: whoever waits for them asks the next one", async () => {
    const fixture = planEngines({
      "order/slow": async () => {
        await sleep(fixture.runtime, 1_000);
        return "done";
      },
      order: async (_, { onDelegate, onJoin, signal }) => {
        await onDelegate([child("slow")]);
        return onJoin("slow", signal);
      },
    });
    const { runtime, engineFor, takeOver, settle, dispatcher } = fixture;
    const first = engineFor("p1");
    await first.accept(testOrigin, "p", plan(task("order")));
    await runtime.advance(500);
    await settle(first.stop());
    const second = engineFor("p2");
    await takeOver(second, "p2", () => plan());
    expect((await settle(second.ended("p")))?.result).toEqual({ order: "done" });
    expect(dispatcher.calls).toHaveLength(2);
  });
});

describe("undo", () => {
  const undoable = (name: string, ...dependsOn: string[]): TaskSpec => ({
    ...task(name, ...dependsOn),
    templated: true,
    undo: { assignedTo: "undoer", ...(name === "b" ? { data: { id: "{{result.id}}" } } : {}) },
  });
  const scripts: Record<string, ScriptedTask> = {
    a: () => "A",
    b: () => ({ id: 7 }),
    c: fail("c is broken"),
    undoer: ({ data }) => data,
  };

  test("takes completed tasks back one at a time, last one first, and then the plan fails as it was going to", async () => {
    const { run, dispatcher, changes } = planEngines(scripts);
    const state = await run(plan(undoable("a"), undoable("b", "a"), undoable("c", "b")));
    expect(state).toMatchObject({ status: "failed", failure: { code: "GOAL_FAILED" } });
    const undone = dispatcher.calls.filter(({ assignment }) => assignment.assignedTo === "undoer");
    expect(undone.map(({ assignment }) => [assignment.name, assignment.data])).toEqual([
      ["undo:b", { id: 7 }],
      ["undo:a", { data: undefined, result: "A" }],
    ]);
    expect(undone[1]?.beganAtMs).toBeGreaterThanOrEqual(undone[0]?.endedAtMs ?? 0);
    expect(changes("plan.undone")).toHaveLength(1);
  });

  test("one that fails does not stop the others; a cancelled plan is taken back, too, after its deadline as well", async () => {
    const fixture = planEngines({ ...scripts, c: () => sleep(fixture.runtime, 60_000), "undo:b": fail("stuck") });
    const { run, runtime, dispatcher } = fixture;
    const state = await run(plan(undoable("a"), undoable("b", "a"), task("c", "b")), {
      deadline: runtime.now() + 5_000,
    });
    expect(state).toMatchObject({ status: "failed", failure: { code: "TIMEOUT" } });
    expect(
      state.tasks
        .slice(3)
        .map(({ name, status }) => `${name} ${status}`)
        .sort(),
    ).toEqual(["undo:a completed", "undo:b failed"]);
    expect(dispatcher.callsOf("undo:a")[0]?.assignment.deadline).toBeUndefined();
    expect(dispatcher.callsOf("c")[0]?.aborted).toMatchObject({ code: "CANCELLED" });
  });

  test("goes on at the next engine", async () => {
    const { runtime, engineFor, takeOver, settle, dispatcher } = planEngines(scripts);
    const handlers = plan(undoable("a"), undoable("b", "a"), undoable("c", "b"));
    const first = engineFor("p1");
    await first.accept(testOrigin, "p", handlers);
    await runtime.runUntil(() => dispatcher.callsOf("undo:b").length === 1);
    await settle(first.stop());
    const second = engineFor("p2");
    await takeOver(second, "p2", () => handlers);
    expect(await settle(second.ended("p"))).toMatchObject({ status: "failed", failure: { code: "GOAL_FAILED" } });
    expect(dispatcher.callsOf("undo:b")).toHaveLength(1);
    expect(dispatcher.callsOf("undo:a")).toHaveLength(1);
  });
});

describe("other tasks", () => {
  test("a sub-plan is dispatched as a goal, and dispatched again as the same one when its driver was lost", async () => {
    const fixture = planEngines({ "child.goal": () => sleep(fixture.runtime, 1_000).then(() => "child's answer") });
    const { runtime, engineFor, takeOver, settle, dispatcher } = fixture;
    const first = engineFor("p1");
    await first.accept(testOrigin, "p", plan({ name: "sub", goal: "child.goal", data: 1 }));
    await runtime.advance(100);
    await settle(first.stop());
    dispatcher.forget();
    const second = engineFor("p2");
    await takeOver(second, "p2", () => plan());
    expect((await settle(second.ended("p")))?.result).toEqual({ sub: "child's answer" });
    expect(
      dispatcher.calls.map(({ assignment }) => [assignment.goal, assignment.attempt, assignment.failures]),
    ).toEqual([
      ["child.goal", 1, 0],
      ["child.goal", 2, 0],
    ]);
  });

  test("a plan that is done again takes results that are known", async () => {
    const { run, dispatcher } = planEngines();
    const state = await run({
      makeTasks: () => ({ tasks: [task("a"), task("b", "a")], reused: { a: "from before" } }),
    });
    expect(state.result).toMatchObject({ a: "from before", b: { from: ["a"] } });
    expect(dispatcher.callsOf("a")).toHaveLength(0);
    expect(state.tasks[0]).toMatchObject({ reused: true });
  });

  test("what is handed back or lost while it waited is not counted, until it happens again and again", async () => {
    const { run, runtime, changes } = planEngines({
      a: () => {
        throw new SoormaError("NODE_STOPPED", "this worker is leaving");
      },
      b: ({ attempt }) => {
        if (attempt < 5) throw new SoormaError("PEER_UNREACHABLE", "gone", { details: { suspended: true } });
        return attempt;
      },
    });
    const state = await run(plan(task("a"), task("b")));
    expect(state.tasks[1]).toMatchObject({ status: "completed", attempt: 5, failures: 0 });
    expect(state.tasks[0]).toMatchObject({ status: "failed", attempt: 23, failures: 3 });
    expect(changes("task.retried").find(({ taskId }) => taskId === "p.1")).toMatchObject({
      uncounted: true,
      delayMs: 0,
    });
    expect(runtime.pending).toBe(0);
  });

  test("nor is what was handed back any number of times, a minute or more after it began: workers come and go", async () => {
    const { run } = planEngines(
      {
        a: ({ attempt }) => {
          if (attempt <= 30) throw new SoormaError("NODE_STOPPED", "this worker is leaving");
          return attempt;
        },
      },
      { latencyMs: 61_000 },
    );
    const state = await run(plan(task("a")));
    expect(state.tasks[0]).toMatchObject({ status: "completed", attempt: 31, failures: 0 });
  });
});

describe("leases and epochs", () => {
  test("an engine that claims its own plan again goes on with it in the new epoch", async () => {
    const { runtime, engineFor, takeOver, settle, dispatcher, changes } = planEngines({}, { latencyMs: 1_000 });
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", plan(task("a"), task("b", "a")));
    await runtime.advance(500);
    expect(await takeOver(engine, "p1", () => plan())).toBe(1);
    await runtime.advance(100);
    expect(await takeOver(engine, "p1", () => plan())).toBe(1);
    expect(await settle(engine.ended("p"))).toMatchObject({ status: "completed", epoch: 3 });
    expect(dispatcher.calls).toHaveLength(2);
    expect(changes("plan.driven").map(({ epoch }) => epoch)).toEqual([2, 3]);
  });

  test("a plan whose driver holds a lease is nobody else's; without it it is at once", async () => {
    const { runtime, log, engineFor, takeOver, settle } = planEngines({}, { latencyMs: 1_000 });
    const [first, second] = [engineFor("p1"), engineFor("p2")];
    await log.as("p1").lease("tester", "p1", 10_000);
    await first.accept(testOrigin, "p", plan(task("a"), task("b", "a")));
    expect(await takeOver(second, "p2", () => plan())).toBe(0);
    await log.as("p1").release("p1");
    expect(await takeOver(second, "p2", () => plan())).toBe(1);
    const lost = first.ended("p");
    expect((await settle(second.ended("p")))?.status).toBe("completed");
    expect(await settle(lost)).toBeUndefined();
    await runtime.runUntilIdle();
    expect(first.driving()).toEqual([]);
  });

  test("an engine with a lease hears at once that its plan was claimed", async () => {
    const { runtime, log, engineFor, lease } = planEngines({}, { latencyMs: 60_000 });
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", plan(task("a")));
    await log.as("p2").claim("tester", "p2", 1);
    await lease("p1");
    await log.as("p3").claim("tester", "p3", 1);
    engine.refresh();
    await runtime.advance(100);
    expect(engine.driving()).toEqual([]);
  });

  test("a sub-plan whose parent ended while it was on its way ends at once, and none of its tasks runs", async () => {
    const { engineFor, dispatcher, settle } = planEngines();
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", { makeTasks: () => new Promise(() => {}) });
    await engine.cancel("p", "enough");
    expect(await engine.accept({ ...testOrigin, parentPlanId: "p" }, "child", plan(task("b")))).toBe(true);
    expect(await settle(engine.ended("child"))).toMatchObject({ status: "cancelled" });
    expect(dispatcher.calls).toEqual([]);
  });

  test("sub-plans end with the plan they are part of", async () => {
    const { runtime, log, engineFor, lease, dispatcher, settle } = planEngines({}, { latencyMs: 60_000 });
    const engine = engineFor("p1");
    await lease("p1");
    await engine.accept(testOrigin, "p", plan(task("a")));
    await engine.accept({ ...testOrigin, parentPlanId: "p" }, "child", plan(task("b")));
    await engine.accept({ ...testOrigin, parentPlanId: "child" }, "grandchild", plan(task("c")));
    await runtime.advance(100);
    await log.as("a person").record("p", { type: "plan.cancelled", reason: "enough" });
    expect(await settle(engine.ended("grandchild"))).toMatchObject({
      status: "cancelled",
      failure: { message: "its parent plan child ended" },
    });
    await runtime.advance(0);
    expect(dispatcher.calls.map(({ aborted }) => (aborted as SoormaError).code)).toEqual(Array(3).fill("CANCELLED"));
  });
});
