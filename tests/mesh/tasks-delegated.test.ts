import { describe, expect, test } from "bun:test";
import { defineTask, NonRetryableError } from "@soorma/core";
import { Type } from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";
import { runTask, startPlanner } from "./run-task.ts";

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
