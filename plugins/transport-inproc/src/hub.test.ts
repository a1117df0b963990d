import { describe, expect, test } from "bun:test";
import { type Address, type PeerChange, silentLogger, systemRuntime, type Transport } from "@soorma/core";
import { codeOf, type FakeRuntime, fakeRuntime } from "@soorma/core/testing";
import inprocPlugin, { createHub, type Hub, inproc } from "./index.ts";

interface Node {
  readonly transport: Transport;
  readonly address: Address;
  readonly messages: string[];
  readonly events: string[];
  readonly peers: string[];
  /** The last frames themselves, kept against the rules. */
  readonly kept: Uint8Array[];
}

const encode = (value: string): Uint8Array => new TextEncoder().encode(value);
const decode = (frame: Uint8Array): string => new TextDecoder().decode(frame);

async function open(hub: Hub, nodeId: string): Promise<Node> {
  const transport = inproc(hub);
  const node = {
    transport,
    address: "",
    messages: [] as string[],
    events: [] as string[],
    peers: [] as string[],
    kept: [] as Uint8Array[],
  };
  node.address = await transport.open({
    nodeId,
    maxFrameBytes: 1000,
    handlers: {
      onMessage(frame) {
        node.messages.push(decode(frame));
        node.kept.push(frame);
      },
      onEvent(frame) {
        node.events.push(decode(frame));
        node.kept.push(frame);
      },
      onPeer: ({ state, reason }: PeerChange) => void node.peers.push(`${state}: ${reason}`),
      onSubscriber() {},
    },
  });
  return node;
}

function world(seed = 1): { runtime: FakeRuntime; hub: Hub } {
  const runtime = fakeRuntime({ seed });
  return { runtime, hub: createHub({ runtime }) };
}

/** Twenty messages from a to b over a link with these faults; what arrived, in order. */
async function arrivals(faults: Parameters<Hub["setEveryLink"]>[0], seed = 1): Promise<string[]> {
  const { runtime, hub } = world(seed);
  const [a, b] = [await open(hub, "a"), await open(hub, "b")];
  a.transport.link(b.address);
  await runtime.runUntilIdle();
  hub.setEveryLink(faults);
  for (let index = 0; index < 20; index++) void a.transport.send(b.address, encode(`${index}`));
  await runtime.runUntilIdle();
  return b.messages;
}

const inOrder = Array.from({ length: 20 }, (_, index) => `${index}`);

describe("a hub's faults", () => {
  test("a delay holds frames for that long in virtual time, and keeps their order", async () => {
    const { runtime, hub } = world();
    hub.setLink("a", "b", { delayMs: 250 });
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    a.transport.link(b.address);
    await runtime.runUntilIdle();
    const sentAtMs = runtime.elapsedMs;
    void a.transport.send(b.address, encode("late"));
    await runtime.advance(249);
    expect(b.messages).toEqual([]);
    await runtime.advance(1);
    expect([b.messages, runtime.elapsedMs - sentAtMs]).toEqual([["late"], 250]);
    expect(await arrivals({ delayMs: [1, 500] })).toEqual(inOrder);
  });

  test("drop loses frames and duplicate doubles them, with their order kept", async () => {
    const dropped = await arrivals({ drop: 0.4 });
    expect(dropped.length).toBeGreaterThan(0);
    expect(dropped.length).toBeLessThan(20);
    expect(dropped).toEqual(inOrder.filter((index) => dropped.includes(index)));
    const doubled = await arrivals({ duplicate: 0.4 });
    expect(doubled.length).toBeGreaterThan(20);
    expect([...new Set(doubled)]).toEqual(inOrder);
    expect(await arrivals({ drop: 1 })).toEqual([]);
  });

  test("reorder lets frames be overtaken and loses none", async () => {
    const reordered = await arrivals({ reorder: 0.3, delayMs: [0, 5] });
    expect(reordered).not.toEqual(inOrder);
    expect(reordered.toSorted((x, y) => Number(x) - Number(y))).toEqual(inOrder);
  });

  test("one seed gives one run, another seed another", async () => {
    const faults = { drop: 0.3, duplicate: 0.3, reorder: 0.3, delayMs: [0, 20] } as const;
    expect(await arrivals(faults, 5)).toEqual(await arrivals(faults, 5));
    expect(await arrivals(faults, 5)).not.toEqual(await arrivals(faults, 6));
  });

  test("the protocol itself is never lost: joins and subscriptions come through a link that loses every frame", async () => {
    const { runtime, hub } = world();
    hub.setEveryLink({ drop: 1, duplicate: 1, reorder: 1 });
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    await a.transport.subscribe("x.");
    let joined = false;
    void a.transport.join(b.address).then(() => {
      joined = true;
    });
    await runtime.runUntilIdle();
    expect(joined).toBe(true);
    void b.transport.publish("x.", encode("lost"));
    await runtime.runUntilIdle();
    expect(a.events).toEqual([]);
  });

  test("a partition breaks connections, loses what was on its way, and heals by itself", async () => {
    const { runtime, hub } = world();
    const [a, b, c] = [await open(hub, "a"), await open(hub, "b"), await open(hub, "c")];
    for (const peer of [b, c]) a.transport.link(peer.address);
    await runtime.runUntilIdle();
    void a.transport.send(b.address, encode("on its way"));
    hub.partition("a", ["b"]);
    const waits = a.transport.send(b.address, encode("waits")) as Promise<void>;
    void a.transport.send(c.address, encode("not concerned"));
    await runtime.runUntilIdle();
    expect([b.messages, c.messages]).toEqual([[], ["not concerned"]]);
    expect(a.peers).toEqual(["up: connected", "up: connected", "down: partitioned"]);
    hub.heal();
    await runtime.runUntilIdle();
    await waits;
    expect(b.messages).toEqual(["waits"]);
    expect(a.peers.at(-1)).toBe("up: connected");
  });

  test("a publisher behind a partition is heard again after it, with nothing to do", async () => {
    const { runtime, hub } = world();
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    await a.transport.subscribe("x.");
    void a.transport.join(b.address);
    await runtime.runUntilIdle();
    hub.partition(["a"], "b");
    void b.transport.publish("x.", encode("missed"));
    await runtime.runUntilIdle();
    hub.heal("a", "b");
    await runtime.runUntilIdle();
    void b.transport.publish("x.", encode("heard"));
    await runtime.runUntilIdle();
    expect(a.events).toEqual(["heard"]);
  });

  test("a cut way holds what is sent; healed in time, it arrives late and in order", async () => {
    const { runtime, hub } = world();
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    a.transport.link(b.address);
    await a.transport.subscribe("x.");
    void a.transport.join(b.address);
    await runtime.runUntilIdle();
    hub.cut("b", "a");
    for (const n of ["1", "2"]) void b.transport.publish("x.", encode(n));
    void a.transport.send(b.address, encode("the other way"));
    await runtime.advance(900);
    expect([a.events, b.messages, a.peers]).toEqual([[], ["the other way"], ["up: connected"]]);
    hub.heal("a", "b");
    await runtime.advance(10_000);
    expect([a.events, a.peers]).toEqual([["1", "2"], ["up: connected"]]);
  });

  test("a cut connection breaks at the missed heartbeat and comes back only when both ways are open", async () => {
    const { runtime, hub } = world();
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    a.transport.link(b.address);
    await runtime.runUntilIdle();
    hub.cut("b", "a");
    await runtime.advance(1_000);
    expect(a.peers).toEqual(["up: connected", "down: heartbeat timeout"]);
    void a.transport.send(b.address, encode("waits"));
    await runtime.advance(10_000);
    expect([a.peers.length, b.messages]).toEqual([2, []]);
    hub.heal();
    await runtime.advance(0);
    expect([a.peers.at(-1), b.messages]).toEqual(["up: connected", ["waits"]]);
  });

  test("faults may name hosts: what a host's next node sends and gets is concerned as well", async () => {
    const { runtime, hub } = world();
    const sink = { onEvent() {}, onPeer() {}, onSubscriber() {} };
    const got: string[] = [];
    const openAt = async (nodeId: string, host: string): Promise<{ transport: Transport; address: Address }> => {
      const transport = inproc(hub, { host });
      const onMessage = (frame: Uint8Array): void => void got.push(`${nodeId}: ${decode(frame)}`);
      return {
        transport,
        address: await transport.open({ nodeId, maxFrameBytes: 100, handlers: { ...sink, onMessage } }),
      };
    };
    const [a, b] = [await openAt("a", "left"), await openAt("b", "right")];
    hub.setLink("*", "right", { drop: 1 });
    a.transport.link(b.address);
    b.transport.link(a.address);
    await runtime.runUntilIdle();
    void a.transport.send(b.address, encode("lost"));
    void b.transport.send(a.address, encode("kept"));
    await runtime.runUntilIdle();
    hub.cut("*", "right");
    hub.crash("b");
    const next = await openAt("c", "right");
    void a.transport.send(next.address, encode("cut"));
    await runtime.advance(5_000);
    expect([got, hub.nodeIdsOf("right")]).toEqual([["a: kept"], ["c"]]);
    hub.heal("*", "right");
    hub.setLink("*", "right", {});
    await runtime.advance(1);
    void a.transport.send(next.address, encode("through"));
    await runtime.advance(1);
    expect(got.at(-1)).toBe("c: through");
  });

  test("a join under way fails when its publisher goes down, and joins it by itself when it is back", async () => {
    const { runtime, hub } = world();
    hub.setEveryLink({ delayMs: 10 });
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    await a.transport.subscribe("x.");
    const joining = codeOf(a.transport.join(b.address));
    await runtime.advance(15);
    expect(hub.crash("b")).toBe(true);
    expect(await joining).toBe("PEER_UNREACHABLE");
    const back = await open(hub, "b");
    await runtime.runUntilIdle();
    void back.transport.publish("x.", encode("hello again"));
    await runtime.runUntilIdle();
    expect(a.events).toEqual(["hello again"]);
  });

  test("a crashed node loses what it was sending, is silent, and its peers are told", async () => {
    const { runtime, hub } = world();
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    a.transport.link(b.address);
    b.transport.link(a.address);
    await runtime.runUntilIdle();
    void b.transport.send(a.address, encode("never arrives"));
    void a.transport.send(b.address, encode("nobody there"));
    expect(hub.crash("b")).toBe(true);
    await runtime.runUntilIdle();
    expect([a.messages, b.messages, b.peers]).toEqual([[], [], ["up: connected"]]);
    expect(a.peers).toEqual(["up: connected", "down: disconnected"]);
    expect(await codeOf(Promise.resolve().then(() => b.transport.publish("x.", encode("?"))))).toBe("TRANSPORT_CLOSED");
    expect([hub.nodeIds, hub.crash("b")]).toEqual([["a"], false]);
    await b.transport.close();
  });

  test("closing waits a second for a slow receiver and no longer", async () => {
    const { runtime, hub } = world();
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    a.transport.link(b.address);
    await runtime.runUntilIdle();
    hub.setLink("a", "b", { delayMs: 5000 });
    void a.transport.send(b.address, encode("too late"));
    const startMs = runtime.elapsedMs;
    const closing = a.transport.close();
    await runtime.runUntilIdle();
    await closing;
    expect([runtime.elapsedMs - startMs, b.messages]).toEqual([1000, []]);
  });
});

describe("a hub", () => {
  test("overwrites a frame when its handler returned, so that keeping one is noticed", async () => {
    const { runtime, hub } = world();
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    await b.transport.subscribe("x.");
    void b.transport.join(a.address);
    void a.transport.send(b.address, encode("message"));
    await runtime.runUntilIdle();
    void a.transport.publish("x.", encode("event"));
    await runtime.runUntilIdle();
    expect([b.messages, b.events]).toEqual([["message"], ["event"]]);
    expect(b.kept.every((frame) => frame.every((byte) => byte === 0xdb))).toBe(true);
  });

  test("a node can send to itself and hear itself", async () => {
    const { runtime, hub } = world();
    const a = await open(hub, "a");
    await a.transport.subscribe("x.");
    void a.transport.join(a.address);
    void a.transport.send(a.address, encode("note to self"));
    await runtime.runUntilIdle();
    void a.transport.publish("x.", encode("said aloud"));
    await runtime.runUntilIdle();
    expect([a.messages, a.events]).toEqual([["note to self"], ["said aloud"]]);
  });

  test("is a network of its own: the same names on another hub do not meet", async () => {
    const [one, other] = [world(), world()];
    const a = await open(one.hub, "a");
    await open(other.hub, "b");
    void a.transport.link("inproc://b");
    await one.runtime.runUntilIdle();
    expect([a.peers, one.hub.nodeIds, other.hub.nodeIds]).toEqual([[], ["a"], ["b"]]);
  });

  test("wrong names are refused: a bad node id, a channel without its last dot, a route as a place to listen", async () => {
    const { hub } = world();
    await expect(open(hub, "Not An Id")).rejects.toThrow(TypeError);
    const a = await open(hub, "a");
    expect(() => a.transport.publish("x", encode("?"))).toThrow(TypeError);
    await expect(a.transport.subscribe("x")).rejects.toThrow(TypeError);
    const handlers = { onMessage() {}, onEvent() {}, onPeer() {}, onSubscriber() {} };
    const routed = inproc(hub).open({ nodeId: "r", maxFrameBytes: 10, listen: "inproc-route:1#a", handlers });
    expect(await codeOf(routed.then(() => {}))).toBe("ADDRESS_INVALID");
  });

  test("a handler that throws is an error of the run, and the other nodes get their frames", async () => {
    const { runtime, hub } = world();
    const transport = inproc(hub);
    const address = await transport.open({
      nodeId: "bad",
      maxFrameBytes: 10,
      handlers: {
        onMessage() {
          throw new Error("handler broke");
        },
        onEvent() {},
        onPeer() {},
        onSubscriber() {},
      },
    });
    const [a, b] = [await open(hub, "a"), await open(hub, "b")];
    void a.transport.send(address, encode("x"));
    void a.transport.send(b.address, encode("y"));
    await expect(runtime.runUntilIdle()).rejects.toThrow("handler broke");
    await runtime.runUntilIdle();
    expect(b.messages).toEqual(["y"]);
  });
});

describe("the inproc plugin", () => {
  const deps = { log: silentLogger, runtime: systemRuntime };

  test("puts transports on the hub it is given, and on one of their own without", async () => {
    const hub = createHub({ runtime: systemRuntime });
    const handlers = { onMessage() {}, onEvent() {}, onPeer() {}, onSubscriber() {} };
    const on = await inprocPlugin.create({ hub }, deps);
    const alone = await inprocPlugin.create({}, deps);
    await on.open({ nodeId: "on", maxFrameBytes: 10, handlers });
    await alone.open({ nodeId: "alone", maxFrameBytes: 10, handlers });
    expect(hub.nodeIds).toEqual(["on"]);
    await Promise.all([on.close(), alone.close()]);
    expect(hub.nodeIds).toEqual([]);
  });
});
