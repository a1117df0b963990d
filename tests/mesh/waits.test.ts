import { describe, expect, test } from "bun:test";
import { definePlan, isSoormaError, type TaskSpec } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

type Mesh = Awaited<ReturnType<typeof inProcessMesh>>;

describe("two that wait for one type of event", () => {
  const pay = async (mesh: Mesh, goal: string) => {
    const client = await mesh.client();
    const runs = await Promise.all([1, 2].map((orderId) => client.submitGoal(goal, { orderId })));
    for (const run of runs) await waitFor(async () => (await run.plan()).tasks[0]?.waits?.length === 1);
    await client.bus.publish("order.paid", { orderId: "2", amount: -1 });
    await client.bus.publish("order.paid", { orderId: 2, amount: 20 });
    await client.bus.publish("order.paid", { orderId: 1, amount: 10 });
    return await Promise.all(runs.map((run) => run.result({ timeoutMs: 20_000 })));
  };

  test("each get their own: handlers", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("ship", ({ data }) => ({ tasks: [{ name: "paid", assignedTo: "wait", data }] }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("wait", async (task) => {
      const event = await task.waitForEvent("order.*", { where: { "data.orderId": task.data.orderId } });
      return event.data.amount;
    });
    await worker.run();
    expect(await pay(mesh, "ship")).toEqual([{ paid: 10 }, { paid: 20 }]);
  });

  test("each get their own: tasks of a plan, whose templates keep their types", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    const where = { "data.orderId": "{{goal.data.orderId}}" };
    const paid: TaskSpec = { name: "paid", templated: true, wait: { kind: "event", pattern: "order.paid", where } };
    planner.onGoal("ship", () => ({ tasks: [paid] }));
    await planner.run();
    expect(await pay(mesh, "ship")).toMatchObject([
      { paid: { data: { amount: 10 } } },
      { paid: { data: { amount: 20 } } },
    ]);
  });

  test("each get their own: states of a machine", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal(
      definePlan({
        goal: "ship",
        initial: "paid",
        states: {
          paid: { event: { pattern: "order.paid", where: { "data.orderId": "{{goal.data.orderId}}" } }, on: "done" },
          done: { final: true, result: "{{results.paid.data.amount}}" },
        },
      }),
    );
    await planner.run();
    expect(await pay(mesh, "ship")).toEqual([10, 20]);
  });

  test("what is filled in has to be something that can be compared", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    const where = { "data.orderId": "{{goal.data}}" };
    planner.onGoal("ship", () => ({
      tasks: [{ name: "paid", templated: true, wait: { kind: "event", pattern: "order.paid", where } }],
    }));
    await planner.run();
    const client = await mesh.client();
    const run = await client.submitGoal("ship", { orderId: 1 });
    const thrown = failureOf(run.result({ timeoutMs: 20_000 }));
    expect(await thrown).toThrow(/wait of task "paid"\.where\["data\.orderId"\] can only be compared with text/);
  });
});

describe("a wait that timed out", () => {
  test("is over: the task runs, an answer is refused; and the next attempt asks anew", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner", retry: { maxAttempts: 3, backoffMs: 1 } });
    planner.onGoal("ask", () => ({ tasks: [{ name: "ask", assignedTo: "ask" }] }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const seen: string[] = [];
    const goOn = Promise.withResolvers<void>();
    worker.onTask("ask", async (task) => {
      try {
        return await task.waitForInput("well?", { timeoutMs: task.attempt === 1 ? 20 : 60_000 });
      } catch (error) {
        seen.push(isSoormaError(error) ? error.code : String(error));
        await goOn.promise;
        throw new Error("nobody was there");
      }
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("ask", {});
    const task = async () => (await run.plan()).tasks[0];
    await waitFor(() => seen.length === 1);
    expect(seen).toEqual(["TIMEOUT"]);
    expect(await task()).toMatchObject({ status: "running", waits: [{ key: "input", timedOut: { attempt: 1 } }] });
    expect(await failureOf(client.tracker.answer(run.planId, "late"))).toThrow(/the time to answer “well\?” is over/);
    goOn.resolve();
    await waitFor(async () => (await task())?.status === "paused");
    expect(await task()).toMatchObject({ attempt: 2, waits: [{ attempt: 2 }] });
    await client.tracker.answer(run.planId, "in time");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ ask: "in time" });
    expect((await task())?.waits).toMatchObject([{ signalled: { value: "in time" } }]);
  });

  test("hears no event any more, until it begins anew", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner", retry: { maxAttempts: 3, backoffMs: 1 } });
    planner.onGoal("listen", () => ({ tasks: [{ name: "listen", assignedTo: "listen" }] }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const [late, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    worker.onTask("listen", async (task) => {
      try {
        const event = await task.waitForEvent("door.opened", { timeoutMs: task.attempt === 1 ? 20 : 60_000 });
        return event.data.n;
      } catch {
        late.resolve();
        await goOn.promise;
        throw new Error("closed all day");
      }
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("listen", {});
    await late.promise;
    await client.bus.publish("door.opened", { n: 1 });
    goOn.resolve();
    await waitFor(async () => (await run.plan()).tasks[0]?.waits?.[0]?.attempt === 2);
    await client.bus.publish("door.opened", { n: 2 });
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ listen: 2 });
  });

  test("of a task that only waits ends the task, which cannot be answered then and asks anew when it is revived", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    const asks: TaskSpec = { name: "ask", wait: { kind: "input", prompt: "well?" }, timeoutMs: 50 };
    const other: TaskSpec = { name: "other", wait: { kind: "input", prompt: "and you?" } };
    planner.onGoal("ask", () => ({ tasks: [asks, other] }));
    await planner.run();
    const client = await mesh.client();
    const run = await client.submitGoal("ask", {});
    const statuses = async () => (await run.plan()).tasks.map(({ status }) => status);
    await waitFor(async () => (await statuses())[0] === "failed");
    expect(await statuses()).toEqual(["failed", "paused"]);
    const { taskId = "" } = (await run.plan()).tasks[0] ?? {};
    expect(await failureOf(client.tracker.answer(run.planId, "late", { taskId }))).toThrow(
      /does not wait for an answer/,
    );
    await client.tracker.reviveTask(run.planId, taskId);
    await waitFor(async () => (await run.plan()).tasks[0]?.attempt === 2);
    await waitFor(async () => (await statuses())[0] === "failed");
    await client.tracker.discardDeadLetter(run.planId, taskId);
    await client.tracker.answer(run.planId, "fine");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ other: "fine" });
  });
});
