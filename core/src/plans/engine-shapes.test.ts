import { describe, expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { planEngines, testTask as task } from "../../testing/plan-engines.ts";
import { NonRetryableError, SoormaError } from "../errors.ts";
import { sleep } from "../runtime.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { PlanOrigin, TaskSpec } from "./log.ts";

const plan = (...tasks: TaskSpec[]): PlanHandlers => ({ makeTasks: () => ({ tasks }) });
const fail = (message: string) => (): never => {
  throw new NonRetryableError(message);
};

/** A fixture with engine `p1`, which holds a lease, and what it takes to begin a plan and look at it. */
async function setUp(...args: Parameters<typeof planEngines>) {
  const fixture = planEngines(...args);
  const engine = fixture.engineFor("p1");
  await fixture.lease("p1");
  const begin = (handlers: PlanHandlers, from: Partial<PlanOrigin> = {}) =>
    engine.accept({ ...testOrigin, ...from }, "p", handlers);
  const end = async () => {
    const state = await fixture.settle(engine.ended("p"));
    if (!state) throw new Error("the engine let go of the plan");
    return state;
  };
  const record = (change: Parameters<ReturnType<typeof fixture.log.as>["record"]>[1]) =>
    fixture.log.as("a person").record("p", change);
  return { ...fixture, engine, begin, end, record };
}

test("an answer that is in the log before the time-out counts, though the driver has not heard of it", async () => {
  let late = true;
  const fixture = await setUp(
    {},
    {
      fault: async ({ operation, phase, changes }) => {
        if (operation !== "append" || phase !== "before" || !late) return;
        if (!changes.some(({ type }) => type === "task.failed")) return;
        late = false;
        expect(
          await fixture.record({ type: "task.signalled", taskId: "p.1", key: "wait", value: "yes" }),
        ).toMatchObject({
          accepted: true,
        });
      },
    },
  );
  await fixture.begin(plan({ name: "ask", wait: { kind: "input", prompt: "?" }, timeoutMs: 50 }));
  expect(await fixture.end()).toMatchObject({ status: "completed", result: { ask: "yes" } });
  expect(late).toBe(false);
});

describe("accepting a goal", () => {
  test("what a quick planner returns is in one append with the goal", async () => {
    const appends: string[][] = [];
    const { begin, end } = await setUp(
      {},
      {
        fault: ({ operation, phase, changes }) => {
          if (operation === "append" && phase === "before") appends.push(changes.map(({ type }) => type));
        },
      },
    );
    const quick = { ...plan(task("a")), makeTasks: async () => ({ tasks: await Promise.resolve([task("a")]) }) };
    await begin(quick);
    expect(appends).toEqual([["plan.created", "plan.started", "task.dispatched"]]);
    await end();
    expect(appends.slice(1)).toEqual([["task.assigned", "task.succeeded", "plan.completed"], ["plan.answered"]]);
  });

  test("does not wait for a planner that thinks for an hour", async () => {
    const { begin, end, runtime, changes } = await setUp();
    const slow: PlanHandlers = {
      makeTasks: async () => {
        await sleep(runtime, 3_000_000);
        return { tasks: [task("a")] };
      },
    };
    expect(await begin(slow)).toBe(true);
    expect(runtime.elapsedMs).toBe(0);
    expect(changes("plan.created")).toHaveLength(1);
    expect((await end()).status).toBe("completed");
  });

  test("a plan whose tasks do not fit into the log is accepted, and fails", async () => {
    const { begin, end } = await setUp(
      {},
      {
        fault({ changes }) {
          if (changes.some(({ type }) => type === "plan.started")) {
            throw new SoormaError("MESSAGE_TOO_LARGE", "17 MiB are more than the 16 MiB a message may have");
          }
        },
      },
    );
    expect(await begin(plan(task("a")))).toBe(true);
    expect(await end()).toMatchObject({ status: "failed", failure: { code: "MESSAGE_TOO_LARGE" }, tasks: [] });
  });

  test("a goal that is there already, and another's, is not accepted", async () => {
    const { begin, engineFor } = await setUp({}, { latencyMs: 1_000 });
    await begin(plan(task("a")));
    const other = engineFor("p2");
    expect(await other.accept(testOrigin, "p", plan(task("b")))).toBe(false);
    expect(other.driving()).toEqual([]);
    expect(await begin(plan(task("c")))).toBe(true);
  });
});

describe("templates", () => {
  test("are filled in when a task begins, with types kept", async () => {
    const { begin, end, dispatcher } = await setUp({ search: () => ({ papers: ["x", "y"], count: 2 }) });
    await begin(
      plan(task("search"), {
        ...task("sum", "search"),
        data: { all: "{{results.search.papers}}", text: "{{results.search.count}} on {{goal.data.topic}}" },
        templated: true,
      }),
      { goalData: { topic: "whales" } },
    );
    await end();
    expect(dispatcher.callsOf("sum")[0]?.assignment.data).toEqual({ all: ["x", "y"], text: "2 on whales" });
  });

  test("text of users that looks like one arrives as it is, copied into a task or filled in", async () => {
    const prompt = "{{results.x}}, {{item}} and {{goal.data.secret}}";
    const { begin, end, dispatcher } = await setUp({ a: ({ data }) => data });
    const handlers: PlanHandlers = {
      makeTasks: ({ goalData }) => {
        const { prompt: text } = goalData as { prompt: string };
        return {
          tasks: [
            { ...task("a"), data: { text } },
            { ...task("b", "a"), data: { text: "{{goal.data.prompt}}", of: "{{results.a.text}}" }, templated: true },
            { ...task("each"), forEach: { over: "{{goal.data.prompts}}" } },
          ],
        };
      },
    };
    await begin(handlers, { goalData: { prompt, prompts: [prompt, { prompt }], secret: "s" } });
    await end();
    const dataOfTask = (name: string): unknown => dispatcher.callsOf(name)[0]?.assignment.data;
    expect(dataOfTask("a")).toEqual({ text: prompt });
    expect(dataOfTask("b")).toEqual({ text: prompt, of: prompt });
    expect([dataOfTask("each[0]"), dataOfTask("each[1]")]).toEqual([prompt, { prompt }]);
    expect(dispatcher.calls).toHaveLength(4);
  });

  test("one that names what is not there fails its task before any agent hears of it", async () => {
    const { begin, end, dispatcher } = await setUp();
    await begin(plan(task("a"), { ...task("b", "a"), data: "{{results.a.nothing}}", templated: true }, task("c", "b")));
    const state = await end();
    expect(state.tasks.map(({ failure }) => failure?.code)).toEqual([
      undefined,
      "TEMPLATE_UNRESOLVED",
      "DEPENDENCY_FAILED",
    ]);
    expect(dispatcher.callsOf("b")).toHaveLength(0);
  });
});

describe("one task for each item", () => {
  const items = {
    ...task("each", "list"),
    forEach: { over: "{{results.list}}", concurrency: 3 },
    data: "{{index}}:{{item.id}}",
    templated: true,
  };

  test("has the items' results in their order, with no more at a time than it says", async () => {
    const list = Array.from({ length: 20 }, (_, id) => ({ id }));
    const { begin, end, dispatcher, runtime } = await setUp({
      list: () => list,
      each: () => null,
      worker: async ({ data }) => {
        await sleep(runtime, 100 - Number(String(data).split(":")[0]) * 4);
        return data;
      },
    });
    await begin(plan(task("list"), items, task("after", "each")));
    const state = await end();
    expect(state.status).toBe("completed");
    expect((state.result as Record<string, unknown>).each).toEqual(list.map(({ id }) => `${id}:${id}`));
    expect(dispatcher.peak).toBe(3);
    expect(Object.keys(state.result as object)).toEqual(["list", "each", "after"]);
    expect(dispatcher.callsOf("after")[0]?.assignment.inputs.each).toHaveLength(20);
  });

  test("of an empty list is done at once", async () => {
    const { begin, end } = await setUp({ list: () => [] });
    await begin(plan(task("list"), items, task("after", "each")));
    expect((await end()).result).toMatchObject({ each: [], after: { from: ["each"] } });
  });

  test("fails with the first that fails; the others are aborted", async () => {
    const { begin, end, dispatcher, runtime } = await setUp({
      list: () => [{ id: 1 }, { id: 2 }, { id: 3 }],
      "each[1]": fail("two is wrong"),
      worker: (_, { signal }) => sleep(runtime, 60_000, signal),
    });
    await begin(plan(task("list"), items, task("after", "each")));
    const state = await end();
    expect(state.tasks.map(({ name, status }) => `${name} ${status}`)).toEqual([
      "list completed",
      "each failed",
      "after failed",
      "each[0] cancelled",
      "each[1] failed",
      "each[2] cancelled",
    ]);
    expect(state.failure?.message).toContain(
      '1 of 3 tasks failed: "each" (TASK_FAILED: two is wrong); 1 not run for it',
    );
    expect(dispatcher.callsOf("each[0]")[0]?.aborted).toMatchObject({ code: "CANCELLED" });
    expect(runtime.elapsedMs).toBeLessThan(100);
  });

  test("of what is no list fails", async () => {
    const { begin, end } = await setUp({ list: () => "no list" });
    await begin(plan(task("list"), items));
    expect((await end()).tasks[1]?.failure?.message).toContain('"no list", not a list');
  });
});

describe("waiting", () => {
  test("a sleep lasts as long as it says, also through another engine, and no agent is asked", async () => {
    const { begin, engine, engineFor, takeOver, settle, runtime, dispatcher } = await setUp();
    const nap: TaskSpec = { name: "nap", wait: { kind: "sleep", ms: 10_000 } };
    await begin(plan(nap));
    await runtime.advance(4_000);
    await engine.stop();
    await runtime.advance(3_600_000);
    const late = engineFor("p2");
    await takeOver(late, "p2", () => plan());
    expect(await settle(late.ended("p"))).toMatchObject({ status: "completed", result: { nap: null } });
    expect(runtime.elapsedMs).toBe(3_604_000);
    expect(dispatcher.calls).toHaveLength(0);
    expect(runtime.pending).toBe(0);
  });

  test("a person's answer becomes the task's result, and the plan shows that it waits for one", async () => {
    const { begin, end, engine, record, runtime, log } = await setUp();
    const ask: TaskSpec = {
      name: "ask",
      wait: { kind: "input", prompt: "Ship {{goal.data.what}}?" },
      templated: true,
      timeoutMs: 60_000,
    };
    await begin(plan(ask, task("ship", "ask")), { goalData: { what: "it" } });
    await runtime.advance(1_000);
    expect(log.entries("p").find(({ type }) => type === "task.waiting")).toMatchObject({
      on: { kind: "input", prompt: "Ship it?" },
    });
    expect(await record({ type: "task.signalled", taskId: "p.1", key: "wait", value: "yes" })).toMatchObject({
      accepted: true,
    });
    expect((await end()).result).toMatchObject({ ask: "yes", ship: { from: ["ask"] } });
    expect((await record({ type: "task.signalled", taskId: "p.1", key: "wait", value: "no" })).accepted).toBe(false);
    await runtime.runUntilIdle();
    expect(engine.driving()).toEqual([]);
    expect(runtime.pending).toBe(0);
  });

  test("an answer that comes while nobody drives the plan is found by the next engine", async () => {
    const { begin, engine, record, engineFor, takeOver, settle, log } = await setUp();
    await begin(plan({ name: "ask", wait: { kind: "input", prompt: "?" } }));
    await engine.stop();
    await log.as("p1").release("p1");
    await record({ type: "task.signalled", taskId: "p.1", key: "wait", value: 42 });
    const next = engineFor("p2");
    expect(await takeOver(next, "p2", () => plan())).toBe(1);
    expect((await settle(next.ended("p")))?.result).toEqual({ ask: 42 });
  });

  test("an event that does not come in time fails the task", async () => {
    const { begin, end, runtime } = await setUp();
    await begin(plan({ name: "paid", wait: { kind: "event", pattern: "payment.*" }, timeoutMs: 5_000 }));
    const state = await end();
    expect(runtime.elapsedMs).toBe(5_000);
    expect(state.tasks[0]?.failure).toMatchObject({
      code: "TIMEOUT",
      message: 'task "paid" waited 5000 ms for an event "payment.*", and none came',
    });
  });

  test("a signal that the engine was not told of is seen with its next append", async () => {
    const { begin, end, record, log, runtime } = await setUp({ a: () => sleep(runtime, 500) });
    await begin(plan({ name: "ask", wait: { kind: "input", prompt: "?" } }, task("a")));
    // Without a lease nobody is told.
    await log.as("p1").release("p1");
    await record({ type: "task.signalled", taskId: "p.1", key: "wait", value: "late" });
    expect((await end()).result).toMatchObject({ ask: "late" });
  });

  test("refresh finds what nobody told of", async () => {
    const { begin, engine, end, record, log, runtime } = await setUp();
    await begin(plan({ name: "ask", wait: { kind: "input", prompt: "?" } }));
    await log.as("p1").release("p1");
    await record({ type: "task.signalled", taskId: "p.1", key: "wait", value: "late" });
    await runtime.advance(60_000);
    engine.refresh();
    expect((await end()).result).toEqual({ ask: "late" });
  });
});

describe("what others record", () => {
  test("an order to cancel is obeyed at once, not with the next append", async () => {
    const { begin, end, record, runtime, dispatcher } = await setUp({
      a: (_, { signal }) => sleep(runtime, 60_000, signal),
    });
    await begin(plan(task("a")));
    await runtime.advance(100);
    await record({ type: "plan.cancelled", reason: "enough" });
    expect(await end()).toMatchObject({ status: "cancelled", failure: { message: "enough" } });
    expect(runtime.elapsedMs).toBe(100);
    expect(dispatcher.calls[0]?.aborted).toMatchObject({ code: "CANCELLED" });
  });

  test("steps lie between the engine's own entries, and it does not fold the plan anew for them", async () => {
    let reads = 0;
    const { begin, end, log, runtime } = await setUp(
      {
        a: async ({ attempt, hasJournal }) => {
          const worker = log.as("worker-1");
          for (let i = 0; i < 5; i++) {
            await worker.record("p", {
              type: "task.stepped",
              taskId: "p.1",
              attempt,
              key: `${attempt}.${i}`,
              value: i,
            });
            await sleep(runtime, 30);
          }
          if (attempt === 1) throw new Error("once");
          return hasJournal;
        },
      },
      { fault: ({ operation, phase }) => void (operation === "read" && phase === "before" && reads++) },
    );
    await begin(plan(task("a"), task("b"), task("c", "b")));
    // The second attempt is told that there is something in the journal.
    expect((await end()).result).toMatchObject({ a: true });
    const entries = log.entries("p");
    expect(entries.filter(({ type }) => type === "task.stepped")).toHaveLength(10);
    expect(entries.map(({ version }) => version)).toEqual(entries.map((_, i) => i + 1));
    // Only for what it is told of.
    expect(reads).toBeLessThanOrEqual(10);
  });

  test("paused and resumed by a person the plan goes on; a failed task that is revived runs again", async () => {
    let broken = true;
    const { begin, end, record, runtime, dispatcher, settle, log } = await setUp({
      a: () => {
        if (broken) throw new NonRetryableError("out of paper");
        return "printed";
      },
      slow: () => sleep(runtime, 10_000),
    });
    await begin(plan(task("a"), task("b", "a"), task("slow")));
    await runtime.advance(1_000);
    expect(log.entries("p").filter(({ type }) => type === "task.failed")).toHaveLength(2);
    await record({ type: "plan.paused" });
    broken = false;
    expect(await settle(record({ type: "task.revived", taskId: "p.1" }))).toMatchObject({ accepted: true });
    await runtime.advance(1_000);
    expect(dispatcher.callsOf("a")).toHaveLength(1);
    await record({ type: "plan.resumed" });
    expect(await end()).toMatchObject({ status: "completed", result: { a: "printed", b: { from: ["a"] } } });
  });

  test("a failure that a person discards does not make the plan fail", async () => {
    const { begin, end, record, runtime } = await setUp({ a: fail("broken"), slow: () => sleep(runtime, 1_000) });
    await begin(plan(task("a"), task("b", "a"), task("slow")));
    await runtime.advance(100);
    expect((await record({ type: "task.discarded", taskId: "p.1" })).accepted).toBe(true);
    const state = await end();
    expect(state.status).toBe("completed");
    expect(Object.keys(state.result as object)).toEqual(["slow"]);
  });
});

test("that plans are answered is logged now and then, when nobody waits for it, and before the engine has stopped", async () => {
  const { engineFor, runtime, changes, settle } = planEngines({}, { answeredIntervalMs: 20 });
  const engine = engineFor("p1");
  let answeredAt: number | undefined;
  const handlers: PlanHandlers = {
    makeTasks: () => ({ tasks: [task("a")] }),
    onEnd: () => {
      answeredAt = runtime.monotonic();
    },
  };
  await settle(engine.accept(testOrigin, "p", handlers));
  expect((await settle(engine.ended("p")))?.status).toBe("completed");
  await runtime.runUntil(() => answeredAt !== undefined);
  expect(changes("plan.answered")).toHaveLength(0);
  await settle(engine.stop());
  expect(changes("plan.answered")).toHaveLength(1);
  expect(runtime.monotonic() - (answeredAt ?? 0)).toBeLessThanOrEqual(21);
});
