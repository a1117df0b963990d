import { describe, expect, test } from "bun:test";
import { defineGoal, definePlan, defineTask, NonRetryableError } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { Type } from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

const review = definePlan({
  goal: "article.goal",
  initial: "draft",
  states: {
    draft: {
      task: { assignedTo: "write", data: { topic: "{{goal.data.topic}}", words: "{{goal.data.words}}" } },
      on: "review",
      onFailure: "unwritten",
    },
    review: {
      input: "Is “{{results.draft.text}}” fit to print?",
      on: [
        { when: { path: "result.ok", eq: true }, to: "printed" },
        { when: { path: "visits.draft", gte: 3 }, to: "given-up" },
        { to: "draft" },
      ],
    },
    printed: { final: true, result: { text: "{{results.draft.text}}", tries: "{{results.draft.tries}}" } },
    "given-up": { fail: "nobody liked {{goal.data.topic}}" },
    unwritten: { fail: "no draft: {{failure.message}}" },
  },
});

async function articles() {
  const mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "editor" });
  planner.onGoal(review);
  await planner.run();
  const worker = mesh.worker({ name: "writer" });
  let tries = 0;
  worker.onTask("write", ({ data }) => {
    if (data.topic === "nothing") throw new NonRetryableError("there is nothing to say");
    return { text: `${data.words} words about ${data.topic}`, tries: ++tries, typed: typeof data.words };
  });
  await worker.run();
  const client = await mesh.client();
  /** Answers the open question of the plan, once it is asked. */
  const answer = async (planId: string, value: unknown): Promise<string> => {
    const task = await waitFor(async () =>
      (await client.tracker.getPlan(planId)).tasks.find(({ status }) => status === "paused"),
    );
    await client.tracker.answer(planId, value, { taskId: task.taskId });
    const on = task.waits?.at(-1)?.on;
    return on?.kind === "input" ? on.prompt : "";
  };
  return { mesh, planner, client, answer, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() };
}

describe("a plan that is a state machine", () => {
  test("goes back for another draft until a person is content", async () => {
    await using at = await articles();
    const run = await at.client.submitGoal("article.goal", { topic: "bees", words: 7 });
    expect(await at.answer(run.planId, { ok: false })).toBe("Is “7 words about bees” fit to print?");
    await at.answer(run.planId, { ok: true });
    expect(await run.result()).toEqual({ text: "7 words about bees", tries: 2 });
    const { tasks, state } = await run.plan();
    expect(state).toBe("printed");
    expect(tasks.map(({ name, status }) => [name, status])).toEqual([
      ["draft", "completed"],
      ["review", "completed"],
      ["draft#2", "completed"],
      ["review#2", "completed"],
    ]);
    // Templates are filled in with the values' types.
    expect(tasks[0]?.result).toMatchObject({ typed: "number" });
  });

  test("ends where its transitions say that it fails", async () => {
    await using at = await articles();
    const run = await at.client.submitGoal("article.goal", { topic: "wasps", words: 1 });
    for (let i = 0; i < 3; i++) await at.answer(run.planId, { ok: false });
    expect(await failureOf(run.result())).toThrow("nobody liked wasps");
    const none = await at.client.submitGoal("article.goal", { topic: "nothing", words: 1 });
    expect(await failureOf(none.result())).toThrow("no draft: there is nothing to say");
    // The failure was dealt with.
    expect(await at.client.tracker.deadLetters({ planId: none.planId })).toEqual([]);
  });

  test("is taken over in the middle by another instance of its planner", async () => {
    await using at = await articles();
    const run = await at.client.submitGoal("article.goal", { topic: "bees", words: 2 });
    await waitFor(async () => (await run.plan()).tasks.at(-1)?.status === "paused");
    at.mesh.hub.crash(at.planner.record().nodeId);
    const next = at.mesh.planner({ name: "editor" });
    next.onGoal(review);
    await next.run();
    await at.answer(run.planId, { ok: true });
    expect(await run.result()).toEqual({ text: "2 words about bees", tries: 1 });
  });

  test("can be done again from any state, with what was before it", async () => {
    await using at = await articles();
    const run = await at.client.submitGoal("article.goal", { topic: "bees", words: 2 });
    expect(await failureOf(at.client.replay(run.planId))).toThrow(/only a plan that has ended/);
    await at.answer(run.planId, { ok: false });
    await at.answer(run.planId, { ok: true });
    await run.result();
    const again = await at.client.replay(run.planId, { from: "review#2" });
    await at.answer(again.planId, { ok: false });
    await at.answer(again.planId, { ok: true });
    expect(await again.result()).toEqual({ text: "2 words about bees", tries: 3 });
    const { tasks, origin } = await again.plan();
    expect(tasks.map(({ name, reused = false }) => [name, reused])).toEqual([
      ["draft", true],
      ["review", true],
      ["draft#2", true],
      ["review#2", false],
      ["draft#3", false],
      ["review#3", false],
    ]);
    expect(origin).toMatchObject({
      replayOf: run.planId,
      replayFrom: "review#2",
      goalData: { topic: "bees", words: 2 },
    });
    expect(await failureOf(at.client.replay(run.planId, { from: "reviw" }))).toThrow(/has no task "reviw"/);
  });

  test("waits for events and for time, and times out", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal(
      definePlan({
        goal: "order.goal",
        initial: "pause",
        states: {
          pause: { sleep: 5, on: "paid" },
          paid: { event: "payment.{{goal.data.order}}", on: "slow" },
          slow: {
            task: { assignedTo: "slow", timeoutMs: 20, retry: { maxAttempts: 1 } },
            on: "done",
            onTimeout: { to: "silence", pause: "look at the worker" },
          },
          silence: { event: "never.comes", timeoutMs: 5, on: "done", onTimeout: "done" },
          done: { final: true, result: "{{results.paid.data.sum}}" },
        },
      }),
    );
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const aborted = Promise.withResolvers<string>();
    worker.onTask("slow", ({ signal }) => {
      const { promise, reject } = Promise.withResolvers<never>();
      signal.addEventListener("abort", () => {
        aborted.resolve(signal.reason.code);
        reject(signal.reason);
      });
      return promise;
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("order.goal", { order: "o7" });
    await waitFor(async () => {
      const waiting = (await run.plan()).tasks.find(({ name }) => name === "paid")?.waits;
      return waiting !== undefined;
    });
    await client.bus.publish("payment.o7", { sum: 12 });
    expect(await aborted.promise).toBe("TIMEOUT");
    await waitFor(async () => (await run.plan()).status === "paused");
    const paused = await run.plan();
    expect(paused.tasks.map(({ name, status }) => [name, status]).slice(2)).toEqual([
      ["slow", "failed"],
      ["silence", "pending"],
    ]);
    await client.tracker.resumePlan(run.planId);
    expect(await run.result()).toBe(12);
  });

  test("has its contract's answer checked, and tasks by their contracts", async () => {
    await using mesh = await inProcessMesh();
    const Count = defineTask({
      name: "count",
      input: Type.Object({ of: Type.String() }),
      output: Type.Object({ n: Type.Number() }),
      retry: { maxAttempts: 1 },
      priority: 3,
    });
    const Size = defineGoal({
      name: "size.goal",
      input: Type.Object({ of: Type.String(), as: Type.String() }),
      output: Type.Number(),
    });
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal(
      definePlan({
        goal: Size,
        initial: "count",
        states: {
          count: {
            task: { assignedTo: Count, data: { of: "{{goal.data.of}}" } },
            on: [{ when: ({ goal }) => goal.data.as === "text", to: "text" }, { to: "number" }],
          },
          number: { final: true, result: "{{result.n}}" },
          text: { final: true, result: "{{result.n}} letters" },
        },
      }),
    );
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    worker.onTask(Count, ({ data }) => ({ n: data.of.length }));
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal(Size, { of: "bees", as: "number" });
    expect(await run.result()).toBe(4);
    expect((await run.plan()).tasks[0]).toMatchObject({ retry: { maxAttempts: 1 }, priority: 3 });
    const wrong = await client.submitGoal(Size, { of: "bees", as: "text" });
    expect(await failureOf(wrong.result())).toThrow(/answer of goal "size\.goal" by planner does not match/);
  });
});
