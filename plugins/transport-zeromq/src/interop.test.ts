import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { nodeInterop } from "./fixtures/node-interop.ts";
import { start } from "./fixtures/process.ts";
import { createSocket } from "./sockets.ts";

// Bun cannot run the JavaScript half of the official package, so it runs under Node.
const node = Bun.which("node");
const mebibyte = 1024 * 1024;
const sizes = [0, 1, 33, 34, 255, 256, 100_000, 8 * mebibyte];
const filled = (size: number): Uint8Array => new Uint8Array(size).fill(size & 255);
const hashes = (frames: readonly (Uint8Array | string)[]): unknown =>
  frames.map((frame) => [Buffer.from(frame).byteLength, createHash("sha1").update(frame).digest("hex")]);

async function startNode() {
  const other = start([node ?? "node", "-e", nodeInterop, import.meta.path]);
  await other.line();
  const ask = async (...command: unknown[]): Promise<unknown> => {
    other.child.stdin.write(`${JSON.stringify(command)}\n`);
    return other.line<unknown>();
  };
  return { ask, line: () => other.line<unknown>(), [Symbol.asyncDispose]: () => other[Symbol.asyncDispose]() };
}

describe.each(["tcp", "ipc"])("the official package under Node, over %s", (protocol) => {
  const inFolder = async (body: (endpoint: string) => Promise<void>): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), "zmq-interop-"));
    try {
      await body(protocol === "tcp" ? "tcp://127.0.0.1:0" : `ipc://${folder}/s`);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  };

  test.skipIf(node === null)("hears what we publish", () =>
    inFolder(async (endpoint) => {
      await using other = await startNode();
      await using pub = createSocket("xpub");
      const bound = await pub.bind(endpoint);
      expect(await other.ask("connect", "sub", bound)).toBe("connected");
      expect(Buffer.from((await pub.receive())[0] ?? "").toString()).toBe("\x01news.");
      await pub.send(["sports.", "not subscribed"]);
      await pub.send(["news.", ...sizes.map(filled)]);
      expect(await other.ask("receive")).toEqual(hashes(["news.", ...sizes.map(filled)]));
    }),
  );

  test.skipIf(node === null)("is heard when it publishes", () =>
    inFolder(async (endpoint) => {
      await using other = await startNode();
      await using sub = createSocket("sub");
      sub.subscribe("news.");
      const bound = await sub.bind(endpoint);
      expect(await other.ask("connect", "pub", bound)).toBe("connected");
      const received = sub.receive();
      // What is published before the subscription arrived is for nobody: until the first one comes through.
      let got = false;
      void received.then(() => {
        got = true;
      });
      while (!got) await other.ask("send", "news.", "hello");
      await other.ask("send", "news.", "end", ...sizes);
      let frames = await received;
      while (Buffer.from(frames[1] ?? "").toString() !== "end") frames = await sub.receive();
      expect(hashes(frames)).toEqual(hashes(["news.", "end", ...sizes.map(filled)]));
    }),
  );

  test.skipIf(node === null)("as DEALER talks with our ROUTER, both ways", () =>
    inFolder(async (endpoint) => {
      await using other = await startNode();
      await using router = createSocket("router", { mandatory: true });
      const bound = await router.bind(endpoint);
      await other.ask("connect", "dealer", bound);
      expect(await other.ask("send", ...sizes)).toBe("sent");
      expect(hashes(await router.receive())).toEqual(hashes(["node", ...sizes.map(filled)]));
      await router.send(["node", ...sizes.map(filled)]);
      expect(await other.ask("receive")).toEqual(hashes(sizes.map(filled)));
    }),
  );

  test.skipIf(node === null)("as ROUTER talks with our DEALER, 1000 times", () =>
    inFolder(async (endpoint) => {
      await using other = await startNode();
      await using dealer = createSocket("dealer", { routingId: "bun" });
      const bound = (await other.ask("bind", "router", endpoint)) as string;
      dealer.connect(bound);
      expect(await other.ask("echo", 1000)).toBe("echoing");
      for (let i = 0; i < 1000; i++) {
        const frames = i % 100 === 0 ? sizes.slice(0, -1).map(filled) : [filled(i)];
        await dealer.send(frames);
        expect(hashes(await dealer.receive())).toEqual(hashes(frames));
      }
      expect(await other.line()).toBe("echoed");
    }),
  );
});
