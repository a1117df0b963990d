import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync } from "node:fs";
import { hostname, tmpdir } from "node:os";
import { join } from "node:path";
import { isSoormaError, type LogLine } from "@soorma/core";
import { codeOf } from "@soorma/core/testing";
import { formatAddress, parseAddress } from "./address.ts";
import { frame, type Given, type Node, openNode, text, until } from "./fixtures/open-node.ts";
import { startPeer } from "./fixtures/process.ts";
import { sweep } from "./host.ts";
import { createSocket, curveKeypair } from "./sockets.ts";

const folder = mkdtempSync(join(tmpdir(), "zmq-transport-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const open = (nodeId: string, given?: Given): Promise<Node> => openNode(folder, nodeId, given);

describe.each([
  ["ipc", "{}"],
  ["tcp", JSON.stringify({ ipc: false, tcp: true })],
])("a peer in another process, over %s", (_, options) => {
  const childOptions = JSON.stringify({ dir: folder, ...JSON.parse(options) });

  test("that is killed is down at once, and what was sent to it fails", async () => {
    await using peer = startPeer("node", "child", childOptions);
    const address = await peer.line();
    await using node = await open("parent", { options: { connectTimeoutMs: 3_000 } });
    await node.transport.send(address, frame("hello"));
    await until(() => node.messages[0] === "hello", "no answer");
    peer.child.kill("SIGKILL");
    const startMs = performance.now();
    await until(() => node.changes.at(-1)?.state === "down", "not reported down");
    expect(performance.now() - startMs).toBeLessThan(2000);
    expect(node.changes.map(({ state }) => state)).toEqual(["up", "down"]);
    expect(await codeOf(() => node.transport.send(address, frame("?")))).toBe("PEER_UNREACHABLE");
  });

  test("that is stopped is down soon, and up again when it goes on", async () => {
    await using peer = startPeer("node", "child", childOptions);
    const address = await peer.line();
    await using node = await open("parent");
    await node.transport.join(address);
    node.transport.link(address);
    peer.child.kill("SIGSTOP");
    const startMs = performance.now();
    await until(() => node.changes.at(-1)?.state === "down", "not reported down");
    // 250 ms until it is asked, 750 ms for its answer, and some for a busy machine.
    expect(performance.now() - startMs).toBeLessThan(3000);
    peer.child.kill("SIGCONT");
    await until(() => node.changes.at(-1)?.state === "up", "not reported up again");
  });

  test("that keeps its processor busy is not down, however much is sent to it", async () => {
    await using peer = startPeer("node", "child", childOptions);
    const address = await peer.line();
    await using node = await open("parent");
    await node.transport.send(address, frame("busy 2500"));
    const filler = frame("x".repeat(20_000));
    let sent = 1;
    for (let slow = false; !slow; ) {
      const waiting = node.transport.send(address, filler);
      sent++;
      slow = waiting !== undefined;
      if (slow || sent % 50 === 0) await (waiting ?? Bun.sleep(1));
    }
    await until(() => node.messages.length === sent, "not everything was answered");
    expect(node.changes.map(({ state }) => state)).toEqual(["up"]);
  });
});

describe("addresses", () => {
  test("say which node they belong to", async () => {
    await using node = await open("a-node");
    expect(node.transport.nodeIdOf(node.address)).toBe("a-node");
    expect(node.transport.nodeIdOf("route:b-node/x1")).toBe("b-node");
    expect(node.transport.nodeIdOf("tcp://127.0.0.1:1")).toBeUndefined();
  });

  test("survive being written and read", () => {
    const address = {
      kind: "node",
      nodeId: "n-1",
      hostId: "h",
      ipc: { router: "/a b/c&d.r", publisher: "/a b/c&d.p" },
      tcp: { router: "host:1", publisher: "[::1]:2" },
      key: `${"a".repeat(39)}&`,
    } as const;
    expect(parseAddress(formatAddress(address))).toEqual(address);
  });

  test("that make no sense are ADDRESS_INVALID, never an endpoint", async () => {
    await using node = await open("a-node");
    const bad = [
      "",
      "nonsense",
      "tcp://",
      "tcp://host",
      "tcp://host:99999",
      "tcp://host:1;x",
      "ipc://relative",
      `ipc:///${"x".repeat(200)}`,
      "zeromq://UPPER?ipc=/a&ipcpub=/b",
      "zeromq://n",
      "zeromq://n?ipc=/a",
      "zeromq://n?tcp=a:1&tcppub=b",
      "zeromq://n?tcp=a:1&tcppub=b:2&key=short",
      "route:",
      "route:../x",
    ];
    for (const address of bad)
      expect([address, await codeOf(() => node.transport.send(address, frame("")))]).toEqual([
        address,
        "ADDRESS_INVALID",
      ]);
    expect(await codeOf(() => node.transport.join("tcp://127.0.0.1:1"))).toBe("ADDRESS_INVALID");
    expect(await codeOf(() => node.transport.link("route:a/1"))).toBe("ADDRESS_INVALID");
  });

  test("of a node listening everywhere have its host's name, or the one it is told", async () => {
    await using named = await open("named", { listen: "tcp://0.0.0.0:0" });
    expect(named.address).toContain(`tcp=${hostname()}%3A`);
    await using told = await open("told", { listen: "tcp://0.0.0.0:0", options: { advertiseHost: "10.9.8.7" } });
    expect(told.address).toContain("tcp=10.9.8.7%3A");
  });

  test("of a taken port name the process that has it", async () => {
    await using first = await open("first", { listen: "tcp://127.0.0.1:0" });
    const port = /tcp=127.0.0.1%3A(\d+)/.exec(first.address)?.[1];
    const error = await open("second", { listen: `tcp://127.0.0.1:${port}` }).catch((thrown: unknown) => thrown);
    expect(isSoormaError(error, "ADDRESS_IN_USE")).toBe(true);
    expect(String(error)).toContain(`tcp://127.0.0.1:${port}`);
    if (process.platform === "linux") expect(String(error)).toContain(`(pid ${process.pid})`);
  });

  test("by IPv6 and by host name are reached, and joined", async () => {
    const options = { ipc: false };
    await using six = await open("six", { options, listen: "tcp://[::1]:0" });
    await using four = await open("four", {
      options: { ...options, advertiseHost: "localhost" },
      listen: "tcp://127.0.0.1:0",
    });
    await using node = await open("node", { options: { ...options, tcp: true } });
    await node.transport.subscribe("news.");
    for (const { transport, address, messages } of [six, four]) {
      await node.transport.send(address, frame("hello"));
      await until(() => messages.length === 1, `nothing arrived at ${address}`);
      await node.transport.join(address);
      await transport.publish("news.", frame(address));
    }
    await until(() => node.events.length === 2, "not all events arrived");
  });
});

describe("the wrong node at an endpoint", () => {
  test("gets nothing that was meant for another", async () => {
    const listen = `ipc://${folder}/shared`;
    await using sender = await open("sender", { options: { connectTimeoutMs: 3_000 } });
    const first = await open("first", { listen });
    await sender.transport.send(first.address, frame("for first"));
    await until(() => first.messages.length === 1, "the first message did not arrive");
    await first.transport.close();
    await until(() => sender.changes.at(-1)?.state === "down", "not down");
    await using second = await open("second", { listen });
    const waiting = Promise.resolve(sender.transport.send(first.address, frame("for first too")));
    const error = await waiting.catch((thrown: unknown) => thrown);
    expect(isSoormaError(error, "PEER_UNREACHABLE")).toBe(true);
    expect(String(error)).toContain("node second answered");
    await sender.transport.send(second.address, frame("for second"));
    await until(() => second.messages.length > 0, "nothing arrived at the second");
    expect(second.messages).toEqual(["for second"]);
  });
});

describe("subscribers", () => {
  test("that are stuck slow a publisher down once, are counted, and others miss nothing", async () => {
    const logged: LogLine[] = [];
    const gate = Promise.withResolvers<void>();
    await using publisher = await open("publisher", { options: { slowSubscriberMs: 200, hwm: 50 }, logged });
    await using stuck = await open("stuck", { options: { hwm: 50 }, handlers: { onEvent: () => gate.promise } });
    await using good = await open("good", { options: { hwm: 50 } });
    for (const { transport } of [stuck, good]) {
      await transport.subscribe("news.");
      await transport.join(publisher.address);
    }
    const count = 2000;
    const filler = "x".repeat(8192);
    for (let i = 0; i < count; i++) await publisher.transport.publish("news.", frame(`${i} ${filler}`));
    await until(() => good.events.length === count, `only ${good.events.length} arrived`);
    expect(good.events.map((event) => Number(event.split(" ")[0]))).toEqual(Array.from({ length: count }, (_, i) => i));
    expect(publisher.transport.stats().dropped).toBeGreaterThan(0);
    expect(logged.filter(({ event }) => event === "publish.dropped").length).toBe(1);
    gate.resolve();
  });

  test("held back longer than a heartbeat takes keep their connection and miss nothing", async () => {
    const gate = Promise.withResolvers<void>();
    const seen: number[] = [];
    const options = { hwm: 20, slowSubscriberMs: 60_000, heartbeatMs: 100, heartbeatTimeoutMs: 200 };
    await using publisher = await open("publisher", { options });
    await using slow = await open("slow", {
      options,
      handlers: {
        onEvent(event) {
          seen.push(Number(text(event).split(" ")[0]));
          return gate.promise;
        },
      },
    });
    await slow.transport.subscribe("news.");
    await slow.transport.join(publisher.address);
    const filler = "x".repeat(50_000);
    let published = 0;
    let last: Promise<void> | undefined;
    while (last === undefined) {
      const waiting = publisher.transport.publish("news.", frame(`${published++} ${filler}`));
      if (waiting === undefined) continue;
      // Several heartbeat timeouts: the time itself is what is tested here.
      const passed = await Promise.race([waiting.then(() => true), Bun.sleep(1000).then(() => false)]);
      if (!passed) last = waiting;
    }
    gate.resolve();
    await last;
    await until(() => seen.length === published, `${seen.length} of ${published} arrived`);
    expect(seen).toEqual(Array.from({ length: published }, (_, i) => i));
    expect(slow.changes.filter(({ state }) => state === "down")).toEqual([]);
  });

  test("are known again to a publisher that comes back where it was", async () => {
    const told: string[] = [];
    const listen = `ipc://${folder}/comes-back`;
    const handlers = { onSubscriber: (nodeId: string) => void told.push(nodeId) };
    const first = await open("publisher", { listen, handlers });
    await using subscriber = await open("subscriber");
    await subscriber.transport.subscribe("news.");
    await subscriber.transport.join(first.address);
    await first.transport.close();
    await until(() => subscriber.changes.at(-1)?.state === "down", "not down");
    told.length = 0;
    await using again = await open("publisher", { listen, handlers });
    await until(() => told.includes("subscriber"), "not told of the subscriber");
    await again.transport.publish("news.", frame("back"));
    await until(() => subscriber.events.length === 1, "the event did not arrive");
  });
});

describe("security", () => {
  test("nodes with keys talk and hear each other; a keyless node does neither", async () => {
    const curve = () => ({ security: "curve", ...curveKeypair() });
    await using a = await open("a", { options: curve() });
    await using b = await open("b", { options: curve() });
    await using keyless = await open("keyless", { options: { connectTimeoutMs: 300 } });
    await b.transport.subscribe("news.");
    await b.transport.join(a.address);
    await a.transport.publish("news.", frame("secret"));
    await b.transport.send(a.address, frame("hello"));
    await until(() => b.events.length === 1 && a.messages.length === 1, "keyed nodes do not talk");
    expect(await codeOf(() => keyless.transport.send(a.address, frame("intruder")))).toBe("PEER_UNREACHABLE");
    expect(await codeOf(() => keyless.transport.join(a.address, { signal: AbortSignal.timeout(500) }))).not.toBe(
      "no error",
    );
    expect(a.messages).toEqual(["hello"]);
  });

  test("a node with curve and no keys is refused", async () => {
    expect(await codeOf(() => open("a", { options: { security: "curve" } }))).toBe("PLUGIN_OPTIONS_INVALID");
  });
});

test("socket files of killed processes are swept, and a closed node leaves none", async () => {
  const dir = mkdtempSync(join(folder, "sweep-"));
  await using peer = startPeer("node", "child", JSON.stringify({ dir }));
  await peer.line();
  const left = readdirSync(dir);
  expect(left.length).toBe(2);
  peer.child.kill("SIGKILL");
  await peer.child.exited;
  // Who has just bound a socket is about to listen at it.
  expect(await sweep(dir, Date.now())).toBe(0);
  expect(readdirSync(dir)).toEqual(left);
  for (const name of left) utimesSync(join(dir, name), 0, 0);
  const node = await open("node", { options: { dir } });
  await until(() => left.every((name) => !existsSync(join(dir, name))), "stale files are still there");
  await node.transport.close();
  expect(readdirSync(dir)).toEqual([]);
});

test("messages that are no messages of the protocol are counted and dropped", async () => {
  await using node = await open("node", { listen: `ipc://${folder}/strict` });
  await using plain = createSocket("dealer");
  await using named = createSocket("dealer", { routingId: "some-node/1" });
  for (const socket of [plain, named]) socket.connect(`ipc://${folder}/strict`);
  await plain.send("no node id");
  await named.send(["three", "frames", "here"]);
  await named.send(["not", "hello"]);
  await named.send("fine");
  await until(() => node.messages.length === 1 && node.transport.stats().malformed === 3, "not counted");
  expect(node.messages).toEqual(["fine"]);
});

test("links that are given up while they connect end without a word", async () => {
  await using server = await open("given-up-server");
  await using node = await open("given-up");
  const { transport } = node;
  // Whenever it is closed: between the handshake and the news of it, too.
  for (let turns = 0; turns < 60; turns++) {
    transport.link(server.address);
    for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve));
    transport.unlink(server.address);
  }
  transport.link(server.address);
  await until(() => transport.stats().peers === 1, "the last link is not up");
});
