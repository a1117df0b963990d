import { describe, expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { memoryPlanLog } from "../../testing/memory-plan-log.ts";
import { testOrigin } from "../../testing/plan-changes.ts";
import { type PlanEngines, planEngines, testTask as task } from "../../testing/plan-engines.ts";
import { SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { PlanChange, PlanLog } from "./log.ts";
import { LogAccess } from "./log-access.ts";
import { LoggedPlan } from "./logged-plan.ts";

const tooLarge = (): never => {
  throw new SoormaError("MESSAGE_TOO_LARGE", "too large");
};

describe("what is appended in parts", () => {
  test("holds a planner's decision as a whole, whoever is lost between the parts", async () => {
    let isLost = false;
    const fixture = planEngines(
      { long: () => new Promise(() => {}) },
      {
        fault({ changes, phase, agentId }) {
          if (agentId !== "p1") return;
          if (isLost) return new Promise(() => {});
          if (!changes.some(({ type }) => type === "plan.transitioned" || type === "task.cancelled")) return;
          if (phase === "before" && changes.length > 2) tooLarge();
          if (phase === "before") return;
          isLost = true;
          return new Promise(() => {});
        },
      },
    );
    const { engineFor, settle, runtime, takeOver } = fixture;
    const handlers: PlanHandlers = {
      makeTasks: () => ({ tasks: [task("a"), task("b"), task("long")], grows: true }),
      onTransition: ({ name }) => (name === "a" ? { complete: { result: "good" } } : undefined),
    };
    void engineFor("p1").accept(testOrigin, "p", handlers);
    await runtime.runUntil(() => isLost);
    const second = engineFor("p2");
    expect(await takeOver(second, "p2", () => handlers)).toBe(1);
    expect(await settle(second.ended("p"))).toMatchObject({ status: "completed", result: "good" });
  });

  test("is cut near the middle, but never between a decision and what it comes to", async () => {
    const failure = { code: "GOAL_FAILED", message: "no way", retryable: false };
    const step = (key: string): PlanChange => ({ type: "task.stepped", taskId: "p.1", attempt: 1, key, value: null });
    const decision: PlanChange[] = [
      { type: "plan.transitioned", taskId: "p.1" },
      { type: "plan.failed", failure },
    ];
    const partsOf = async (changes: readonly PlanChange[], most: number) => {
      const parts: string[] = [];
      const append = async (_planId: string, version: number, part: readonly PlanChange[]) => {
        if (part.length > most) tooLarge();
        parts.push(part.map(({ type }) => type.slice(5, 7)).join(" "));
        return version + part.length;
      };
      const log = { append } as unknown as PlanLog;
      const access = new LogAccess({ log, planId: "p", runtime: fakeRuntime(), logger: silentLogger });
      const told: number[] = [];
      const end = access.append(7, changes, 1, (_part, version) => void told.push(version));
      return [await end.catch((error: SoormaError) => error.code), parts, told];
    };
    expect(await partsOf([step("1"), step("2"), step("3"), step("4")], 2)).toEqual([11, ["st st", "st st"], [9, 11]]);
    expect(await partsOf([step("1"), ...decision, step("2")], 3)).toEqual([11, ["st", "tr fa st"], [8, 11]]);
    expect(await partsOf([step("1"), ...decision], 2)).toEqual([10, ["st", "tr fa"], [8, 10]]);
    expect(await partsOf(decision, 1)).toEqual(["MESSAGE_TOO_LARGE", [], []]);
  });

  test("is known in full, and so is what others changed between the parts", async () => {
    const runtime = fakeRuntime();
    const step = { type: "task.stepped", taskId: "p.1", attempt: 1, key: "s", value: "yes" } as const;
    let isCut = false;
    const memory = memoryPlanLog({
      runtime,
      async fault({ changes, phase }) {
        if (!isCut) return;
        if (phase === "before" && changes.length > 1) tooLarge();
        if (phase === "after" && changes[0]?.type === "task.assigned") await memory.as("person").record("p", step);
      },
    });
    const log = memory.as("p1");
    await log.append("p", 0, [
      { type: "plan.created", origin: testOrigin, driver: "p1" },
      {
        type: "plan.started",
        tasks: [
          { taskId: "p.1", name: "ask", wait: { kind: "input", prompt: "?" } },
          { taskId: "p.2", ...task("b") },
        ],
      },
      { type: "task.dispatched", taskId: "p.1", attempt: 1 },
      { type: "task.waiting", taskId: "p.1", attempt: 1, key: "wait", on: { kind: "input", prompt: "?" } },
      { type: "task.dispatched", taskId: "p.2", attempt: 1 },
    ]);
    const access = new LogAccess({ log, planId: "p", runtime, logger: silentLogger });
    const plan = new LoggedPlan("p", memory.entries("p"), { log, access, runtime, agentId: "p1" });
    isCut = true;
    const ended: PlanChange[] = [
      { type: "task.assigned", taskId: "p.2", attempt: 1, agentId: "w-1", agentName: "w" },
      { type: "task.succeeded", taskId: "p.2", attempt: 1, result: "b" },
    ];
    for (const change of ended) plan.fold.propose(change, runtime.now());
    expect(await plan.append(ended)).toBe(true);
    expect(await plan.catchUp(false)).toMatchObject({ foreign: [step] });
    expect(plan.readUpTo).toBe(memory.entries("p").length);
  });

  test("still reuses what a plan that is done again kept, when somebody changes the plan between the parts", async () => {
    let isOrdered = false;
    const fixture: PlanEngines = planEngines(
      {},
      {
        async fault({ changes, phase, agentId }) {
          if (agentId === "person") return;
          if (phase === "before" && changes.length > 1) tooLarge();
          if (phase !== "after" || changes[0]?.type !== "plan.started" || isOrdered) return;
          isOrdered = true;
          await fixture.log.as("person").record("p", { type: "plan.paused" });
          await fixture.log.as("person").record("p", { type: "plan.resumed" });
        },
      },
    );
    const state = await fixture.run({
      makeTasks: () => ({ tasks: [task("a"), task("b", "a")], reused: { a: "before" } }),
    });
    expect(state).toMatchObject({ status: "completed", result: { a: "before" } });
    expect(fixture.dispatcher.callsOf("a")).toEqual([]);
  });
});

test("a plan that fails of what the log refuses ends, though it refuses what takes it back, too", async () => {
  const large = "x".repeat(100);
  const { run } = planEngines(
    { b: () => large, undoer: () => large },
    {
      fault({ changes, phase }) {
        const isLarge = changes.some((change) => change.type === "task.succeeded" && change.result === large);
        if (phase === "before" && isLarge) tooLarge();
      },
    },
  );
  const state = await run({
    makeTasks: () => ({
      tasks: [
        { ...task("a"), undo: { assignedTo: "undoer" } },
        { ...task("c"), undo: { assignedTo: "worker" } },
        task("b", "a", "c"),
      ],
    }),
  });
  expect(state).toMatchObject({ status: "failed", failure: { code: "MESSAGE_TOO_LARGE" } });
  expect(state.tasks.map(({ name, status }) => `${name} ${status}`).slice(3)).toEqual([
    "undo:c completed",
    "undo:a failed",
  ]);
});

test("a forEach whose item would have the name of another task fails, and says so", async () => {
  const { run } = planEngines({ worker: ({ data }) => data });
  const handlers: PlanHandlers = {
    makeTasks: () => ({ tasks: [{ ...task("each"), forEach: { over: "{{goal.data.items}}" } }, task("each[0]")] }),
  };
  const state = await run(handlers, { goalData: { items: [1, 2] } });
  expect(state).toMatchObject({ status: "failed", tasks: [{ failure: { code: "PLAN_INVALID" } }, {}] });
  expect(state.failure?.message).toContain('"each[0]", which the plan has already');
});

test("a delegated task is not taken for one of the plan's own of that name", async () => {
  const { run } = planEngines({
    "order/x": ({ data }) => data,
    order: async (_, { onDelegate, onJoin, signal }) => {
      await onDelegate([{ name: "x", assignedTo: "worker", data: "mine" }]);
      return onJoin("x", signal);
    },
  });
  const another = { name: "order/x", assignedTo: "worker", data: "another's" };
  const state = await run({ makeTasks: () => ({ tasks: [{ ...task("order"), retry: { maxAttempts: 1 } }, another] }) });
  expect(state).toMatchObject({ status: "failed" });
  expect(state.failure?.message).toContain('"x", as that of a task which the plan has already');
});
