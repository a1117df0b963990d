import { describe, expect, test } from "bun:test";
import { trackerInMemory } from "../../testing/tracker-in-memory.ts";

describe("a plan driven by hand", () => {
  test.each([
    ["first", "a", "b"],
    ["last", "b", "a"],
  ])("of which a task failed %s fails", async (_, failing, other) => {
    const { client } = trackerInMemory();
    const planId = await client.startPlan({ tasks: ["a", "b"].map((name) => ({ name, assignedTo: "me" })) });
    const idOf = (name: string) => `${planId}.${name === "a" ? 1 : 2}`;
    if (failing === "a") await client.failTask(planId, idOf(failing), "broke");
    await client.completeTask(planId, idOf(other), 1);
    if (failing === "b") await client.failTask(planId, idOf(failing), "broke");
    expect(await client.getPlan(planId)).toMatchObject({ status: "failed", failure: { message: "broke" } });
  });

  test("that was paused while its last task ran ends with it all the same", async () => {
    const { client } = trackerInMemory();
    const planId = await client.startPlan({ tasks: [{ name: "a", assignedTo: "me" }] });
    await client.emitProgress(planId, `${planId}.1`, 0.5);
    await client.pausePlan(planId);
    await client.completeTask(planId, `${planId}.1`, 1);
    expect(await client.getPlan(planId)).toMatchObject({ status: "completed", result: { a: 1 } });
  });

  test.each(["completes", "fails"])("that takes back ends when the last of that %s", async (how) => {
    const { client } = trackerInMemory();
    const planId = await client.startPlan({
      tasks: [
        { name: "a", assignedTo: "me", undo: { assignedTo: "me" } },
        { name: "b", assignedTo: "me" },
      ],
    });
    await client.completeTask(planId, `${planId}.1`, 1);
    await client.failTask(planId, `${planId}.2`, "broke");
    const { tasks, ending } = await client.getPlan(planId);
    expect([tasks[2]?.name, ending]).toEqual(["undo:a", "failed"]);
    const undo = tasks[2]?.taskId ?? "";
    await (how === "fails" ? client.failTask(planId, undo, "stuck") : client.completeTask(planId, undo));
    expect(await client.getPlan(planId)).toMatchObject({ status: "failed", failure: { message: "broke" } });
  });

  test("refuses to complete a forEach task, whose items nobody told", async () => {
    const { client } = trackerInMemory();
    const tasks = [{ name: "a", assignedTo: "me", forEach: { over: "{{goal.data}}" } }];
    const planId = await client.startPlan({ goalData: [1, 2], tasks });
    const refused = await client.completeTask(planId, `${planId}.1`, [1]).catch((error: Error) => error.message);
    expect(refused).toContain("it is a forEach, whose items are not known");
    expect((await client.getPlan(planId)).tasks[0]?.status).toBe("pending");
  });
});
