import { describe, expect, test } from "bun:test";
import { defineEvent, defineTool, type EventMessage, isSoormaError, SoormaError } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import Type from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

const quick = { state: false };

describe("publish and subscribe", () => {
  test("what is published right after subscribe() resolved arrives, in order", async () => {
    await using mesh = await inProcessMesh(quick);
    const publisher = await mesh.client({ produces: ["order.created"] });
    const subscriber = await mesh.client();
    const seen: number[] = [];
    await subscriber.bus.subscribe("order.*", ({ data }) => void seen.push(data.n));
    for (let n = 0; n < 100; n++) await publisher.bus.publish("order.created", { n });
    await waitFor(() => seen.length === 100);
    expect(seen).toEqual(Array.from({ length: 100 }, (_, n) => n));
  });

  test("a type nobody announced before reaches subscribers that were there first", async () => {
    await using mesh = await inProcessMesh(quick);
    const subscriber = await mesh.client();
    const seen: EventMessage[] = [];
    await subscriber.bus.subscribe("invoice.sent", (event) => void seen.push(event));
    const publisher = await mesh.client();
    await publisher.bus.publish("invoice.sent", { n: 1 });
    await waitFor(() => seen.length === 1);
    expect(seen[0]?.data).toEqual({ n: 1 });
    expect(seen[0]?.topic).toBe("business-facts");
  });

  test("one instance of a name gets each event, and every name gets all", async () => {
    await using mesh = await inProcessMesh(quick);
    const got: Record<string, number[]> = { a1: [], a2: [], b: [] };
    for (const [key, name] of [
      ["a1", "alpha"],
      ["a2", "alpha"],
      ["b", "beta"],
    ] as const) {
      const worker = mesh.worker({ name });
      worker.onEvent("job.done", ({ data }) => void got[key]?.push(data));
      await worker.run();
    }
    const publisher = await mesh.client();
    for (let n = 0; n < 60; n++) await publisher.bus.publish("job.done", n);
    await waitFor(() => got.b?.length === 60 && (got.a1?.length ?? 0) + (got.a2?.length ?? 0) === 60);
    expect([...(got.a1 ?? []), ...(got.a2 ?? [])].sort((x, y) => x - y)).toEqual(
      Array.from({ length: 60 }, (_, n) => n),
    );
    expect(got.a1?.length).toBeGreaterThan(5);
    expect(got.a2?.length).toBeGreaterThan(5);
  });

  test("one event type on two topics is two things", async () => {
    await using mesh = await inProcessMesh(quick);
    const seen: string[] = [];
    const subscriber = await mesh.client();
    await subscriber.bus.subscribe("thing.happened", () => void seen.push("billing"), { topic: "billing-events" });
    await subscriber.bus.subscribe("thing.happened", () => void seen.push("any"));
    const publisher = await mesh.client();
    await publisher.bus.publish("thing.happened", 1, { topic: "business-facts" });
    await publisher.bus.publish("thing.happened", 2, { topic: "billing-events" });
    await waitFor(() => seen.length === 3);
    expect(seen.sort()).toEqual(["any", "any", "billing"]);
  });

  test("subscribers in the publisher's own process get data of their own", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    const data = { list: [1] };
    const seen: { list: number[] }[] = [];
    await client.bus.subscribe("a.b", (event) => void seen.push(event.data));
    await client.bus.publish("a.b", data);
    await waitFor(() => seen.length === 1);
    seen[0]?.list.push(2);
    expect(data.list).toEqual([1]);
  });

  test("who publishes learns the event's id and trace, and can ask who gets such events", async () => {
    await using mesh = await inProcessMesh(quick);
    const paid = defineEvent({ name: "order.paid", data: Type.Object({ amount: Type.Number() }) });
    const subscriber = await mesh.client({ name: "subscriber" });
    const seen: EventMessage[] = [];
    await subscriber.bus.subscribe("order.*", (event) => void seen.push(event));
    for (const name of ["alpha", "alpha", "beta"]) {
      const worker = mesh.worker({ name });
      worker.onEvent(paid, () => {});
      await worker.run();
    }
    const publisher = await mesh.client({ name: "publisher", produces: [paid] });
    const { id, traceId, topic } = await publisher.bus.publish(paid, { amount: 3 });
    await waitFor(() => seen.length === 1);
    expect(seen[0]).toMatchObject({ id, traceId, topic });
    expect(topic).toBe("business-facts");

    const { subscribers, groups } = publisher.registry.receivers("order.paid");
    expect(subscribers.map(({ name }) => name)).toEqual(["subscriber"]);
    expect(groups.map(({ group, members }) => [group, members.length]).sort()).toEqual([
      ["alpha", 2],
      ["beta", 1],
    ]);
    expect(publisher.registry.receivers("order.lost").groups).toEqual([]);
    expect(publisher.registry.receivers("order.paid", { topic: "billing-events" }).groups).toHaveLength(2);
    const schema = { name: "order.paid", version: "1.0.0" };
    expect(groups[0]?.members[0]?.consumes).toMatchObject([{ type: "order.paid", schema }]);
    expect(publisher.record().produces[0]).toEqual({ type: "order.paid", topic: "business-facts", schema });
  });

  test("an unsubscribed handler gets nothing more", async () => {
    await using mesh = await inProcessMesh(quick);
    const publisher = await mesh.client({ produces: ["x.y"] });
    const subscriber = await mesh.client();
    let first = 0;
    let second = 0;
    const subscription = await subscriber.bus.subscribe("x.y", () => void first++);
    await subscriber.bus.subscribe("x.*", () => void second++);
    await publisher.bus.publish("x.y", 1);
    await waitFor(() => first === 1 && second === 1);
    await subscription.unsubscribe();
    await publisher.bus.publish("x.y", 2);
    await waitFor(() => second === 2);
    expect(first).toBe(1);
  });

  test("a lost event is counted and reported as system.bus.gap", async () => {
    await using mesh = await inProcessMesh(quick);
    const publisher = await mesh.client({ produces: ["tick.tock"], name: "publisher" });
    const subscriber = await mesh.client({ name: "subscriber" });
    const watcher = await mesh.client({ name: "watcher" });
    const gaps: { count: number; channel: string }[] = [];
    await watcher.bus.subscribe("system.bus.gap", (event) => void gaps.push(event.data));
    const seen: number[] = [];
    await subscriber.bus.subscribe("tick.tock", ({ data }) => void seen.push(data));
    await publisher.bus.publish("tick.tock", 1);
    await waitFor(() => seen.length === 1);
    // The network loses whatever the publisher sends next; its word of how far it counted comes through.
    mesh.hub.setLink(publisher.record().nodeId, subscriber.record().nodeId, { drop: 1 });
    await publisher.bus.publish("tick.tock", 2);
    await publisher.bus.publish("tick.tock", 3);
    mesh.hub.setLink(publisher.record().nodeId, subscriber.record().nodeId, {});
    await publisher.bus.publish("tick.tock", 4);
    await waitFor(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ count: 2, from: 2, to: 3 });
    expect(seen).toEqual([1, 4]);
  });

  test("a lost last event is noticed without another one following", async () => {
    await using mesh = await inProcessMesh(quick);
    const publisher = await mesh.client({ produces: ["tick.tock"] });
    const subscriber = await mesh.client();
    const gaps: unknown[] = [];
    await subscriber.bus.subscribe("system.bus.gap", (event) => void gaps.push(event.data));
    const seen: number[] = [];
    await subscriber.bus.subscribe("tick.tock", ({ data }) => void seen.push(data));
    await publisher.bus.publish("tick.tock", 1);
    await waitFor(() => seen.length === 1);
    mesh.hub.setLink(publisher.record().nodeId, subscriber.record().nodeId, { drop: 1 });
    await publisher.bus.publish("tick.tock", 2);
    mesh.hub.setLink(publisher.record().nodeId, subscriber.record().nodeId, {});
    await waitFor(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ from: 2, to: 2 });
  });

  test("bad types and patterns are refused where they are used", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    expect(await failureOf(client.bus.publish("no spaces", 1))).toThrow(/is no event type/);
    expect(await failureOf(client.bus.publish("a..b", 1))).toThrow(/is no event type/);
    expect(await failureOf(client.bus.subscribe("a.>.b", () => {}))).toThrow(/is no event pattern/);
    expect(await failureOf(client.bus.publish("a.b", 1, { topic: "nonsense" as "business-facts" }))).toThrow(
      /is no topic/,
    );
  });

  test("an event larger than the mesh allows is refused at its sender", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client({ mesh: mesh.mesh({ maxFrameBytes: 10_000 }) });
    const publishing = client.bus.publish("a.b", "x".repeat(20_000));
    expect(await failureOf(publishing)).toThrow(/is 20\d{3} bytes; the limit of this mesh is 10000/);
    await publishing.catch((error) => expect(isSoormaError(error, "MESSAGE_TOO_LARGE")).toBe(true));
  });

  test("data that breaks an event's contract is refused at the sender, with the path", async () => {
    await using mesh = await inProcessMesh(quick);
    const OrderCreated = defineEvent({
      name: "order.created",
      data: Type.Object({ id: Type.String(), lines: Type.Array(Type.Object({ sku: Type.String() })) }),
    });
    const client = await mesh.client({ produces: [OrderCreated] });
    // @ts-expect-error the contract types the data, too
    const typed = client.bus.publish(OrderCreated, { id: "1", lines: [{ sku: 7 }] });
    expect(await failureOf(typed)).toThrow(/: \/lines\/0\/sku must be string/);
    // By its plain name it is the same event.
    expect(await failureOf(client.bus.publish("order.created", { id: "1" }))).toThrow("/lines is missing");
  });

  test("a handler answers with the response event its sender chose", async () => {
    await using mesh = await inProcessMesh(quick);
    const worker = mesh.worker({ name: "responder" });
    worker.onEvent("quote.requested", async (event) => await event.respond({ price: event.data.amount * 2 }));
    await worker.run();
    const client = await mesh.client();
    const answers: EventMessage[] = [];
    await client.bus.subscribe("my.answer", (event) => void answers.push(event));
    await client.bus.publish("quote.requested", { amount: 4 }, { responseEvent: "my.answer", correlationId: "c-1" });
    await waitFor(() => answers.length === 1);
    expect(answers[0]?.data).toEqual({ price: 8 });
    expect(answers[0]?.correlationId).toBe("c-1");
  });
});

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

describe("the registry", () => {
  test("finds agents by name, kind, capability, operation and events, exactly", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "researcher", capabilities: ["web_research"], produces: ["page.found"] });
    tool.onInvoke("search", () => null);
    tool.onEvent("page.wanted", () => {});
    await tool.run();
    const { registry } = await mesh.client();
    const names = async (query: Parameters<typeof registry.query>[0]) =>
      (await registry.query(query)).map(({ name }) => name);
    expect(await names({ name: "researcher" })).toEqual(["researcher"]);
    expect(await names({ kind: "tool" })).toEqual(["researcher"]);
    expect(await names({ capability: "web_research" })).toEqual(["researcher"]);
    expect(await names({ operation: "search" })).toEqual(["researcher"]);
    expect(await names({ consumes: "page.wanted" })).toEqual(["researcher"]);
    expect(await names({ produces: "page.found" })).toEqual(["researcher"]);
    for (const capability of ["sea", "web", "web_research2"]) expect(await names({ capability })).toEqual([]);
    expect(await names({ kind: "tool", name: "other" })).toEqual([]);
  });

  test("that cannot be reached is an error, not an empty list", async () => {
    await using mesh = await inProcessMesh(quick);
    const tool = mesh.tool({ name: "still-there", capabilities: ["staying"] });
    tool.onInvoke("stay", () => "yes");
    await tool.run();
    const client = await mesh.client();
    await mesh.broker.close();
    expect(await failureOf(client.registry.query({ name: "still-there" }))).toThrow(/registry|broker/i);
    // Those who know each other go on.
    expect(await (await client.registry.find("staying"))?.invoke("stay", {})).toBe("yes");
  }, 20_000);

  test("tells of agents that come and go", async () => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    const stop = new AbortController();
    const seen: string[][] = [];
    const watching = (async () => {
      for await (const { agents } of client.registry.watch({ signal: stop.signal }))
        seen.push(agents.map(({ name }) => name).sort());
    })();
    const tool = mesh.tool({ name: "comes-and-goes" });
    await tool.run();
    await waitFor(() => seen.at(-1)?.includes("comes-and-goes") === true);
    await tool.stop();
    await waitFor(() => seen.at(-1)?.includes("comes-and-goes") === false);
    stop.abort();
    await watching;
  });
});
