import { expect } from "bun:test";
import type { Check } from "../transport-contract.ts";
import { type Peer, show, text } from "./rig.ts";

/** Links, and what a node is told of its peers. */
export function peerChecks(check: Check): void {
  const states = (peer: Peer, address: string): string[] =>
    peer.changes.filter((change) => change.address === address).map((change) => change.state);

  check(
    "a link brings its peer up once, and linking again does nothing",
    async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      a.transport.link(b.address);
      await rig.until(
        () => a.changes.length > 0,
        () => "the linked peer was not reported",
      );
      a.transport.link(b.address);
      await rig.roundTrip(a, b);
      expect(a.changes.map(({ address, state }) => [address, state])).toEqual([[b.address, "up"]]);
      expect(a.transport.stats().peers).toBe(1);
    },
    "peerEvents",
  );

  check(
    "sending to a peer brings it up too",
    async (rig) => {
      const [a, b] = [await rig.open("a"), await rig.open("b")];
      await a.transport.send(b.address, text("hello"));
      await rig.until(
        () => states(a, b.address).includes("up"),
        () => "the peer that was sent to was not reported",
      );
      expect(states(a, b.address)).toEqual(["up"]);
    },
    "peerEvents",
  );

  check(
    "a peer that closes is reported down, with a reason",
    async (rig) => {
      const [a, b, c] = [await rig.open("a"), await rig.open("b"), await rig.open("c")];
      a.transport.link(b.address);
      a.transport.link(c.address);
      await rig.until(
        () => a.changes.length === 2,
        () => `${a.changes.length} of 2 peers came up`,
      );
      await b.transport.close();
      await rig.until(
        () => states(a, b.address).includes("down"),
        () => "the closed peer was not reported",
      );
      expect(states(a, b.address)).toEqual(["up", "down"]);
      expect(states(a, c.address)).toEqual(["up"]);
      expect(a.changes.at(-1)?.reason).toBeTruthy();
    },
    "peerEvents",
  );

  check(
    "a publisher that closes is reported down to its subscribers",
    async (rig) => {
      const { publisher, subscriber } = await rig.pair("news.");
      await publisher.transport.close();
      await rig.until(
        () => states(subscriber, publisher.address).at(-1) === "down",
        () => "the closed publisher was not reported",
      );
      expect(states(subscriber, publisher.address)).toEqual(["up", "down"]);
    },
    "peerEvents",
  );

  check(
    "a peer that comes back where it listened is up again, and is sent to",
    async (rig) => {
      const listen = await rig.freeAddress();
      const [a, b] = [await rig.open("a"), await rig.open("b", { listen })];
      a.transport.link(listen);
      await rig.until(
        () => states(a, listen).length === 1,
        () => "the peer did not come up",
      );
      await b.transport.close();
      await rig.until(
        () => states(a, listen).length === 2,
        () => "the peer did not go down",
      );
      const taken = a.transport.send(listen, text("are you back?"));
      const again = await rig.open("again", { listen });
      await rig.until(
        () => states(a, listen).length === 3,
        () => "the peer did not come up again",
      );
      await rig.within(Promise.resolve(taken), "the send to a peer that was away");
      expect(states(a, listen)).toEqual(["up", "down", "up"]);
      expect((await rig.messages(again, 1)).map(({ frame }) => show(frame))).toEqual(["are you back?"]);
    },
    "peerEvents",
  );

  check("an unlinked peer is reached again by the next send", async (rig) => {
    const [a, b] = [await rig.open("a"), await rig.open("b")];
    await rig.roundTrip(a, b);
    a.transport.unlink(b.address);
    a.transport.unlink(b.address);
    await rig.roundTrip(a, b);
    expect(b.messages.length).toBe(2);
  });
}
