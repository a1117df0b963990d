import { expect, test } from "bun:test";
import type { PlanState, TaskState } from "@soorma/core";
import { createColors } from "./colors.ts";
import { drawPlan } from "./plan-graph.ts";

const colors = createColors(false);
const nowMs = 100_000;

function task(name: string, fields: Partial<TaskState> = {}): TaskState {
  const position = fields.taskId ?? `p.${name}`;
  return {
    taskId: position,
    name,
    assignedTo: "worker",
    status: "pending",
    data: null,
    dependsOn: [],
    attempt: 0,
    failures: 0,
    fraction: 0,
    ...fields,
  };
}

const done = (tookMs: number, agentName = "worker"): Partial<TaskState> => ({
  status: "completed",
  attempt: 1,
  agentName,
  durationMs: tookMs,
  startedAtMs: 1,
  endedAtMs: 1 + tookMs,
});

function plan(tasks: readonly TaskState[], fields: Partial<PlanState> = {}): PlanState {
  return {
    planId: "plan-1",
    version: 9,
    status: "running",
    epoch: 1,
    origin: {
      goalId: "1",
      goalType: "order.goal",
      goalData: null,
      traceId: "t",
      correlationId: "c",
      tenantId: "default",
      planner: "orders",
    },
    tasks,
    createdAtMs: nowMs - 1_500,
    updatedAtMs: nowMs - 500,
    ...fields,
  };
}

function draw(state: PlanState, columns = 200): string {
  return drawPlan(state, { colors, columns, nowMs }).join("\n");
}

test("a graph shows each task once, under what it waits for last, with state and duration", () => {
  const text = draw(
    plan([
      task("reserve", done(120, "inventory")),
      task("pay", { dependsOn: ["reserve"], ...done(340, "payment"), attempt: 2 }),
      task("ship", {
        dependsOn: ["reserve", "pay"],
        status: "running",
        attempt: 1,
        startedAtMs: nowMs - 80,
        fraction: 0.5,
      }),
      task("thank", { dependsOn: ["ship"] }),
      task("audit"),
    ]),
  );
  expect(text).toBe(
    [
      "plan-1  order.goal  running since 1.5 s",
      "planner orders",
      "✓ reserve               120 ms · inventory",
      "└─ ✓ pay                340 ms · payment · attempt 2",
      "   └─ ● ship ← reserve  running · 80 ms · 50 %",
      "      └─ ○ thank",
      "○ audit",
    ].join("\n"),
  );
});

test("a failure is told with its task and at the top", () => {
  const failure = { code: "TASK_FAILED", message: "no\nstock", retryable: false };
  const text = draw(plan([task("reserve", { status: "failed", attempt: 3, failure })], { status: "failed", failure }));
  expect(text).toContain("plan-1  order.goal  failed after 1.0 s");
  expect(text.match(/no stock/g)).toHaveLength(2);
  expect(text).toContain("✗ reserve");
});

test("of many items those that failed or run are drawn, the rest is counted", () => {
  const items = Array.from({ length: 100 }, (_, at) =>
    task(`read[${at}]`, { parentTaskId: "p.read", ...(at === 77 ? { status: "failed" } : done(1)) }),
  );
  const text = draw(
    plan([task("read", { status: "running", attempt: 1 }), ...items, task("sum", { dependsOn: ["read"] })]),
  );
  expect(text).toContain("✗ read[77]");
  expect(text).toContain("… and 90 more: 90 completed");
  expect(text).toContain("└─ ○ sum");
  expect(text.split("\n")).toHaveLength(2 + 1 + 10 + 1 + 1);
});

test("what a task waits for is told", () => {
  const asks = task("review", {
    status: "paused",
    attempt: 1,
    startedAtMs: nowMs - 10_000,
    waits: [
      { key: "wait", on: { kind: "input", prompt: "Publish?" }, attempt: 1, sinceMs: 1, untilMs: nowMs + 60_000 },
    ],
  });
  expect(draw(plan([asks]))).toContain(
    "‖ review  paused · 10 s · worker · asks “Publish?”, 1 min left".replace("worker · ", ""),
  );
  const on = { kind: "event", pattern: "order.paid", where: { "data.id": "a7", "data.late": false } } as const;
  const waits = task("paid", { status: "running", attempt: 1, waits: [{ key: "wait", on, attempt: 1, sinceMs: 1 }] });
  expect(draw(plan([waits]))).toContain('waits for order.paid with data.id "a7", data.late false');
});

test("what is waited for no more is not told: it timed out, its task ended, the sleep is over", () => {
  const on = { kind: "input", prompt: "Publish?" } as const;
  const asked = { key: "wait", on, attempt: 1, sinceMs: 1 };
  const slept = { key: "sleep", on: { kind: "sleep", ms: 5 }, attempt: 1, sinceMs: 1, untilMs: nowMs - 1 } as const;
  const drawn = draw(
    plan([
      task("late", { status: "running", attempt: 1, waits: [{ ...asked, timedOut: { attempt: 1 } }] }),
      task("over", { status: "failed", attempt: 1, waits: [asked] }),
      task("awake", { status: "running", attempt: 1, waits: [slept] }),
      task("open", { status: "paused", attempt: 1, waits: [slept, { ...asked, on: { ...on, prompt: "Really?" } }] }),
    ]),
  );
  expect(drawn).not.toContain("Publish?");
  expect(drawn).not.toContain("sleeps");
  expect(drawn).toContain("asks “Really?”");
});

test("a chain of thousands of tasks is drawn, and no line is wider than the terminal", () => {
  const chain = Array.from({ length: 10_000 }, (_, at) => task(`t${at}`, at > 0 ? { dependsOn: [`t${at - 1}`] } : {}));
  const lines = draw(plan(chain), 60).split("\n");
  expect(lines).toHaveLength(10_002);
  expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(60);
});

test("no line sticks out by a wide character", () => {
  for (let columns = 30; columns < 40; columns++) {
    const failure = { code: "TASK_FAILED", message: "論文を検索して要約する論文を検索して要約する", retryable: false };
    const lines = draw(plan([task("search", { status: "failed", failure })]), columns).split("\n");
    expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(columns);
  }
});

test("what takes something back stands under it", () => {
  const text = draw(
    plan(
      [task("pay", { taskId: "p.1", ...done(5) }), task("undo:pay", { undoes: "p.1", status: "running", attempt: 1 })],
      {
        ending: "failed",
      },
    ),
  );
  expect(text).toContain("taking back, then failed");
  expect(text).toContain("└─ ● undo:pay");
});

test("what agents and people wrote moves no cursor and clears no screen", () => {
  const rude = "red \u001b[31m\u001b[2J\nbell\u0007 \u009b1A end";
  const failure = { code: "TASK_FAILED", message: rude, retryable: true };
  const lines = drawPlan(plan([task(rude, { status: "failed", failure })], { failure }), {
    colors,
    columns: 200,
    nowMs,
  });
  expect(lines.filter((line) => line.includes("red bell end"))).toHaveLength(2);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be there.
  expect(lines.join("")).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
});

test("in a narrow terminal names give way, not how long a task takes or why it failed", () => {
  const failure = { code: "TASK_FAILED", message: "no stock", retryable: false };
  const name = "summarize-everything-that-was-found-about-bees";
  const tasks = [
    task("find", done(120)),
    task(name, { dependsOn: ["find"], status: "failed", attempt: 1, durationMs: 340, startedAtMs: 1, failure }),
    task("print-what-was-summarized-on-paper", { dependsOn: [name] }),
  ];
  for (const columns of [40, 50, 60]) {
    const lines = draw(plan(tasks), columns).split("\n");
    expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(columns);
    expect(lines[2]).toContain("120 ms · worker");
    expect(lines[3]).toMatch(/^└─ ✗ summarize.*… +340 ms {2}no stock$/);
    // With nothing beside it, a name has the whole line.
    expect(lines[4]).toStartWith("   └─ ○ print-what-was-summarized");
  }
  expect(draw(plan(tasks), 100)).toContain(name);
});

test("a plan took until it ended, however late its dead letter was discarded", () => {
  const ended = plan([task("pay", { status: "failed" })], { status: "failed", createdAtMs: 0, endedAtMs: 3_000 });
  for (const updatedAtMs of [3_000, 86_400_000])
    expect(draw({ ...ended, updatedAtMs }, 100)).toContain("failed after 3");
});

test("what a delegated task waits for among its siblings is drawn", () => {
  const delegated = { parentTaskId: "p.a" };
  const tasks = [task("a"), task("a/one", delegated), task("a/two", { ...delegated, dependsOn: ["a/one"] })];
  expect(draw(plan(tasks), 100)).toMatch(/a\/two ← a\/one/);
});
