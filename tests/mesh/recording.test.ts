import { describe, expect, test } from "bun:test";
import { createCodec } from "@soorma/core/mesh";
import { formatLine, parseRecording, type RecordedMessage, Recorder, type RecordingLine } from "@soorma/core/recording";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";
import { messagesOf, only, record, shop } from "./recorded-mesh.ts";

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

test("a recorder that the mesh had lost sight of records on, and tells that something is missing", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const shared = mesh.mesh();
  const publisher = mesh.tool({ name: "publisher", produces: ["order.paid"], mesh: shared });
  await publisher.run();
  const texts: string[] = [];
  const recorder = new Recorder({
    mesh: mesh.mesh({ renewMs: 50 }),
    write: (lines) => void texts.push(...lines.map(formatLine)),
  });
  await recorder.run();
  await recorder.copying();
  const { bus } = publisher.context;
  for (let n = 1; n <= 3; n++) await bus.publish("order.paid", { n });
  await waitFor(() => recorder.recorded.messages === 3);
  // As when its lease ends because its process is stopped.
  const { node } = await shared.acquire();
  const there = (): boolean => node.directory.has(recorder.agentId);
  await node.registry.deregister([recorder.agentId]);
  await waitFor(() => !there());
  await waitFor(there);
  await shared.release();
  await bus.publish("order.paid", { n: 4 });
  await recorder.stop();
  const read = parseRecording(texts.map((text) => `${text}\n`).join(""));
  expect(only(read, "event").map(({ data }) => data)).toEqual([1, 2, 3, 4].map((n) => ({ n })));
  expect(only(read, "lost").map(({ count, why }) => [count, why])).toContainEqual([
    0,
    "the node had stopped copying for a while",
  ]);
});
