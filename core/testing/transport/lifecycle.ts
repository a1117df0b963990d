import { expect } from "bun:test";
import { codeOf } from "../code-of.ts";
import type { Check } from "../transport-contract.ts";
import { indexOf, numbered, show, text, upTo } from "./rig.ts";

/** Opening, closing and counting. */
export function lifecycleChecks(check: Check): void {
  const options = {
    nodeId: "unused",
    maxFrameBytes: 1000,
    handlers: { onMessage() {}, onEvent() {}, onPeer() {}, onSubscriber() {} },
  };

  check("closing twice, at once or later, is fine", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    await rig.within(Promise.all([publisher.transport.close(), publisher.transport.close()]), "closing twice");
    await rig.within(publisher.transport.close(), "closing again");
    await rig.within(Promise.resolve(publisher.transport[Symbol.asyncDispose]()), "disposing");
    await rig.within(subscriber.transport.close(), "closing the other side");
    expect(await codeOf(() => publisher.transport.publish("news.", text("?")))).toBe("TRANSPORT_CLOSED");
  });

  check("closing before open is fine, and opening after that is refused", async (rig) => {
    const transport = await rig.make();
    await rig.within(transport.close(), "closing what is not open");
    expect(await codeOf(() => transport.open(options))).toBe("TRANSPORT_CLOSED");
  });

  check("opening a second time is refused, and the node works on", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    expect(await codeOf(() => b.transport.open(options))).toBe("TRANSPORT_CLOSED");
    await rig.roundTrip(a, b);
    await b.transport.close();
    expect(await codeOf(() => b.transport.open(options))).toBe("TRANSPORT_CLOSED");
  });

  check("a closed transport refuses what cannot be done and takes what undoes", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const { transport } = subscriber;
    await transport.close();
    expect(await codeOf(() => transport.send(publisher.address, text("?")))).toBe("TRANSPORT_CLOSED");
    expect(await codeOf(() => transport.publish("news.", text("?")))).toBe("TRANSPORT_CLOSED");
    expect(await codeOf(() => transport.subscribe("more."))).toBe("TRANSPORT_CLOSED");
    expect(await codeOf(() => transport.join(publisher.address))).toBe("TRANSPORT_CLOSED");
    transport.unlink(publisher.address);
    transport.leave(publisher.address);
    transport.unsubscribe("news.");
    expect(transport.stats().waiting).toBe(0);
  });

  check("an address somebody listens at is refused to others, and free once that one closed", async (rig) => {
    const listen = await rig.freeAddress();
    const [a, first] = [await rig.open("a"), await rig.open("first", { listen })];
    expect(await codeOf(() => rig.open("second", { listen }))).toBe("ADDRESS_IN_USE");
    await a.transport.send(listen, text("1"));
    await rig.messages(first, 1);
    await rig.within(first.transport.close(), "close");
    const third = await rig.open("third", { listen });
    const b = await rig.open("b");
    await b.transport.send(listen, text("2"));
    expect((await rig.messages(third, 1)).map(({ frame }) => show(frame))).toEqual(["2"]);
  });

  check("close sends what was handed over", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    await rig.roundTrip(publisher, subscriber);
    for (const index of upTo(200)) {
      void publisher.transport.send(subscriber.address, numbered(index, 500));
      void publisher.transport.publish("news.", numbered(index, 500));
    }
    await rig.within(publisher.transport.close(), "close");
    await rig.messages(subscriber, 201);
    await rig.events(subscriber, 200);
    expect(subscriber.messages.slice(1).map(({ frame }) => indexOf(frame))).toEqual(upTo(200));
    expect(subscriber.events.map(indexOf)).toEqual(upTo(200));
  });

  check("no handler is called once close resolved", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const witness = await rig.open("witness");
    await rig.roundTrip(publisher, subscriber);
    for (const index of upTo(300)) {
      const sent = publisher.transport.send(subscriber.address, numbered(index, 500));
      if (sent) sent.catch(() => {});
      void publisher.transport.publish("news.", numbered(index, 500));
    }
    await rig.within(subscriber.transport.close(), "close");
    const count = () => [subscriber.messages.length, subscriber.events.length, subscriber.changes.length];
    const atClose = count();
    for (let round = 0; round < 5; round++) await rig.roundTrip(publisher, witness);
    expect(count()).toEqual(atClose);
  });

  check("stats count what was sent, received and who is connected", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    for (let index = 0; index < 10; index++) {
      await publisher.transport.send(subscriber.address, numbered(index, 50));
      await publisher.transport.publish("news.", numbered(index, 50));
    }
    await rig.messages(subscriber, 10);
    await rig.events(subscriber, 10);
    const [there, here] = [publisher.transport.stats(), subscriber.transport.stats()];
    expect(there.sent).toBeGreaterThanOrEqual(20);
    expect(here.received).toBeGreaterThanOrEqual(20);
    expect(there.peers).toBeGreaterThanOrEqual(1);
    expect(here.peers).toBeGreaterThanOrEqual(1);
    for (const { malformed, dropped, waiting } of [there, here])
      expect([malformed, dropped, waiting]).toEqual([0, 0, 0]);
    await publisher.transport.close();
    await rig.until(
      () => subscriber.transport.stats().peers === 0,
      () => `${subscriber.transport.stats().peers} peers are still counted`,
    );
  });
}
