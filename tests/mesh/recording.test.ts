import { describe, expect, test } from "bun:test";
import { createCodec } from "@soorma/core/mesh";
import {
  formatLine,
  inputsOf,
  parseRecording,
  type RecordedMessage,
  Recorder,
  type Recording,
  type RecordingLine,
  recordedStubs,
  replayRecording,
  type StubOptions,
} from "@soorma/core/recording";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";

type Mesh = Awaited<ReturnType<typeof inProcessMesh>>;

/** A planner, a worker, a tool and a subscriber, each a node of its own. */
async function shop(mesh: Mesh) {
  const planner = mesh.planner({ name: "shop" });
  planner.onGoal("order.goal", ({ data }) => ({
    tasks: [
      { name: "price", assignedTo: "price", data },
      { name: "ship", assignedTo: "ship", dependsOn: ["price"] },
    ],
  }));
  await planner.run();
  const tool = mesh.tool({ name: "calculator", capabilities: ["arithmetic"] });
  tool.onInvoke("times", ({ data }) => ({ product: data.a * data.b }));
  await tool.run();
  const worker = mesh.worker({ name: "clerk", produces: ["order.priced"] });
  worker.onTask("price", async (task, context) => {
    await task.reportProgress(0.5, "calculating");
    const { product } = await context.bus.request("times", { a: task.data.count, b: 3 });
    await context.bus.publish("order.priced", { price: product, token: "secret" });
    return { price: product };
  });
  worker.onTask("ship", (task) => {
    if (task.inputs.price.price > 100) throw new Error("too heavy");
    return { shipped: task.inputs.price.price };
  });
  await worker.run();
  const seen: unknown[] = [];
  const clerk = mesh.tool({ name: "ledger" });
  clerk.onEvent("order.*", ({ data }) => void seen.push(data));
  await clerk.run();
  return { planner, tool, worker, clerk, seen };
}

async function record(mesh: Mesh, options: { redact?: string[] } = {}) {
  const texts: string[] = [];
  const recorder = new Recorder({
    mesh: mesh.mesh(),
    write: (lines) => void texts.push(...lines.map(formatLine)),
    ...options,
  });
  await recorder.run();
  expect(await recorder.copying()).toBe(true);
  return {
    recorder,
    texts,
    async stop(): Promise<Recording> {
      // A goal is answered to its client a moment before everybody else hears of it.
      const count = (pattern: RegExp): number => texts.filter((text) => pattern.test(text)).length;
      await waitFor(() => count(/"kind":"goal"/) === count(/^\{"kind":"event".*"id":"[^"]+\.answer"/));
      await recorder.stop();
      return parseRecording(texts.map((text) => `${text}\n`).join(""));
    },
  };
}

const messagesOf = ({ lines }: Recording): RecordedMessage[] =>
  lines.filter((line): line is RecordedMessage => "from" in line);
const only = <K extends RecordingLine["kind"]>(recording: Recording, kind: K) =>
  recording.lines.filter((line): line is RecordingLine & { readonly kind: K } => line.kind === kind);

describe("a recording", () => {
  test("holds goals, tasks, results, requests, replies and events, each with what caused it", async () => {
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const recording = await record(mesh);
    // It joins after the recorder, and its first message is in the recording.
    const client = await mesh.client({ name: "customer" });
    const run = await client.submitGoal("order.goal", { count: 4 }, { sessionId: "monday" });
    expect(await run.result()).toEqual({ price: { price: 12 }, ship: { shipped: 12 } });
    await waitFor(() => seen.length === 1);
    await client.stop();
    const read = await recording.stop();

    const messages = messagesOf(read);
    const by = new Map(messages.map((message) => [message.id, message]));
    const kinds = messages.map(({ kind, ...message }) => `${kind} ${"type" in message ? message.type : ""}`);
    for (const kind of [
      "goal order.goal",
      "reply order.goal",
      "task price",
      "progress price",
      "request times",
      "reply times",
    ])
      expect(kinds.filter((one) => one === kind)).toEqual([kind]);
    for (const kind of [
      "event order.priced",
      "delivery order.priced",
      "result price",
      "task ship",
      "result ship",
      "event goal.completed",
    ])
      expect(kinds.filter((one) => one === kind)).toEqual([kind]);

    const [goal] = only(read, "goal");
    expect(goal).toMatchObject({ from: client.agentId, data: { count: 4 }, sessionId: "monday" });
    expect(goal?.to).toStartWith("shop-");
    // Everything that came of it has its trace, and leads back to it from cause to cause.
    for (const message of messages) {
      if (message.kind === "event" && message.type.startsWith("system.")) continue;
      expect(message.traceId).toBe(goal?.traceId as string);
      let cause: RecordedMessage | undefined = message;
      while (cause && cause !== goal) cause = by.get(cause.parentId ?? "");
      expect(cause).toBe(goal);
    }
    const result = only(read, "result").find(({ type }) => type === "ship");
    expect(result).toMatchObject({ ok: true, result: { shipped: 12 }, planId: run.planId, attempt: 1 });
    expect(result?.from).toStartWith("clerk-");
    expect(result?.tookMs).toBeGreaterThanOrEqual(0);
    expect(only(read, "delivery")[0]?.to).toStartWith("ledger-");
    expect(read.header).toMatchObject({ format: "soorma.recording", version: 1, tenant: "default" });
    expect(read.lines.at(-1)).toMatchObject({ kind: "end", messages: messages.length, lost: 0 });
    expect(only(read, "agent").map(({ change, agent }) => `${agent.name} ${change}`)).toEqual(
      expect.arrayContaining(["shop there", "clerk there", "customer there", "customer left"]),
    );
  });

  test("tells failures, too, and leaves out what is to be redacted", async () => {
    await using mesh = await inProcessMesh();
    const { clerk } = await shop(mesh);
    const recording = await record(mesh, { redact: ["token", "data.count"] });
    const client = await mesh.client({ name: "customer" });
    const failed = await client.bus.request("divide", {}, { timeoutMs: 50 }).catch((error) => error.code);
    expect(failed).toBe("NO_RESPONDER");
    await client.submitGoal("order.goal", { count: 50 }).then((run) => run.result().catch(() => {}));
    await clerk.stop();
    const read = await recording.stop();
    const result = only(read, "result").filter(({ type }) => type === "ship");
    expect(result.map((one) => !one.ok && one.error.message)).toEqual(["too heavy", "too heavy", "too heavy"]);
    expect(result.map(({ attempt }) => attempt)).toEqual([1, 2, 3]);
    expect(only(read, "event").find(({ type }) => type === "goal.failed")).toBeDefined();
    expect(only(read, "event").find(({ type }) => type === "order.priced")?.data).toEqual({
      price: 150,
      token: "[redacted]",
    });
    expect(only(read, "goal")[0]?.data).toEqual({ count: "[redacted]" });
    expect(recording.texts.join("\n")).not.toContain("secret");
    expect(read.header.redacted).toEqual(["token", "data.count"]);
  });

  test("ends with the recorder, after which nothing is copied", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const tool = mesh.tool({ name: "calculator" });
    tool.onInvoke("times", ({ data }) => ({ product: data.a * data.b }));
    await tool.run();
    const client = await mesh.client();
    const recording = await record(mesh);
    await client.bus.request("times", { a: 1, b: 2 });
    const read = await recording.stop();
    expect(only(read, "reply")).toHaveLength(1);
    await waitFor(async () => (await client.registry.findAll("soorma.recorder")).length === 0);
    await client.bus.request("times", { a: 1, b: 2 });
    expect(recording.texts.filter((text) => text.includes('"kind":"request"'))).toHaveLength(1);
  });

  test("of a mesh that is faster than the recorder slows nobody down, and counts what it lost", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const tool = mesh.tool({ name: "calculator", concurrency: 1_000 });
    tool.onInvoke("length", ({ data }) => data.text.length);
    await tool.run();
    const client = await mesh.client();
    const gate = Promise.withResolvers<void>();
    const texts: string[] = [];
    const recorder = new Recorder({
      mesh: mesh.mesh(),
      write: async (lines) => {
        texts.push(...lines.map(formatLine));
        if (texts.some((text) => text.includes('"kind":"request"'))) await gate.promise;
      },
    });
    await recorder.run();
    expect(await recorder.copying()).toBe(true);
    // 60 MB: more than a node keeps and a recorder takes.
    const text = "x".repeat(60_000);
    for (let round = 0; round < 20; round++) {
      await Promise.all(Array.from({ length: 50 }, () => client.bus.request("length", { text })));
    }
    gate.resolve();
    await recorder.stop();
    const read = parseRecording(texts.map((line) => `${line}\n`).join(""));
    const { messages, lost } = read.lines.at(-1) as { messages: number; lost: number };
    expect(lost).toBeGreaterThan(0);
    expect(messages + lost).toBe(2_000);
    expect(only(read, "lost").reduce((sum, { count }) => sum + count, 0)).toBe(lost);
  }, 60_000);

  test("a capability of that name makes no recorder of an agent", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const tool = mesh.tool({ name: "spy", capabilities: ["soorma.recorder"] });
    tool.onInvoke("times", ({ data }) => ({ product: data.a * data.b }));
    await tool.run();
    const client = await mesh.client();
    expect(await client.bus.request("times", { a: 2, b: 3 })).toEqual({ product: 6 });
  });
});

test("what JSON does not have comes back out of a recording as it was", () => {
  const data = {
    at: new Date(5),
    bytes: new Uint8Array([1, 2, 255]),
    big: 2n ** 70n,
    not: Number.NaN,
    like: { $date: "x" },
  };
  const line: RecordingLine = {
    kind: "event",
    time: 1,
    id: "a",
    from: "b",
    type: "c",
    topic: "business-facts",
    to: [],
    data,
  };
  const header = { format: "soorma.recording", version: 1, time: 0, startedAt: "", tenant: "default" } as const;
  const text = [header, line].map(formatLine).join("\n");
  expect(parseRecording(text).lines).toEqual([line]);
  expect(parseRecording(`${text}\n{"kind":"ev`).lines).toEqual([line]);
  expect(() => parseRecording(`${text}\n{"kind\n{}\n`)).toThrow("line 3 is not JSON");
  expect(() => parseRecording("{}")).toThrow('does not say "format":"soorma.recording"');
  expect(() => parseRecording('{"format":"soorma.recording","version":2}')).toThrow("version 2");
});

describe("a recording that is sent again", () => {
  /** Of one goal, one request and one event of a client, sent one after the other. */
  async function recorded(): Promise<Recording> {
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const recording = await record(mesh);
    const client = await mesh.client({ name: "customer" });
    await client.bus.request("times", { a: 2, b: 2 });
    await client.submitGoal("order.goal", { count: 4 }).then((run) => run.result());
    await client.submitGoal("order.goal", { count: 50 }).then((run) => run.result().catch(() => {}));
    await client.bus.publish("order.paid", { by: "card" });
    await waitFor(() => seen.length === 3);
    await client.stop();
    return await recording.stop();
  }

  test("gives the same results in the same mesh, in the order that one waited for the other", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const client = await mesh.client({ name: "replay" });
    const again = await record(mesh);
    const report = await replayRecording(recording, { client });
    const kinds = report.inputs.map(({ kind, type, verdict }) => `${kind} ${type} ${verdict}`);
    expect(kinds).toEqual([
      "request times same",
      "goal order.goal same",
      "goal order.goal same",
      "event order.paid sent",
    ]);
    expect(report).toMatchObject({ same: 3, different: 0, sent: 1, skipped: 0 });
    await waitFor(() => seen.length === 3);
    expect(inputsOf(await again.stop()).map(({ message }) => message.data)).toEqual(
      inputsOf(recording).map(({ message }) => message.data),
    );
  });

  test("tells where results differ, but for what may", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    const tool = mesh.tool({ name: "calculator" });
    tool.onInvoke("times", ({ data }) => ({ product: data.a + data.b + 1, at: 7 }));
    await tool.run();
    const client = await mesh.client();
    const report = await replayRecording(recording, { client, only: "times" });
    expect(report.inputs.map(({ verdict, differences }) => [verdict, differences])).toEqual([
      [
        "different",
        [
          { path: "result.product", recorded: 4, actual: 5 },
          { path: "result.at", recorded: undefined, actual: 7 },
        ],
      ],
    ]);
    expect(await replayRecording(recording, { client, only: "times", ignore: ["at", "result.product"] })).toMatchObject(
      { same: 1 },
    );
    const nobody = await replayRecording(recording, { client, only: "order.goal", timeoutMs: 50 });
    expect(nobody.inputs[0]?.differences).toMatchObject([{ path: "", actual: { error: { code: "NO_RESPONDER" } } }]);
  });

  test("waits as long as was waited then", async () => {
    const recording = await recorded();
    const lines = recording.lines.map((line) =>
      line.kind === "event" && line.type === "order.paid" ? { ...line, time: line.time + 60_000 } : line,
    );
    await using mesh = await inProcessMesh();
    await shop(mesh);
    const client = await mesh.client();
    const started = performance.now();
    await replayRecording({ ...recording, lines }, { client, speed: 100 });
    expect(performance.now() - started).toBeGreaterThan(590);
  });

  test("answers again what a person answered, and cancels what was cancelled", async () => {
    const publishing = async (mesh: Mesh) => {
      const planner = mesh.planner({ name: "press" });
      planner.onGoal("print.goal", () => ({
        tasks: [{ name: "ok", wait: { kind: "input", prompt: "Print it?" } }],
      }));
      await planner.run();
    };
    const original = await (async () => {
      await using mesh = await inProcessMesh();
      await publishing(mesh);
      const recording = await record(mesh);
      const client = await mesh.client({ name: "editor" });
      const asked = async () => {
        const run = await client.submitGoal("print.goal", {});
        await waitFor(async () => (await run.plan()).tasks[0]?.waits?.length === 1);
        return run;
      };
      const [first, second] = [await asked(), await asked()];
      await client.tracker.answer(first.planId, { yes: true });
      expect(await first.result()).toEqual({ ok: { yes: true } });
      await second.cancel("no paper");
      await waitFor(() => recording.texts.filter((text) => text.includes('"status":"cancelled"')).length > 0);
      await client.stop();
      return await recording.stop();
    })();
    const orders = only(original, "order");
    expect(orders.map(({ type, data }) => [type, data])).toEqual([
      ["answer", { yes: true }],
      ["cancel", "no paper"],
    ]);
    const [goal] = only(original, "goal");
    expect(orders[0]).toMatchObject({ from: goal?.from, traceId: goal?.traceId, goalId: goal?.id });
    await using mesh = await inProcessMesh();
    await publishing(mesh);
    const client = await mesh.client();
    const report = await replayRecording(original, { client, only: "print.*", timeoutMs: 10_000 });
    expect(report.inputs.map(({ kind, verdict }) => `${kind} ${verdict}`)).toEqual([
      "goal same",
      "goal same",
      "order sent",
      "order sent",
    ]);
  });

  test("into a mesh of stubs is answered as it was recorded", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using stubs = await start(mesh, recording);
    expect(stubs.names.toSorted()).toEqual(["calculator", "clerk", "ledger", "shop"]);
    const client = await mesh.client();
    expect(await replayRecording(recording, { client })).toMatchObject({ same: 3, different: 0, sent: 1 });
  });
});

/** Runs the stubs of a recording. */
async function start(mesh: Mesh, recording: Recording, options?: StubOptions) {
  const agents = recordedStubs(recording, options).map((stub) => stub.create({ mesh: mesh.mesh(), drainMs: 200 }));
  for (const agent of agents) await agent.run();
  return {
    names: agents.map(({ name }) => name),
    async [Symbol.asyncDispose]() {
      for (const agent of agents) await agent.stop();
    },
  };
}

describe("stubs of a recording", () => {
  async function recorded(): Promise<Recording> {
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const auditor = mesh.tool({ name: "auditor", produces: ["audit.done"] });
    auditor.onEvent("order.priced", async ({ data }, { bus }) => bus.publish("audit.done", { price: data.price }));
    await auditor.run();
    let failures = 0;
    const flaky = mesh.worker({ name: "flaky" });
    flaky.onTask("wrap", () => {
      if (++failures < 3) throw new Error(`failure ${failures}`);
      return "wrapped";
    });
    await flaky.run();
    const wrapper = mesh.planner({ name: "wrapper", retry: { backoffMs: 1 } });
    wrapper.onGoal("wrap.goal", () => ({ tasks: [{ name: "wrap", assignedTo: "wrap" }] }));
    await wrapper.run();
    const recording = await record(mesh);
    const client = await mesh.client({ name: "customer" });
    await client.submitGoal("order.goal", { count: 4 }).then((run) => run.result());
    await client.submitGoal("wrap.goal", {}).then((run) => run.result());
    await waitFor(() => seen.length === 1 && recording.texts.some((text) => text.includes("audit.done")));
    return await recording.stop();
  }

  test("stand in for workers and tools, so that a planner of one's own is tested against what they answered", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await start(mesh, recording, { except: ["shop"] });
    const mine = mesh.planner({ name: "shop" });
    mine.onGoal("order.goal", ({ data }) => ({
      tasks: [
        { name: "price", assignedTo: "price", data },
        { name: "ship", assignedTo: "ship", dependsOn: ["price"] },
      ],
    }));
    mine.onComplete(({ results }) => ({ total: results.price.price }));
    await mine.run();
    const client = await mesh.client();
    const heard: unknown[] = [];
    await client.bus.subscribe("audit.done", ({ data }) => void heard.push(data));
    const run = await client.submitGoal("order.goal", { count: 4 });
    expect(await run.result()).toEqual({ total: 12 });
    // The worker's event was published, and another stub reacted to it.
    await waitFor(() => heard.length > 0);
    expect(heard).toEqual([{ price: 12 }]);
  });

  test("fail with the name of a call that was not recorded, and what comes closest", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await start(mesh, recording, { except: ["shop"] });
    const mine = mesh.planner({ name: "shop" });
    mine.onGoal("order.goal", ({ data }) => ({
      tasks: [{ name: data.task, assignedTo: "price", data: { count: data.count } }],
    }));
    await mine.run();
    const client = await mesh.client();
    const failure = async (data: object) => {
      const run = await client.submitGoal("order.goal", data);
      return (await run.result().catch((error) => error)).message;
    };
    expect(await failure({ task: "price", count: 5 })).toContain(
      'the recording holds no task "price" for "price" with data {"count":5}; of the 1 it holds the closest has 4 at data.count instead of 5',
    );
    expect(await failure({ task: "cost", count: 4 })).toContain(
      'the recording holds no task "cost" for "price" (asked with data {"count":4})',
    );
    expect((await client.bus.request("times", { a: 9, b: 3 }).catch((error) => error)).code).toBe("CALL_NOT_RECORDED");
    await using other = await inProcessMesh();
    await using _others = await start(other, recording, { ignore: ["data.a"] });
    expect(await other.client().then((one) => one.bus.request("times", { a: 9, b: 3 }))).toEqual({ product: 12 });
    expect(() => recordedStubs(recording, { except: ["shpo"] })).toThrow('the recording has no agent "shpo"');
  });

  test("answer a task that was tried again as each attempt was", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await start(mesh, recording, { except: ["wrapper"] });
    const mine = mesh.planner({ name: "wrapper", retry: { backoffMs: 1 } });
    mine.onGoal("wrap.goal", () => ({ tasks: [{ name: "wrap", assignedTo: "wrap" }] }));
    await mine.run();
    const client = await mesh.client();
    const run = await client.submitGoal("wrap.goal", {});
    expect(await run.result()).toEqual({ wrap: "wrapped" });
    expect((await run.plan()).tasks[0]?.attempt).toBe(3);
  });

  test("stand in for planners", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await start(mesh, recording);
    const client = await mesh.client();
    const run = await client.submitGoal("order.goal", { count: 4 });
    expect(await run.result()).toEqual({ price: { price: 12 }, ship: { shipped: 12 } });
    const other = await client.submitGoal("order.goal", { count: 1 });
    expect((await other.result().catch((error) => error)).message).toContain('no goal "order.goal"');
  });
});

test("a node that begins to copy anew, and numbers anew, is recorded on", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const recording = await record(mesh);
  const { recorder } = recording;
  const call = { peer: { address: "", nodeId: "" }, signal: new AbortController().signal };
  const event = (id: string): Uint8Array =>
    createCodec().encode(["event", 1, [id, "someone", "order.paid", 1, "business-facts", null, id, id, "default", 0]]);
  const batch = (session: number, ...copies: [number, string][]) =>
    recorder.onCall(
      "recorder.take",
      { nodeId: "n-x", session, copies: copies.map(([number, id]) => [number, event(id)]) },
      call,
    );
  await batch(1, [1, "a"], [2, "b"]);
  await batch(1, [2, "b"], [3, "c"]);
  await batch(1, [5, "e"]);
  await batch(2, [1, "f"]);
  await batch(1, [6, "late"]);
  const read = await recording.stop();
  expect(only(read, "event").map(({ id }) => id)).toEqual(["a", "b", "c", "e", "f"]);
  expect(only(read, "lost").map(({ nodeId, count, why }) => [nodeId, count, why])).toEqual([
    ["n-x", 1, "they came faster than they could be recorded"],
    ["n-x", 0, "the node had stopped copying for a while"],
    ["n-x", 0, "the node was gone before it had sent everything"],
  ]);
});
