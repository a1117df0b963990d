import { expect, test } from "bun:test";
import { planFor } from "./plan.ts";

test("every task waits for tasks of the same plan only", () => {
  const tasks = planFor({ topic: "bees" });
  const names = tasks.map((task) => task.name);
  for (const task of tasks) expect(names).toEqual(expect.arrayContaining(task.dependsOn ?? []));
});

test("the report comes last", () => {
  expect(planFor({ topic: "bees" }).at(-1)).toMatchObject({ name: "report", dependsOn: ["history", "today"] });
});
