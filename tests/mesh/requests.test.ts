import { describe, expect, test } from "bun:test";
import { defineEvent, defineTool, type EventMessage, isSoormaError, SoormaError } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import Type from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

const quick = { state: false };

describe("request", () => {
  test("awaits the reply of one agent that answers the type", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "calculator", capabilities: ["arithmetic"] });
    tool.onInvoke("add", ({ data }) => ({ sum: data.a + data.b }));
    await tool.run();
    const client = await mesh.client();
    expect(await client.bus.request("add", { a: 1, b: 2 })).toEqual({ sum: 3 });
    const handle = await client.registry.find("arithmetic");
    expect(await handle?.invoke("add", { a: 2, b: 2 })).toEqual({ sum: 4 });
    expect(await client.registry.find("arith")).toBeUndefined();
  });

  test("a request waits for an agent that is still to come", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    const asked = client.bus.request("late.question", {});
    const tool = mesh.tool({ name: "late" });
    tool.onInvoke("late.question", () => "here");
    await tool.run();
    expect(await asked).toBe("here");
  });

  test("a request nobody answers names the deadline", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    const asked = client.bus.request("no.one", {}, { timeoutMs: 30 });
    expect(await failureOf(asked)).toThrow('nobody in the mesh answered "no.one" within 30 ms');
    await asked.catch((error) => expect(isSoormaError(error, "NO_RESPONDER")).toBe(true));
  });

  test("a handler that does not answer in time makes a timeout that names the deadline, and its signal aborts", async () => {
    await using mesh = await inProcessMesh(quick);
    const aborted = Promise.withResolvers<void>();
    const tool = mesh.tool({ name: "sleeper" });
    tool.onInvoke("sleep", ({ signal }) => {
      signal.addEventListener("abort", () => aborted.resolve());
      return new Promise(() => {});
    });
    await tool.run();
    const client = await mesh.client();
    expect(await failureOf(client.bus.request("sleep", {}, { timeoutMs: 50 }))).toThrow(
      /request "sleep" got no answer from sleeper in 50 ms/,
    );
    await aborted.promise;
  });

  test("a signal has aborted when the caller gave up before the handler looked at it", async () => {
    await using mesh = await inProcessMesh(quick);
    const [begun, look] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
    const seen = Promise.withResolvers<boolean>();
    const tool = mesh.tool({ name: "late-looker" });
    tool.onInvoke("look", async (request) => {
      begun.resolve();
      await look.promise;
      seen.resolve(request.signal.aborted);
    });
    await tool.run();
    const client = await mesh.client();
    const patience = new AbortController();
    const asked = failureOf(client.bus.request("look", {}, { signal: patience.signal }));
    await begun.promise;
    patience.abort(new Error("enough"));
    expect(await asked).toThrow("enough");
    // Comes to the tool's node after the cancellation.
    await client.registry.stats();
    look.resolve();
    expect(await seen.promise).toBe(true);
  });

  test("what a handler throws is the caller's error", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "thrower" });
    tool.onInvoke("divide", () => {
      throw new RangeError("division by zero");
    });
    tool.onInvoke("refuse", () => {
      throw new SoormaError("CANCELLED", "not today", { details: { day: "sunday" } });
    });
    await tool.run();
    const client = await mesh.client();
    const failed = await client.bus.request("divide", {}).catch((error) => error);
    expect(failed).toMatchObject({ code: "HANDLER_FAILED", message: "RangeError: division by zero" });
    const refused = await client.bus.request("refuse", {}).catch((error) => error);
    expect(refused).toMatchObject({
      code: "CANCELLED",
      message: "not today",
      details: { day: "sunday" },
      retryable: false,
    });
  });

  test("a tool's contract is enforced at the sender even when it is called by a plain name", async () => {
    await using mesh = await inProcessMesh(quick);
    const calls: unknown[] = [];
    const Square = defineTool({
      name: "square",
      input: Type.Object({ n: Type.Number({ minimum: 0 }) }),
      output: Type.Object({ result: Type.Number() }),
    });
    const tool = mesh.tool({ name: "squarer" });
    tool.onInvoke(Square, ({ data }) => {
      calls.push(data);
      return { result: data.n ** 2 };
    });
    await tool.run();
    const client = await mesh.client();
    expect(await client.bus.request(Square, { n: 3 })).toEqual({ result: 9 });
    expect(await failureOf(client.bus.request("square", { n: -1 }))).toThrow("/n must be >= 0");
    expect(calls).toEqual([{ n: 3 }]);
  });

  test("handlers run at the same time up to the agent's concurrency", async () => {
    await using mesh = await inProcessMesh(quick);
    let running = 0;
    let most = 0;
    const gate = Promise.withResolvers<void>();
    const tool = mesh.tool({ name: "busy", concurrency: 3 });
    tool.onInvoke("work", async () => {
      most = Math.max(most, ++running);
      await gate.promise;
      running--;
    });
    await tool.run();
    const client = await mesh.client();
    const calls = Array.from({ length: 8 }, () => client.bus.request("work", {}));
    await waitFor(() => running === 3);
    gate.resolve();
    await Promise.all(calls);
    expect(most).toBe(3);
  });

  test("what an agent that stops had taken and not answered is asked of another one at once, though its node lives on", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const shared = mesh.mesh();
    await mesh.tool({ name: "neighbour", mesh: shared }).run();
    const gate = Promise.withResolvers<void>();
    const make = (name: string, of = mesh.mesh()) => {
      const tool = mesh.tool({ name, mesh: of, concurrency: 1, drainMs: 20 });
      tool.onInvoke("who", async ({ data }) => {
        if (name === "first" && data.wait) await gate.promise;
        return name;
      });
      return tool;
    };
    const first = make("first", shared);
    await first.run();
    const client = await mesh.client();
    const running = client.bus.request("who", { wait: true }, { timeoutMs: 4_000 });
    await waitFor(() => first.stats().handlers.running === 1);
    const waiting = client.bus.request("who", {}, { timeoutMs: 4_000 });
    await waitFor(() => first.stats().handlers.waiting === 1);
    await make("second").run();
    await first.stop();
    expect(await waiting).toBe("second");
    expect(await running).toBe("second");
    gate.resolve();
  });

  test.each([30 * 86_400_000, Number.POSITIVE_INFINITY])(
    "a request that may take %d ms waits for its agent and is answered",
    async (timeoutMs) => {
      await using mesh = await inProcessMesh(quick);
      const client = await mesh.client();
      const asked = client.bus.request("who", null, { timeoutMs });
      const tool = mesh.tool({ name: "late" });
      tool.onInvoke("who", () => "late");
      await tool.run();
      expect(await asked).toBe("late");
    },
  );

  test("trace, session and parent follow from message to message by themselves", async () => {
    await using mesh = await inProcessMesh(quick);
    const seen: EventMessage[] = [];
    const worker = mesh.worker({ name: "relay" });
    worker.onEvent("first.fact", async (_event, context) => {
      await Promise.resolve();
      await context.bus.request("ask", {});
      await context.bus.publish("second.fact", {});
    });
    const tool = mesh.tool({ name: "asked" });
    const asked: { traceId: string; parentId?: string; hops: number; sessionId?: string }[] = [];
    tool.onInvoke("ask", (request) => void asked.push(request));
    await tool.run();
    await worker.run();
    const client = await mesh.client();
    const first: EventMessage[] = [];
    await client.bus.subscribe("first.fact", (event) => void first.push(event));
    await client.bus.subscribe("second.fact", (event) => void seen.push(event));
    await client.bus.publish("first.fact", {}, { sessionId: "s-1" });
    await waitFor(() => seen.length === 1 && first.length === 1);
    const [origin] = first;
    expect(seen[0]).toMatchObject({
      traceId: origin?.traceId ?? "",
      parentId: origin?.id ?? "",
      sessionId: "s-1",
      hops: 1,
    });
    expect(asked[0]).toMatchObject({
      traceId: origin?.traceId ?? "",
      parentId: origin?.id ?? "",
      sessionId: "s-1",
      hops: 1,
    });
  });

  test("the user a node speaks for goes along with everything its messages cause", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "asked" });
    const users: (string | undefined)[] = [];
    tool.onInvoke("ask", ({ userId }) => void users.push(userId));
    await tool.run();
    const worker = mesh.worker({ name: "relay" });
    worker.onEvent("wish.made", async (_event, context) => void (await context.bus.request("ask", {})));
    await worker.run();
    const alice = await mesh.client({ mesh: mesh.mesh({ userId: "alice" }) });
    const nobody = await mesh.client();
    await alice.bus.publish("wish.made", {});
    await waitFor(() => users.length === 1);
    await nobody.bus.publish("wish.made", {});
    await waitFor(() => users.length === 2);
    expect(users).toEqual(["alice", undefined]);
  });

  test("a contract is enforced at the receiver, too, whatever the sender believes", async () => {
    await using mesh = await inProcessMesh(quick);
    const strict = defineTool({ name: "half", input: Type.Object({ n: Type.Integer() }), output: Type.Integer() });
    const lax = defineTool({ name: "half", input: Type.Unknown(), output: Type.Unknown() });
    const tool = mesh.tool({ name: "halver" });
    const seen: unknown[] = [];
    tool.onInvoke(strict, ({ data }) => {
      seen.push(data);
      return data.n / 2;
    });
    const Told = defineEvent({ name: "fact.told", data: Type.Object({ fact: Type.String() }) });
    tool.onEvent(Told, ({ data }) => void seen.push(data));
    await tool.run();
    const client = await mesh.client();
    const refused = await client.bus.request(lax, { n: "four" }).catch((error) => error);
    expect(refused).toMatchObject({ code: "PAYLOAD_INVALID", details: { path: "/n" } });
    // What the handler returns is checked as well, and a wrong result is not tried again.
    const wrong = await client.bus.request(lax, { n: 3 }).catch((error) => error);
    expect(wrong).toMatchObject({ code: "PAYLOAD_INVALID", retryable: false });
    await client.bus.publish("fact.told", { fact: 7 });
    await client.bus.publish("fact.told", { fact: "true" });
    await waitFor(() => seen.length === 2);
    expect(seen).toEqual([{ n: 3 }, { fact: "true" }]);
    expect(mesh.lines.some(({ event }) => event === "event.failed")).toBe(true);
  });

  test("a request larger than the mesh allows is refused at its sender, an answer at its handler", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "big", mesh: mesh.mesh({ maxFrameBytes: 10_000 }) });
    tool.onInvoke("grow", ({ data }) => "x".repeat(data.bytes));
    await tool.run();
    const client = await mesh.client({ mesh: mesh.mesh({ maxFrameBytes: 10_000 }) });
    const sent = await client.bus.request("grow", { bytes: 1, padding: "x".repeat(20_000) }).catch((error) => error);
    expect(sent).toMatchObject({ code: "MESSAGE_TOO_LARGE" });
    const answered = await client.bus.request("grow", { bytes: 20_000 }).catch((error) => error);
    expect(answered).toMatchObject({ code: "MESSAGE_TOO_LARGE" });
    expect(await client.bus.request("grow", { bytes: 3 })).toBe("xxx");
  });

  test("agents that call each other in a circle are stopped", async () => {
    await using mesh = await inProcessMesh(quick);
    let calls = 0;
    for (const [name, other] of [
      ["ping", "pong"],
      ["pong", "ping"],
    ] as const) {
      const tool = mesh.tool({ name, concurrency: 100 });
      tool.onInvoke(name, async (_request, context) => {
        calls++;
        return await context.bus.request(other, {});
      });
      await tool.run();
    }
    const client = await mesh.client();
    expect(await failureOf(client.bus.request("ping", {}))).toThrow(/passed through 65 handlers; the limit is 64/);
    expect(calls).toBe(65);
  });

  test("tenants neither hear nor reach each other", async () => {
    await using mesh = await inProcessMesh(quick);
    const acme = () => mesh.mesh({ tenantId: "acme" });
    const tool = mesh.tool({ name: "secret", mesh: acme() });
    tool.onInvoke("whisper", () => "psst");
    await tool.run();
    const inside = await mesh.client({ mesh: acme() });
    const outside = await mesh.client();
    const heard: unknown[] = [];
    await outside.bus.subscribe(">", (event) => void heard.push(event));
    await inside.bus.publish("plan.made", {});
    expect(await inside.bus.request("whisper", {})).toBe("psst");
    expect(await failureOf(outside.bus.request("whisper", {}, { timeoutMs: 30 }))).toThrow(/nobody in the mesh/);
    expect(heard).toEqual([]);
  });
});
