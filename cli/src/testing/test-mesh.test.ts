import { describe, expect, test } from "bun:test";
import { formatLine, parseRecording, Recorder } from "@soorma/core/recording";
import {
  Client,
  connectMesh,
  defineGoal,
  defineTask,
  defineTool,
  NonRetryableError,
  Planner,
  Tool,
  Type,
  Worker,
} from "../index.ts";
import { delayed, failure, forEachSeed, never, sequence, testMesh } from "./index.ts";

const shop = ["fixtures/shop.ts", "fixtures/payer.ts"];
const order = { item: "tea", card: "4242" };

/** A planner whose goal `one.goal` is one task for `to`. */
const plannerOf =
  (to: string, more: object = {}): (() => Promise<void>) =>
  async () => {
    const planner = new Planner({ name: "planner" });
    planner.onGoal("one.goal", ({ data }) => ({ tasks: [{ name: "one", assignedTo: to, data, ...more }] }));
    await planner.run();
  };

describe("agents as they are", () => {
  test("a goal goes through agents' modules and a stub, and minutes take milliseconds", async () => {
    await using mesh = await testMesh({ agents: shop });
    const inventory = mesh.stub("inventory", { reserved: true });
    expect(await mesh.goal("order.goal", order)).toEqual({
      reserve: { reserved: true },
      payment: { receipt: "4242-1", handled: 1, isRead: true },
    });
    expect(mesh.elapsedMs).toBeGreaterThanOrEqual(60_000);
    expect(mesh.calls.map(({ kind, agent, name, status }) => [kind, agent, name, status])).toEqual([
      ["goal", "shop", "order.goal", "done"],
      ["task", "inventory", "reserve", "done"],
      ["task", "payer", "payment", "done"],
    ]);
    expect(inventory.calls).toMatchObject([
      { data: "tea", result: { reserved: true }, attempt: 1, assignedTo: "inventory" },
    ]);
    expect(mesh.callsTo("pay")).toMatchObject([{ data: { card: "4242" }, result: { receipt: "4242-1" } }]);
    const [paid] = mesh.events.filter(({ type }) => type === "payment.completed");
    expect(paid).toMatchObject({ data: { receipt: "4242-1" }, traceId: mesh.calls[0]?.traceId });
    expect(await mesh.memory.retrieve<string>(`receipt:${paid?.planId}`)).toBe("4242-1");
    expect(await mesh.tracker.listPlans()).toMatchObject([{ goalType: "order.goal", status: "completed" }]);
  });

  test("each mesh begins with nothing, and modules are evaluated anew", async () => {
    for (let round = 0; round < 2; round++) {
      await using mesh = await testMesh({ agents: shop });
      mesh.stub("inventory", {});
      expect((await mesh.goal("order.goal", order)).payment.handled).toBe(1);
      expect(mesh.calls).toHaveLength(3);
      expect(await mesh.tracker.listPlans()).toHaveLength(1);
    }
  });

  test("a module that throws, one that runs no agent, and one that is not there are told by name", async () => {
    await expect(testMesh({ agents: ["fixtures/broken.ts"] })).rejects.toThrow("no key for the model");
    await expect(testMesh({ agents: ["fixtures/idle.ts"] })).rejects.toThrow(/idle\.ts ran no agent/);
    await expect(testMesh({ agents: ["fixtures/nowhere.ts"] })).rejects.toThrow(/no file .*nowhere\.ts/);
    await expect(testMesh({ agents: { state: plannerOf("x") } })).rejects.toThrow(/part of every mesh/);
  });

  test("a client that code of the test makes itself finds the mesh, and none when there is no mesh", async () => {
    await using mesh = await testMesh({ agents: { planner: plannerOf("work") } });
    mesh.stub("work", delayed(5_000, { done: true }));
    const answer = await mesh.run(async () => {
      await using client = await Client.connect();
      const run = await client.submitGoal("one.goal", {});
      return await run.result();
    });
    expect(answer).toEqual({ one: { done: true } });
    await mesh[Symbol.asyncDispose]();
    await expect(mesh.goal("one.goal")).rejects.toThrow(/disposed of/);
  });

  test("a tool is invoked, a worker gets a task without a planner, and errors are what their handlers threw", async () => {
    const add = defineTool({ name: "add", input: Type.Object({ a: Type.Number() }), output: Type.Number() });
    const tool = async (): Promise<void> => {
      const adder = new Tool({ name: "adder", capabilities: ["arithmetic"] });
      adder.onInvoke(add, ({ data }) => data.a + 1);
      await adder.run();
      const worker = new Worker({ name: "worker" });
      worker.onTask("ask", async (task, context) => {
        const found = await context.registry.find("arithmetic");
        return await found?.invoke("add", { a: task.data });
      });
      worker.onTask("refuse", () => {
        throw new NonRetryableError("not today");
      });
      await worker.run();
    };
    await using mesh = await testMesh({ agents: { tool } });
    expect(await mesh.request(add, { a: 1 })).toBe(2);
    expect(await mesh.task("ask", 41)).toBe(42);
    await expect(mesh.task("refuse")).rejects.toThrow(/^not today$/);
    await expect(mesh.request("add", { a: "one" })).rejects.toMatchObject({ code: "PAYLOAD_INVALID" });
    expect(mesh.callsTo("add").map(({ data, result }) => [data, result])).toEqual([
      [{ a: 1 }, 2],
      [{ a: 41 }, 42],
    ]);
    expect(mesh.callsTo("refuse")).toMatchObject([{ status: "failed", error: { message: "not today" } }]);
  });

  test("contracts type the answers of goals, tasks and stubs", async () => {
    const input = Type.Object({ n: Type.Number() });
    const goal = defineGoal({ name: "one.goal", input, output: Type.Object({ one: Type.Number() }) });
    const double = defineTask({ name: "double", input, output: Type.Number() });
    await using mesh = await testMesh({ agents: { planner: plannerOf("double") } });
    const stub = mesh.stub(double, ({ n }) => 2 * n);
    const answer: { one: number } = await mesh.goal(goal, { n: 3 });
    expect(answer.one).toBe(6);
    // @ts-expect-error: the stub of a task that answers with a number answers with a number
    stub.answer("six");
    // What is named by a text alone has data of any type, and a call that has one.
    mesh.stub("half", (data, { number }) => data.n / number).answer((data) => data.n);
    mesh.stubTool("clock", { now: ({ zone }, { number }) => `${zone} ${number}` });
    await expect(mesh.task(double, { n: 1 })).rejects.toMatchObject({ code: "PAYLOAD_INVALID" });
  });
});

describe("stubs", () => {
  test("answer with values, functions, sequences and errors, at once or later; a failed attempt is tried again", async () => {
    await using mesh = await testMesh({ agents: { planner: plannerOf("work") } });
    const work = mesh.stub(
      "work",
      sequence(failure("busy"), delayed(30_000, 1), (data, { number }) => data + number),
    );
    expect(await mesh.goal("one.goal", 10)).toEqual({ one: 1 });
    expect(mesh.elapsedMs).toBeGreaterThanOrEqual(30_000);
    expect(await mesh.goal("one.goal", 10)).toEqual({ one: 13 });
    expect(work.calls.map(({ status, attempt }) => [status, attempt])).toEqual([
      ["failed", 1],
      ["done", 2],
      ["done", 1],
    ]);
    await expect(mesh.goal("one.goal", 10)).rejects.toThrow(/call 4 of a stub with a sequence of 3 answers/);
    work.answer(failure(new NonRetryableError("closed for good")));
    await expect(mesh.goal("one.goal", 10)).rejects.toThrow(/closed for good/);
    expect(() => mesh.stub("work", 1)).toThrow(/has a "work" already/);
  });

  test("stand in for tools and for planners of sub-plans", async () => {
    const review = defineGoal({ name: "review.goal", input: Type.Unknown(), output: Type.String() });
    const agents = async (): Promise<void> => {
      const planner = new Planner({ name: "planner" });
      planner.onGoal("article.goal", () => ({
        tasks: [
          { name: "time", assignedTo: "asker" },
          { name: "review", goal: "review.goal", dependsOn: ["time"], data: "{{results.time}}", templated: true },
        ],
      }));
      await planner.run();
      const worker = new Worker({ name: "asker" });
      worker.onTask("asker", async (_task, { registry }) => (await registry.find("clock"))?.invoke("now", {}));
      await worker.run();
    };
    await using mesh = await testMesh({ agents: { agents } });
    mesh.stubTool("clock", { now: "noon" });
    mesh.stub(review, (data) => `reviewed at ${data}`);
    expect(await mesh.goal("article.goal")).toEqual({ time: "noon", review: "reviewed at noon" });
    expect(mesh.callsTo("now")).toMatchObject([{ kind: "request", agent: "clock" }]);
  });

  test("agents of a recording answer as they did, and refuse what they were never asked", async () => {
    const lines: string[] = [];
    const answer = await (async () => {
      await using mesh = await testMesh({ agents: shop });
      mesh.stub("inventory", sequence(failure("try again"), { reserved: "tea" }));
      const recorder = async (): Promise<Recorder> => {
        const agent = new Recorder({
          mesh: connectMesh(),
          write: (some) => void lines.push(...some.map((line) => formatLine(line))),
        });
        await agent.run();
        return agent;
      };
      await mesh.start("recorder", recorder);
      const result = await mesh.goal("order.goal", order);
      await mesh.stop("recorder");
      return result;
    })();
    const recording = parseRecording(lines.join("\n"));
    await using mesh = await testMesh({ agents: ["fixtures/shop.ts"], recording });
    expect(await mesh.goal("order.goal", order)).toEqual(answer);
    expect(mesh.callsTo("inventory").map(({ status }) => status)).toEqual(["failed", "done"]);
    await expect(mesh.goal("order.goal", { ...order, item: "gin" })).rejects.toThrow(/holds no task "reserve".*"gin"/);
  });

  test("one that never answers makes the attempt time out", async () => {
    await using mesh = await testMesh({
      agents: { planner: plannerOf("work", { timeoutMs: 1_000, retry: { maxAttempts: 2 } }) },
    });
    const work = mesh.stub("work", never());
    await expect(mesh.goal("one.goal")).rejects.toThrow(/1000 ms/);
    expect(work.calls).toHaveLength(2);
  });
});

describe("time", () => {
  test("stands still unless something is waited for, and a day of sleep takes milliseconds", async () => {
    await using mesh = await testMesh({ agents: shop });
    mesh.stub("inventory", {});
    const answer = mesh.goal("order.goal", order);
    await mesh.until(() => mesh.callsTo("pay").length > 0);
    const sinceMs = mesh.elapsedMs;
    await mesh.advance(59_999);
    expect(mesh.elapsedMs).toBe(sinceMs + 59_999);
    expect(mesh.callsTo("pay")).toMatchObject([{ status: "running" }]);
    await mesh.advance(2);
    expect(mesh.callsTo("pay")).toMatchObject([{ status: "done" }]);
    expect(await answer).toMatchObject({ payment: { receipt: "4242-1" } });
    await mesh.advance(86_400_000);
    expect(mesh.elapsedMs).toBe(sinceMs + 59_999 + 2 + 86_400_000);
  });

  test("a person's answer is given while the goal is waited for", async () => {
    await using mesh = await testMesh({ agents: shop });
    const answer = mesh.goal("ask.goal");
    await mesh.answer({ yes: true });
    expect(await answer).toEqual({ ask: { yes: true } });
  });

  test("events are waited for, and settling waits until all that follows of one has happened", async () => {
    const chain = async (): Promise<void> => {
      const worker = new Worker({ name: "chain" });
      worker.onEvent("a.done", async ({ data }, { bus }) => await bus.publish("b.done", data));
      worker.onEvent("b.done", async ({ data }, { bus }) => await bus.publish("c.done", data));
      await worker.run();
    };
    await using mesh = await testMesh({ agents: { chain } });
    await mesh.publish("a.done", { n: 1 });
    expect((await mesh.event("b.done")).data).toEqual({ n: 1 });
    await mesh.settle();
    expect(mesh.events.map(({ type }) => type)).toEqual(["a.done", "b.done", "c.done"]);
    const [a, b, c] = mesh.events;
    expect([b?.parentId, c?.parentId]).toEqual([a?.id, b?.id]);
    expect(new Set(mesh.events.map(({ traceId }) => traceId)).size).toBe(1);
  });
});

describe("what hangs", () => {
  test.each([
    [
      "no agent for a task",
      { planner: plannerOf("nobody") },
      /task "one" waits for an agent that does "nobody".*mesh\.stub\("nobody"/,
    ],
    [
      "a person",
      { planner: plannerOf("x", { assignedTo: undefined, wait: { kind: "input", prompt: "Ok?" } }) },
      /waits for a person: "Ok\?"/,
    ],
  ])("ends with an error that says so: %s", async (_what, agents, message) => {
    await using mesh = await testMesh({ agents });
    const failed = mesh.goal("one.goal");
    await expect(failed).rejects.toThrow(/goal "one.goal" to be answered.*seed 1/);
    await expect(failed).rejects.toThrow(message);
  });

  test("a handler that waits for something outside of the mesh for too long is named", async () => {
    const worker = async (): Promise<void> => {
      const agent = new Worker({ name: "hanger" });
      agent.onTask("hang", () => new Promise(() => {}));
      await agent.run();
    };
    await using mesh = await testMesh({ agents: { worker }, outsideMs: 50, maxMs: 60_000 });
    await expect(mesh.task("hang")).rejects.toThrow(
      /task "hang" of hanger \("worker"\) waits for something outside of the mesh/,
    );
  });

  test("an event that never comes, a condition that never holds, a mesh that never becomes quiet", async () => {
    const busy = async (): Promise<void> => {
      const agent = new Worker({ name: "busy" });
      agent.onEvent("ping", async (_event, { bus }) => await bus.publish("ping", {}));
      await agent.run();
    };
    await using mesh = await testMesh({ agents: { busy }, maxRealMs: 500 });
    await expect(mesh.event("nothing")).rejects.toThrow(/in vain for event "nothing"/);
    await expect(mesh.until(() => false)).rejects.toThrow(/in vain for a condition/);
  });
});

describe("faults", () => {
  test("a crashed agent's task is done by its next process, which skips the steps that are done", async () => {
    await using mesh = await testMesh({ agents: shop });
    mesh.stub("inventory", {});
    const answer = mesh.goal("order.goal", order);
    await mesh.until(() => mesh.callsTo("pay").length > 0);
    await mesh.advance(1_000);
    mesh.crash("payer");
    expect(mesh.callsTo("pay")).toMatchObject([{ status: "lost" }]);
    await mesh.advance(5_000);
    await mesh.restart("payer");
    expect((await answer).payment).toEqual({ receipt: "4242-1", handled: 1, isRead: true });
    expect(mesh.callsTo("pay").map(({ status }) => status)).toEqual(["lost", "done"]);
  });

  test("a frozen agent is noticed by its heartbeats, not by its lease, and is back when it is thawed", async () => {
    const digger = (name: string) => async (): Promise<void> => {
      const worker = new Worker({ name, capabilities: ["digging"] });
      worker.onTask("digging", async (_task, { bus }) => await bus.request("wait", {}, { timeoutMs: 60_000 }));
      await worker.run();
    };
    await using mesh = await testMesh({
      agents: { planner: plannerOf("digging"), left: digger("left"), right: digger("right") },
    });
    mesh.stubTool("clock", { wait: delayed(5_000, "dug") });
    const calls = () => mesh.callsTo("digging").filter(({ kind }) => kind === "task");
    const answer = mesh.goal("one.goal");
    await mesh.until(() => calls().length === 1);
    const frozen = calls()[0]?.agent ?? "";
    const frozenAtMs = mesh.elapsedMs;
    mesh.freeze(frozen);
    // It stays frozen, whatever else is healed.
    mesh.heal();
    await mesh.until(() => calls().length === 2);
    expect(mesh.elapsedMs - frozenAtMs).toBeLessThan(3_000);
    expect(await answer).toEqual({ one: "dug" });
    mesh.thaw(frozen);
    await mesh.settle();
    mesh.crash(calls()[1]?.agent ?? "");
    expect(await mesh.goal("one.goal")).toEqual({ one: "dug" });
    expect(calls().at(-1)).toMatchObject({ agent: frozen, status: "done" });
  });

  test("what another instance of a crashed agent does is not lost with it", async () => {
    const worker = async (): Promise<void> => {
      const worker = new Worker({ name: "worker" });
      worker.onTask("hang", async () => {
        await new Promise(() => {});
      });
      await worker.run();
    };
    await using mesh = await testMesh({ agents: { one: worker } });
    const begun = mesh.task("hang");
    begun.catch(() => {});
    await mesh.until(() => mesh.callsTo("hang").length === 1);
    await mesh.start("two", worker);
    mesh.crash("two");
    expect(mesh.callsTo("hang").map(({ status }) => status)).toEqual(["running"]);
    mesh.crash("one");
    expect(mesh.callsTo("hang").map(({ status }) => status)).toEqual(["lost"]);
  });

  test("state and broker crash and come back with what they had", async () => {
    await using mesh = await testMesh({ agents: shop });
    mesh.stub("inventory", {});
    await mesh.memory.store("kept", 1);
    const answer = mesh.goal("order.goal", order);
    await mesh.until(() => mesh.callsTo("pay").length > 0);
    mesh.crash("state");
    mesh.crash("broker");
    await mesh.advance(2_000);
    await mesh.restart("broker");
    await mesh.restart("state");
    expect(await answer).toMatchObject({ payment: { receipt: "4242-1" } });
    expect(await mesh.memory.retrieve<number>("kept")).toBe(1);
  });

  test("nothing gets through a partition until it is healed", async () => {
    await using mesh = await testMesh({ agents: shop });
    mesh.stub("inventory", {});
    mesh.partition("shop", "inventory");
    const answer = mesh.goal("order.goal", order);
    await mesh.advance(20_000);
    expect(mesh.callsTo("inventory")).toEqual([]);
    mesh.heal();
    expect(await answer).toMatchObject({ reserve: {} });
    expect(() => mesh.partition("shop", "inventroy")).toThrow(/did you mean "inventory"/);
  });

  test("with lost, doubled and late messages each goal is answered, and each seed is one run", async () => {
    const lives = new Map<number, string>();
    const live = async (seed: number): Promise<string> => {
      await using mesh = await testMesh({
        agents: shop,
        seed,
        faults: { drop: 0.1, duplicate: 0.2, delayMs: [0, 30] },
      });
      mesh.stub("inventory", {});
      expect(await mesh.goal("order.goal", order)).toMatchObject({
        payment: { receipt: expect.stringMatching(/^4242-/) },
      });
      return JSON.stringify([mesh.elapsedMs, mesh.calls, mesh.events.map(({ id, type }) => [id, type])]);
    };
    await forEachSeed(5, async (seed) => void lives.set(seed, await live(seed)));
    expect(new Set(lives.values()).size).toBe(5);
    await forEachSeed(5, async (seed) => expect(await live(seed)).toBe(lives.get(seed) ?? ""));
  });

  test("a seed that fails is named, with how to run it again", async () => {
    const failed = forEachSeed(10, async (seed) => {
      await using mesh = await testMesh({ agents: {} });
      expect(mesh.seed).toBe(seed);
      if (seed === 7) throw new Error("boom");
    });
    await expect(failed).rejects.toThrow("seed 7 fails: boom\nagain: SOORMA_TEST_SEED=7 bun test");
  });
});
