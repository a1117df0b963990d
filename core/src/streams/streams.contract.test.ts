import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { transportContract, waitFor } from "../../testing/index.ts";
import { SoormaError } from "../errors.ts";
import { definePlugin } from "../plugin/plugin.ts";
import type { Transport } from "../plugin/transport.ts";
import { systemRuntime } from "../runtime.ts";
import { Type } from "../schema.ts";
import { bunSocketHandlers, createStreamTransport, type StreamNetwork, streamSupports } from "./index.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "soorma-streams-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let last = 0;
const freePath = (): string => join(folder, `s${++last}`);
const scheme = "unix://";

/** Unix sockets, in a folder of these tests. */
const network: StreamNetwork = {
  check(address) {
    if (!address.startsWith(scheme)) throw new SoormaError("ADDRESS_INVALID", `${address} is no path`);
  },
  async listen(address = `${scheme}${freePath()}`, accept) {
    const unix = address.slice(scheme.length);
    if (existsSync(unix)) throw new SoormaError("ADDRESS_IN_USE", `${unix} is taken`);
    const listener = Bun.listen({ unix, socket: bunSocketHandlers(accept) });
    return { address, stop: () => listener.stop() };
  },
  async connect(address, accept) {
    await Bun.connect({ unix: address.slice(scheme.length), socket: bunSocketHandlers(accept) });
  },
};

const make = (): Transport => createStreamTransport({ network, retryMs: 10 }, { runtime: systemRuntime });

const plugin = definePlugin({
  kind: "transport",
  name: "unix",
  api: 1,
  supports: streamSupports,
  options: Type.Object({}),
  create: async () => make(),
});

transportContract(plugin, { make: async () => make(), freeAddress: () => `${scheme}${freePath()}` });

async function opened(handlers: { onMessage?(frame: Uint8Array): void } = {}) {
  const transport = make();
  const address = await transport.open({
    nodeId: "node",
    maxFrameBytes: 1_000_000,
    handlers: {
      onMessage: (frame) => handlers.onMessage?.(frame),
      onEvent() {},
      onPeer() {},
      onSubscriber() {},
    },
  });
  return { transport, path: address.slice(scheme.length).replace(/#.*/, "") };
}

/** A frame as it is on the wire. */
function frame(kind: number, content: string | Uint8Array): Buffer {
  const body = Buffer.from(content);
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.byteLength);
  header[4] = kind;
  return Buffer.concat([header, body]);
}

test("frames come whole, however their bytes are cut", async () => {
  const received: Buffer[] = [];
  const { transport, path } = await opened({ onMessage: (content) => void received.push(Buffer.from(content)) });
  await using _ = transport;
  const large = Buffer.alloc(300_000, "x");
  const bytes = Buffer.concat([frame(0, "somebody"), frame(1, "a"), frame(1, ""), frame(1, large), frame(1, "b")]);
  for (const size of [1, 3, 7, 4_096, bytes.byteLength]) {
    received.length = 0;
    const socket = connect(path);
    // Single bytes of what is small; a large frame in larger pieces.
    for (let at = 0; at < bytes.byteLength; ) {
      const step = size < 100 && at > 100 && at < 299_000 ? 10_007 : size;
      await new Promise((resolve) => socket.write(bytes.subarray(at, at + step), resolve));
      at += step;
    }
    await waitFor(() => received.length === 4);
    expect(received.map((content) => content.byteLength)).toEqual([1, 0, 300_000, 1]);
    expect(received[2]?.equals(large)).toBe(true);
    socket.destroy();
  }
  expect(transport.stats().malformed).toBe(0);
});

test.each([
  ["a frame before a greeting", [frame(1, "a")]],
  ["a greeting from nobody", [frame(0, "some body")]],
  ["a frame that is too long", [frame(0, "somebody"), frame(1, Buffer.alloc(1_000_001))]],
  ["subscriptions that are none", [frame(0, "somebody"), frame(3, "{")]],
  ["a kind that there is not", [frame(0, "somebody"), frame(9, "")]],
])("%s ends the connection, and nothing else", async (_what, frames) => {
  const { transport, path } = await opened();
  await using _ = transport;
  const socket = connect(path);
  socket.on("error", () => {});
  const ended = new Promise((resolve) => socket.on("close", resolve));
  socket.resume();
  for (const one of frames) socket.write(one);
  await ended;
  expect(transport.stats()).toMatchObject({ malformed: 1, peers: 0 });
});

test("closed while it opens it leaves nobody listening", async () => {
  const listening = new Set<string>();
  const slow: StreamNetwork = {
    ...network,
    async listen(address, accept) {
      const listener = await network.listen(address, accept);
      listening.add(listener.address);
      return {
        ...listener,
        stop() {
          listening.delete(listener.address);
          listener.stop();
        },
      };
    },
  };
  const transport = createStreamTransport({ network: slow, retryMs: 10 }, { runtime: systemRuntime });
  const handlers = { onMessage() {}, onEvent() {}, onPeer() {}, onSubscriber() {} };
  const opening = transport.open({ nodeId: "node", maxFrameBytes: 1_000, handlers });
  await Promise.all([transport.close(), opening.catch(() => {})]);
  expect([...listening]).toEqual([]);
  expect(await opening.then(String, (error: SoormaError) => error.code)).toBe("TRANSPORT_CLOSED");
});
