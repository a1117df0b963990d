import { describe, expect, test } from "bun:test";
import { type AnyData, defineGoal, defineTask, NonRetryableError, planTask } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { Type } from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

type Options = Parameters<Awaited<ReturnType<typeof inProcessMesh>>["planner"]>[0];

/** A mesh with a worker whose tasks note what they were given. `add` adds one; `fail` fails while `broken` says so. */
async function setting(options: Partial<Options> = {}) {
  const mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "planner", retry: { maxAttempts: 1 }, ...options });
  const worker = mesh.worker({ name: "worker" });
  const calls: [name: string, data: AnyData][] = [];
  let broken = true;
  worker.onTask("add", ({ name, data }) => {
    calls.push([name, data]);
    return typeof data === "number" ? data + 1 : data;
  });
  worker.onTask("fail", ({ name, data }) => {
    calls.push([name, data]);
    if (broken) throw new NonRetryableError("it is broken");
    return "mended";
  });
  await worker.run();
  return {
    mesh,
    planner,
    calls,
    mend: () => {
      broken = false;
    },
    async submit(type: string, data: unknown = null) {
      await planner.run();
      const client = await mesh.client();
      return { client, run: await client.submitGoal(type, data) };
    },
    [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose](),
  };
}

describe("a plan", () => {
  test("grows by what its planner adds after each task, and may be answered before all is done", async () => {
    await using at = await setting();
    at.planner.onGoal("grow.goal", ({ data }) => ({ tasks: [{ name: "n1", assignedTo: "add", data: data.from }] }));
    at.planner.onTransition("grow.goal", ({ task, results, goalData, plan }) => {
      if (task.result >= goalData.to) return { complete: { result: Object.values(results) } };
      const name = `n${plan.tasks.length + 1}`;
      return {
        tasks: [
          { name, assignedTo: "add", data: `{{results.${task.name}}}`, templated: true, dependsOn: [task.name] },
          ...(plan.tasks.length === 1 ? [{ name: "never", wait: { kind: "input" as const, prompt: "?" } }] : []),
        ],
      };
    });
    const { run } = await at.submit("grow.goal", { from: 1, to: 4 });
    expect(await run.result()).toEqual([2, 3, 4]);
    expect((await run.plan()).tasks.map(({ name, status }) => [name, status])).toEqual([
      ["n1", "completed"],
      ["n2", "completed"],
      ["never", "cancelled"],
      ["n4", "completed"],
    ]);
  });

  test("that grows deals with failures, or fails for a reason of its own", async () => {
    await using at = await setting();
    at.planner.onGoal("mend.goal", () => ({ tasks: [{ name: "first", assignedTo: "fail" }] }));
    at.planner.onTransition("mend.goal", ({ task, goalData }) => {
      if (task.status !== "failed") return undefined;
      return goalData ? { fail: "no way" } : { handled: true, tasks: [{ name: "second", assignedTo: "add", data: 1 }] };
    });
    const { run, client } = await at.submit("mend.goal");
    expect(await run.result()).toEqual({ second: 2 });
    const hopeless = await client.submitGoal("mend.goal", true);
    expect(await failureOf(hopeless.result())).toThrow('goal "mend.goal" failed: no way');
  });

  test("that grows without end is ended by its budget", async () => {
    await using at = await setting({ budget: { maxTasks: 5 } });
    at.planner.onGoal("endless.goal", () => ({ tasks: [{ name: "n1", assignedTo: "add", data: 0 }] }));
    at.planner.onTransition("endless.goal", ({ plan }) => ({
      tasks: [{ name: `n${plan.tasks.length + 1}`, assignedTo: "add", data: 0 }],
    }));
    at.planner.onGoal("wide.goal", () => ({
      tasks: [{ name: "a", assignedTo: "add" }],
      budget: { maxDurationMs: 60_000 },
    }));
    const { run, client } = await at.submit("endless.goal");
    expect(await failureOf(run.result())).toThrow(/may have 5 tasks: it has 5, and .* would add 1/);
    expect(await run.plan()).toMatchObject({ failure: { code: "BUDGET_EXCEEDED" }, budget: { maxTasks: 5 } });
    const wide = await client.submitGoal("wide.goal", null);
    await wide.result();
    expect((await wide.plan()).budget).toEqual({ maxTasks: 5, maxDurationMs: 60_000 });
  });

  test("that takes too long is ended by its budget", async () => {
    await using at = await setting();
    at.planner.onGoal("slow.goal", () => ({
      tasks: [{ name: "ask", wait: { kind: "input", prompt: "Well?" } }],
      budget: { maxDurationMs: 20 },
    }));
    const { run } = await at.submit("slow.goal");
    expect(await failureOf(run.result())).toThrow(/20 ms/);
    expect((await run.plan()).failure?.code).toBe("BUDGET_EXCEEDED");
  });

  test("does a task for each of an earlier result, and takes back what was done when it fails", async () => {
    await using at = await setting();
    at.planner.onGoal("order.goal", ({ data }) => ({
      tasks: [
        { name: "list", assignedTo: "add", data: data.items },
        {
          name: "reserve",
          assignedTo: "add",
          data: { item: "{{item}}", at: "{{index}}" },
          templated: true,
          dependsOn: ["list"],
          forEach: { over: "{{results.list}}", concurrency: 2 },
          undo: { assignedTo: "add", data: { back: "{{item}}" } },
        },
        { name: "pay", assignedTo: data.pays ? "add" : "fail", data: 1, dependsOn: ["reserve"] },
      ],
    }));
    const { run, client } = await at.submit("order.goal", { items: ["a", "b", "c"], pays: true });
    expect(await run.result()).toEqual({
      list: ["a", "b", "c"],
      reserve: ["a", "b", "c"].map((item, index) => ({ item, at: index })),
      pay: 2,
    });
    at.calls.length = 0;
    const broke = await client.submitGoal("order.goal", { items: ["x", "y"], pays: false });
    const failed = await failureOf(broke.result());
    expect(failed).toThrow(/"pay".*it is broken/);
    // The answer comes when everything was taken back.
    expect(
      at.calls
        .filter(([name]) => name.startsWith("undo:"))
        .map(([, data]) => data.back)
        .sort(),
    ).toEqual(["x", "y"]);
    expect(await broke.plan()).toMatchObject({ status: "failed" });
  });

  test("gives tasks the text of its goal as it is, and an item that is all of a task's data", async () => {
    await using at = await setting();
    const Note = defineTask({
      name: "note",
      input: Type.Object({ text: Type.String() }),
      output: Type.String(),
    });
    const noter = at.mesh.worker({ name: "noter" });
    noter.onTask(Note, ({ data }) => data.text);
    await noter.run();
    at.planner.onGoal("note.goal", ({ data }) => ({
      tasks: [
        planTask(Note, { text: data.text }, { name: "first" }),
        // The contract is checked with what is known: not before there is an item.
        { name: "each", assignedTo: "note", forEach: { over: "{{goal.data.notes}}" } },
        planTask(Note, { text: "{{goal.data.text}}!" }, { name: "filled", templated: true }),
      ],
    }));
    const text = "{{results.first}}, {{item}} and {{goal.data.text | upper}}";
    const { run, client } = await at.submit("note.goal", { text, notes: [{ text }, { text: "b" }] });
    expect(await run.result()).toEqual({ first: text, each: [text, "b"], filled: `${text}!` });
    const wrong = await client.submitGoal("note.goal", { text, notes: [{ text: 1 }] });
    expect(await failureOf(wrong.result())).toThrow(/PAYLOAD_INVALID/);
    // @ts-expect-error templates are for tasks that say so
    expect(() => planTask(Note, "{{item}}")).toThrow(/data of task "note" does not match/);
  });

  test("takes what a task leaves open from its contract, and the rest from the planner", async () => {
    await using at = await setting({ retry: { maxAttempts: 2 }, timeoutMs: 9_000, priority: 1 });
    const Add = defineTask({
      name: "add",
      input: Type.Number(),
      output: Type.Number(),
      retry: { maxAttempts: 7 },
      priority: 5,
    });
    at.planner.onGoal("default.goal", () => ({
      tasks: [
        { name: "plain", assignedTo: "add", data: 1 },
        planTask(Add, 1, { name: "typed", priority: 0 }),
        planTask(Add, "{{results.plain}}", { name: "later", dependsOn: ["plain"], timeoutMs: 5, templated: true }),
        { name: "own", assignedTo: "add", data: 1, priority: 2, timeoutMs: 3_000, retry: { maxAttempts: 4 } },
        { name: "nap", wait: { kind: "sleep", ms: 1 } },
      ],
    }));
    const { run } = await at.submit("default.goal");
    expect(await run.result()).toMatchObject({ plain: 2, typed: 2, later: 3, own: 2 });
    const { tasks } = await run.plan();
    expect(
      tasks.map(({ name, retry, timeoutMs, priority }) => [name, retry?.maxAttempts, timeoutMs, priority]),
    ).toEqual([
      ["plain", undefined, 9_000, 1],
      ["typed", 7, 9_000, 0],
      ["later", 7, 5, 5],
      ["own", 4, 3_000, 2],
      ["nap", undefined, undefined, 1],
    ]);
    // @ts-expect-error not a number
    expect(() => planTask(Add, "three")).toThrow(/data of task "add" does not match/);
  });
});

describe("a plan that has ended", () => {
  test("is done again from a task, with earlier results kept, and answers whoever asked", async () => {
    await using at = await setting();
    at.planner.onGoal("chain.goal", ({ data }) => ({
      tasks: [
        { name: "a", assignedTo: "add", data },
        { name: "b", assignedTo: "add", data: "{{results.a}}", templated: true, dependsOn: ["a"] },
        { name: "c", assignedTo: "add", data: "{{results.b}}", templated: true, dependsOn: ["b"] },
        { name: "aside", assignedTo: "add", data: 10 },
      ],
    }));
    await at.planner.run();
    const client = await at.mesh.client();
    const answers: AnyData[] = [];
    await client.bus.subscribe("my.answer", ({ data }) => void answers.push(data.result.c));
    const run = await client.submitGoal("chain.goal", 0, { responseEvent: "my.answer" });
    await run.result();
    at.calls.length = 0;
    const again = await client.replay(run.planId, { from: "b" });
    expect(await again.result()).toEqual({ a: 1, b: 2, c: 3, aside: 11 });
    expect(at.calls.map(([name]) => name)).toEqual(["b", "c"]);
    const whole = await client.replay(again.planId);
    await whole.result();
    expect(at.calls.map(([name]) => name).sort()).toEqual(["a", "aside", "b", "b", "c", "c"]);
    await waitFor(() => answers.length === 3);
    expect(answers).toEqual([3, 3, 3]);
    const { origin } = await whole.plan();
    expect(origin).toMatchObject({ replayOf: again.planId, goalType: "chain.goal", goalData: 0 });
    const unknown = await failureOf(client.replay("plan-of-nobody"));
    expect(unknown).toThrow(/plan-of-nobody/);
  });

  test("with a dead letter is done again from it, and the letter is gone", async () => {
    await using at = await setting();
    at.planner.onGoal("brittle.goal", () => ({
      tasks: [
        { name: "good", assignedTo: "add", data: 1 },
        { name: "bad", assignedTo: "fail", dependsOn: ["good"] },
        { name: "after", assignedTo: "add", data: "{{results.bad}}", templated: true, dependsOn: ["bad"] },
      ],
    }));
    const { run, client } = await at.submit("brittle.goal");
    await failureOf(run.result());
    const [letter] = await client.tracker.deadLetters();
    expect(letter).toMatchObject({ planId: run.planId, name: "bad", failure: { message: "it is broken" } });
    at.mend();
    const again = await client.retryDeadLetter(run.planId, letter?.taskId ?? "");
    expect(again.planId).not.toBe(run.planId);
    expect(await again.result()).toEqual({ good: 2, bad: "mended", after: "mended" });
    expect(at.calls.map(([name]) => name)).toEqual(["good", "bad", "bad", "after"]);
    expect(await client.tracker.deadLetters()).toEqual([]);
    expect(await failureOf(client.retryDeadLetter(run.planId, letter?.taskId ?? ""))).toThrow(/was dealt with/);
    expect(await failureOf(client.retryDeadLetter(run.planId, "nothing"))).toThrow(/there is no such task/);
  });

  test("a dead letter that two retry at the same time is tried again once", async () => {
    await using at = await setting();
    at.planner.onGoal("brittle.goal", () => ({ tasks: [{ name: "bad", assignedTo: "fail" }] }));
    const { run, client } = await at.submit("brittle.goal");
    await failureOf(run.result());
    const letter = await waitFor(async () => (await client.tracker.deadLetters())[0]);
    at.mend();
    const other = await at.mesh.client({ name: "other" });
    const both = [client, other].map((one) => one.retryDeadLetter(run.planId, letter.taskId));
    const [first, second] = await Promise.all(both);
    expect(second?.planId).toBe(first?.planId ?? "");
    expect(await second?.result()).toEqual({ bad: "mended" });
    expect(at.calls.map(([name]) => name)).toEqual(["bad", "bad"]);
    expect(await client.tracker.deadLetters()).toEqual([]);
    expect(await client.tracker.listPlans()).toHaveLength(2);
  });

  test("a dead letter of an open plan is tried again there", async () => {
    await using at = await setting();
    at.planner.onGoal("open.goal", () => ({
      tasks: [
        { name: "bad", assignedTo: "fail" },
        { name: "ask", wait: { kind: "input", prompt: "Well?" } },
      ],
    }));
    const { run, client } = await at.submit("open.goal");
    const letter = await waitFor(async () => (await client.tracker.deadLetters())[0]);
    at.mend();
    const same = await client.retryDeadLetter(run.planId, letter.taskId);
    expect(same.planId).toBe(run.planId);
    await waitFor(async () => (await run.plan()).tasks[0]?.status === "completed");
    await client.tracker.answer(run.planId, "fine");
    expect(await same.result()).toEqual({ bad: "mended", ask: "fine" });
  });
});

test("a run can be attached to by whoever knows its plan", async () => {
  await using at = await setting();
  const Ask = defineGoal({ name: "ask.goal", input: Type.Null(), output: Type.Object({ ask: Type.String() }) });
  at.planner.onGoal(Ask, () => ({ tasks: [{ name: "ask", wait: { kind: "input", prompt: "Well?" } }] }));
  const { run, client } = await at.submit("ask.goal");
  const other = await at.mesh.client({ name: "other" });
  const attached = await other.attach(run.planId);
  expect(attached).toMatchObject({ goalId: run.goalId, planId: run.planId });
  await waitFor(async () => (await run.plan()).tasks[0]?.status === "paused");
  await client.tracker.answer(run.planId, "well");
  expect(await attached.result()).toEqual({ ask: "well" });
  expect(await failureOf(other.attach("plan-of-nobody"))).toThrow(/plan-of-nobody/);
});

test("a goal that is cancelled twice, or after its end, stays as it was", async () => {
  await using at = await setting();
  at.planner.onGoal("ask.goal", () => ({ tasks: [{ name: "ask", wait: { kind: "input", prompt: "Well?" } }] }));
  const { run } = await at.submit("ask.goal");
  await run.cancel("first");
  await run.cancel("second");
  expect(await failureOf(run.result())).toThrow(/was cancelled: first/);
});
