import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { SoormaError } from "../errors.ts";
import type { Transport } from "../plugin/transport.ts";
import { Outbox } from "./outbox.ts";

/** What went out, and how the transport behaves. */
function setUp(send: (to: string, frame: Uint8Array) => void | Promise<void> = () => {}) {
  const runtime = fakeRuntime();
  const sent: { to: string; frame: number[] }[] = [];
  const transport = {
    send: (to: string, frame: Uint8Array) => {
      const result = send(to, frame);
      sent.push({ to, frame: [...frame] });
      return result;
    },
  } as unknown as Transport;
  const outbox = new Outbox(transport, runtime);
  const ends: [number, unknown][] = [];
  const give = (to: string, ...bytes: number[]): void =>
    outbox.send(to, new Uint8Array(bytes), (error) => ends.push([bytes[0] ?? 0, error]));
  return { runtime, outbox, sent, ends, give };
}

test("a message alone goes at once; what follows in its turn goes together, in order, at its end", async () => {
  const { runtime, sent, ends, give } = setUp();
  give("a", 1);
  expect(sent).toEqual([{ to: "a", frame: [1] }]);
  give("a", 2, 2);
  give("b", 3);
  give("a", 4);
  expect(sent.length).toBe(2);
  await runtime.runUntilIdle();
  expect(sent.slice(1)).toEqual([
    { to: "b", frame: [3] },
    { to: "a", frame: [2, 2, 4] },
  ]);
  expect(ends.map(([id, error]) => [id, error])).toEqual([
    [1, undefined],
    [3, undefined],
    [2, undefined],
    [4, undefined],
  ]);
});

test("after a turn with several the first of the next one waits for those that follow", async () => {
  const { runtime, sent, give } = setUp();
  give("a", 1);
  give("a", 2);
  await runtime.runUntilIdle();
  give("a", 3);
  give("a", 4);
  expect(sent.length).toBe(2);
  await runtime.runUntilIdle();
  expect(sent.at(-1)).toEqual({ to: "a", frame: [3, 4] });
  give("a", 5);
  await runtime.runUntilIdle();
  give("a", 6);
  expect(sent.at(-1)).toEqual({ to: "a", frame: [6] });
});

test("a large message travels alone, behind those before it", () => {
  const { outbox, sent } = setUp();
  const large = new Uint8Array(100_000);
  for (const message of [new Uint8Array([1]), new Uint8Array([2]), large, new Uint8Array([3])]) {
    outbox.send("a", message, () => {});
  }
  expect(sent.map(({ frame }) => frame.length)).toEqual([1, 1, 100_000]);
  outbox.flush();
  expect(sent.at(-1)?.frame).toEqual([3]);
});

test("more than a frame should hold becomes several frames, in order", () => {
  const { outbox, sent } = setUp();
  for (let n = 0; n < 10; n++) outbox.send("a", new Uint8Array(20_000).fill(n), () => {});
  outbox.flush();
  expect(sent.map(({ frame }) => frame.length)).toEqual([20_000, 60_000, 60_000, 60_000]);
  expect(sent.flatMap(({ frame }) => frame).filter((_, i) => i % 20_000 === 0)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
});

test("what stops a frame is told to each message in it", async () => {
  const gone = new SoormaError("PEER_UNREACHABLE", "gone");
  const { runtime, ends, give } = setUp(() => Promise.reject(gone));
  give("a", 1);
  give("a", 2);
  give("a", 3);
  await runtime.runUntilIdle();
  expect(ends).toEqual([
    [1, gone],
    [2, gone],
    [3, gone],
  ]);
});

test("messages that are together too large go one by one", async () => {
  const { runtime, sent, ends, give } = setUp((_to, frame) => {
    if (frame.byteLength > 2) throw new SoormaError("MESSAGE_TOO_LARGE", "more than 2 bytes");
  });
  give("a", 1);
  give("a", 2, 2);
  give("a", 3);
  give("a", 4, 4, 4);
  await runtime.runUntilIdle();
  expect(sent.map(({ frame }) => frame)).toEqual([[1], [2, 2], [3]]);
  expect(ends.map(([id, error]) => [id, error instanceof SoormaError ? error.code : error])).toEqual([
    [1, undefined],
    [2, undefined],
    [3, undefined],
    [4, "MESSAGE_TOO_LARGE"],
  ]);
});
