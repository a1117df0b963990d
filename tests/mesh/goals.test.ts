import { describe, expect, test } from "bun:test";
import {
  type AnyData,
  defineGoal,
  defineTask,
  type EventMessage,
  type GoalProgress,
  NonRetryableError,
  planTask,
  type SubmitOptions,
} from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { Type } from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

describe("a goal", () => {
  test("is answered with every task's result, and dependents get their inputs", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "research-planner" });
    planner.onGoal("research.goal", ({ data }) => ({
      tasks: [
        { name: "search", assignedTo: "paper_search", data },
        { name: "summarize", assignedTo: "summarizer", dependsOn: ["search"] },
      ],
    }));
    await planner.run();
    const searcher = mesh.worker({ name: "research-worker", capabilities: ["paper_search"] });
    const seen = Promise.withResolvers<void>();
    searcher.onTask("paper_search", async (task, context) => {
      await task.reportProgress(0.5, "Searching…");
      // Progress is logged now and then; a task that ends at once may end before.
      await seen.promise;
      await context.memory.store(`results:${task.taskId}`, ["a", "b"]);
      return { papers: ["a", "b"], about: task.data.topic };
    });
    await searcher.run();
    const writer = mesh.worker({ name: "summarizer" });
    // Assigned by the agent's name: the handler is the one of the task's name.
    writer.onTask(
      "summarize",
      (task) => `${task.inputs.search.papers.length} papers about ${task.inputs.search.about}`,
    );
    await writer.run();

    const client = await mesh.client();
    const run = await client.submitGoal("research.goal", { topic: "bees" });
    const progress: GoalProgress[] = [];
    for await (const step of run.progress()) {
      progress.push(step);
      if (step.message === "Searching…") seen.resolve();
    }
    expect(await run.result()).toEqual({
      search: { papers: ["a", "b"], about: "bees" },
      summarize: "2 papers about bees",
    });
    expect(progress.at(-1)).toMatchObject({ fraction: 1, doneCount: 2, taskCount: 2 });
    expect(progress.some((step) => step.message === "Searching…")).toBe(true);
    const plan = await run.plan();
    expect(plan.status).toBe("completed");
    expect(plan.tasks.map(({ name, status, agentName }) => [name, status, agentName])).toEqual([
      ["search", "completed", "research-worker"],
      ["summarize", "completed", "summarizer"],
    ]);
    const timeline = await client.tracker.timeline(run.planId);
    expect(timeline.map(({ version }) => version)).toEqual(timeline.map((_, i) => i + 1));
  });

  test("that may take months is not given up at once, neither by who submits it nor by who waits for it", async () => {
    await using mesh = await inProcessMesh();
    const client = await mesh.client();
    const month = 30 * 86_400_000;
    const submitted = client.submitGoal("slow.goal", null, { timeoutMs: month, deadlineMs: month });
    submitted.catch(() => {});
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("slow.goal", () => ({ tasks: [{ name: "slept", wait: { kind: "sleep", ms: 20 } }] }));
    await planner.run();
    const run = await submitted;
    expect(await run.result({ timeoutMs: month })).toEqual({ slept: null });
  });

  test("with a deadline, a session or a response that cannot be is refused where it is submitted", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("quick.goal", () => ({ tasks: [] }));
    await planner.run();
    const client = await mesh.client();
    const refused = (options: SubmitOptions) => failureOf(client.submitGoal("quick.goal", null, options));
    expect(await refused({ deadlineMs: Number.NaN })).toThrow(
      'goal "quick.goal" cannot be submitted: its deadlineMs is NaN',
    );
    expect(await refused({ deadlineMs: -1 })).toThrow("its deadlineMs is -1");
    expect(await refused({ sessionId: "" })).toThrow('"quick.goal" cannot be sent: its sessionId is empty');
    expect(await refused({ responseEvent: "not a type" })).toThrow('"not a type" is no event type');
    const run = await client.submitGoal("quick.goal", null, { deadlineMs: Number.POSITIVE_INFINITY });
    expect(await run.result()).toEqual({});
  });

  test("says at once to who waits for it or watches it that its node has stopped", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "asker" });
    planner.onGoal("ask.goal", () => ({ tasks: [{ name: "ok", wait: { kind: "input", prompt: "ok?" } }] }));
    await planner.run();
    const client = await mesh.client();
    const run = await client.submitGoal("ask.goal", null);
    const asked = Promise.withResolvers<void>();
    const watched = failureOf(
      (async () => {
        for await (const { task } of run.progress()) if (task?.status === "paused") asked.resolve();
      })(),
    );
    const awaited = failureOf(run.result());
    await asked.promise;
    await client.stop();
    for (const failure of [await awaited, await watched]) expect(failure).toThrow("this node has stopped");
  });

  test("runs independent tasks at the same time", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("fan.out", () => ({
      tasks: [
        ...["a", "b", "c"].map((name) => ({ name, assignedTo: "meet" })),
        { name: "join", assignedTo: "join", dependsOn: ["a", "b", "c"] },
      ],
    }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const met = Promise.withResolvers<void>();
    let here = 0;
    // None of the three can end before all three have begun.
    worker.onTask("meet", async ({ name }) => {
      if (++here === 3) met.resolve();
      await met.promise;
      return name.toUpperCase();
    });
    worker.onTask("join", ({ inputs }) => Object.values(inputs).sort().join(""));
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("fan.out", null);
    expect(await run.result({ timeoutMs: 10_000 })).toEqual({ a: "A", b: "B", c: "C", join: "ABC" });
  });

  test.each([
    [
      "a circle",
      [
        { name: "a", assignedTo: "x", dependsOn: ["b"] },
        { name: "b", assignedTo: "x", dependsOn: ["a"] },
      ],
      /a → b → a|b → a → b/,
    ],
    [
      "an unknown name",
      [
        { name: "first", assignedTo: "x" },
        { name: "b", assignedTo: "x", dependsOn: ["frist"] },
      ],
      /tasks\[1\]\.dependsOn\[0\] names "frist", which is no task of this plan/,
    ],
    [
      "a name given twice",
      [
        { name: "a", assignedTo: "x" },
        { name: "a", assignedTo: "x" },
      ],
      /"a"/,
    ],
  ])("whose plan has %s is refused before anything runs", async (_what, tasks, message) => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("bad.plan", () => ({ tasks }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    let ran = 0;
    worker.onTask("x", () => void ran++);
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("bad.plan", {});
    const failed = await failureOf(run.result());
    expect(failed).toThrow(message);
    expect(ran).toBe(0);
  });

  test("fails with the failed task's reason, and what depends on it is not run", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("will.fail", () => ({
      tasks: [
        { name: "good", assignedTo: "good" },
        { name: "bad", assignedTo: "bad" },
        { name: "after", assignedTo: "good", dependsOn: ["bad"] },
      ],
    }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const ran: string[] = [];
    worker.onTask("good", ({ name }) => void ran.push(name));
    worker.onTask("bad", () => {
      throw new NonRetryableError("no such paper");
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("will.fail", {});
    expect(await failureOf(run.result())).toThrow(/goal "will.fail" failed.*"bad".*no such paper/s);
    const { tasks, status } = await run.plan();
    expect(status).toBe("failed");
    expect(Object.fromEntries(tasks.map((task) => [task.name, [task.status, task.failure?.code]]))).toEqual({
      good: ["completed", undefined],
      bad: ["failed", "TASK_FAILED"],
      after: ["failed", "DEPENDENCY_FAILED"],
    });
    expect(ran).toEqual(["good"]);
  });

  test("tries a failing task again", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("flaky.goal", () => ({
      tasks: [{ name: "flaky", assignedTo: "flaky", retry: { maxAttempts: 3, backoffMs: 1 } }],
    }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const attempts: number[] = [];
    worker.onTask("flaky", ({ attempt }) => {
      attempts.push(attempt);
      if (attempt < 3) throw new Error(`not yet (${attempt})`);
      return "at last";
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("flaky.goal", {});
    expect(await run.result()).toEqual({ flaky: "at last" });
    expect(attempts).toEqual([1, 2, 3]);
  });

  test("nobody plans says so, naming what planners do take", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("known.goal", () => ({ tasks: [] }));
    await planner.run();
    const client = await mesh.client();
    const error = await client.submitGoal("unknown.goal", {}, { timeoutMs: 20 }).catch((e) => e);
    expect(error).toMatchObject({ code: "NO_RESPONDER", hint: "Planners take: known.goal." });
  });

  test("is answered by the event its sender chose, with its correlation", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("quick.goal", () => ({ tasks: [{ name: "only", assignedTo: "only" }] }));
    planner.onComplete(({ results }) => ({ shaped: results.only }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("only", () => 7);
    await worker.run();
    const client = await mesh.client();
    const answers: EventMessage<AnyData>[] = [];
    await client.bus.subscribe("my.answer", (event) => void answers.push(event));
    await client.bus.subscribe("goal.completed", (event) => void answers.push(event));
    const first = await client.submitGoal("quick.goal", {}, { responseEvent: "my.answer", sessionId: "s" });
    expect(await first.result()).toEqual({ shaped: 7 });
    const second = await client.submitGoal("quick.goal", {});
    expect(await second.result()).toEqual({ shaped: 7 });
    await waitFor(() => answers.length === 2);
    expect(answers.map(({ type, data: { goalId, result }, sessionId }) => [type, goalId, result, sessionId])).toEqual([
      ["my.answer", first.goalId, { shaped: 7 }, "s"],
      ["goal.completed", second.goalId, { shaped: 7 }, undefined],
    ] as never);
  });

  test("types flow from contracts into handlers, and wrong data is refused at the sender with its path", async () => {
    await using mesh = await inProcessMesh();
    const Search = defineTask({
      name: "paper_search",
      input: Type.Object({ query: Type.String({ minLength: 2 }), limit: Type.Integer({ minimum: 1 }) }),
      output: Type.Object({ papers: Type.Array(Type.String()) }),
    });
    const Research = defineGoal({
      name: "research.goal",
      input: Type.Object({ topic: Type.String() }),
      output: Type.Object({ search: Type.Object({ papers: Type.Array(Type.String()) }) }),
    });
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal(Research, ({ data }) => ({
      tasks: [planTask(Search, { query: data.topic, limit: 3 }, { name: "search" })],
    }));
    planner.onGoal("unchecked.goal", ({ data }) => ({ tasks: [{ name: "search", assignedTo: "paper_search", data }] }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    worker.onTask(Search, ({ data }) => ({
      papers: Array.from({ length: data.limit }, (_, n) => `${data.query} ${n}`),
    }));
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal(Research, { topic: "bees" });
    const result = await run.result();
    expect(result.search.papers).toEqual(["bees 0", "bees 1", "bees 2"]);
    // @ts-expect-error the goal's data is typed
    expect(await failureOf(client.submitGoal(Research, { topic: 7 }))).toThrow("/topic must be string");
    expect(await failureOf(client.submitGoal("research.goal", { topic: 7 }))).toThrow("/topic must be string");
    // The planner is the sender of its tasks: what the worker registered is checked before anything is dispatched.
    const unchecked = await client.submitGoal("unchecked.goal", { query: "b", limit: 1 });
    expect(await failureOf(unchecked.result())).toThrow(/tasks\[0\]\.data.*\/query/s);
    const schemas = await client.registry.querySchemas({ name: "paper_search.input" });
    expect(schemas.map(({ name, version }) => [name, version])).toEqual([["paper_search.input", "1.0.0"]]);
  });

  test("can be cancelled: running handlers are aborted", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("long.goal", () => ({ tasks: [{ name: "long", assignedTo: "long" }] }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    const begun = Promise.withResolvers<void>();
    const aborted = Promise.withResolvers<void>();
    worker.onTask("long", ({ signal }) => {
      begun.resolve();
      return new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          aborted.resolve();
          reject(signal.reason);
        });
      });
    });
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("long.goal", {});
    await begun.promise;
    await run.cancel("changed my mind");
    await aborted.promise;
    expect(await failureOf(run.result())).toThrow(/was cancelled: changed my mind/);
  });

  test("is spread over the instances of a worker, none of which gets more than its concurrency", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("many.tasks", () => ({
      tasks: Array.from({ length: 40 }, (_, n) => ({ name: `t${n}`, assignedTo: "job", data: n })),
    }));
    await planner.run();
    const done: Record<string, number> = {};
    let most = 0;
    for (const instance of ["one", "two", "three"]) {
      const worker = mesh.worker({ name: "jobber", concurrency: 2 });
      let running = 0;
      worker.onTask("job", async ({ data }) => {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setImmediate(resolve));
        running--;
        done[instance] = (done[instance] ?? 0) + 1;
        return data;
      });
      await worker.run();
    }
    const client = await mesh.client();
    const run = await client.submitGoal("many.tasks", {});
    expect(Object.keys(await run.result())).toHaveLength(40);
    expect(most).toBe(2);
    expect(Object.keys(done).sort()).toEqual(["one", "three", "two"]);
    expect(Object.values(done).reduce((a, b) => a + b)).toBe(40);
  });

  test("tasks carry the goal's trace, session, plan and task", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("traced.goal", () => ({ tasks: [{ name: "tell", assignedTo: "tell" }] }));
    await planner.run();
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("tell", async (task, context) => {
      await context.bus.publish("fact.told", { taskId: task.taskId });
      return task.sessionId;
    });
    await worker.run();
    const client = await mesh.client();
    const told: EventMessage[] = [];
    await client.bus.subscribe("fact.told", (event) => void told.push(event));
    const run = await client.submitGoal("traced.goal", {}, { sessionId: "s-9" });
    expect(await run.result()).toEqual({ tell: "s-9" });
    await waitFor(() => told.length === 1);
    const { origin } = await run.plan();
    expect(told[0]).toMatchObject({
      traceId: origin.traceId,
      goalId: run.goalId,
      planId: run.planId,
      taskId: `${run.planId}.1`,
      sessionId: "s-9",
      hops: 2,
    });
  });
});
