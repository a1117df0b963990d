import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { connect, createServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { codeOf, waitFor } from "@soorma/core/testing";
import { formatAddress, parseAddress } from "./address.ts";
import { frame, type Given, type Node, openNode, until } from "./fixtures/open-node.ts";
import { startPeer } from "./fixtures/process.ts";
import { sweep } from "./host.ts";
import { createSocket } from "./sockets.ts";

const folder = mkdtempSync(join(tmpdir(), "zmq-resilience-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const open = (nodeId: string, given?: Given): Promise<Node> => openNode(folder, nodeId, given);

/** Stands between a node and a port, and can lose its connections to that without a word to the node. */
async function proxyTo(endpoint: string) {
  const pairs: { near: Socket; far: Socket; isCut: boolean }[] = [];
  const server = createServer((near) => {
    const far = connect(Number(endpoint.split(":").at(-1)), "127.0.0.1");
    const pair = { near, far, isCut: false };
    pairs.push(pair);
    near.on("data", (bytes) => void (pair.isCut || far.write(bytes)));
    far.on("data", (bytes) => void (pair.isCut || near.write(bytes)));
    near.on("close", () => far.destroy());
    far.on("close", () => void (pair.isCut || near.destroy()));
    for (const side of [near, far]) side.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", () => resolve()));
  const { port } = server.address() as { port: number };
  return {
    endpoint: `127.0.0.1:${port}`,
    cut() {
      for (const pair of pairs) {
        pair.isCut = true;
        pair.far.destroy();
      }
    },
    [Symbol.dispose]() {
      for (const { near, far } of pairs) {
        near.destroy();
        far.destroy();
      }
      server.close();
    },
  };
}

/** Publishes until the subscriber has the event: what was sent to a connection that is gone may be lost. */
async function publishUntilHeard(publisher: Node, subscriber: Node, topic: string, event: string): Promise<void> {
  const publishing = setInterval(() => void publisher.transport.publish(topic, frame(event)), 50);
  try {
    await until(() => subscriber.events.includes(event), `"${event}" is not heard`);
  } finally {
    clearInterval(publishing);
  }
}

/** The end of an old connection may be heard just as the new node is joined; that is refused, and can be asked for again. */
function joinNode(node: Node, address: string): Promise<unknown> {
  const joined = async (): Promise<boolean> => (await codeOf(() => node.transport.join(address))) === "no error";
  return waitFor(joined, { message: `${address} is not joined` });
}

describe("a node at the endpoint of one before it", () => {
  test("keeps its socket file when that one has closed at last", async () => {
    const listen = `ipc://${folder}/after`;
    const first = await open("first", { listen });
    await using stuck = createSocket("dealer", { routingId: "stuck/1", receiveHwm: 1 });
    stuck.connect(listen);
    await stuck.send("hello");
    await until(() => first.messages.length === 1, "no hello");
    const large = new Uint8Array(200_000);
    for (let n = 0; n < 60; n++) {
      void Promise.resolve(first.transport.send("route:stuck/1", large)).catch(() => {});
    }
    let isClosed = false;
    const closing = first.transport.close().finally(() => {
      isClosed = true;
    });
    await until(() => !existsSync(`${folder}/after`), "the first one still has the file");
    await using second = await open("second", { listen });
    expect(isClosed).toBe(false);
    await closing;
    expect(existsSync(`${folder}/after`)).toBe(true);
    await using third = await open("third");
    await third.transport.send(listen, frame("hello"));
    await until(() => second.messages.length === 1, "the second is not reachable");
  });

  test.each(["before", "after"])("is joined and heard, the old one left %s that", async (when) => {
    const listen = `ipc://${folder}/left-${when}`;
    const first = await open("n-first", { listen });
    await using subscriber = await open("subscriber");
    await subscriber.transport.subscribe("news.");
    await subscriber.transport.join(first.address);
    await first.transport.close();
    await using second = await open("n-second", { listen });
    if (when === "before") subscriber.transport.leave(first.address);
    await joinNode(subscriber, second.address);
    if (when === "after") subscriber.transport.leave(first.address);
    await publishUntilHeard(second, subscriber, "news.", "x");
  });

  test("is joined though the subscriber has connected to it already", async () => {
    const listen = `ipc://${folder}/connected`;
    const first = await open("n-first", { listen });
    await using subscriber = await open("subscriber");
    await subscriber.transport.subscribe("news.");
    await subscriber.transport.join(first.address);
    await first.transport.close();
    const told: string[] = [];
    await using second = await open("n-second", { listen, handlers: { onSubscriber: (id) => void told.push(id) } });
    await until(() => told.length > 0, "not connected again");
    await joinNode(subscriber, second.address);
    await publishUntilHeard(second, subscriber, "news.", "x");
  });

  test("of two that open there at once one is refused", async () => {
    const listen = `ipc://${folder}/two-at-once`;
    const both = await Promise.allSettled([open("a", { listen }), open("b", { listen })]);
    for (const one of both) if (one.status === "fulfilled") await one.value.transport.close();
    expect(both.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
  });
});

describe("subscriptions", () => {
  test("beyond the high-water mark are in place when join resolves", async () => {
    await using publisher = await open("publisher");
    await using subscriber = await open("subscriber", { options: { hwm: 5 } });
    const prefixes = Array.from({ length: 20 }, (_, n) => `news.${n}.`);
    await Promise.all(prefixes.map((prefix) => subscriber.transport.subscribe(prefix)));
    await subscriber.transport.join(publisher.address);
    for (const prefix of prefixes) await publisher.transport.publish(prefix, frame(prefix));
    await until(() => subscriber.events.length === 20, "some are missing");
  });

  test("that are thousands at once are in place when they resolve", async () => {
    await using publisher = await open("publisher");
    await using subscriber = await open("subscriber");
    await subscriber.transport.join(publisher.address);
    const prefixes = Array.from({ length: 4_000 }, (_, n) => `news.${n}.`);
    await Promise.all(prefixes.map((prefix) => subscriber.transport.subscribe(prefix)));
    for (const prefix of prefixes) await publisher.transport.publish(prefix, frame(prefix));
    await until(() => subscriber.events.length === 4_000, "some are missing");
  }, 30_000);

  test("do not wait for a publisher that is down, and to join it is refused", async () => {
    await using peer = startPeer("node", "child", JSON.stringify({ dir: folder }));
    const address = await peer.line();
    await using node = await open("parent");
    await node.transport.join(address);
    peer.child.kill("SIGSTOP");
    const again = codeOf(() => node.transport.join(address));
    const early = node.transport.subscribe("x.");
    await until(() => node.changes.at(-1)?.state === "down", "not reported down");
    expect(await again).toBe("PEER_UNREACHABLE");
    await early;
    await node.transport.subscribe("y.");
  }, 30_000);

  test("are heard again when the peer is up again after its connections were lost without a word", async () => {
    await using publisher = await open("publisher", { options: { ipc: false, tcp: true } });
    const parsed = parseAddress(publisher.address);
    if (parsed.kind !== "node" || !parsed.tcp) throw new Error("the address is of no node with TCP");
    using router = await proxyTo(parsed.tcp.router);
    using events = await proxyTo(parsed.tcp.publisher);
    const address = formatAddress({ ...parsed, tcp: { router: router.endpoint, publisher: events.endpoint } });
    await using node = await open("node");
    await node.transport.subscribe("news.");
    await node.transport.join(address);
    await publishUntilHeard(publisher, node, "news.", "one");
    router.cut();
    events.cut();
    await until(() => node.changes.map(({ state }) => state).join() === "up,down,up", "not up again");
    await publishUntilHeard(publisher, node, "news.", "two");
  }, 30_000);
});

test.if(process.platform === "linux")(
  "the sockets of a node that is stopped, and connected to until its queues are full, are not swept",
  async () => {
    const dir = mkdtempSync(join(folder, "full-"));
    await using peer = startPeer("node", "child", JSON.stringify({ dir }));
    await peer.line();
    const files = readdirSync(dir).map((name) => join(dir, name));
    expect(files).toHaveLength(2);
    peer.child.kill("SIGSTOP");
    for (const path of files) {
      for (let isFull = false; !isFull; ) {
        isFull = await new Promise<boolean>((resolve) => {
          const socket = connect({ path });
          socket.once("connect", () => {
            socket.destroy();
            resolve(false);
          });
          socket.once("error", () => resolve(true));
        });
      }
      utimesSync(path, 0, 0);
    }
    await sweep(dir, Date.now());
    expect(files.filter((path) => !existsSync(path))).toEqual([]);
  },
  30_000,
);

test("a send that waits at a slow peer, which is then given up, is PEER_UNREACHABLE", async () => {
  const listen = `ipc://${folder}/slow`;
  await using router = createSocket("router", { receiveHwm: 1 });
  router.onMessage(([routingId, ...rest]) => {
    if (rest.length === 2 && routingId)
      router.trySend([routingId.slice(), Buffer.from("soorma.welcome.1"), Buffer.from("slow")]);
  });
  await router.bind(listen);
  await using node = await open("node", { options: { hwm: 1 } });
  await node.transport.send(listen, frame("x"));
  router.pause();
  const large = new Uint8Array(200_000);
  const failures: Promise<string>[] = [];
  // Those that are taken at once tell nothing; of those that wait the last one has not been sent for certain.
  for (let waiting = 0; waiting < 20; ) {
    const sent = node.transport.send(listen, large);
    if (sent === undefined) continue;
    waiting++;
    failures.push(codeOf(() => sent));
  }
  node.transport.unlink(listen);
  expect(await failures.at(-1)).toBe("PEER_UNREACHABLE");
}, 30_000);

test("a node that is told an IPv6 number as its host's name has an address that others can read", async () => {
  await using six = await open("six", { options: { ipc: false, advertiseHost: "::1" }, listen: "tcp://[::1]:0" });
  expect(six.transport.nodeIdOf(six.address)).toBe("six");
});

test("a socket at a path that libzmq chose leaves no folder", async () => {
  // Something with a reactor that stays.
  await using _other = createSocket("pull");
  const socket = createSocket("pull");
  const path = (await socket.bind("ipc://*")).slice("ipc://".length);
  await socket.close();
  await until(() => !existsSync(join(path, "..")), "the folder is there");
});

const canMount = Bun.spawnSync(["unshare", "-m", "true"], { stdout: "ignore", stderr: "ignore" }).exitCode === 0;
test.if(process.platform === "linux" && canMount)(
  "a name that is looked up slowly holds up nobody else",
  async () => {
    const resolver = join(folder, "resolv.conf");
    writeFileSync(resolver, "nameserver 127.0.0.9\noptions timeout:5 attempts:2\n");
    const script = join(import.meta.dir, "fixtures", "slow-name.ts");
    const mount = `mount --bind ${resolver} /etc/resolv.conf && exec ${process.execPath} ${script} ${folder}`;
    const child = Bun.spawn(["unshare", "-m", "sh", "-c", mount], { stdout: "pipe", stderr: "inherit" });
    expect((await new Response(child.stdout).text()).trim()).toBe("answered before the name");
    expect(await child.exited).toBe(0);
  },
  60_000,
);

test.if(process.platform === "linux").each(["open 1", "open 2", "close 0"])(
  "a process that has no descriptor left to %s ends all the same",
  async (what) => {
    const script = join(import.meta.dir, "fixtures", "few-descriptors.ts");
    const run = `ulimit -n 150 && exec ${process.execPath} ${script} ${folder} ${what}`;
    const child = Bun.spawn(["sh", "-c", run], { stdout: "pipe", stderr: "inherit" });
    const said = (await new Response(child.stdout).text()).trim();
    expect([said, await child.exited]).toEqual([what.startsWith("open") ? "refused" : "closed", 0]);
  },
  60_000,
);
