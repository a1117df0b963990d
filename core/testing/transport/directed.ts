import { expect } from "bun:test";
import { codeOf } from "../code-of.ts";
import type { Check } from "../transport-contract.ts";
import { each, indexOf, limitBytes, mixedSize, numbered, show, text, track, upTo } from "./rig.ts";

/** Directed messages. */
export function directedChecks(check: Check): void {
  check("a directed message arrives, and says from whom it is", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    await a.transport.send(b.address, text("hello"));
    const [message] = await rig.messages(b, 1);
    expect(show(message?.frame ?? text(""))).toBe("hello");
    expect(a.transport.nodeIdOf(b.address)).toBe(b.nodeId);
    expect(b.transport.nodeIdOf(message?.from ?? "")).toBe(a.nodeId);
  });

  check("a reply goes back the way the message came, and so does the answer to it", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    await a.transport.send(b.address, text("question"));
    const [question] = await rig.messages(b, 1);
    await b.transport.send(question?.from ?? "", text("reply"));
    const [reply] = await rig.messages(a, 1);
    expect(show(reply?.frame ?? text(""))).toBe("reply");
    await a.transport.send(reply?.from ?? "", text("thanks"));
    expect(show((await rig.messages(b, 2))[1]?.frame ?? text(""))).toBe("thanks");
  });

  check("directed messages of mixed sizes arrive once each, whole and in order", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    const count = 1500;
    await each(count, (index) => a.transport.send(b.address, numbered(index, mixedSize(index))));
    await rig.messages(b, count);
    await rig.roundTrip(a, b);
    expect(b.messages.slice(0, -1).map(({ frame }) => indexOf(frame))).toEqual(upTo(count));
    expect(b.messages.slice(0, count).map(({ frame }) => frame.byteLength)).toEqual(upTo(count).map(mixedSize));
  });

  check("replies of mixed sizes arrive once each, whole and in order", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    const count = 1500;
    await a.transport.send(b.address, text("begin"));
    const [begin] = await rig.messages(b, 1);
    await each(count, (index) => b.transport.send(begin?.from ?? "", numbered(index, mixedSize(index))));
    await rig.messages(a, count);
    await rig.roundTrip(a, b);
    expect(a.messages.slice(0, -1).map(({ frame }) => indexOf(frame))).toEqual(upTo(count));
  });

  check("a burst that nobody awaits arrives whole and in order", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    const count = 3000;
    const taken = upTo(count).map((index) => a.transport.send(b.address, numbered(index, 100)));
    await rig.within(Promise.all(taken), "the burst");
    await rig.messages(b, count);
    expect(b.messages.map(({ frame }) => indexOf(frame))).toEqual(upTo(count));
  });

  check("many senders reach one receiver, each in its order, and each gets its own replies", async (rig) => {
    const [peers, perPeer] = [16, 50];
    const hub = await rig.open("hub", {
      onMessage(frame, from, peer) {
        const taken = peer.transport.send(from, new Uint8Array(frame));
        if (taken) taken.catch(() => {});
      },
    });
    const senders = await rig.openMany("sender", peers);
    await Promise.all(
      senders.map((sender) => each(perPeer, (index) => sender.transport.send(hub.address, numbered(index, 64)))),
    );
    for (const sender of senders) {
      await rig.messages(sender, perPeer);
      expect(sender.messages.map(({ frame }) => indexOf(frame))).toEqual(upTo(perPeer));
      const fromIt = hub.messages.filter(({ from }) => hub.transport.nodeIdOf(from) === sender.nodeId);
      expect(fromIt.map(({ frame }) => indexOf(frame))).toEqual(upTo(perPeer));
    }
  });

  check("an empty frame arrives as an empty frame", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    await publisher.transport.send(subscriber.address, new Uint8Array(0));
    await publisher.transport.publish("news.", new Uint8Array(0));
    expect((await rig.messages(subscriber, 1))[0]?.frame.byteLength).toBe(0);
    expect((await rig.events(subscriber, 1))[0]?.byteLength).toBe(0);
  });

  check("a frame is only the part of the buffer it is a view of", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const buffer = text("secret|for you|secret");
    await publisher.transport.send(subscriber.address, buffer.subarray(7, 14));
    await publisher.transport.publish("news.", buffer.subarray(7, 14));
    expect(show((await rig.messages(subscriber, 1))[0]?.frame ?? text(""))).toBe("for you");
    expect(show((await rig.events(subscriber, 1))[0] ?? text(""))).toBe("for you");
  });

  check("frames as large as the limit arrive unchanged", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const frame = new Uint8Array(limitBytes).map((_, index) => (index * 31 + (index >> 8)) & 0xff);
    const digest = Bun.hash(frame);
    await publisher.transport.send(subscriber.address, frame);
    await publisher.transport.publish("news.", frame);
    expect(Bun.hash((await rig.messages(subscriber, 1))[0]?.frame ?? text(""))).toBe(digest);
    expect(Bun.hash((await rig.events(subscriber, 1))[0] ?? text(""))).toBe(digest);
  });

  check("a frame over the limit is refused at the sender, which works on", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const frame = new Uint8Array(limitBytes + 1);
    expect(await codeOf(() => publisher.transport.send(subscriber.address, frame))).toBe("MESSAGE_TOO_LARGE");
    expect(await codeOf(() => publisher.transport.publish("news.", frame))).toBe("MESSAGE_TOO_LARGE");
    await publisher.transport.publish("news.", text("small"));
    await rig.roundTrip(publisher, subscriber);
    expect((await rig.events(subscriber, 1)).map(show)).toEqual(["small"]);
  });

  check("a frame over the receiver's own limit does not reach its handler, and later ones do", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b", { maxFrameBytes: 1000 })];
    await rig.roundTrip(a, b);
    const taken = a.transport.send(b.address, new Uint8Array(1001));
    if (taken) taken.catch(() => {});
    // The connection ends with it, and frames sent before that is noticed end with the connection.
    await rig.until(
      () => {
        if (b.messages.some(({ frame }) => show(frame) === "small")) return true;
        const again = a.transport.send(b.address, text("small"));
        if (again) again.catch(() => {});
        return false;
      },
      () => "no small frame arrived after the large one",
    );
    expect(b.messages.filter(({ frame }) => frame.byteLength > 1000)).toEqual([]);
  });

  check("a sender may reuse its buffer once the transport took the frame", async (rig) => {
    const { publisher, subscriber } = await rig.pair("news.");
    const buffer = new Uint8Array(4000);
    const reuse = async (index: number, take: () => void | Promise<void>): Promise<void> => {
      buffer.set(numbered(index, buffer.byteLength));
      await take();
      buffer.fill(255);
    };
    for (let index = 0; index < 20; index++) {
      await reuse(index, () => publisher.transport.send(subscriber.address, buffer));
      await reuse(index, () => publisher.transport.publish("news.", buffer));
    }
    expect((await rig.messages(subscriber, 20)).map(({ frame }) => indexOf(frame))).toEqual(upTo(20));
    expect((await rig.events(subscriber, 20)).map(indexOf)).toEqual(upTo(20));
  });

  check("no handler is called within the turn of the call that causes it", async (rig) => {
    let calling = false;
    const within: string[] = [];
    const { publisher, subscriber } = await rig.pair("news.", {
      onMessage: () => calling && within.push("onMessage"),
      onEvent: () => void (calling && within.push("onEvent")),
    });
    await rig.roundTrip(publisher, subscriber);
    for (let index = 0; index < 20; index++) {
      calling = true;
      const sent = publisher.transport.send(subscriber.address, text("directed"));
      const published = publisher.transport.publish("news.", text("published"));
      calling = false;
      await Promise.all([sent, published]);
    }
    await rig.events(subscriber, 20);
    await rig.roundTrip(publisher, subscriber);
    expect(within).toEqual([]);
  });

  check("handlers may send: 200 messages go back and forth", async (rig) => {
    const pass = (frame: Uint8Array, from: string, send: (to: string, frame: Uint8Array) => void | Promise<void>) => {
      const index = Number(indexOf(frame));
      if (index < 200) void send(from, numbered(index + 1, 32));
    };
    const a = await rig.open("a", {
      onMessage: (frame, from, self) => pass(frame, from, (...p) => self.transport.send(...p)),
    });
    const b = await rig.open("b", {
      onMessage: (frame, from, self) => pass(frame, from, (...p) => self.transport.send(...p)),
    });
    await a.transport.send(b.address, numbered(1, 32));
    await rig.messages(a, 100);
    expect(a.messages.map(({ frame }) => indexOf(frame))).toEqual(upTo(100).map((index) => 2 * index + 2));
    expect(b.messages.map(({ frame }) => indexOf(frame))).toEqual(upTo(100).map((index) => 2 * index + 1));
  });

  check("a message sent before its receiver listens arrives once it does", async (rig) => {
    const listen = await rig.freeAddress();
    const a = await rig.open("a");
    const taken = [a.transport.send(listen, text("first")), a.transport.send(listen, text("second"))];
    const b = await rig.open("b", { listen });
    await rig.within(Promise.all(taken), "a send to a peer that came later");
    expect((await rig.messages(b, 2)).map(({ frame }) => show(frame))).toEqual(["first", "second"]);
  });

  check("a send that waits for nobody ends when the transport closes", async (rig) => {
    const a = await rig.open("a");
    const taken = Promise.resolve(a.transport.send(await rig.freeAddress(), text("anybody?")));
    const state = track(taken);
    await rig.within(a.transport.close(), "close");
    await rig.until(
      () => state.settled,
      () => "a send to nobody did not settle with close",
    );
    expect(["no error", "TRANSPORT_CLOSED"]).toContain(await codeOf(() => taken));
  });

  check("frames that wait when their address is unlinked are not sent later", async (rig) => {
    const listen = await rig.freeAddress();
    const a = await rig.open("a");
    const dropped = Promise.resolve(a.transport.send(listen, text("dropped")));
    const state = track(dropped);
    a.transport.unlink(listen);
    await rig.until(
      () => state.settled,
      () => "a send to nobody did not settle with unlink",
    );
    const b = await rig.open("b", { listen });
    await rig.within(Promise.resolve(a.transport.send(listen, text("sent"))), "the later send");
    await rig.messages(b, 1);
    await rig.roundTrip(a, b);
    expect(b.messages.map(({ frame }) => show(frame))).not.toContain("dropped");
  });

  check("a route to a peer that is gone is refused", async (rig) => {
    const [a, b, c] = [await rig.open("a"), await rig.open("b"), await rig.open("c")];
    await rig.roundTrip(a, b);
    await rig.roundTrip(c, b);
    const routes = b.messages.map(({ from }) => from);
    await a.transport.close();
    c.transport.unlink(b.address);
    for (const route of routes) {
      const isRefused = async () => (await codeOf(() => b.transport.send(route, text("?")))) === "PEER_UNREACHABLE";
      let refused = false;
      await rig.until(
        () => {
          void isRefused().then((is) => {
            refused ||= is;
          });
          return refused;
        },
        () => "a route to a closed or unlinked peer still takes frames",
      );
    }
    expect(routes.length).toBe(2);
  });

  check("a node is reached at the short form it listens at, and at the address open() gave", async (rig) => {
    const listen = await rig.freeAddress();
    const [a, b] = [await rig.open("a"), await rig.open("b", { listen })];
    await a.transport.send(listen, text("short"));
    await rig.messages(b, 1);
    await a.transport.send(b.address, text("full"));
    expect((await rig.messages(b, 2)).map(({ frame }) => show(frame))).toEqual(["short", "full"]);
    expect(a.transport.nodeIdOf(b.address)).toBe(b.nodeId);
    expect([undefined, b.nodeId]).toContain(a.transport.nodeIdOf(listen));
  });

  check("a reply comes from the address that was sent to, or from one that names the same node", async (rig) => {
    const listen = await rig.freeAddress();
    const [a, b] = [await rig.open("a"), await rig.open("b", { listen })];
    for (const to of [listen, b.address]) {
      const count = a.messages.length;
      await a.transport.send(to, text("question"));
      await b.transport.send((await rig.messages(b, count + 1))[count]?.from ?? "", text("reply"));
      const from = (await rig.messages(a, count + 1))[count]?.from ?? "";
      // A caller takes an answer from nobody else.
      if (from !== to) expect(a.transport.nodeIdOf(from)).toBe(a.transport.nodeIdOf(to) ?? "another node");
    }
  });

  check("an address that is none is refused", async (rig) => {
    const a = await rig.open("a");
    expect(await codeOf(() => a.transport.send("not an address", text("?")))).toBe("ADDRESS_INVALID");
    expect(await codeOf(() => a.transport.join("not an address"))).toBe("ADDRESS_INVALID");
    expect(await codeOf(() => rig.open("b", { listen: "not an address" }))).toBe("ADDRESS_INVALID");
  });
}
