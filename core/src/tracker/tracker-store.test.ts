import { describe, expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { changes } from "../../testing/plan-changes.ts";
import { testStores } from "../../testing/stores.ts";
import { isSoormaError, type SoormaError } from "../errors.ts";
import type { PlanChange, PlanEntry, PlanLog } from "../plans/log.ts";
import { foldPlan, summarize } from "../plans/reducer.ts";
import type { Store } from "../store/store.ts";
import { localQueries } from "./local-log.ts";
import { createTracker } from "./tracker.ts";
import { createTrackerStore } from "./tracker-store.ts";

const { created } = changes;
const started = (...names: string[]): PlanChange => ({
  type: "plan.started",
  tasks: names.map((name) => ({ taskId: name, name, assignedTo: "w" })),
});
const run = (taskId: string, attempt = 1): PlanChange[] => [
  { type: "task.dispatched", taskId, attempt },
  { type: "task.succeeded", taskId, attempt, result: taskId },
];

async function failure(attempt: Promise<unknown>): Promise<SoormaError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
  return error;
}

async function collect(entries: AsyncIterable<PlanEntry>): Promise<PlanEntry[]> {
  const all: PlanEntry[] = [];
  for await (const entry of entries) all.push(entry);
  return all;
}

describe.each(Object.entries(testStores))("tracker on the %s store", (_name, make) => {
  async function subject() {
    const made = await make();
    const runtime = fakeRuntime();
    const tracker = createTrackerStore({ store: made.store, runtime });
    let ids = 0;
    const log = tracker.of("acme", "node1");
    return {
      store: made.store,
      runtime,
      tracker,
      log,
      hand: createTracker({ log, queries: localQueries(tracker, "acme"), tenant: "acme", nextId: () => `id${++ids}` }),
      [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
    };
  }

  test("entries have versions without a gap, the time and who appended them", async () => {
    await using s = await subject();
    expect(await s.log.append("p1", 0, [created(), started("a")])).toBe(2);
    await s.runtime.advance(5);
    expect(await s.log.append("p1", 2, run("a"))).toBe(4);
    const entries = await s.log.read("p1");
    expect(entries.map(({ version, type, by }) => [version, type, by])).toEqual([
      [1, "plan.created", "node1"],
      [2, "plan.started", "node1"],
      [3, "task.dispatched", "node1"],
      [4, "task.succeeded", "node1"],
    ]);
    expect(entries[3]?.timeMs).toBe((entries[0]?.timeMs ?? 0) + 5);
    expect((await s.log.read("p1", { afterVersion: 3 })).map((entry) => entry.version)).toEqual([4]);
    expect(await s.log.read("p1", { afterVersion: 99 })).toEqual([]);
  });

  test("whoever expects another version gets a conflict with the actual one, and nothing is appended", async () => {
    await using s = await subject();
    await s.log.append("p1", 0, [created()]);
    const error = await failure(s.log.append("p1", 0, [created()]));
    expect(error.code).toBe("PLAN_CONFLICT");
    expect(error.details).toMatchObject({ planId: "p1", expected: 0, version: 1 });
    expect((await failure(s.log.append("p2", 3, [created()]))).details).toMatchObject({ version: 0 });
    expect(await s.log.read("p1")).toHaveLength(1);
    expect((await failure(s.log.read("p2"))).code).toBe("PLAN_NOT_FOUND");
  });

  test("of many that append at one version exactly one does", async () => {
    await using s = await subject();
    await s.log.append("p1", 0, [created(), started("a")]);
    const attempts = Array.from({ length: 20 }, (_, i) =>
      s.log.append("p1", 2, [{ type: "task.dispatched", taskId: "a", attempt: i + 1 }]).then(
        () => "appended",
        (error: SoormaError) => error.code,
      ),
    );
    const outcomes = await Promise.all(attempts);
    expect(outcomes.filter((outcome) => outcome === "appended")).toHaveLength(1);
    expect(outcomes.filter((outcome) => outcome === "PLAN_CONFLICT")).toHaveLength(19);
  });

  test("a repeated append returns what the first one did, also behind later ones", async () => {
    await using s = await subject();
    expect(await s.log.append("p1", 0, [created()], { operationId: "op1" })).toBe(1);
    expect(await s.log.append("p1", 0, [created()], { operationId: "op1" })).toBe(1);
    await s.log.append("p1", 1, [started("a")], { operationId: "op2" });
    expect(await s.log.append("p1", 0, [created()], { operationId: "op1" })).toBe(1);
    expect(await s.log.read("p1")).toHaveLength(2);
  });

  test("a log begins with plan.created, and what breaks the fold is not written", async () => {
    await using s = await subject();
    expect((await failure(s.log.append("p1", 0, [started("a")]))).code).toBe("PLAN_INVALID");
    await s.log.append("p1", 0, [created()]);
    const nonsense = [{ type: "plan.started", tasks: 7 } as unknown as PlanChange];
    expect(await s.log.append("p1", 1, nonsense).catch(() => "refused")).toBe("refused");
    expect(await s.log.append("p1", 1, [started("a")])).toBe(2);
    for (const planId of ["", "x".repeat(129), "\ud800"]) {
      expect((await failure(s.log.append(planId, 0, [created()]))).code).toBe("KEY_INVALID");
    }
  });

  test("the summaries are what folding the logs gives, whatever was appended, also after a restart", async () => {
    await using s = await subject();
    const other = createTrackerStore({ store: s.store, runtime: s.runtime }).of("acme", "node2");
    for (let i = 0; i < 12; i++) {
      const planId = `p${i}`;
      await s.log.append(planId, 0, [created(), started("a", "b")]);
      const changes = [...run("a"), ...run("a"), ...run("b"), { type: "plan.completed", result: 1 } as const];
      let version = 2;
      for (const change of changes.slice(0, i % 8)) {
        await s.runtime.advance(1);
        version = await (i % 2 ? s.log : other).append(planId, version, [change]);
      }
    }
    for (const log of [s.log, other]) {
      const summaries = await log.list();
      expect(summaries).toHaveLength(12);
      for (const summary of summaries) {
        expect(summary).toEqual(summarize(foldPlan(summary.planId, await log.read(summary.planId))));
      }
    }
  });

  test("plans are listed newest first, by status, goal, planner, time and number", async () => {
    await using s = await subject();
    const times: number[] = [];
    for (let i = 0; i < 6; i++) {
      times.push(s.runtime.now());
      await s.log.append(`p${i}`, 0, [
        created({ goalType: i % 2 ? "odd" : "even", planner: i < 3 ? "x" : "y" }),
        started("a"),
      ]);
      if (i === 2)
        await s.log.append("p2", 2, [{ type: "plan.failed", failure: { code: "X", message: "x", retryable: false } }]);
      await s.runtime.advance(10);
    }
    const ids = async (query: Parameters<PlanLog["list"]>[0]): Promise<string[]> =>
      (await s.log.list(query)).map((summary) => summary.planId);
    expect(await ids({})).toEqual(["p5", "p4", "p3", "p2", "p1", "p0"]);
    expect(await ids({ limit: 2 })).toEqual(["p5", "p4"]);
    expect(await ids({ limit: 0 })).toEqual([]);
    expect(await ids({ status: "failed" })).toEqual(["p2"]);
    expect(await ids({ status: "running", planner: "x" })).toEqual(["p1", "p0"]);
    expect(await ids({ goalType: "odd" })).toEqual(["p5", "p3", "p1"]);
    expect(await ids({ sinceMs: times[4] ?? 0 })).toEqual(["p5", "p4"]);
    expect(await ids({ status: "completed" })).toEqual([]);
    expect(await s.tracker.of("evil", "n").list()).toEqual([]);
    expect((await failure(s.tracker.of("evil", "n").read("p1"))).code).toBe("PLAN_NOT_FOUND");
  });

  test("an append reads and writes as much at the end of a long log as at its start", async () => {
    await using s = await subject();
    let touched = 0;
    const counted = <T>(cost: number, result: T): T => {
      touched += cost;
      return result;
    };
    const store: Store = {
      ...s.store,
      transact: (body) =>
        s.store.transact((tx) =>
          body({
            losses: tx.losses,
            get: (key) => counted(1, tx.get(key)),
            put: (key, value) => counted(1, tx.put(key, value)),
            putLater: (key, make) => counted(1, tx.putLater(key, make)),
            delete: (key) => counted(1, tx.delete(key)),
            range: (options) => counted(1_000, tx.range(options)),
          }),
        ),
    };
    const counting = createTrackerStore({ runtime: s.runtime, store }).of("acme", "n");
    await counting.append("p1", 0, [created(), started("a"), { type: "task.dispatched", taskId: "a", attempt: 1 }]);
    const costs: number[] = [];
    for (let version = 3; version < 200; version++) {
      touched = 0;
      await counting.append("p1", version, [{ type: "task.progress", taskId: "a", fraction: version / 200 }], {
        operationId: `op${version}`,
      });
      costs.push(touched);
    }
    expect(new Set(costs).size).toBe(1);
    expect(costs[0]).toBeLessThan(10);
  });

  test("a watch gives what there is, then what comes, and ends with the plan", async () => {
    await using s = await subject();
    await s.log.append("p1", 0, [created(), started("a")]);
    const all = collect(s.log.watch("p1"));
    const late = collect(s.log.watch("p1", { afterVersion: 3 }));
    await s.log.append("p1", 2, run("a"));
    await s.log.append("p1", 4, [{ type: "plan.completed", result: 1 }]);
    expect((await all).map((entry) => entry.version)).toEqual([1, 2, 3, 4, 5]);
    expect((await late).map((entry) => entry.version)).toEqual([4, 5]);
    expect((await collect(s.log.watch("p1", { afterVersion: 4 }))).map((entry) => entry.type)).toEqual([
      "plan.completed",
    ]);
    expect((await failure(collect(s.log.watch("nope")))).code).toBe("PLAN_NOT_FOUND");
  });

  test("a watch ends when its signal aborts", async () => {
    await using s = await subject();
    await s.log.append("p1", 0, [created()]);
    const controller = new AbortController();
    const seen = collect(s.log.watch("p1", { signal: controller.signal }));
    controller.abort();
    expect((await seen).length).toBeLessThanOrEqual(1);
    expect(await collect(s.log.watch("p1", { signal: AbortSignal.abort() }))).toEqual([]);
  });

  describe("plans driven by hand", () => {
    test("run task by task, show progress, and end with the last task's result", async () => {
      await using s = await subject();
      const planId = await s.hand.startPlan({
        goalType: "moving",
        tasks: [
          { name: "pack", assignedTo: "me" },
          { name: "drive", assignedTo: "me", dependsOn: ["pack"] },
        ],
      });
      const [pack, drive] = (await s.hand.getPlan(planId)).tasks.map((task) => task.taskId);
      await s.hand.emitProgress(planId, pack ?? "", 0.5, "boxes");
      expect((await s.hand.getPlan(planId)).tasks[0]).toMatchObject({
        status: "running",
        fraction: 0.5,
        message: "boxes",
      });
      expect((await failure(s.hand.completeTask(planId, drive ?? ""))).message).toContain('it waits for "pack"');
      await s.hand.completeTask(planId, pack ?? "", { boxes: 12 });
      await s.hand.completeTask(planId, pack ?? "", { boxes: 99 });
      await s.hand.completeTask(planId, drive ?? "");
      const plan = await s.hand.getPlan(planId);
      expect(plan).toMatchObject({ status: "completed", result: { pack: { boxes: 12 }, drive: null } });
      await s.hand.emitProgress(planId, pack ?? "", 0.1);
      expect((await s.hand.getPlan(planId)).version).toBe(plan.version);
      expect((await s.hand.listPlans({ goalType: "moving" }))[0]).toMatchObject({
        planId,
        status: "completed",
        doneCount: 2,
      });
      expect((await s.hand.timeline(planId)).at(-1)?.type).toBe("plan.completed");
    });

    test("fail with a task, and with it what depends on it", async () => {
      await using s = await subject();
      const planId = await s.hand.startPlan({
        tasks: [
          { name: "a", assignedTo: "me" },
          { name: "b", assignedTo: "me", dependsOn: ["a"] },
          { name: "c", assignedTo: "me", dependsOn: ["b"] },
          { name: "free", assignedTo: "me" },
        ],
      });
      await s.hand.failTask(planId, `${planId}.1`, new Error("no paper"));
      const half = await s.hand.getPlan(planId);
      expect(half.tasks.map((task) => [task.name, task.status, task.failure?.code])).toEqual([
        ["a", "failed", "TASK_FAILED"],
        ["b", "failed", "DEPENDENCY_FAILED"],
        ["c", "failed", "DEPENDENCY_FAILED"],
        ["free", "pending", undefined],
      ]);
      expect(half.status).toBe("running");
      await s.hand.failTask(planId, `${planId}.4`, "gave up");
      expect(await s.hand.getPlan(planId)).toMatchObject({ status: "failed", failure: { message: "gave up" } });
      expect((await failure(s.hand.completeTask(planId, `${planId}.1`))).code).toBe("PLAN_INVALID");
      expect((await failure(s.hand.completeTask(planId, "nope"))).message).toContain("has no task nope");
    });

    test("take concurrent changes one after the other", async () => {
      await using s = await subject();
      const tasks = Array.from({ length: 25 }, (_, i) => ({ name: `t${i}`, assignedTo: "me" }));
      const planId = await s.hand.startPlan({ tasks });
      await Promise.all(tasks.map((_, i) => s.hand.completeTask(planId, `${planId}.${i + 1}`, i)));
      const plan = await s.hand.getPlan(planId);
      expect(plan.status).toBe("completed");
      expect(plan.result).toEqual(Object.fromEntries(tasks.map(({ name }, i) => [name, i])));
    });

    test("that cannot run are refused before anything is written", async () => {
      await using s = await subject();
      const circle = [
        { name: "a", assignedTo: "me", dependsOn: ["b"] },
        { name: "b", assignedTo: "me", dependsOn: ["a"] },
      ];
      expect((await failure(s.hand.startPlan({ tasks: circle }))).code).toBe("PLAN_INVALID");
      expect(await s.hand.listPlans()).toEqual([]);
      expect(s.hand.emitProgress("p", "t", 2)).rejects.toBeInstanceOf(TypeError);
      expect((await failure(s.hand.getPlan("nope"))).code).toBe("PLAN_NOT_FOUND");
    });
  });
});
