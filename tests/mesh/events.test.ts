import { describe, expect, test } from "bun:test";
import { defineEvent, type EventMessage, isSoormaError, type Mesh } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import Type from "typebox";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

const quick = { state: false };

/** A subscriber that got a publisher's first event, and a network that can lose others. */
async function ticking(mesh: Awaited<ReturnType<typeof inProcessMesh>>, own: Mesh = mesh.mesh()) {
  const publisher = await mesh.client({ produces: ["tick.tock"], name: "publisher" });
  const subscriber = await mesh.client({ name: "subscriber", mesh: own });
  const seen: number[] = [];
  await subscriber.bus.subscribe("tick.tock", ({ data }) => void seen.push(data));
  const publish = (n: number): Promise<unknown> => publisher.bus.publish("tick.tock", n);
  await publish(1);
  await waitFor(() => seen.length === 1);
  const link = (faults: { readonly drop?: number }): void =>
    mesh.hub.setLink(publisher.record().nodeId, subscriber.record().nodeId, faults);
  return {
    publisher,
    subscriber,
    seen,
    publish,
    /** The network loses these; the publisher's word of how far it counted comes through. */
    async lose(...events: number[]) {
      link({ drop: 1 });
      for (const n of events) await publish(n);
      link({});
    },
  };
}

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

  test("an agent that has published more types than a registry lists is told so, and goes on otherwise", async () => {
    await using mesh = await inProcessMesh(quick);
    const publisher = await mesh.client({ name: "publisher" });
    const other = await mesh.client({ name: "other" });
    const heard: string[] = [];
    await other.bus.subscribe("order.**", ({ type }) => void heard.push(type));
    const publishAll = async (): Promise<void> => {
      for (let n = 1; n <= 1_100; n++) await publisher.bus.publish(`order.n${n}.paid`, {});
    };
    expect(await failureOf(publishAll())).toThrow(
      'event "order.n1024.paid" cannot be published: publisher has published 1023 types of events already',
    );
    await waitFor(() => heard.length === 1_023);
    await publisher.bus.publish("order.n1.paid", {});
    await waitFor(() => heard.at(-1) === "order.n1.paid");
    await publisher.bus.subscribe("answer.given", () => {});
    await publisher.pause();
    await publisher.resume();
  }, 60_000);

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
    const watcher = await mesh.client({ name: "watcher" });
    const gaps: { count: number; channel: string }[] = [];
    await watcher.bus.subscribe("system.bus.gap", (event) => void gaps.push(event.data));
    const { publish, lose, seen } = await ticking(mesh);
    await lose(2, 3);
    await publish(4);
    await waitFor(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ count: 2, from: 2, to: 3 });
    expect(seen).toEqual([1, 4]);
  });

  test("a lost last event is noticed without another one following", async () => {
    await using mesh = await inProcessMesh(quick);
    const { subscriber, lose } = await ticking(mesh);
    const gaps: unknown[] = [];
    await subscriber.bus.subscribe("system.bus.gap", (event) => void gaps.push(event.data));
    await lose(2);
    await waitFor(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ from: 2, to: 2 });
  });

  test("an agent whose start failed has no part any more in what its node misses", async () => {
    await using mesh = await inProcessMesh(quick);
    const shared = mesh.mesh();
    const { publish, lose, seen } = await ticking(mesh, shared);
    const failing = mesh.tool({ name: "failing", description: "x".repeat(100_000), mesh: shared });
    expect(await failureOf(failing.run())).toThrow("description");
    await lose(2);
    await publish(3);
    await waitFor(() => seen.length === 2);
    expect(seen).toEqual([1, 3]);
  });

  test("what a publisher that was cut off the registry published meanwhile is a gap when it is back", async () => {
    await using mesh = await inProcessMesh(quick);
    const { publisher, subscriber, publish, seen } = await ticking(mesh);
    const gaps: unknown[] = [];
    await subscriber.bus.subscribe("system.bus.gap", (event) => void gaps.push(event.data));
    const isKnown = async (): Promise<boolean> =>
      (await subscriber.registry.stats()).some(({ agents }) => agents.some(({ name }) => name === "publisher"));
    mesh.hub.partition(publisher.record().nodeId, mesh.broker.nodeId);
    await waitFor(async () => !(await isKnown()));
    await publish(2);
    mesh.hub.heal();
    await waitFor(isKnown);
    await waitFor(async () => {
      await publish(3);
      return seen.includes(3);
    });
    await waitFor(() => gaps.length === 1);
    expect(gaps[0]).toMatchObject({ from: 2 });
    expect(seen).not.toContain(2);
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

  test.each([
    ["its subject is empty", { subject: "" }],
    ["its sessionId is empty", { sessionId: "" }],
    ["its correlationId is of 513 characters", { correlationId: "x".repeat(513) }],
    ['"not a type" is no event type', { responseEvent: "not a type" }],
    ['"nowhere" is no topic', { responseTopic: "nowhere" as "business-facts" }],
  ])("what subscribers would refuse unheard is refused at its sender: %s", async (why, options) => {
    await using mesh = await inProcessMesh(quick);
    const client = await mesh.client();
    expect(await failureOf(client.bus.publish("order.paid", {}, options))).toThrow(why);
  });

  test("a publisher that stops while it looks for a member of a group says so", async () => {
    await using mesh = await inProcessMesh(quick);
    const member = mesh.worker({ name: "member" });
    member.onEvent("job.done", () => {});
    await member.run();
    const publisher = await mesh.client({ produces: ["job.done"] });
    mesh.hub.partition(publisher.record().nodeId, member.record().nodeId);
    const refused = publisher.bus.publish("job.done", 1).catch((error) => error);
    await publisher.stop();
    expect(await refused).toMatchObject({
      code: "NODE_STOPPED",
      message: 'event "job.done" reached no member of group "member" before this node stopped',
    });
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

  test("an answer has its question's correlation id, also when it is given while something else is handled", async () => {
    await using mesh = await inProcessMesh(quick);
    const asker = await mesh.client({ produces: ["shop.asked", "shop.opened"] });
    const answers: EventMessage[] = [];
    await asker.bus.subscribe("shop.answered", (event) => void answers.push(event));
    const shop = await mesh.client();
    let question: EventMessage | undefined;
    await shop.bus.subscribe("shop.asked", (event) => {
      question = event;
    });
    await shop.bus.subscribe("shop.opened", () => question?.respond("yes"));
    await asker.bus.publish("shop.asked", 1, { responseEvent: "shop.answered", correlationId: "asked" });
    await waitFor(() => question);
    await asker.bus.publish("shop.opened", 1);
    await waitFor(() => answers.length === 1);
    expect(answers[0]?.correlationId).toBe("asked");
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

for (const group of ["crew", null]) {
  test(`handlers that publish what their own agent handles go on when its queue is full (${group ?? "no group"})`, async () => {
    await using mesh = await inProcessMesh(quick);
    const worker = mesh.worker({ name: "chain", concurrency: 2 });
    const begin = Promise.withResolvers<void>();
    let followed = 0;
    worker.onEvent(
      "chain.begun",
      async () => {
        await begin.promise;
        await worker.context.bus.publish("chain.followed", {});
      },
      { group: null },
    );
    worker.onEvent("chain.followed", () => void followed++, { group });
    await worker.run();
    const publisher = await mesh.client({ produces: ["chain.begun"] });
    const published = Array.from({ length: 1_100 }, () => publisher.bus.publish("chain.begun", {}));
    await waitFor(() => worker.stats().handlers.waiting >= 1_024);
    begin.resolve();
    await waitFor(() => followed === 1_100);
    await Promise.all(published);
  });
}
