import { afterAll, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isSoormaError } from "@soorma/core";
import { codeOf, waitFor } from "@soorma/core/testing";
import { startPeer } from "./fixtures/process.ts";
import { createSocket, curveKeypair, type MonitorEvent } from "./sockets.ts";

const folder = mkdtempSync(join(tmpdir(), "zmq-sockets-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
let names = 0;
const ipc = (): string => `ipc://${folder}/s${++names}`;

describe.each(["ipc", "tcp"])("over %s", (protocol) => {
  const endpoint = (): string => (protocol === "ipc" ? ipc() : "tcp://127.0.0.1:0");

  test("frames of 0 bytes to 8 MiB arrive whole, with their boundaries", async () => {
    await using pull = createSocket("pull");
    await using push = createSocket("push");
    push.connect(await pull.bind(endpoint()));
    const sizes = [0, 1, 29, 33, 34, 255, 256, 65_536, 262_144, 262_145, 8 * 1024 * 1024];
    const frames = sizes.map((size) => new Uint8Array(size).map((_, i) => (i * 7 + size) & 255));
    await push.send(frames);
    for (const frame of frames) await push.send(frame);
    const received = await pull.receive();
    expect(received.map((frame) => frame.byteLength)).toEqual(sizes);
    expect(received.map((frame) => Bun.hash(frame))).toEqual(frames.map((frame) => Bun.hash(frame)));
    for (const frame of frames) expect((await pull.receive()).map((one) => Bun.hash(one))).toEqual([Bun.hash(frame)]);
  });

  test("a send beyond the high-water mark waits, and goes on when the receiver does", async () => {
    await using pull = createSocket("pull", { receiveHwm: 5 });
    await using push = createSocket("push", { sendHwm: 5 });
    push.connect(await pull.bind(endpoint()));
    const frame = new Uint8Array(100_000);
    let taken = 0;
    let last: Promise<void> | undefined;
    while (last === undefined) {
      const waiting = push.send(frame);
      taken++;
      if (waiting === undefined) continue;
      const passed = await Promise.race([waiting.then(() => true), Bun.sleep(200).then(() => false)]);
      if (!passed) last = waiting;
    }
    expect(push.waiting).toBe(1);
    for (let i = 0; i < taken; i++) expect((await pull.receive())[0]?.byteLength).toBe(frame.byteLength);
    await last;
    expect(push.waiting).toBe(0);
  });

  test("200,000 messages arrive once each and in order", async () => {
    await using pull = createSocket("pull");
    await using push = createSocket("push");
    push.connect(await pull.bind(endpoint()));
    const count = 200_000;
    let received = 0;
    let wrong = 0;
    pull.onMessage(([frame]) => {
      if (frame === undefined || new DataView(frame.buffer, frame.byteOffset).getUint32(0) !== received) wrong++;
      received++;
    });
    const frame = new Uint8Array(16);
    for (let i = 0; i < count; i++) {
      new DataView(frame.buffer).setUint32(0, i);
      const waiting = push.send(frame);
      if (waiting !== undefined) await waiting;
    }
    await waitFor(() => received === count, { message: () => `${received} of ${count} arrived` });
    expect(wrong).toBe(0);
  }, 30_000);
});

test("a send that waits can be aborted, and is not sent then", async () => {
  await using push = createSocket("push");
  const controller = new AbortController();
  const first = push.send("first", { signal: controller.signal });
  const second = push.send("second");
  controller.abort(new Error("enough"));
  expect(String(await Promise.resolve(first).catch((error: unknown) => error))).toBe("Error: enough");
  await using pull = createSocket("pull");
  push.connect(await pull.bind(ipc()));
  await second;
  expect(String(Buffer.from((await pull.receive())[0] ?? ""))).toBe("second");
});

test("receive can be aborted, serves its callers in order, and ends with the socket", async () => {
  const pull = createSocket("pull");
  await using push = createSocket("push");
  push.connect(await pull.bind(ipc()));
  const controller = new AbortController();
  const [first, aborted, second] = [pull.receive(), pull.receive({ signal: controller.signal }), pull.receive()];
  controller.abort(new Error("enough"));
  expect(String(await aborted.catch((error: unknown) => error))).toBe("Error: enough");
  await push.send("1");
  await push.send("2");
  expect(String(Buffer.from((await first)[0] ?? ""))).toBe("1");
  expect(String(Buffer.from((await second)[0] ?? ""))).toBe("2");
  const never = codeOf(() => pull.receive());
  await pull.close();
  expect(await never).toBe("TRANSPORT_CLOSED");
});

test("a batch holds copies of all messages, in order", async () => {
  await using pull = createSocket("pull");
  await using push = createSocket("push");
  push.connect(await pull.bind(ipc()));
  const seen: Uint8Array[][] = [];
  pull.onBatch((messages) => seen.push(...messages));
  for (let i = 0; i < 2500; i++) await push.send([`${i}`, "x"]);
  await waitFor(() => seen.length === 2500, { message: () => `${seen.length} of 2500 arrived` });
  expect(seen.map(([first]) => Buffer.from(first ?? "").toString())).toEqual(
    Array.from({ length: 2500 }, (_, i) => `${i}`),
  );
});

test("REQ and REP take turns; out of turn is a TypeError", async () => {
  await using rep = createSocket("rep");
  await using req = createSocket("req");
  req.connect(await rep.bind(ipc()));
  await req.send("question");
  expect(() => req.send("again")).toThrow(TypeError);
  expect(String(Buffer.from((await rep.receive())[0] ?? ""))).toBe("question");
  await rep.send("answer");
  expect(String(Buffer.from((await req.receive())[0] ?? ""))).toBe("answer");
});

test("XSUB and XPUB pass subscriptions as messages; PUB and SUB filter by prefix", async () => {
  await using xpub = createSocket("xpub");
  await using xsub = createSocket("xsub");
  xsub.connect(await xpub.bind(ipc()));
  await xsub.send(Buffer.from("\x01news."));
  expect(String(Buffer.from((await xpub.receive())[0] ?? ""))).toBe("\x01news.");
  await xpub.send(["sports.", "no"]);
  await xpub.send(["news.", "yes"]);
  expect((await xsub.receive()).map((frame) => Buffer.from(frame).toString())).toEqual(["news.", "yes"]);
});

test("a send that fails does not make a socket deaf for what came meanwhile", async () => {
  for (let i = 0; i < 20; i++) {
    await using router = createSocket("router", { mandatory: true });
    await using dealer = createSocket("dealer");
    const received: string[] = [];
    router.onMessage((frames) => void received.push(String(Buffer.from(frames[1] ?? []))));
    const endpoint = `inproc://deaf-${i}`;
    await router.bind(endpoint);
    dealer.connect(endpoint);
    void dealer.send("first");
    await waitFor(() => received.length === 1);
    // Without a turn of the loop between them: the message is announced within this process at once, and the call that
    // fails a while later processes the announcement.
    void dealer.send("second");
    const untilMs = performance.now() + 3;
    while (performance.now() < untilMs);
    expect(() => router.trySend([Buffer.from("nobody"), Buffer.from("x")])).toThrow();
    await waitFor(() => received.length === 2, { timeoutMs: 2_000 });
    expect(received).toEqual(["first", "second"]);
  }
});

test("a mandatory ROUTER refuses an unknown peer", async () => {
  await using router = createSocket("router", { mandatory: true });
  await router.bind(ipc());
  expect(await codeOf(() => router.send(["nobody", "hello"]))).toBe("PEER_UNREACHABLE");
});

test("a ROUTER that waits for one peer goes on sending to others", async () => {
  await using router = createSocket("router", { mandatory: true, sendHwm: 2 });
  const endpoint = await router.bind(ipc());
  await using slow = createSocket("dealer", { routingId: "slow", receiveHwm: 2 });
  await using quick = createSocket("dealer", { routingId: "quick" });
  for (const dealer of [slow, quick]) {
    dealer.connect(endpoint);
    await dealer.send("hello");
    await router.receive();
  }
  const frame = new Uint8Array(200_000);
  const sends: unknown[] = [];
  while (router.waiting === 0) {
    const taken = router.send(["slow", frame]);
    sends.push(taken);
    await Promise.race([taken, Bun.sleep(200)]);
  }
  for (let i = 0; i < 100; i++) {
    await router.send(["quick", `${i}`]);
    expect(String(Buffer.from((await quick.receive())[0] ?? ""))).toBe(`${i}`);
  }
  for (let i = 0; i < sends.length; i++) await slow.receive();
  await Promise.all(sends);
});

describe("endpoints", () => {
  test("a taken tcp port and a taken ipc path are ADDRESS_IN_USE, and the holder works on", async () => {
    for (const endpoint of ["tcp://127.0.0.1:0", ipc()]) {
      await using pull = createSocket("pull");
      const bound = await pull.bind(endpoint);
      await using other = createSocket("pull");
      expect(await codeOf(() => other.bind(bound))).toBe("ADDRESS_IN_USE");
      await using push = createSocket("push");
      push.connect(bound);
      await push.send("still here");
      expect(String(Buffer.from((await pull.receive())[0] ?? ""))).toBe("still here");
    }
  });

  test("an ipc path longer than the system takes is refused with its length", async () => {
    await using pull = createSocket("pull");
    const path = `/tmp/${"x".repeat(110)}`;
    const error = await pull.bind(`ipc://${path}`).catch((thrown: unknown) => thrown);
    expect(isSoormaError(error, "ADDRESS_INVALID")).toBe(true);
    expect(String(error)).toContain("115 bytes");
    expect(await codeOf(() => pull.connect(`ipc://${path}`))).toBe("ADDRESS_INVALID");
  });

  test("an ipc socket's file is gone after close, and a stale one is bound over", async () => {
    const endpoint = ipc();
    const path = endpoint.slice("ipc://".length);
    const pull = createSocket("pull");
    await pull.bind(endpoint);
    expect(existsSync(path)).toBe(true);
    await pull.close();
    expect(existsSync(path)).toBe(false);
    writeFileSync(path, "");
    await using again = createSocket("pull");
    expect(await again.bind(endpoint)).toBe(endpoint);
  });

  test("unbind, disconnect and nonsense", async () => {
    await using pull = createSocket("pull");
    const bound = await pull.bind("tcp://127.0.0.1:*");
    pull.unbind(bound);
    await using other = createSocket("pull");
    await waitFor(async () => (await codeOf(() => other.bind(bound))) === "no error", {
      message: "the port stays taken",
    });
    pull.connect(bound);
    pull.disconnect(bound);
    pull.disconnect(bound);
    for (const bad of ["nonsense", "tcp://127.0.0.1", "tcp://999.1.1.1:80", "udp://127.0.0.1:9"]) {
      expect(await codeOf(() => pull.bind(bad))).toBe("ADDRESS_INVALID");
    }
    expect(() => createSocket("dealer", { routingId: "" })).toThrow(TypeError);
    expect(() => createSocket("dealer", { sendHwm: -1 })).toThrow(TypeError);
  });
});

describe("the end", () => {
  const descriptors = (): number => readdirSync("/proc/self/fd").length;

  test.if(process.platform === "linux")("all descriptors are back after opening and closing 300 sockets", async () => {
    await createSocket("pair").close();
    const before = descriptors();
    for (let round = 0; round < 3; round++) {
      const sockets = Array.from({ length: 100 }, () => createSocket("dealer"));
      for (const socket of sockets) {
        socket.onEvent(["connected"], () => {});
        socket.connect(`ipc://${folder}/nobody`);
      }
      await Promise.all(sockets.map((socket) => socket.close()));
    }
    expect(descriptors()).toBeLessThanOrEqual(before);
  });

  test("closing twice is fine, and a closed socket refuses calls", async () => {
    const pull = createSocket("pull");
    await Promise.all([pull.close(), pull.close()]);
    await pull.close();
    expect(pull.closed).toBe(true);
    expect(await codeOf(() => pull.receive())).toBe("TRANSPORT_CLOSED");
    expect(await codeOf(() => pull.bind(ipc()))).toBe("TRANSPORT_CLOSED");
    expect(await codeOf(() => pull.connect(ipc()))).toBe("TRANSPORT_CLOSED");
  });

  test("close with linger resolves when what was sent has left", async () => {
    await using pull = createSocket("pull");
    const endpoint = await pull.bind(ipc());
    const push = createSocket("push", { lingerMs: 10_000 });
    push.connect(endpoint);
    for (let i = 0; i < 500; i++) await push.send(new Uint8Array(1000));
    let received = 0;
    pull.onMessage(() => received++);
    await push.close();
    await waitFor(() => received === 500, { message: () => `${received} of 500 arrived` });
  });

  test.each([
    ["ends-by-itself", 0, "a process whose sockets are closed"],
    ["unreferenced", 0, "a process with sockets that do not keep it alive"],
  ])("%s: exit code %p of %s", async (role, code) => {
    await using peer = startPeer(role);
    await peer.line();
    expect(await peer.child.exited).toBe(code);
  });

  test("process.exit works while sockets are open", async () => {
    await using peer = startPeer("exit-while-open");
    expect(await peer.child.exited).toBe(7);
  });

  test("an open socket keeps its process alive until it is closed", async () => {
    await using peer = startPeer("referenced");
    const endpoint = await peer.line();
    await using push = createSocket("push", { lingerMs: 1000 });
    push.connect(endpoint);
    await push.send("you may go");
    expect(await peer.child.exited).toBe(0);
  });
});

describe("monitor", () => {
  test("both sides report the life of a connection, with its endpoint", async () => {
    const [server, client]: [MonitorEvent[], MonitorEvent[]] = [[], []];
    await using pull = createSocket("pull");
    pull.onEvent(["listening", "accepted", "handshakeSucceeded", "disconnected"], (event) => server.push(event));
    const endpoint = await pull.bind("tcp://127.0.0.1:0");
    const push = createSocket("push");
    push.onEvent(["connected", "handshakeSucceeded"], (event) => client.push(event));
    push.connect(endpoint);
    await waitFor(() => client.length === 2, { message: "no handshake" });
    await push.close();
    await waitFor(() => server.at(-1)?.type === "disconnected", { message: "no disconnect" });
    expect(client.map(({ type, endpoint: at }) => [type, at])).toEqual([
      ["connected", endpoint],
      ["handshakeSucceeded", endpoint],
    ]);
    expect(server.map(({ type }) => type)).toEqual(["listening", "accepted", "handshakeSucceeded", "disconnected"]);
  });
});

describe("CURVE", () => {
  test("a pair with keys talks; keyless, wrong and plain peers get nothing through", async () => {
    const [server, client, other] = [curveKeypair(), curveKeypair(), curveKeypair()];
    await using pull = createSocket("pull", { curve: server });
    const failures: string[] = [];
    // Whoever sees first that they do not match ends it, so the server sees a failed handshake or a closed connection.
    const ends = ["handshakeFailed", "handshakeFailedProtocol", "handshakeFailedAuth", "disconnected"] as const;
    pull.onEvent(ends, ({ type }) => failures.push(type));
    const endpoint = await pull.bind("tcp://127.0.0.1:0");
    await using keyless = createSocket("push", { reconnectMs: -1 });
    await using wrong = createSocket("push", { reconnectMs: -1, curve: { ...client, serverKey: other.publicKey } });
    for (const socket of [keyless, wrong]) {
      failures.length = 0;
      socket.connect(endpoint);
      // Taken or left waiting, depending on how soon the connection fails.
      Promise.resolve(socket.send("intruder")).catch(() => {});
      await waitFor(() => failures.length > 0, { message: "the handshake did not fail" });
    }
    await using push = createSocket("push", { curve: { ...client, serverKey: server.publicKey } });
    push.connect(endpoint);
    await push.send("secret");
    expect(String(Buffer.from((await pull.receive())[0] ?? ""))).toBe("secret");
    const silent = AbortSignal.timeout(100);
    expect(await pull.receive({ signal: silent }).catch(() => "nothing")).toBe("nothing");
  });

  test("a key that is none is a TypeError", () => {
    expect(() => createSocket("pull", { curve: { publicKey: "x", secretKey: "y" } })).toThrow(TypeError);
  });
});
