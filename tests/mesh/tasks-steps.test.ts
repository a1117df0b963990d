import { describe, expect, test } from "bun:test";
import { currentContext } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { fakePlanner } from "./fixtures/fake-agents.ts";
import { inProcessMesh } from "./in-process.ts";
import { runTask, startPlanner } from "./run-task.ts";

describe("a step", () => {
  test("is done once, however often its task is tried", async () => {
    await using mesh = await inProcessMesh();
    const done: string[] = [];
    const { result, run } = await runTask(mesh, async (task) => {
      const first = await task.step("first", () => {
        done.push(`first of ${task.attempt}`);
        return { at: task.attempt };
      });
      if (task.attempt === 1) throw new Error("lost its way");
      const second = await task.step("second", async () => {
        done.push(`second of ${task.attempt}`);
        return task.attempt;
      });
      return { first, second };
    });
    expect(await result()).toEqual({ first: { at: 1 }, second: 2 });
    expect(done).toEqual(["first of 1", "second of 2"]);
    const { tasks } = await run.plan();
    expect(tasks[0]?.steps?.map(({ key, value }) => [key, value])).toEqual([
      ["first", { at: 1 }],
      ["second", 2],
    ]);
  });

  test("that throws is not remembered", async () => {
    await using mesh = await inProcessMesh();
    let runs = 0;
    const { result } = await runTask(mesh, (task) =>
      task.step("charge", () => {
        if (++runs < 3) throw new Error(`declined ${runs}`);
        return runs;
      }),
    );
    expect(await result()).toBe(3);
  });

  test("is known by its name and how often the name was used", async () => {
    await using mesh = await inProcessMesh();
    let runs = 0;
    const { result, run } = await runTask(mesh, async (task) => {
      const values: number[] = [];
      for (const name of ["charge", "charge", "mail", "charge"]) values.push(await task.step(name, () => ++runs));
      if (task.attempt === 1) throw new Error("once more");
      return values;
    });
    expect(await result()).toEqual([1, 2, 3, 4]);
    expect((await run.plan()).tasks[0]?.steps?.map(({ key }) => key)).toEqual([
      "charge",
      "charge#2",
      "mail",
      "charge#3",
    ]);
  });

  test("may run beside others; each gets the name of its turn", async () => {
    await using mesh = await inProcessMesh();
    const all = Promise.withResolvers<void>();
    let begun = 0;
    const { result } = await runTask(mesh, async (task) => {
      const values = await Promise.all(
        [1, 2, 3].map((n) =>
          task.step("part", async () => {
            // None ends before all have begun.
            if (++begun === 3) all.resolve();
            await all.promise;
            return n;
          }),
        ),
      );
      if (task.attempt === 1) throw new Error("once more");
      return values;
    });
    expect(await result()).toEqual([1, 2, 3]);
    expect(begun).toBe(3);
  });

  test("runs within the context of its task", async () => {
    await using mesh = await inProcessMesh();
    const { result, run } = await runTask(mesh, (task) =>
      task.step("look", () => {
        const { traceId, planId, taskId } = currentContext() ?? {};
        return { traceId, planId, taskId };
      }),
    );
    const { origin, planId } = await run.plan();
    expect(await result()).toEqual({ traceId: origin.traceId, planId, taskId: `${planId}.1` });
  });

  test("with a value that cannot be stored says where that is, and is not tried again", async () => {
    await using mesh = await inProcessMesh();
    let runs = 0;
    const { result } = await runTask(mesh, (task) =>
      task.step("open", () => {
        runs++;
        return { door: { close: () => {} } };
      }),
    );
    const failed = await failureOf(result());
    expect(failed).toThrow(/value of step "open"\.door\.close is a function/);
    expect(runs).toBe(1);
  });

  test("contains no other step and nothing that waits", async () => {
    await using mesh = await inProcessMesh();
    const refused: string[] = [];
    const { result } = await runTask(mesh, async (task) => {
      const inner = [() => task.step("inner", () => 1), () => task.sleep(1), () => task.delegate("double", 1)];
      for (const one of inner) {
        await task.step("outer", async () => {
          await one().catch(({ message }) => refused.push(message));
          return null;
        });
      }
      return refused.length;
    });
    expect(await result()).toBe(3);
    expect(refused[0]).toMatch(/step "inner" was asked for inside step "outer" of task "main"/);
  });

  test("recorded by a worker that was lost then is not done again", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const done: string[] = [];
    const recorded = Promise.withResolvers<string>();
    const build = (label: string) => {
      const worker = mesh.worker({ name: "worker" });
      worker.onTask("main", async (task) => {
        const value = await task.step("charge", () => {
          done.push(label);
          return label;
        });
        if (task.attempt > 1) return { value, by: label };
        recorded.resolve(worker.record().nodeId);
        return await new Promise<never>(() => {});
      });
      return worker;
    };
    await build("first").run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    const nodeId = await recorded.promise;
    await build("second").run();
    mesh.hub.crash(nodeId);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: { value: "first", by: "second" } });
    expect(done).toEqual(["first"]);
  });

  test("of an attempt that is not wanted any more is refused, and its signal aborts", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const refused = Promise.withResolvers<{ error: { code: string }; reason: { code: string } }>();
    const worker = mesh.worker({ name: "worker", leaseMs: 60_000 });
    worker.onTask("main", async (task) => {
      begun.resolve();
      await go.promise;
      // Nobody told this handler: its step is the first that hears of it.
      await task.step("late", () => 1).catch((error) => refused.resolve({ error, reason: task.signal.reason }));
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    await begun.promise;
    const { nodeId } = worker.record();
    const planners = mesh.hub.nodeIds.filter((id) => id !== nodeId && id !== mesh.stateNodeId);
    mesh.hub.partition(nodeId, planners);
    await run.cancel("not wanted");
    await run.result().catch(() => {});
    go.resolve();
    const { error, reason } = await refused.promise;
    expect([error.code, reason.code]).toEqual(["ATTEMPT_STALE", "ATTEMPT_STALE"]);
  });
});

test("an offer that was long on its way repeats no step that another attempt recorded meanwhile", async () => {
  await using mesh = await inProcessMesh();
  const worker = mesh.worker({ name: "worker" });
  let charged = 0;
  worker.onTask("main", ({ step }) => step("charge", () => ++charged));
  await worker.run();
  const { tracker } = await mesh.client();
  const planId = await tracker.startPlan({ tasks: [{ name: "main", assignedTo: "main" }] });
  const taskId = `${planId}.1`;
  await tracker.append(planId, 2, [
    { type: "task.dispatched", taskId, attempt: 1 },
    { type: "task.dispatched", taskId, attempt: 2 },
    { type: "task.stepped", taskId, attempt: 2, key: "charge", value: "by the other" },
  ]);
  await using planner = await fakePlanner(mesh.mesh(), "planner-1");
  // It was sent at time 0.
  await planner.offer(worker.record(), { taskId, planId, attempt: 1 });
  await waitFor(() => planner.of("task.result").length > 0);
  expect(planner.of("task.result")).toMatchObject([{ ok: true, result: "by the other" }]);
  expect(charged).toBe(0);
});
