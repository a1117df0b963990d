import { describe, expect, test } from "bun:test";
import { changes } from "../../testing/plan-changes.ts";
import { trackerInMemory } from "../../testing/tracker-in-memory.ts";
import type { PlanChange } from "../plans/log.ts";

const { created, started, dispatched, failed } = changes;

/** A plan whose task `a` delegated, and failed with what it delegated; it stays open. */
async function failedWithChildren(children: readonly number[]) {
  const at = trackerInMemory();
  const tasks = children.map((n) => ({ taskId: `a.${n}`, name: `a/c${n}`, assignedTo: "w", parentTaskId: "a" }));
  const begun: PlanChange[] = [
    created({}, "a"),
    { ...started("a", "free"), grows: true } as PlanChange,
    dispatched("a"),
    dispatched("free"),
    { type: "task.delegated", taskId: "a", tasks },
  ];
  const ids = tasks.map(({ taskId }) => taskId);
  const ended = [...ids.map((id) => failed(id)), failed("a")];
  const list = [...begun, ...ids.map((id) => dispatched(id)), ...ended];
  await at.log.append("p", 0, list);
  await at.runtime.advance(10);
  const letters = async () =>
    (await at.client.deadLetters()).map(({ taskId, attempt }) => `${taskId} ${attempt}`).sort();
  return { ...at, version: list.length, letters };
}

describe("the dead letters of a task and of what it delegated", () => {
  test("are none any more when one of them is tried again, as all of them are", async () => {
    const at = await failedWithChildren([1, 2]);
    expect(await at.letters()).toEqual(["a 1", "a.1 1", "a.2 1"]);
    await at.client.reviveTask("p", "a.1");
    const { tasks } = await at.client.getPlan("p");
    expect(tasks.map(({ taskId, status }) => `${taskId} ${status}`)).toEqual([
      "a pending",
      "free running",
      "a.1 pending",
      "a.2 pending",
    ]);
    expect(await at.letters()).toEqual([]);
  });

  test("are one for each that fails again, which can be discarded", async () => {
    const at = await failedWithChildren([1]);
    await at.client.reviveTask("p", "a");
    await at.log.append("p", at.version + 1, [dispatched("a", 2), dispatched("a.1", 2), failed("a.1", 2)]);
    expect(await at.letters()).toEqual(["a.1 2"]);
    await at.client.discardDeadLetter("p", "a.1");
    expect(await at.letters()).toEqual([]);
  });
});
