import { expect } from "bun:test";
import { codeOf } from "../code-of.ts";
import type { Check } from "../transport-contract.ts";
import { each, indexOf, mixedSize, numbered, show, text, track, upTo } from "./rig.ts";

/** Publishing and subscribing. */
export function eventChecks(check: Check): void {
  check("what is published right after join resolved arrives", async (rig) => {
    // Several times, because a transport that is only sometimes late must not pass.
    for (let round = 0; round < 10; round++) {
      const [publisher, subscriber] = [await rig.open("publisher"), await rig.open("subscriber")];
      await subscriber.transport.subscribe("news.");
      await rig.within(subscriber.transport.join(publisher.address), "join");
      await publisher.transport.publish("news.", text("first"));
      expect((await rig.events(subscriber, 1)).map(show)).toEqual(["first"]);
    }
  });

  check("what is published right after subscribe resolved arrives", async (rig) => {
    const [publisher, subscriber] = [await rig.open("publisher"), await rig.open("subscriber")];
    await rig.within(subscriber.transport.join(publisher.address), "join");
    for (let round = 0; round < 20; round++) {
      await rig.within(subscriber.transport.subscribe(`news.${round}.`), "subscribe");
      await publisher.transport.publish(`news.${round}.`, text(`${round}`));
      await rig.events(subscriber, round + 1);
    }
    expect(subscriber.events.map(show)).toEqual(upTo(20).map(String));
  });

  check("subscribe waits for every publisher joined", async (rig) => {
    const publishers = await rig.openMany("publisher", 6);
    const subscriber = await rig.open("subscriber");
    await rig.within(Promise.all(publishers.map((p) => subscriber.transport.join(p.address))), "joining all");
    await rig.within(subscriber.transport.subscribe("news."), "subscribe");
    await Promise.all(publishers.map((p) => p.transport.publish("news.", text(p.nodeId))));
    await rig.events(subscriber, 6);
    expect(subscriber.events.map(show).sort()).toEqual(publishers.map((p) => p.nodeId).sort());
  });

  check(
    "the publisher is told when a subscriber's subscriptions are in place",
    async (rig) => {
      const { publisher, subscriber } = await rig.pair("news.");
      await rig.until(
        () => publisher.subscribers.length > 0,
        () => "onSubscriber was not called for a join",
      );
      const before = publisher.subscribers.length;
      await rig.within(subscriber.transport.subscribe("more."), "subscribe");
      await rig.until(
        () => publisher.subscribers.length > before,
        () => "onSubscriber was not called for a subscribe",
      );
      expect(new Set(publisher.subscribers)).toEqual(new Set([subscriber.nodeId]));
    },
    "joins",
  );

  check("a subscription is a prefix of whole tokens", async (rig) => {
    const { publisher, subscriber } = await rig.pair("acme.order.");
    const channels = ["acme.", "acme.order.", "acme.orders.", "acme.order.created.", "acme.order.größe.@x.", "other."];
    for (const channel of [...channels, "acme.order.end."]) await publisher.transport.publish(channel, text(channel));
    await rig.events(subscriber, 4);
    await rig.roundTrip(publisher, subscriber);
    expect(subscriber.events.map(show)).toEqual([
      "acme.order.",
      "acme.order.created.",
      "acme.order.größe.@x.",
      "acme.order.end.",
    ]);
  });

  check("the empty subscription matches every channel", async (rig) => {
    const { publisher, subscriber } = await rig.pair("");
    for (const channel of ["a.", "b.c.", "d."]) await publisher.transport.publish(channel, text(channel));
    expect((await rig.events(subscriber, 3)).map(show)).toEqual(["a.", "b.c.", "d."]);
  });

  check("overlapping subscriptions deliver an event once", async (rig) => {
    const { publisher, subscriber } = await rig.pair("");
    for (const prefix of ["a.", "a.b.", "a.b.c.", "a."]) {
      await rig.within(subscriber.transport.subscribe(prefix), "subscribe");
    }
    await rig.within(subscriber.transport.join(publisher.address), "joining again");
    await publisher.transport.publish("a.b.c.d.", text("event"));
    await publisher.transport.publish("z.", text("end"));
    await rig.events(subscriber, 2);
    expect(subscriber.events.map(show)).toEqual(["event", "end"]);
  });

  check("events of mixed sizes arrive once each, whole and in order", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const count = 1500;
    await each(count, (index) => publisher.transport.publish("news.", numbered(index, mixedSize(index))));
    await publisher.transport.publish("news.", numbered(count, 4));
    await rig.events(subscriber, count + 1);
    await rig.roundTrip(publisher, subscriber);
    expect(subscriber.events.map(indexOf)).toEqual(upTo(count + 1));
  });

  check("every subscriber gets every event, and nobody else gets any", async (rig) => {
    const publisher = await rig.open("publisher");
    const subscribers = await rig.openMany("subscriber", 8);
    const [bystander] = await rig.openMany("bystander", 1);
    for (const { transport } of subscribers) await transport.subscribe("news.");
    await bystander?.transport.subscribe("sports.");
    const everybody = [...subscribers, ...(bystander ? [bystander] : [])];
    await rig.within(Promise.all(everybody.map((s) => s.transport.join(publisher.address))), "joining");
    await each(100, (index) => publisher.transport.publish("news.today.", numbered(index, 100)));
    await publisher.transport.publish("sports.", text("end"));
    for (const subscriber of subscribers) {
      await rig.events(subscriber, 100);
      expect(subscriber.events.map(indexOf)).toEqual(upTo(100));
    }
    if (bystander) expect((await rig.events(bystander, 1)).map(show)).toEqual(["end"]);
  });

  check(
    "a subscriber hears all publishers it joined, each in its order, and no other",
    async (rig) => {
      const publishers = await rig.openMany("publisher", 8);
      const stranger = await rig.open("stranger");
      const subscriber = await rig.open("subscriber");
      await subscriber.transport.subscribe("news.");
      await rig.within(Promise.all(publishers.map((p) => subscriber.transport.join(p.address))), "joining");
      await stranger.transport.publish("news.", text("stranger:0"));
      await Promise.all(
        publishers.map((p) => each(50, (index) => p.transport.publish("news.", text(`${p.nodeId}:${index}`)))),
      );
      await rig.events(subscriber, 400);
      await rig.roundTrip(subscriber, stranger);
      for (const { nodeId } of publishers) {
        const heard = subscriber.events.map(show).filter((event) => event.startsWith(`${nodeId}:`));
        expect(heard).toEqual(upTo(50).map((index) => `${nodeId}:${index}`));
      }
      expect(subscriber.events.length).toBe(400);
    },
    "joins",
  );

  check("a prefix that was unsubscribed is not delivered any more", async (rig) => {
    const { publisher, subscriber } = await rig.pair("old.");
    subscriber.transport.unsubscribe("old.");
    // The publisher handles what a subscriber tells it in order.
    await rig.within(subscriber.transport.subscribe("new."), "subscribe");
    await publisher.transport.publish("old.", text("old"));
    await publisher.transport.publish("new.", text("new"));
    await rig.events(subscriber, 1);
    await rig.roundTrip(publisher, subscriber);
    expect(subscriber.events.map(show)).toEqual(["new"]);
  });

  check(
    "a publisher that was left is not heard until it is joined again",
    async (rig) => {
      const { publisher, subscriber } = await rig.pair("news.");
      const other = await rig.open("other");
      await rig.within(other.transport.subscribe("news."), "subscribe");
      await rig.within(other.transport.join(publisher.address), "join");
      subscriber.transport.leave(publisher.address);
      await publisher.transport.publish("news.", text("missed"));
      expect((await rig.events(other, 1)).map(show)).toEqual(["missed"]);
      await rig.within(subscriber.transport.join(publisher.address), "joining again");
      await publisher.transport.publish("news.", text("heard"));
      await rig.events(subscriber, 1);
      await rig.roundTrip(publisher, subscriber);
      expect(subscriber.events.map(show)).toEqual(["heard"]);
    },
    "joins",
  );

  check("joining twice at once resolves twice and delivers once", async (rig) => {
    const [publisher, subscriber] = [await rig.open("publisher"), await rig.open("subscriber")];
    await subscriber.transport.subscribe("news.");
    const joins = [subscriber.transport.join(publisher.address), subscriber.transport.join(publisher.address)];
    await rig.within(Promise.all(joins), "joining twice");
    await publisher.transport.publish("news.", text("once"));
    await publisher.transport.publish("news.", text("end"));
    await rig.events(subscriber, 2);
    await rig.roundTrip(publisher, subscriber);
    expect(subscriber.events.map(show)).toEqual(["once", "end"]);
  });

  check("publishing to nobody does not wait", async (rig) => {
    const publisher = await rig.open("publisher");
    await rig.within(
      each(5000, () => publisher.transport.publish("news.", new Uint8Array(1000))),
      "publishing to nobody",
    );
    expect(publisher.transport.stats().waiting).toBe(0);
  });

  check("a subscriber that overwrites its frame changes nobody else's", async (rig) => {
    const publisher = await rig.open("publisher");
    const subscribers = await rig.openMany("subscriber", 3, { onEvent: (frame) => void frame.fill(7) });
    for (const { transport } of subscribers) {
      await transport.subscribe("news.");
      await rig.within(transport.join(publisher.address), "join");
    }
    await each(10, (index) => publisher.transport.publish("news.", numbered(index, 50)));
    for (const subscriber of subscribers) {
      await rig.events(subscriber, 10);
      expect(subscriber.events.map(indexOf)).toEqual(upTo(10));
    }
  });

  check("while a handler's promise is pending no further event is delivered", async (rig) => {
    let running = 0;
    let most = 0;
    const publishers = await rig.openMany("publisher", 3);
    const subscriber = await rig.open("subscriber", {
      async onEvent() {
        most = Math.max(most, ++running);
        for (let turn = 0; turn < 3; turn++) await new Promise((resolve) => setImmediate(resolve));
        running--;
      },
    });
    await subscriber.transport.subscribe("news.");
    await rig.within(Promise.all(publishers.map((p) => subscriber.transport.join(p.address))), "joining");
    await Promise.all(publishers.map((p) => each(40, (index) => p.transport.publish("news.", numbered(index, 50)))));
    await rig.events(subscriber, 120);
    expect(most).toBe(1);
  });

  check("a subscriber that is slow with events still gets directed messages", async (rig) => {
    const gate = Promise.withResolvers<void>();
    const { publisher, subscriber } = await rig.pair("news.", { onEvent: () => gate.promise });
    await each(5, (index) => publisher.transport.publish("news.", numbered(index, 50)));
    await rig.events(subscriber, 1);
    await rig.roundTrip(publisher, subscriber);
    await rig.roundTrip(subscriber, publisher);
    expect(subscriber.events.length).toBe(1);
    gate.resolve();
    expect((await rig.events(subscriber, 5)).map(indexOf)).toEqual(upTo(5));
  });

  check(
    "a slow subscriber slows its publisher, and nothing is lost",
    async (rig) => {
      const gate = Promise.withResolvers<void>();
      const { publisher, subscriber } = await rig.pair("news.", { onEvent: () => gate.promise });
      const flood = await floodUntilStalled((index) => publisher.transport.publish("news.", numbered(index, 8192)));
      expect(flood.stalled).toBe(true);
      expect(publisher.transport.stats().waiting).toBeGreaterThan(0);
      gate.resolve();
      await rig.within(flood.last, "the publish that waited");
      await rig.events(subscriber, flood.published);
      expect(subscriber.events.map(indexOf)).toEqual(upTo(flood.published));
      expect(publisher.transport.stats().dropped).toBe(0);
      expect(publisher.transport.stats().waiting).toBe(0);
    },
    "backpressure",
  );

  check(
    "a publisher goes on when the subscriber it waits for goes away",
    async (rig) => {
      const gate = Promise.withResolvers<void>();
      const { publisher, subscriber } = await rig.pair("news.", { onEvent: () => gate.promise });
      const flood = await floodUntilStalled((index) => publisher.transport.publish("news.", numbered(index, 8192)));
      expect(flood.stalled).toBe(true);
      await rig.within(subscriber.transport.close(), "closing the slow subscriber");
      await rig.within(flood.last, "the publish that waited");
      await rig.within(Promise.resolve(publisher.transport.publish("news.", text("next"))), "the next publish");
      expect(publisher.transport.stats().waiting).toBe(0);
    },
    "backpressure",
  );

  check(
    "an aborted join or subscribe rejects with the signal's reason",
    async (rig) => {
      const [publisher, subscriber] = [await rig.open("publisher"), await rig.open("subscriber")];
      await publisher.transport.close();
      const reason = new Error("enough");
      const controller = new AbortController();
      const join = subscriber.transport.join(publisher.address, { signal: controller.signal });
      controller.abort(reason);
      expect(await join.catch((error: unknown) => error)).toBe(reason);
      const aborted = { signal: AbortSignal.abort(reason) };
      const again = subscriber.transport.join(publisher.address, aborted);
      expect(await again.catch((error: unknown) => error)).toBe(reason);
      const subscribe = subscriber.transport.subscribe("news.", aborted);
      expect(await subscribe.catch((error: unknown) => error)).toBe(reason);
    },
    "joins",
  );

  check(
    "a join that waits for nobody ends when the publisher is left or the transport closes",
    async (rig) => {
      const publishers = await rig.openMany("publisher", 2);
      const subscriber = await rig.open("subscriber");
      for (const { transport } of publishers) await transport.close();
      const [left, closed] = publishers.map(({ address }) => codeOf(() => subscriber.transport.join(address)));
      subscriber.transport.leave(publishers[0]?.address ?? "");
      expect(await rig.within(left ?? Promise.resolve(""), "the join of a publisher that was left")).toBe(
        "PEER_UNREACHABLE",
      );
      await rig.within(subscriber.transport.close(), "close");
      const code = await rig.within(closed ?? Promise.resolve(""), "the join of a transport that was closed");
      expect(["TRANSPORT_CLOSED", "PEER_UNREACHABLE"]).toContain(code);
    },
    "joins",
  );
}

interface Flood {
  /** Whether a publish waited and went on waiting, so that nothing more was published. */
  readonly stalled: boolean;
  /** How many frames were handed over, the one that waits included. */
  readonly published: number;
  readonly last: Promise<void>;
}

/** Publishes until a promise stays pending, or until far more is under way than any buffer should hold. */
async function floodUntilStalled(publish: (index: number) => void | Promise<void>): Promise<Flood> {
  const most = 12_000;
  for (let index = 0; index < most; index++) {
    const last = publish(index);
    if (index % 64 === 63) await new Promise((resolve) => setImmediate(resolve));
    if (!last) continue;
    const state = track(last);
    // A wait that passes while the operating system's buffers fill up is none.
    for (let turn = 0; turn < 50 && !state.settled; turn++) await Bun.sleep(turn < 20 ? 0 : 2);
    if (!state.settled) return { stalled: true, published: index + 1, last };
    await last;
  }
  return { stalled: false, published: 0, last: Promise.resolve() };
}
