import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { connect, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemRuntime, type Transport } from "@soorma/core";
import { Value } from "@soorma/core/schema";
import { waitFor } from "@soorma/core/testing";
import { parseAddress } from "./address.ts";
import zeromqPlugin from "./index.ts";
import { createSocket } from "./sockets.ts";

const folder = mkdtempSync(join(tmpdir(), "zmq-fuzz-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// A seed of a failed run is in the tests' titles: SOORMA_FUZZ_SEED=… repeats it.
const seed = Number(process.env.SOORMA_FUZZ_SEED ?? Math.floor(Math.random() * 2 ** 31));

/** Mulberry32. */
function generator(start: number) {
  let state = start;
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number): number => Math.floor(next() * limit);
  const pick = <T>(values: readonly T[]): T => values[below(values.length)] as T;
  const bytes = (most: number): Uint8Array => {
    const made = new Uint8Array(below(most + 1));
    for (let i = 0; i < made.length; i++) made[i] = below(256);
    return made;
  };
  return { below, pick, bytes };
}
type Random = ReturnType<typeof generator>;

// ZMTP 3.1, https://rfc.zeromq.org/spec/37/: a greeting of 64 bytes, then a READY command.
function greeting(mechanism = "NULL", major = 3, minor = 1): Buffer {
  const made = Buffer.alloc(64);
  made[0] = 0xff;
  made[8] = 1;
  made[9] = 0x7f;
  made[10] = major;
  made[11] = minor;
  made.write(mechanism, 12, 20, "latin1");
  return made;
}

function command(name: string, body: Uint8Array): Buffer {
  const content = Buffer.concat([Buffer.from([name.length]), Buffer.from(name, "latin1"), body]);
  return content.length < 256
    ? Buffer.concat([Buffer.from([4, content.length]), content])
    : Buffer.concat([Buffer.from([6, 0, 0, 0, 0, 0, 0, content.length >> 8, content.length & 255]), content]);
}

function property(name: string, value: Uint8Array): Buffer {
  const size = Buffer.alloc(4);
  size.writeUInt32BE(value.length);
  return Buffer.concat([Buffer.from([name.length]), Buffer.from(name, "latin1"), size, value]);
}

const ready = (type: string, identity: Uint8Array): Buffer =>
  command("READY", Buffer.concat([property("Socket-Type", Buffer.from(type)), property("Identity", identity)]));

/** A frame of ZMTP, right or wrong. */
function hostileFrame(random: Random, kind = random.below(9)): Buffer {
  const body = random.bytes(60);
  switch (kind) {
    case 0:
      return Buffer.concat([Buffer.from([0, body.length]), body]);
    case 1:
      return Buffer.concat([Buffer.from([1, body.length]), body]);
    case 2: // a long frame with a length that is not there
      return Buffer.concat([Buffer.from([2, ...new Uint8Array(8).map(() => random.below(256))]), body]);
    case 3: // 2^63 - 1 and 2^64 - 1 bytes
      return Buffer.concat([Buffer.from([2, random.pick([0x7f, 0xff]), ...new Uint8Array(7).fill(255)]), body]);
    case 4: // flags that do not exist
      return Buffer.concat([Buffer.from([random.below(256), body.length]), body]);
    case 5:
      return command(random.pick(["PING", "PONG", "SUBSCRIBE", "CANCEL", "ERROR", "READY", "HELLO", "JOIN"]), body);
    case 6: // a command whose name is longer than itself
      return Buffer.concat([Buffer.from([4, body.length, 255]), body.subarray(1)]);
    case 7: // subscriptions of all kinds
      return Buffer.concat([Buffer.from([0, body.length + 2, random.below(3), 0xff]), body]);
    default:
      return Buffer.from(body);
  }
}

/** What one connection gets, and how many cases that is. */
interface Attack {
  /** Written first; the rest follows when the handshake is over. */
  readonly opening?: Buffer;
  readonly bytes: Buffer;
  readonly cases: number;
}

function attack(random: Random): Attack {
  const type = random.pick(["DEALER", "ROUTER", "SUB", "XSUB", "REQ", "PUB", "PAIR", "NONSENSE", ""]);
  const identity = random.pick([
    random.bytes(40),
    Buffer.from("some-node/1"),
    Buffer.from("\0\0\0\0\0"),
    random.bytes(300),
  ]);
  switch (random.below(8)) {
    case 0:
      return { bytes: Buffer.from(random.bytes(300)), cases: 1 };
    case 1: // cut off somewhere
      return { bytes: Buffer.concat([greeting(), ready(type, identity)]).subarray(0, random.below(130)), cases: 1 };
    case 2: // older and unknown versions and mechanisms
      return {
        bytes: Buffer.concat([
          greeting(random.pick(["NULL", "PLAIN", "CURVE", "GSSAPI", "\xff\xff"]), random.below(6), random.below(4)),
          hostileFrame(random),
        ]),
        cases: 1,
      };
    case 3: // one byte is wrong
      {
        const bytes = Buffer.concat([greeting(), ready(type, identity), hostileFrame(random)]);
        bytes[random.below(bytes.length)] = random.below(256);
        return { bytes, cases: 1 };
      }
    default: {
      // The first frame that breaks the protocol ends the connection, so half of them only have frames that do not.
      const mild = random.below(2) === 0;
      const frames = Array.from({ length: 30 }, () => hostileFrame(random, mild ? random.pick([0, 1, 7]) : undefined));
      const properties =
        random.below(4) === 0 ? command("READY", random.bytes(80)) : ready(random.pick(["DEALER", "SUB"]), identity);
      return { opening: Buffer.concat([greeting(), properties]), bytes: Buffer.concat(frames), cases: frames.length };
    }
  }
}

/** Writes `bytes` and goes away, politely or not. */
function strike(target: NetConnectOpts, { opening = Buffer.alloc(0), bytes }: Attack, random: Random): Promise<void> {
  const rude = random.below(2) === 0;
  return new Promise((resolve) => {
    const socket = connect(target);
    const timer = setTimeout(() => socket.destroy(), 500);
    socket.on("error", () => {});
    socket.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
    const finish = (): void => {
      if (rude) socket.write(bytes, () => socket.destroy());
      else socket.end(bytes);
    };
    if (opening.length === 0) {
      socket.on("connect", finish);
      socket.on("data", () => {});
      return;
    }
    let answered = 0;
    socket.on("connect", () => socket.write(opening));
    socket.on("data", (chunk) => {
      const before = answered;
      answered += chunk.length;
      // More than a greeting: the handshake is over, and what comes now is taken for messages.
      if (before <= 64 && answered > 64) finish();
    });
  });
}

async function open(nodeId: string, onMessage: (frame: Uint8Array, from: string, transport: Transport) => void) {
  const transport = await zeromqPlugin.create(
    Value.Decode(zeromqPlugin.options, Value.Default(zeromqPlugin.options, { dir: folder, tcp: true })),
    { log: silentLogger, runtime: systemRuntime },
  );
  const events: number[] = [];
  const address = await transport.open({
    nodeId,
    maxFrameBytes: 1 << 16,
    handlers: {
      onMessage: (frame, from) => onMessage(frame, from, transport),
      onEvent: (frame) => void events.push(frame.byteLength),
      onPeer() {},
      onSubscriber() {},
    },
  });
  const parsed = parseAddress(address);
  if (parsed.kind !== "node" || parsed.ipc === undefined || parsed.tcp === undefined) throw new Error("no endpoints");
  return { transport, address, events, ipc: parsed.ipc, tcp: parsed.tcp };
}

/** A node that answers, and a good peer that talks with it all the time; both must be as before in the end. */
async function underAttack(
  body: (node: Awaited<ReturnType<typeof open>>, random: Random) => Promise<number>,
): Promise<number> {
  const node = await open("node", (frame, from, transport) => {
    const copy = new Uint8Array(frame);
    void Promise.resolve()
      .then(() => transport.send(from, copy))
      .catch(() => {});
  });
  let answers = 0;
  const good = await open("good", () => answers++);
  try {
    await good.transport.subscribe("news.");
    await good.transport.join(node.address);
    let over = false;
    let asked = 0;
    const talking = (async () => {
      while (!over || asked < 50) {
        await good.transport.send(node.address, new Uint8Array(10));
        await node.transport.publish("news.", new Uint8Array(20));
        asked++;
        await waitFor(() => answers === asked && good.events.length === asked, {
          message: () => `${answers} answers and ${good.events.length} events after ${asked} requests`,
        });
      }
    })();
    talking.catch(() => {});
    const cases = await body(node, generator(seed));
    over = true;
    await talking;
    expect(good.transport.stats().peers).toBe(1);
    expect(good.transport.stats().malformed).toBe(0);
    return cases;
  } finally {
    await Promise.all([good.transport.close(), node.transport.close()]);
  }
}

const port = (hostPort: string): number => Number(hostPort.slice(hostPort.lastIndexOf(":") + 1));

test(`120,000 cases of raw bytes on the bound endpoints leave a good peer served (seed ${seed})`, async () => {
  const cases = await underAttack(async ({ transport, ipc, tcp }, random) => {
    const targets: NetConnectOpts[] = [
      { path: ipc.router },
      { path: ipc.publisher },
      { host: "127.0.0.1", port: port(tcp.router) },
      { host: "127.0.0.1", port: port(tcp.publisher) },
    ];
    let done = 0;
    const attackers = Array.from({ length: 32 }, async () => {
      while (done < 120_000) {
        const next = attack(random);
        done += next.cases;
        await strike(random.pick(targets), next, random);
      }
    });
    await Promise.all(attackers);
    // They came through: some of them spoke ZMTP well enough for their messages to be looked at.
    await waitFor(() => transport.stats().malformed > 1000, {
      message: () => `${transport.stats().malformed} malformed`,
    });
    return done;
  });
  expect(cases).toBeGreaterThanOrEqual(120_000);
}, 60_000);

test(`60,000 cases of well-formed messages with hostile content leave a good peer served (seed ${seed})`, async () => {
  const cases = await underAttack(async (node, random) => {
    let done = 0;
    for (let round = 0; round < 30; round++) {
      const routingId = random.pick([
        `evil-${round}/1`,
        "good/1",
        "UPPER",
        "\u{1F600}",
        "x".repeat(255),
        `evil-${round}`,
      ]);
      await using dealer = createSocket("dealer", { routingId, lingerMs: 2000 });
      await using subscriber = createSocket("xsub", { lingerMs: 2000 });
      const near = round % 2 === 0;
      dealer.connect(near ? `ipc://${node.ipc.router}` : `tcp://${node.tcp.router}`);
      subscriber.connect(near ? `ipc://${node.ipc.publisher}` : `tcp://${node.tcp.publisher}`);
      dealer.onMessage(() => {});
      subscriber.onMessage(() => {});
      for (let i = 0; i < 1000; i++) {
        const control = random.pick(["soorma.hello.1", "soorma.welcome.1", "soorma.hello.2", ""]);
        const message = random.pick([
          () => [random.bytes(50)],
          () => [control, random.bytes(70)],
          () => Array.from({ length: 1 + random.below(6) }, () => random.bytes(20)),
          () => ["", "", ""],
        ])();
        await dealer.send(message);
        const topic = random.pick([
          () => Buffer.concat([Buffer.from("\xfffence.", "latin1"), random.bytes(80)]),
          () =>
            Buffer.from(
              `\xfffence.${random.pick(["good", "", "..", "x".repeat(80)])}.${random.below(1e6).toString(36)}`,
              "latin1",
            ),
          () => random.bytes(200),
        ])();
        const first = random.pick([0, 1, 1, 1, 2, 255]);
        await subscriber.send(
          random.below(20) === 0 ? [Buffer.from([first]), topic] : [Buffer.concat([Buffer.from([first]), topic])],
        );
        done += 2;
      }
    }
    await waitFor(() => node.transport.stats().malformed > 1000, { message: "hostile messages were not counted" });
    return done;
  });
  expect(cases).toBeGreaterThanOrEqual(60_000);
}, 60_000);

test("a message beyond the limit ends its connection alone", async () => {
  await underAttack(async (node) => {
    await using dealer = createSocket("dealer", { routingId: "large/1", reconnectMs: -1 });
    let lost = false;
    dealer.onEvent(["disconnected"], () => {
      lost = true;
    });
    dealer.connect(`ipc://${node.ipc.router}`);
    await dealer.send(new Uint8Array(1 << 20));
    await waitFor(() => lost, { message: "still connected" });
    return 1;
  });
}, 20_000);
