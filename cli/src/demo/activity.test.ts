import { expect, test } from "bun:test";
import type { PlanChange } from "@soorma/core";
import { createActivity } from "./activity.ts";
import { tasksFor } from "./plan.ts";

const tasks = tasksFor({ folder: "/f", files: ["a.md", "b.md"], question: "What is tea?" }).map((task, i) => ({
  ...task,
  taskId: `p.${i + 1}`,
}));

function played(changes: readonly (readonly [timeMs: number, change: PlanChange])[]) {
  const activity = createActivity();
  changes.forEach(([timeMs, change], index) => {
    activity.apply({ ...change, timeMs, version: index + 1, by: "planner" });
  });
  return activity;
}

const dispatched = (taskId: string, attempt = 1): PlanChange => ({ type: "task.dispatched", taskId, attempt });
const assigned = (taskId: string, agentId: string, attempt = 1): PlanChange => ({
  type: "task.assigned",
  taskId,
  attempt,
  agentId,
  agentName: "worker",
});
const succeeded = (taskId: string, durationMs?: number): PlanChange => ({
  type: "task.succeeded",
  taskId,
  attempt: 1,
  result: null,
  ...(durationMs === undefined ? {} : { durationMs }),
});

test("a plan is one task a file, then searches that need all of them, then the answer", () => {
  expect(tasks.map(({ name, assignedTo, dependsOn }) => [name, assignedTo, dependsOn ?? []])).toEqual([
    ["index 1: a.md", "document_indexing", []],
    ["index 2: b.md", "document_indexing", []],
    ["search 1", "passage_search", ["index 1: a.md", "index 2: b.md"]],
    ["search 2", "passage_search", ["index 1: a.md", "index 2: b.md"]],
    ["answer", "answer_writing", ["search 1", "search 2"]],
  ]);
});

test("names of tasks stay within their limit however long a path is", () => {
  const files = [`${"x".repeat(300)}/a.md`, `${"y".repeat(300)}/a.md`];
  const names = tasksFor({ folder: "/f", files, question: "tea" }).map(({ name }) => name);
  expect(names.every((name) => name.length <= 200)).toBe(true);
  expect(new Set(names).size).toBe(names.length);
});

test("time with two tasks at once counts once", () => {
  const activity = played([
    [1_000, { type: "plan.started", tasks }],
    [1_000, dispatched("p.1")],
    [1_000, dispatched("p.2")],
    [1_010, assigned("p.1", "w1")],
    [1_020, assigned("p.2", "w1")],
    [1_050, succeeded("p.1")],
    [1_070, succeeded("p.2")],
  ]);
  expect(activity.instances).toMatchObject([{ agentId: "w1", done: 2, busyMs: 60, now: [] }]);
  expect(activity.phases()).toMatchObject({ indexingMs: 70, searchingMs: 0 });
});

test("a task whose assignment is logged with its end took as long as it says", () => {
  const activity = played([
    [1_000, { type: "plan.started", tasks }],
    [1_000, dispatched("p.1")],
    [1_050, assigned("p.1", "w1")],
    [1_050, succeeded("p.1", 40)],
  ]);
  expect(activity.instances).toMatchObject([{ done: 1, busyMs: 40 }]);
});

test("what a lost instance had belongs to the one that did it in the end", () => {
  const activity = played([
    [1_000, { type: "plan.started", tasks }],
    [1_000, dispatched("p.1")],
    [1_000, assigned("p.1", "w1")],
    [
      1_030,
      {
        type: "task.retried",
        taskId: "p.1",
        attempt: 1,
        failure: { code: "PEER_UNREACHABLE", message: "lost", retryable: true },
        delayMs: 0,
      },
    ],
    [1_040, dispatched("p.1", 2)],
    [1_040, assigned("p.1", "w2", 2)],
    [1_045, { type: "task.progress", taskId: "p.1", attempt: 2, fraction: 0.5, message: "reading a.md" }],
  ]);
  expect(activity.retries).toBe(1);
  expect(activity.instances).toMatchObject([
    { agentId: "w1", done: 0, busyMs: 30, now: [] },
    { agentId: "w2", done: 0, now: ["reading a.md"] },
  ]);
});
