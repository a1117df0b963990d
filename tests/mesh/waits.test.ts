import { describe, expect, test } from "bun:test";
import { definePlan, type TaskSpec } from "@soorma/core";
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
