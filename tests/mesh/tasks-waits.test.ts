import { describe, expect, test } from "bun:test";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";
import { runTask, startPlanner } from "./run-task.ts";

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
