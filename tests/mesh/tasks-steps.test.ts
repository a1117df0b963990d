import { describe, expect, test } from "bun:test";
import { currentContext, defineTask, NonRetryableError, type Task } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { Type } from "typebox";
import { failureOf } from "./failure-of.ts";
import { fakePlanner } from "./fixtures/fake-agents.ts";
import { inProcessMesh } from "./in-process.ts";

type TestMesh = Awaited<ReturnType<typeof inProcessMesh>>;

const soon = { backoffMs: 1, maxBackoffMs: 1 };

/** A planner whose goal `do` is one task, `main`, for a handler of that name. */
async function startPlanner(mesh: TestMesh) {
  const planner = mesh.planner({ name: "planner", retry: soon });
  planner.onGoal("do", ({ data }) => ({ tasks: [{ name: "main", assignedTo: "main", data }] }));
  await planner.run();
  return planner;
}

/** Runs one handler as the task of a goal; resolves with the task's result. */
async function runTask(mesh: TestMesh, handler: (task: Task) => unknown, options: { concurrency?: number } = {}) {
  await startPlanner(mesh);
  const worker = mesh.worker({ name: "worker", ...options });
  worker.onTask("main", handler);
  worker.onTask("double", ({ data }) => data * 2);
  await worker.run();
  const client = await mesh.client();
  const run = await client.submitGoal("do", {});
  const result = async (): Promise<unknown> => ((await run.result({ timeoutMs: 20_000 })) as { main: unknown }).main;
  return { worker, client, run, result };
}

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

describe("a delegated task", () => {
  test("is done by another agent, and its result comes back", async () => {
    await using mesh = await inProcessMesh();
    const { result, run } = await runTask(mesh, async (task) => [
      await task.delegate("double", 4),
      await task.delegate("double", 5),
      await task.delegate("double", 6, { name: "six" }),
    ]);
    expect(await result()).toEqual([8, 10, 12]);
    const { tasks } = await run.plan();
    expect(tasks.map(({ name, status }) => [name, status])).toEqual([
      ["main", "completed"],
      ["main/double", "completed"],
      ["main/double#2", "completed"],
      ["main/six", "completed"],
    ]);
  });

  test("runs on the very worker that waits for it, even if that does one task at a time", async () => {
    await using mesh = await inProcessMesh();
    const { result } = await runTask(
      mesh,
      async (task) => {
        const all = await task.delegateAll([1, 2, 3].map((n) => ({ assignedTo: "double", data: n })));
        return [...all, await task.delegate("double", 7)];
      },
      { concurrency: 1 },
    );
    expect(await result()).toEqual([2, 4, 6, 14]);
  });

  test("joins in the order asked for, whatever order the results come in", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const gates = new Map([1, 2, 3].map((n) => [n, Promise.withResolvers<void>()] as const));
    const ended: number[] = [];
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("main", (task) => task.delegateAll([1, 2, 3].map((n) => ({ assignedTo: "gated", data: n }))));
    worker.onTask("gated", async ({ data }) => {
      // The third ends first.
      if (data < 3) await gates.get(data + 1)?.promise;
      ended.push(data);
      gates.get(data)?.resolve();
      return `n${data}`;
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: ["n1", "n2", "n3"] });
    expect(ended).toEqual([3, 2, 1]);
  });

  test("is done once, however often its parent is tried", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    let charged = 0;
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("main", async (task) => {
      const receipt = await task.delegate("charge", { amount: 5 });
      if (task.attempt < 3) throw new Error("lost the receipt");
      return receipt;
    });
    worker.onTask("charge", () => ++charged);
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: 1 });
    expect(charged).toBe(1);
  });

  test("that fails for good fails in the handler, which may do something else", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const worker = mesh.worker({ name: "worker" });
    let caught: { code?: string; retryable?: boolean } = {};
    worker.onTask("main", async (task) => {
      try {
        return await task.delegate("charge", null, { retry: { maxAttempts: 2, backoffMs: 1 } });
      } catch (error) {
        caught = error as typeof caught;
        return await task.delegate("invoice", null);
      }
    });
    let tries = 0;
    worker.onTask("charge", () => {
      tries++;
      throw new Error("the card is gone");
    });
    worker.onTask("invoice", () => "sent");
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "sent" });
    expect(tries).toBe(2);
    expect(caught).toMatchObject({ code: "TASK_FAILED", message: "the card is gone", retryable: false });
  });

  test("with a contract is checked where it is delegated, and takes the contract's defaults", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const Charge = defineTask({
      name: "charge",
      input: Type.Object({ amount: Type.Integer({ minimum: 1 }) }),
      output: Type.Object({ receipt: Type.String() }),
      retry: { maxAttempts: 7, backoffMs: 1 },
      timeoutMs: 30_000,
      priority: 3,
    });
    const worker = mesh.worker({ name: "worker" });
    const wrong: string[] = [];
    worker.onTask("main", async (task) => {
      // @ts-expect-error the contract types its data
      await task.delegate(Charge, { amount: "much" }).catch(({ message }) => wrong.push(message));
      await task.delegate("charge", { amount: 0 }).catch(({ message }) => wrong.push(message));
      const { receipt } = await task.delegate(Charge, { amount: 3 });
      const [by] = await task.delegateAll([{ contract: Charge, data: { amount: 4 }, name: "again" }]);
      return [receipt, by.receipt];
    });
    worker.onTask(Charge, ({ data }) => ({ receipt: `paid ${data.amount}` }));
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: ["paid 3", "paid 4"] });
    expect(wrong).toEqual([
      expect.stringMatching(/\/amount must be integer/),
      expect.stringMatching(/\/amount must be/),
    ]);
    const delegated = (await run.plan()).tasks.slice(1);
    for (const task of delegated) {
      expect(task).toMatchObject({ retry: { maxAttempts: 7, backoffMs: 1 }, timeoutMs: 30_000, priority: 3 });
    }
  });

  test("is cancelled with its parent", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const begun = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<string>();
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("main", async (task) => {
      const [slow] = [task.delegate("slow"), task.delegate("quick").catch(() => {})];
      slow.catch(() => {});
      await begun.promise;
      throw new NonRetryableError("gave up");
    });
    worker.onTask("quick", () => 1);
    worker.onTask("slow", async ({ signal }) => {
      begun.resolve();
      await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))).catch((reason) =>
        aborted.resolve(reason.code),
      );
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    expect(await failureOf(run.result({ timeoutMs: 20_000 }))).toThrow(/gave up/);
    expect(await aborted.promise).toBe("CANCELLED");
  });
});

describe("a handler that waits", () => {
  test("sleeps, and later attempts do not sleep again", async () => {
    await using mesh = await inProcessMesh();
    const { result, run } = await runTask(mesh, async (task) => {
      const before = performance.now();
      await task.sleep(150);
      const slept = performance.now() - before;
      if (task.attempt === 1) {
        await task.step("slept", () => slept);
        throw new Error("once more");
      }
      const before2 = await task.step("slept", () => 0);
      return { first: before2, second: slept };
    });
    const { first, second } = (await result()) as { first: number; second: number };
    expect(first).toBeGreaterThanOrEqual(145);
    expect(second).toBeLessThan(first);
    expect((await run.plan()).tasks[0]?.waits).toHaveLength(1);
  });

  test("gets what a person answers, and the task is paused until then", async () => {
    await using mesh = await inProcessMesh();
    let asked = 0;
    const { result, client, run } = await runTask(mesh, async (task) => {
      asked++;
      const answer = await task.waitForInput("publish it?");
      if (task.attempt === 1) throw new Error("forgot the answer");
      return answer;
    });
    await waitFor(async () => (await run.plan()).tasks[0]?.status === "paused");
    const { tasks } = await run.plan();
    expect(tasks[0]?.waits?.[0]).toMatchObject({ on: { kind: "input", prompt: "publish it?" } });
    await client.tracker.answer(run.planId, { yes: true });
    expect(await result()).toEqual({ yes: true });
    expect(asked).toBe(2);
  });

  test("waits for a person no longer than it says, and is not tried again for that", async () => {
    await using mesh = await inProcessMesh();
    const { result } = await runTask(mesh, (task) => task.waitForInput("anybody?", { timeoutMs: 20 }));
    expect(await failureOf(result())).toThrow(
      /task "main" waited for an answer to "anybody\?", and none came in 20 ms/,
    );
  });

  test("gets the first event that matches", async () => {
    await using mesh = await inProcessMesh();
    const { result, client, run } = await runTask(mesh, async (task) => {
      const event = await task.waitForEvent("payment.*");
      return { type: event.type, data: event.data };
    });
    await waitFor(async () => (await run.plan()).tasks[0]?.waits?.length === 1);
    await client.bus.publish("shipment.sent", { n: 0 });
    await client.bus.publish("payment.settled", { n: 1 });
    await client.bus.publish("payment.settled", { n: 2 });
    expect(await result()).toEqual({ type: "payment.settled", data: { n: 1 } });
    expect((await run.plan()).tasks[0]?.waits?.[0]?.signalled).toMatchObject({ value: { data: { n: 1 } } });
  });

  test("gets the event although its worker was lost while it waited, and that counts as no attempt", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const build = () => {
      const worker = mesh.worker({ name: "worker" });
      worker.onTask("main", async (task) => [(await task.waitForEvent("door.opened")).data, task.attempt]);
      return worker;
    };
    const first = build();
    await first.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    await waitFor(async () => (await run.plan()).tasks[0]?.waits?.length === 1);
    mesh.hub.crash(first.record().nodeId);
    await waitFor(async () => (await run.plan()).tasks[0]?.failure?.code === "PEER_UNREACHABLE");
    await client.bus.publish("door.opened", { by: "wind" });
    await build().run();
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: [{ by: "wind" }, 2] });
    const { tasks } = await run.plan();
    expect(tasks[0]?.failures).toBe(0);
  });

  test("does not count as one of what its worker does, and waits for its place when it goes on", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("many", () => ({ tasks: [1, 2, 3, 4].map((n) => ({ name: `t${n}`, assignedTo: "main" })) }));
    await planner.run();
    const worker = mesh.worker({ name: "worker", concurrency: 1 });
    let active = 0;
    let most = 0;
    const busy = async (): Promise<void> => {
      most = Math.max(most, ++active);
      await Bun.sleep(2);
      active--;
    };
    worker.onTask("main", async (task) => {
      await busy();
      await task.waitForEvent("go.on");
      await busy();
      return task.name;
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("many", {});
    // All four wait at once, though only one runs at a time.
    await waitFor(async () => (await run.plan()).tasks.every(({ waits }) => waits?.length === 1));
    await client.bus.publish("go.on", {});
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ t1: "t1", t2: "t2", t3: "t3", t4: "t4" });
    expect(most).toBe(1);
  });

  test("is handed to another instance at once when its worker stops", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const attempts: [string, number][] = [];
    const build = (label: string) => {
      const worker = mesh.worker({ name: "worker", drainMs: 60_000 });
      worker.onTask("main", async (task) => {
        attempts.push([label, task.attempt]);
        const answer = await task.waitForInput("well?");
        return { answer, by: label };
      });
      return worker;
    };
    const first = build("first");
    await first.run();
    const client = await mesh.client();
    const run = await client.submitGoal("do", {});
    await waitFor(async () => (await run.plan()).tasks[0]?.status === "paused");
    await build("second").run();
    await first.stop();
    await waitFor(() => attempts.length === 2);
    await client.tracker.answer(run.planId, 42);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: { answer: 42, by: "second" } });
    expect(attempts).toEqual([
      ["first", 1],
      ["second", 2],
    ]);
    expect((await run.plan()).tasks[0]?.failures).toBe(0);
  });
});
