import { expect, test } from "bun:test";
import type { PlanChange, PlanEntry, PlanOrigin } from "@soorma/core";
import { audit, type Evidence } from "./audit.ts";
import type { LedgerFact, LedgerLine } from "./ledger.ts";

const origin: PlanOrigin = {
  goalId: "g",
  goalType: "chaos.chain",
  goalData: { n: 1, length: 2 },
  traceId: "t",
  correlationId: "c",
  tenantId: "default",
  planner: "chaos-planner",
  responseEvent: "chaos.answered",
};
const results = [
  { n: 2, mark: "one" },
  { n: 3, mark: "two" },
];
const answer = { "link-0": results[0], "link-1": results[1] };

interface Story {
  changes: (PlanChange & { by?: string; version?: number; timeMs?: number })[];
  ledger: (LedgerFact & { who?: string; t?: number })[];
  faults: Evidence["faults"][number][];
}

/** A goal of two tasks as it has to go: a worker's step, a planner killed in the middle, its plan taken over. */
function good(): Story {
  const tasks = [
    { taskId: "p.1", name: "link-0", assignedTo: "add-one" },
    { taskId: "p.2", name: "link-1", assignedTo: "add-one", dependsOn: ["link-0"] },
  ];
  return {
    changes: [
      { type: "plan.created", origin, driver: "a" },
      { type: "plan.started", tasks },
      { type: "task.dispatched", taskId: "p.1", attempt: 1 },
      { type: "task.stepped", taskId: "p.1", attempt: 1, key: "effect", value: "paid", by: "worker" },
      { type: "plan.driven", driver: "b", epoch: 2, by: "b" },
      { type: "task.succeeded", taskId: "p.1", attempt: 1, result: results[0], by: "b" },
      { type: "task.dispatched", taskId: "p.2", attempt: 1, by: "b" },
      { type: "task.succeeded", taskId: "p.2", attempt: 1, result: results[1], by: "b" },
      { type: "plan.completed", result: answer, by: "b" },
    ],
    ledger: [
      { kind: "accepted", planId: "p", shape: "chaos.chain", data: { n: 1, length: 2 } },
      { kind: "begun", planId: "p", taskId: "p.1", name: "link-0", attempt: 1, inputs: {} },
      { kind: "effect", planId: "p", taskId: "p.1", attempt: 1, key: "effect", value: "paid", t: 1_400 },
      { kind: "returned", planId: "p", taskId: "p.1", attempt: 1, result: results[0] },
      { kind: "begun", planId: "p", taskId: "p.2", name: "link-1", attempt: 1, inputs: { "link-0": results[0] } },
      { kind: "returned", planId: "p", taskId: "p.2", attempt: 1, result: results[1] },
      { kind: "answered", planId: "p", outcome: { status: "completed", result: answer } },
      { kind: "heard", planId: "p", eventId: "p.answer", outcome: { status: "completed", result: answer } },
    ],
    faults: [{ t: 1_500, who: "planner-1", what: "SIGKILL" }],
  };
}

function rules(change: (story: Story) => void = () => {}): string[] {
  const story = good();
  change(story);
  const entries = story.changes.map(
    (entry, i) => ({ version: i + 1, timeMs: 1_000 + i * 100, by: "a", ...entry }) as PlanEntry,
  );
  const ledger = story.ledger.map(
    (line, i) => ({ t: 1_000 + i * 100, pid: 1, who: "worker-1", ...line }) as LedgerLine,
  );
  const found = audit({ ledger, logs: new Map(entries.length > 0 ? [["p", entries]] : []), faults: story.faults });
  return [...new Set(found.map(({ rule }) => rule))].sort();
}

test("a run in which every guarantee held has no violation", () => {
  expect(rules()).toEqual([]);
});

const broken: [string, string[], (story: Story) => void][] = [
  ["a goal that was never answered", ["answer"], ({ ledger }) => void ledger.splice(6, 1)],
  ["an accepted goal without a log", ["answer"], ({ changes }) => void changes.splice(0)],
  [
    "an answer that is wrong",
    ["answer", "event"],
    ({ ledger, changes }) => {
      ledger.splice(6, 1, { kind: "answered", planId: "p", outcome: { status: "completed", result: {} } });
      changes.splice(8, 1, { type: "plan.completed", result: {}, by: "b" });
    },
  ],
  ["an answer heard by nobody", ["event"], ({ ledger }) => void ledger.splice(7, 1)],
  ["an answer heard twice", ["event"], ({ ledger }) => void ledger.push(...ledger.slice(7))],
  ["a version left out", ["versions"], ({ changes }) => void changes.splice(3, 1, { ...at(changes, 3), version: 5 })],
  [
    "an earlier driver that goes on",
    ["drivers"],
    ({ changes }) => void changes.splice(6, 1, { ...at(changes, 6), by: "a" }),
  ],
  ["an epoch left out", ["drivers"], ({ changes }) => void changes.splice(4, 1, { ...drive("b"), epoch: 3 })],
  ["two results of one task", ["result"], ({ changes }) => void changes.splice(6, 0, at(changes, 5))],
  ["a result that nobody returned", ["result"], ({ ledger }) => void ledger.splice(3, 1)],
  [
    "an input that is not the recorded result",
    ["result"],
    ({ ledger }) => {
      ledger.splice(4, 1, {
        kind: "begun",
        planId: "p",
        taskId: "p.2",
        name: "link-1",
        attempt: 1,
        inputs: { "link-0": { n: 2, mark: "another" } },
      });
    },
  ],
  [
    "a step done again after it was recorded",
    ["effect"],
    ({ ledger }) => {
      ledger.push({ kind: "effect", planId: "p", taskId: "p.1", attempt: 2, key: "effect", value: "again", t: 1_600 });
    },
  ],
  ["a recorded step that nobody did", ["effect"], ({ ledger }) => void ledger.splice(2, 1)],
  [
    "work that is done again though its worker lived",
    ["repetition"],
    ({ ledger }) => {
      ledger.push({
        kind: "begun",
        planId: "p",
        taskId: "p.1",
        name: "link-0",
        attempt: 2,
        inputs: {},
        who: "worker-2",
      });
    },
  ],
  [
    "a plan that did not end",
    ["answer", "end"],
    (story) => {
      story.changes.splice(8, 1);
      story.ledger.splice(6, 1);
    },
  ],
];

broken.push(
  ["something done that is not taken back", ["answer", "event", "undo"], (story) => fail(story, [])],
  [
    "something taken back in the wrong order",
    ["answer", "event", "undo"],
    (story) => fail(story, ["p.1.undo", "p.2.undo"]),
  ],
);

test("a plan that failed and took back what it did, the latest first, has no violation of that", () => {
  expect(rules((story) => fail(story, ["p.2.undo", "p.1.undo"]))).toEqual(["answer", "event"]);
});

/** Both tasks are done, then the plan fails and takes these back. */
function fail({ changes }: Story, undone: readonly string[]): void {
  const started = at(changes, 1);
  if (started.type !== "plan.started") throw new TypeError("a story begins with its tasks");
  const undo = { assignedTo: "take-back" };
  changes.splice(1, 1, { ...started, tasks: started.tasks.map((task) => ({ ...task, undo })) });
  changes.splice(
    8,
    1,
    { type: "plan.failed", failure: { code: "GOAL_FAILED", message: "it failed", retryable: false }, by: "b" },
    ...undone.map((taskId) => ({ type: "task.succeeded" as const, taskId, attempt: 1, result: null, by: "b" })),
    { type: "plan.undone", by: "b" },
  );
}

test.each(broken)("%s is a violation", (_what, expected, change) => {
  expect(rules(change)).toEqual(expected);
});

test("work may be done again when its worker was killed, and a step when it was not recorded yet", () => {
  const again = rules(({ ledger, faults }) => {
    ledger.push({ kind: "begun", planId: "p", taskId: "p.1", name: "link-0", attempt: 2, inputs: {}, who: "worker-2" });
    ledger.push({ kind: "effect", planId: "p", taskId: "p.1", attempt: 2, key: "effect", value: "again", t: 1_310 });
    faults.push({ t: 1_350, who: "worker-1", what: "SIGKILL" });
  });
  expect(again).toEqual([]);
});

function at<T>(list: readonly T[], index: number): T {
  const one = list[index];
  if (one === undefined) throw new TypeError(`there is no entry ${index}`);
  return one;
}

function drive(driver: string) {
  return { type: "plan.driven" as const, driver, epoch: 2, by: driver };
}
