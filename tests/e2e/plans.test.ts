import { expect, test } from "bun:test";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { DeadLetter, PlanState, PlanSummary } from "@soorma/core";
import { startSoorma, until } from "./cli-run.ts";
import { expectProgram, inTerminal, interrupt } from "./cli-terminal.ts";
import { devProject } from "./dev-project.ts";

const {
  folder,
  path: project,
  run,
  json,
} = devProject("orders", () => ({ "src/agents/planner.ts": planner, "src/agents/worker.ts": worker }));
/** The worker's "pay" fails while this file is not there. */
const fixed = join(folder, "fixed");
/** What the worker's "slow" says when it is aborted. */
const aborted = join(folder, "aborted");

const planner = `
import { Planner } from "soorma";
const planner = new Planner({ name: "orders", retry: { maxAttempts: 2, backoffMs: 1 } });
planner.onGoal("order.goal", async (goal) => ({
  tasks: [
    { name: "reserve", assignedTo: "reserve", data: goal.data },
    { name: "pay", assignedTo: "pay", data: goal.data, dependsOn: ["reserve"] },
    { name: "ship", assignedTo: "ship", dependsOn: ["reserve", "pay"] },
  ],
}));
planner.onGoal("review.goal", async (goal) => ({
  tasks: [
    { name: "approval", wait: { kind: "input", prompt: "Publish it?" } },
    { name: "echo", assignedTo: "reserve", data: "{{results.approval}}", templated: true, dependsOn: ["approval"] },
  ],
}));
planner.onGoal("many.goal", async () => ({
  tasks: Array.from({ length: 120 }, (_, i) => ({ name: "t" + i, assignedTo: "hopeless" })),
}));
planner.onGoal("undone.goal", async () => ({
  tasks: [
    { name: "book", assignedTo: "reserve", undo: { assignedTo: "slow" } },
    { name: "fail", assignedTo: "hopeless", dependsOn: ["book"] },
  ],
}));
planner.onGoal("quiz.goal", async () => ({ tasks: [{ name: "quiz", assignedTo: "quiz" }] }));
planner.onGoal("slow.goal", async () => ({ tasks: [{ name: "slow", assignedTo: "slow" }] }));
await planner.run();
`;
const worker = `
import { existsSync, writeFileSync } from "node:fs";
import { NonRetryableError, Worker } from "soorma";
const worker = new Worker({ name: "shop" });
worker.onTask("reserve", async (task) => ({ of: task.data, at: Math.random() }));
worker.onTask("pay", async (task) => {
  if (!existsSync(${JSON.stringify(fixed)})) throw new Error("the card was declined");
  return { paid: true };
});
worker.onTask("ship", async (task) => ({ shipped: task.inputs.reserve.at }));
worker.onTask("hopeless", async () => {
  throw new NonRetryableError("it never works");
});
worker.onTask("quiz", (task) => Promise.all([task.waitForInput("Your name?"), task.waitForInput("Your quest?")]));
worker.onTask("slow", async (task) => {
  await new Promise((resolve) => task.signal.addEventListener("abort", resolve));
  writeFileSync(${JSON.stringify(aborted)}, String(task.signal.reason.code));
});
await worker.run();
`;

/** Submits a goal and returns its plan's id at once. */
async function submit(type: string, data = "{}"): Promise<string> {
  const { stdout, exitCode } = await run("goal", type, data, "--no-wait");
  expect(exitCode).toBe(0);
  return stdout.trim();
}

/** Sends goals until they are answered. */
async function order(count: number): Promise<void> {
  writeFileSync(fixed, "");
  for (let n = 0; n < count; n++) expect((await run("goal", "order.goal", `{"n":${n}}`)).exitCode).toBe(0);
}

/** Names of the tasks of a plan that are dead letters. */
async function deadOf(planId: string): Promise<string[]> {
  return (await json<DeadLetter[]>("plans", "dead")).flatMap((one) => (one.planId === planId ? [one.name] : []));
}

async function newestOf(goal: string): Promise<string> {
  const [plan] = await json<PlanSummary[]>("plans", "list", "--goal", goal);
  return plan?.planId ?? "";
}

async function statusOf(planId: string): Promise<string> {
  return (await json<PlanState>("plans", "show", planId)).status;
}

test("a failed task is a dead letter: listed, inspected, sent again from where it failed", async () => {
  rmSync(fixed, { force: true });
  const failed = await run("goal", "order.goal", '{"item":"bees"}');
  expect(failed.exitCode).toBe(1);
  expect(failed.stderr).toContain("the card was declined");
  const [plan] = await json<PlanSummary[]>("plans", "list", "--status", "failed", "--goal", "order.goal");
  const planId = plan?.planId ?? "";

  const shown = await run("plans", "show", planId.slice(0, 12), "--log");
  expect(shown.stdout).toContain(`${planId}  order.goal  failed after`);
  expect(shown.stdout).toMatch(/✓ reserve +[\d.]+ m?s · shop/);
  expect(shown.stdout).toMatch(/└─ ✗ pay .*attempt 2 {2}the card was declined/);
  expect(shown.stdout).toMatch(/└─ ✗ ship ← reserve .*was not run/);
  expect(shown.stdout).toMatch(/ {4}1 \+0 ms +plan\.created order\.goal by orders/);
  expect(shown.stdout).toMatch(/task\.retried pay .*the card was declined; again in/);

  expect(await deadOf(planId)).toEqual(["pay"]);
  expect((await run("plans", "dead")).stdout).toMatch(/pay +order\.goal +.*the card was declined/);

  writeFileSync(fixed, "");
  const reserved = (await json<PlanState>("plans", "show", planId)).tasks.find(
    ({ name }) => name === "reserve",
  )?.result;
  const retried = await json<{ planId: string; result: { reserve: unknown; ship: { shipped: number } } }>(
    ...["plans", "retry", planId, "--wait"],
  );
  expect(retried.planId).not.toBe(planId);
  expect(retried.result.reserve).toEqual(reserved);
  expect(retried.result.ship.shipped).toBe((reserved as { at: number }).at);
  expect(await deadOf(planId)).toEqual([]);
  expect((await run("plans", "show", retried.planId)).stdout).toContain(`again ${planId}`);
}, 60_000);

test("a dead letter can be discarded", async () => {
  rmSync(fixed, { force: true });
  expect((await run("goal", "order.goal", "{}")).exitCode).toBe(1);
  const planId = await newestOf("order.goal");
  expect(await deadOf(planId)).toEqual(["pay"]);
  const wrong = await run("plans", "discard", planId, "pya");
  expect(wrong.stderr).toContain("did you mean pay?");
  const { stdout } = await run("plans", "discard", planId, "--reason", "paid by hand");
  expect(stdout).toBe(`discarded pay of plan ${planId}\n`);
  expect(await deadOf(planId)).toEqual([]);
}, 60_000);

test("all dead letters of a plan are discarded at once, and each is found by its task's name", async () => {
  expect((await run("goal", "many.goal")).exitCode).toBe(1);
  const planId = await newestOf("many.goal");
  for (const name of ["t0", "t119"]) {
    expect((await run("plans", "discard", planId, name)).stdout).toBe(`discarded ${name} of plan ${planId}\n`);
  }
  expect((await run("plans", "discard", planId)).exitCode).toBe(0);
  expect(await deadOf(planId)).toEqual([]);
}, 60_000);

test("a plan that takes back what it did cannot be cancelled, and that is why", async () => {
  const planId = await submit("undone.goal");
  await until("taking back", async () => (await run("plans", "show", planId)).stdout.includes("taking back"));
  const { stderr, exitCode } = await run("plans", "cancel", planId);
  expect(exitCode).toBe(1);
  expect(stderr).toContain("cannot be cancelled: it is ending already: what it did is taken back");
}, 60_000);

test("a task's questions are told apart by their keys", async () => {
  const planId = await submit("quiz.goal");
  await until("both questions", async () => {
    const { tasks } = await json<PlanState>("plans", "show", planId);
    return tasks[0]?.waits?.length === 2;
  });
  const which = await run("plans", "answer", planId, "Arthur");
  expect(which.exitCode).toBe(2);
  expect(which.stderr).toContain("2 questions");
  expect(which.stderr).toContain("“Your name?” (input), “Your quest?” (input#2)");
  expect(which.stderr).toContain("--key 'input'");
  const typo = await run("plans", "answer", planId, "Arthur", "--key", "input#3");
  expect(typo.stderr).toContain("input#2");
  expect((await run("plans", "answer", planId, "the Grail", "--key", "input#2")).stdout).toContain("“Your quest?”");
  // One is left.
  expect((await run("plans", "answer", planId, "Arthur")).stdout).toContain("“Your name?”");
  await until("the plan's end", async () => (await statusOf(planId)) === "completed");
  expect((await json<PlanState>("plans", "show", planId)).result).toEqual({ quiz: ["Arthur", "the Grail"] });
}, 60_000);

test("a finished plan is run again from a point, with earlier results reused", async () => {
  writeFileSync(fixed, "");
  const first = await json<{ planId: string; result: { reserve: { at: number } } }>("goal", "order.goal", '{"n":1}');
  const again = await json<{ result: { reserve: { at: number }; ship: { shipped: number } } }>(
    ...["plans", "replay", first.planId, "--from", "ship", "--wait"],
  );
  expect(again.result.reserve.at).toBe(first.result.reserve.at);
  const whole = await json<{ result: { reserve: { at: number } } }>("plans", "replay", first.planId, "--wait");
  expect(whole.result.reserve.at).not.toBe(first.result.reserve.at);
  const unknown = await run("plans", "replay", first.planId, "--from", "shpi");
  expect(unknown.exitCode).toBe(1);
  expect(unknown.stderr).toContain("ship");
}, 60_000);

test("a person answers what a plan waits for", async () => {
  const planId = await submit("review.goal");
  await until("the question", async () => (await run("plans", "show", planId)).stdout.includes("asks “Publish it?”"));
  const needed = await run("plans", "answer", planId);
  expect(needed.exitCode).toBe(2);
  expect(needed.stderr).toContain("“Publish it?”");
  expect((await run("plans", "answer", planId, '{"yes":true}')).stdout).toContain("answered “Publish it?” of approval");
  await until("the plan's end", async () => (await statusOf(planId)) === "completed");
  const plan = await json<PlanState>("plans", "show", planId);
  expect(plan.result).toMatchObject({ approval: { yes: true }, echo: { of: { yes: true } } });
  const late = await run("plans", "answer", planId, "no");
  expect(late.exitCode).toBe(1);
  expect(late.stderr).toContain("waits for an answer");
}, 60_000);

test.if(expectProgram !== null)(
  "on a terminal the question is asked",
  async () => {
    const planId = await submit("review.goal");
    await until("the question", async () => (await run("plans", "show", planId)).stdout.includes("asks"));
    const { screen, exitCode } = await inTerminal(
      project,
      ["plans", "answer", planId],
      [["Publish it?", "of course\\r"]],
    );
    expect(screen).toContain("answered");
    expect(exitCode).toBe(0);
    await until("the plan's end", async () => (await statusOf(planId)) === "completed");
  },
  60_000,
);

test("a paused plan begins nothing until it is resumed", async () => {
  const planId = await submit("review.goal");
  await until("the question", async () => (await statusOf(planId)) === "running");
  expect((await run("plans", "pause", planId, "--reason", "lunch")).stdout).toBe(`plan ${planId} is paused\n`);
  expect((await run("plans", "pause", planId)).stderr).toContain("cannot be paused: it is paused already [");
  expect((await run("plans", "answer", planId, "yes")).exitCode).toBe(0);
  await until("the answer", async () =>
    (await json<PlanState>("plans", "show", planId)).tasks.some(({ status }) => status === "completed"),
  );
  expect((await json<PlanState>("plans", "show", planId)).tasks.map(({ status }) => status)).toEqual([
    "completed",
    "pending",
  ]);
  expect((await run("plans", "resume", planId)).exitCode).toBe(0);
  await until("the plan's end", async () => (await statusOf(planId)) === "completed");
}, 60_000);

test("cancelling aborts the running handler, from the command line and with Ctrl-C", async () => {
  const planId = await submit("slow.goal");
  await until("a worker", async () => (await run("plans", "show", planId)).stdout.includes("shop"));
  expect((await run("plans", "cancel", planId)).stdout).toBe(`plan ${planId} is cancelled\n`);
  await until("the abort", () => existsSync(aborted));
  expect(readFileSync(aborted, "utf8")).toBe("CANCELLED");
  expect((await run("plans", "cancel", planId)).stderr).toContain(
    "cannot be cancelled: it has ended (it is cancelled) [",
  );
  await Bun.file(aborted).delete();

  const child = startSoorma(["goal", "slow.goal"], { cwd: project });
  await until("the goal's plan", async () =>
    (await json<PlanSummary[]>("plans", "list", "--goal", "slow.goal", "--status", "running")).some(
      ({ planId: of }) => of !== planId,
    ),
  );
  child.kill("SIGINT");
  expect(await child.exited).toBe(130);
  expect(await child.stderr.text()).toContain("the goal is cancelled");
  await until("the abort", () => existsSync(aborted));
}, 60_000);

test.if(expectProgram !== null)(
  "Ctrl-C in a terminal cancels the goal",
  async () => {
    const { screen, exitCode } = await inTerminal(project, ["goal", "slow.goal"], [["0 of 1 tasks", interrupt]]);
    expect(screen).toContain("the goal is cancelled");
    expect(exitCode).toBe(130);
  },
  60_000,
);

test("a plan is watched to its end", async () => {
  const planId = await submit("review.goal");
  const child = startSoorma(["plans", "watch", planId], { cwd: project });
  await until("the question", async () => (await run("plans", "show", planId)).stdout.includes("asks"));
  await run("plans", "answer", planId, "1");
  expect(await child.exited).toBe(0);
  expect(await child.stdout.text()).toContain("✓ echo");
  const lines = (await run("plans", "watch", planId, "--json")).stdout.trim().split("\n");
  expect(lines.map((line) => (JSON.parse(line) as { type: string }).type)[0]).toBe("plan.created");
}, 60_000);

test("watching ends when nobody reads any more", async () => {
  const planId = await submit("review.goal");
  const child = startSoorma(["plans", "watch", planId, "--json"], { cwd: project });
  for await (const chunk of child.stdout) {
    expect(new TextDecoder().decode(chunk)).toContain('"plan.created"');
    break;
  }
  await run("plans", "pause", planId);
  expect(await child.exited).toBe(0);
  expect((await json<PlanSummary>("plans", "show", planId)).status).toBe("paused");
  await run("plans", "cancel", planId);
}, 60_000);

test("plans are listed by status, goal and time; agents by how they do", async () => {
  await order(3);
  const reviewed = await submit("review.goal");
  await until("the question", async () => (await run("plans", "answer", reviewed, "yes")).exitCode === 0);
  await until("the plan's end", async () => (await statusOf(reviewed)) === "completed");
  const all = await json<PlanSummary[]>("plans", "list");
  expect(all.length).toBeGreaterThan(3);
  expect(all.map(({ createdAtMs }) => createdAtMs)).toEqual(
    all.map(({ createdAtMs }) => createdAtMs).sort((a, b) => b - a),
  );
  const some = await json<PlanSummary[]>("plans", "list", "--status", "completed", "--goal", "review.goal");
  expect(some.length).toBeGreaterThan(0);
  expect(some.every(({ status, goalType }) => status === "completed" && goalType === "review.goal")).toBe(true);
  expect(await json("plans", "list", "--until", "1d")).toEqual([]);
  expect((await run("plans", "list", "--limit", "1")).stderr).toContain("there are more");
  expect((await run("plans", "agents")).stdout).toMatch(/shop +\d+ +\d+ +[\d.]+ m?s +[\d.]+ m?s/);
}, 60_000);

test("an id that is none is told with the nearest one; a plan that is not there is an error", async () => {
  await order(2);
  const [newest] = await json<PlanSummary[]>("plans", "list", "--limit", "1");
  const planId = newest?.planId ?? "";
  expect((await run("plans", "show")).stdout).toStartWith(planId);
  const typo = await run("plans", "show", `${planId}x`);
  expect(typo.exitCode).toBe(1);
  expect(typo.stderr).toContain(`did you mean ${planId}?`);
  const ambiguous = await run("plans", "cancel", "plan-");
  expect(ambiguous.stderr).toContain('plans begin with "plan-"');
}, 60_000);
