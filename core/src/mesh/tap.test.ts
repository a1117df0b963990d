import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { agentRecord } from "../../testing/records.ts";
import { SoormaError } from "../errors.ts";
import { createCodec } from "../events/codec.ts";
import { type CopyBatch, recorderCapability, Tap } from "./tap.ts";

test("what waits for a recorder is sent in frames that the mesh carries, however small these are", async () => {
  const runtime = fakeRuntime();
  const codec = createCodec();
  const maxFrameBytes = 16 * 1024;
  const got: number[] = [];
  const tap = new Tap({
    nodeId: "n",
    codec,
    runtime,
    maxFrameBytes,
    nextSession: () => 1,
    isReachable: () => true,
    send: async (_recorder, batch: CopyBatch) => {
      // As the call that carries it is packed.
      const { byteLength } = codec.encode([1, 1, "agent.call", ["recorder-0123456789", "recorder.take", batch], 5_000]);
      if (byteLength > maxFrameBytes) throw new SoormaError("MESSAGE_TOO_LARGE", `${byteLength} bytes`);
      got.push(...batch.copies.map(([number]) => number));
    },
  });
  tap.follow([agentRecord({ agentId: "r", capabilities: [recorderCapability] })]);
  for (let n = 0; n < 10; n++) tap.note("a", "task.progress", "x".repeat(4_000));
  for (let n = 0; n < 2_000; n++) tap.note("a", "task.progress", null);
  await runtime.advance(60_000);
  expect(got).toEqual(Array.from({ length: 2_010 }, (_, n) => n + 1));
  tap.close();
});
