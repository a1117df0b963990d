import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { planOrigin } from "../../testing/plan-changes.ts";
import { taskOffer } from "../agents/task-offer.ts";
import { taskMethods } from "../agents/task-wire.ts";
import { packEnvelope } from "../events/envelope.ts";
import type { Copy } from "../mesh/tap.ts";
import type { TaskAssignment } from "../plans/dispatcher.ts";
import { type Runtime, systemRuntime } from "../runtime.ts";
import type { RecordingHeader, RecordingLine } from "./format.ts";
import { LineWriter, type LineWriterOptions } from "./line-writer.ts";
import { CopyTranslator } from "./translator.ts";

const time = 1_000;
const offer = taskOffer(
  {
    planId: "p",
    taskId: "p.1",
    goalId: "g",
    name: "sum",
    assignedTo: "sum",
    data: null,
    inputs: {},
    attempt: 1,
    failures: 0,
    epoch: 1,
    hasJournal: false,
    mayOverlap: false,
    priority: 0,
    origin: planOrigin({ tenantId: "default" }),
  } satisfies TaskAssignment,
  { id: "o", time, replyTo: { agentId: "planner", nodeId: "n-planner", address: "a" } },
);
const offered: Copy = ["call", time, 1, taskMethods.offer, "worker", packEnvelope(offer)];
const result: Copy = [
  "call",
  time,
  7,
  taskMethods.result,
  "planner",
  { taskId: "p.1", attempt: 1, agentId: "worker", ranMs: 1, ok: true, result: 3 },
];
const acknowledged: Copy = ["answer", time, 7, true, null];

function writerOf(runtime: Runtime, write: LineWriterOptions["write"]): LineWriter {
  const thrown = (error: unknown): never => {
    throw error;
  };
  return new LineWriter(
    {
      runtime,
      translator: new CopyTranslator({ subscribersOf: () => [], agentOn: () => undefined }),
      write,
      finish: (message) => message,
      onRefused: (_nodeId, error) => thrown(error),
      onFailure: thrown,
    },
    { format: "soorma.recording", version: 1, time, startedAt: "", tenant: "default" } as RecordingHeader,
  );
}

test("a result that comes before its offer waits for it, and the answer to it waits as well", async () => {
  for (const laterMs of [0, 500]) {
    const runtime = fakeRuntime();
    const lines: (RecordingHeader | RecordingLine)[] = [];
    const writer = writerOf(runtime, (some) => void lines.push(...some));
    writer.copy("n-worker", result, 10);
    writer.copy("n-worker", acknowledged, 10);
    await runtime.advance(laterMs);
    writer.copy("n-planner", offered, 10);
    await runtime.advance(1_000);
    await writer.close();
    expect(lines.flatMap((line) => ("kind" in line ? [line.kind] : []))).toEqual(["task", "result", "end"]);
    expect([writer.messages, writer.lost]).toEqual([2, 0]);
  }
});

test("while somebody waits for room everything else goes on, and the room comes with what is written", async () => {
  let kinds: string[] = [];
  const writer = writerOf(systemRuntime, (some) => {
    kinds = [...kinds, ...some.flatMap((line) => ("kind" in line ? [line.kind] : []))];
  });
  const order: string[] = [];
  writer.copy("n-planner", offered, 40 * 1024 * 1024);
  const room = writer.room()?.then(() => order.push(`room after ${kinds}`));
  systemRuntime.defer(() => order.push("something else"));
  await room;
  expect(order).toEqual(["something else", "room after task"]);
  expect(writer.room()).toBeUndefined();
  await writer.close();
});

test("what comes after the end is not written", async () => {
  const runtime = fakeRuntime();
  const kinds: string[] = [];
  const writer = writerOf(
    runtime,
    (some) => void kinds.push(...some.flatMap((line) => ("kind" in line ? line.kind : []))),
  );
  await writer.close();
  writer.copy("n-planner", offered, 10);
  writer.missed("n-planner", 1, "late");
  await runtime.advance(1_000);
  expect(kinds).toEqual(["end"]);
});
