import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { changes } from "../../testing/plan-changes.ts";
import { testStores } from "../../testing/stores.ts";
import { isSoormaError, type SoormaError } from "../errors.ts";
import type { PlanChange, WaitSpec } from "../plans/log.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import { localQueries } from "./local-log.ts";
import { createTracker } from "./tracker.ts";
import { createTrackerStore } from "./tracker-store.ts";

const { created, started, dispatched, succeeded, failed, planFailed, cancelled } = changes;

async function failure(attempt: Promise<unknown>): Promise<SoormaError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
  return error;
}

const retried = (taskId: string, attempt: number, more: { durationMs?: number; uncounted?: boolean }): PlanChange => ({
  type: "task.retried",
  taskId,
  attempt,
  failure: { code: "TASK_FAILED", message: "again", retryable: true },
  delayMs: 0,
  ...more,
});

/** Of a sorted list: the smallest value that `share` of them do not exceed. */
const exact = (sorted: readonly number[], share: number): number => sorted[Math.ceil(sorted.length * share) - 1] ?? 0;

describe.each(Object.entries(testStores))("queries on the %s store", (_name, make) => {
  async function subject() {
    const made = await make();
    const runtime = fakeRuntime();
    const tracker = createTrackerStore({ store: made.store, runtime });
    const log = tracker.of("acme", "a");
    let ids = 0;
    const client = createTracker({
      log,
      queries: localQueries(tracker, "acme"),
      tenant: "acme",
      nextId: () => `id${++ids}`,
    });
    return {
      runtime,
      tracker,
      client,
      log,
      async plan(planId: string, list: readonly PlanChange[], fields = {}) {
        await log.append(planId, 0, [created(fields, "a"), ...list]);
        await runtime.advance(10);
      },
      async append(planId: string, ...list: PlanChange[]) {
        const version = (await log.list()).find((plan) => plan.planId === planId)?.version ?? 0;
        await log.append(planId, version, list);
        await runtime.advance(10);
      },
      [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
    };
  }

  test("metrics tell each agent's attempts, failures, median and p95 as counting them would", async () => {
    await using s = await subject();
    const seen: Record<string, { durations: number[]; failures: number }> = {};
    const count = (agent: string, durationMs: number, isFailure: boolean): void => {
      seen[agent] ??= { durations: [], failures: 0 };
      seen[agent].durations.push(durationMs);
      if (isFailure) seen[agent].failures++;
    };
    const random = fakeRuntime({ seed: 7 });
    const appends: Promise<number>[] = [];
    for (let i = 0; i < 300; i++) {
      const agent = i % 3 ? "fast" : "slow";
      const took = Math.round((agent === "fast" ? 3 : 900) * Math.exp(random.random() * 5) * 100) / 100;
      const list = [started("t"), dispatched("t", 1, agent)];
      let attempt = 1;
      if (i % 5 === 0) {
        list.push(retried("t", 1, { durationMs: took }), dispatched("t", 2, agent));
        count(agent, took, true);
        attempt = 2;
      }
      if (i % 7 === 0) {
        // Handed back unfinished: nobody's failure.
        list.push(retried("t", attempt, { durationMs: 1e9, uncounted: true }), dispatched("t", attempt + 1, agent));
        attempt++;
      }
      if (i % 4 === 0) {
        list.push(failed("t", attempt, took));
        count(agent, took, true);
      } else {
        list.push(succeeded("t", attempt, took), succeeded("t", attempt, 1e9));
        count(agent, took, false);
      }
      appends.push(s.log.append(`p${i}`, 0, [created({}, "a"), ...list]));
    }
    await Promise.all(appends);
    const metrics = await s.client.metrics();
    expect(metrics.map(({ agentName }) => agentName)).toEqual(["fast", "slow"]);
    for (const { agentName, count: counted, failures, medianMs, p95Ms } of metrics) {
      const { durations, failures: expected } = seen[agentName] ?? { durations: [], failures: -1 };
      durations.sort((a, b) => a - b);
      expect([counted, failures]).toEqual([durations.length, expected]);
      for (const [told, share] of [
        [medianMs, 0.5],
        [p95Ms, 0.95],
      ] as const) {
        expect(Math.abs(told / exact(durations, share) - 1)).toBeLessThan(0.026);
      }
    }
    expect(await s.client.metrics({ agentName: "slow" })).toEqual(metrics.slice(1));
    expect(await s.client.metrics({ agentName: "nobody" })).toEqual([]);
    expect(s.tracker.metrics("evil")).toEqual([]);
  });

  test("dead letters are what failed for good, until they are discarded, tried again, or dealt with", async () => {
    await using s = await subject();
    const dependent = { taskId: "b", name: "b", assignedTo: "w", dependsOn: ["a"] };
    const lost: PlanChange = {
      type: "task.failed",
      taskId: "b",
      failure: { code: "DEPENDENCY_FAILED", message: "a failed", retryable: false },
    };
    await s.plan("p1", [started("a", dependent), dispatched("a"), failed("a"), lost, planFailed], { goalType: "x" });
    await s.plan("p2", [
      started("a", dependent),
      dispatched("a"),
      retried("a", 1, {}),
      dispatched("a", 2),
      failed("a", 2),
      lost,
    ]);
    await s.plan("p3", [started("a"), dispatched("a"), cancelled]);
    await s.plan("p4", [{ ...started("a"), grows: true } as PlanChange, dispatched("a"), failed("a")]);
    const ids = async (query = {}): Promise<string[]> =>
      (await s.client.deadLetters(query)).map(({ planId, taskId }) => `${planId} ${taskId}`);
    expect(await ids()).toEqual(["p4 a", "p2 a", "p1 a"]);
    expect(await ids({ planId: "p2" })).toEqual(["p2 a"]);
    expect(await ids({ goalType: "x" })).toEqual(["p1 a"]);
    expect(await ids({ limit: 1 })).toEqual(["p4 a"]);
    expect(await ids({ agentName: "nobody" })).toEqual([]);
    const [, second] = await s.client.deadLetters();
    expect(second).toMatchObject({
      name: "a",
      goalType: "research",
      planner: "p",
      assignedTo: "worker",
      agentName: "worker",
      attempt: 2,
      failure: { code: "TASK_FAILED", message: "a broke" },
    });
    expect(await ids({ sinceMs: second?.failedAtMs })).toEqual(["p4 a", "p2 a"]);
    expect(await ids({ untilMs: second?.failedAtMs })).toEqual(["p1 a"]);

    await s.client.reviveTask("p2", "a");
    expect((await s.client.getPlan("p2")).tasks.map(({ status }) => status)).toEqual(["pending", "pending"]);
    expect(await ids()).toEqual(["p4 a", "p1 a"]);
    await s.append("p2", dispatched("a", 3), failed("a", 3));
    expect(await ids()).toEqual(["p2 a", "p4 a", "p1 a"]);
    await s.append("p4", { type: "plan.transitioned", taskId: "a", handled: true });
    await s.client.discardDeadLetter("p1", "a", "seen");
    expect(await ids()).toEqual(["p2 a"]);
    const refused = await failure(s.client.discardDeadLetter("p1", "a"));
    expect(refused).toMatchObject({ code: "PLAN_REFUSED", retryable: false });
    expect(refused.message).toContain('task "a" of plan p1, which is failed, cannot be discarded');
    expect((await failure(s.client.reviveTask("p1", "a"))).code).toBe("PLAN_REFUSED");
    expect((await failure(s.client.reviveTask("p2", "none"))).message).toContain("there is no such task");
    expect((await failure(s.client.reviveTask("nope", "a"))).code).toBe("PLAN_NOT_FOUND");
  });

  test("tasks are listed by plan, status, agent and goal, also beyond one page", async () => {
    await using s = await subject();
    for (let i = 0; i < 230; i++) {
      const list = [started("a", "b"), dispatched("a", 1, i % 2 ? "odd" : "even")];
      if (i < 200) list.push(succeeded("a"));
      if (i < 150) list.push(cancelled);
      await s.plan(`p${i}`, list, { goalType: i < 50 ? "old" : "new" });
    }
    const found = async (query: Parameters<typeof s.client.listTasks>[0]): Promise<string[]> =>
      (await s.client.listTasks(query)).map(({ planId, taskId }) => `${planId} ${taskId}`);
    expect(await found({ planId: "p7" })).toEqual(["p7 a", "p7 b"]);
    expect(await found({ planId: "nope" })).toEqual([]);
    expect(await found({ limit: 3 })).toEqual(["p229 a", "p229 b", "p228 a"]);
    expect(await found({})).toHaveLength(100);
    expect(await found({ limit: 1_000 })).toHaveLength(460);
    expect(await found({ status: "running" })).toHaveLength(30);
    expect(await found({ status: "pending" })).toHaveLength(80);
    expect(await found({ status: "completed", agentName: "odd", limit: 500 })).toHaveLength(100);
    expect(await found({ goalType: "old", status: "cancelled" })).toHaveLength(50);
    expect(await found({ assignedTo: "nobody" })).toEqual([]);
    const [task] = await s.client.listTasks({ status: "running" });
    expect(task).toEqual({
      planId: "p229",
      goalType: "new",
      planner: "p",
      taskId: "a",
      name: "a",
      assignedTo: "worker",
      status: "running",
      attempt: 1,
      failures: 0,
      fraction: 0,
      agentId: "odd-1",
      agentName: "odd",
      startedAtMs: expect.any(Number),
    });
  });

  test("plans are listed until a time, by parent, and beyond one page", async () => {
    await using s = await subject();
    for (let i = 0; i < 5; i++) await s.plan(`c${i}`, [started("a")], { parentPlanId: i % 2 ? "x" : "y" });
    const all = await s.client.listPlans();
    const ids = (plans: typeof all): string[] => plans.map(({ planId }) => planId);
    expect(ids(all)).toEqual(["c4", "c3", "c2", "c1", "c0"]);
    const untilMs = all[1]?.createdAtMs ?? 0;
    expect(ids(await s.client.listPlans({ untilMs }))).toEqual(["c2", "c1", "c0"]);
    expect(ids(await s.client.listPlans({ untilMs, sinceMs: all[3]?.createdAtMs ?? 0 }))).toEqual(["c2", "c1"]);
    expect(ids(await s.client.listPlans({ untilMs, status: "running", limit: 1 }))).toEqual(["c2"]);
    expect(ids(await s.client.subPlans("x"))).toEqual(["c3", "c1"]);
    expect(ids(await s.client.listPlans({ parentPlanId: "y", status: "failed" }))).toEqual([]);
    const many = Array.from({ length: 1_100 }, (_, i) =>
      s.log.append(`m${i}`, 0, [created({ goalType: "many" }), started("a")]),
    );
    await Promise.all(many);
    expect(await s.client.listPlans({ limit: 2_000 })).toHaveLength(1_105);
    expect(ids(await s.client.listPlans({ goalType: "research" }))).toHaveLength(5);
  });

  test("an answer goes to the one question there is; of none and of several it is told which there are", async () => {
    await using s = await subject();
    const waiting = (taskId: string, key: string, on: WaitSpec): PlanChange => ({
      type: "task.waiting",
      taskId,
      attempt: 1,
      key,
      on,
    });
    const ask = (prompt: string): WaitSpec => ({ kind: "input", prompt });
    await s.plan("p1", [started("a", "b"), dispatched("a"), dispatched("b")]);
    const none = await failure(s.client.answer("p1", "yes"));
    expect(none).toMatchObject({ code: "PLAN_REFUSED" });
    expect(none.message).toContain("nothing in plan p1 waits for an answer");
    expect(none.hint).toContain('getPlan("p1")');
    await s.append("p1", waiting("a", "nap", { kind: "sleep", ms: 1 }), waiting("a", "ok", ask("Ship it?")));
    await s.client.answer("p1", { yes: true });
    expect((await failure(s.client.answer("p1", "again"))).hint).toContain("answered already");
    expect((await s.client.getPlan("p1")).tasks[0]?.waits).toMatchObject([
      { key: "nap" },
      { key: "ok", signalled: { value: { yes: true } } },
    ]);
    await s.append("p1", waiting("a", "ok#2", ask("Really?")), waiting("b", "ok", ask("And b?")));
    const several = await failure(s.client.answer("p1", 1));
    expect(several.message).toContain('"a" with key "ok#2" (“Really?”), "b" with key "ok" (“And b?”)');
    expect(several.details?.waits).toEqual([
      { taskId: "a", key: "ok#2" },
      { taskId: "b", key: "ok" },
    ]);
    const wrong = await failure(s.client.answer("p1", 1, { taskId: "b", key: "nope" }));
    expect(wrong.message).toContain('task "b" of plan p1 does not wait for an answer with key "nope"');
    expect(wrong.hint).toContain("Really?");
    await s.client.answer("p1", 2, { taskId: "b" });
    await s.client.answer("p1", null);
    expect((await s.client.getPlan("p1")).tasks.map(({ status }) => status)).toEqual(["running", "running"]);
    expect((await failure(s.client.answer("nope", 1))).code).toBe("PLAN_NOT_FOUND");
    await s.client.cancelPlan("p1");
    expect((await failure(s.client.answer("p1", 1))).hint).toContain("The plan has ended and takes no answers");
  });

  test("orders say whether they were of any use", async () => {
    await using s = await subject();
    await s.plan("p1", [started("a"), dispatched("a")]);
    expect(await s.client.pausePlan("p1", "lunch")).toBe(true);
    expect(await s.client.pausePlan("p1")).toBe(false);
    expect((await s.client.getPlan("p1")).status).toBe("paused");
    expect(await s.client.resumePlan("p1")).toBe(true);
    expect(await s.client.resumePlan("p1")).toBe(false);
    expect(await s.client.cancelPlan("p1", "enough")).toBe(true);
    expect(await s.client.cancelPlan("p1")).toBe(false);
    expect(await s.client.resumePlan("p1")).toBe(false);
    const plan = await s.client.getPlan("p1");
    expect(plan).toMatchObject({ status: "cancelled", failure: { code: "CANCELLED", message: "enough" } });
    expect((await failure(s.client.pausePlan("nope"))).code).toBe("PLAN_NOT_FOUND");
  });
});

test("median and p95 are within 2.6 % of the exact ones, whatever took how long", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.double({ min: 0.02, max: 1e8, noNaN: true }), { minLength: 1, maxLength: 60 }),
      async (durations) => {
        const runtime = fakeRuntime();
        const tracker = createTrackerStore({ store: createMemoryStore(), runtime });
        const tasks = durations.map((_, i) => `t${i}`);
        await tracker
          .of("acme", "a")
          .append("p", 0, [
            created(),
            started(...tasks),
            ...tasks.map((taskId) => dispatched(taskId)),
            ...tasks.map((taskId, i) => succeeded(taskId, 1, durations[i])),
          ]);
        const [metrics] = tracker.metrics("acme");
        const sorted = durations.toSorted((a, b) => a - b);
        expect(Math.abs((metrics?.medianMs ?? 0) / exact(sorted, 0.5) - 1)).toBeLessThan(0.026);
        expect(Math.abs((metrics?.p95Ms ?? 0) / exact(sorted, 0.95) - 1)).toBeLessThan(0.026);
      },
    ),
    { numRuns: 100 },
  );
});

test("attempts are counted as often as the log has their ends, also when the disk refuses some", async () => {
  let isFull = false;
  const store = createMemoryStore({
    onFlush: () => {
      if (isFull) throw new Error("no room");
    },
  });
  const counted = (tracker = createTrackerStore({ store, runtime: fakeRuntime() })): number | undefined =>
    tracker.metrics("acme")[0]?.count;
  const tracker = createTrackerStore({ store, runtime: fakeRuntime() });
  const log = tracker.of("acme", "a");
  const tasks = ["a", "b", "c", "d"];
  await log.append("p", 0, [created(), started(...tasks), ...tasks.map((taskId) => dispatched(taskId))]);
  await log.append("p", 6, [succeeded("a", 1, 5)]);
  expect(counted(tracker)).toBe(1);
  isFull = true;
  expect((await failure(log.append("p", 7, [succeeded("b", 1, 5), succeeded("c", 1, 5)]))).message).toContain(
    "no room",
  );
  isFull = false;
  expect(counted(tracker)).toBe(1);
  await Promise.all([log.append("p", 7, [succeeded("b", 1, 5)]), log.append("p", 8, [succeeded("c", 1, 5)])]);
  expect(counted(tracker)).toBe(3);
  expect(counted()).toBe(3);
});
