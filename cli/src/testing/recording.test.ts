import { expect, test } from "bun:test";
import { formatLine, parseRecording, Recorder, type Recording } from "@soorma/core/recording";
import { connectMesh, Planner } from "../index.ts";
import { replayRecording, sequence, testMesh } from "./index.ts";

const order = { item: "tea", card: "4242" };

/** A goal whose payment takes a minute, another one a person answers an hour later, and a request, one after the other. */
async function recorded(): Promise<Recording> {
  const lines: string[] = [];
  await using mesh = await testMesh({ agents: ["fixtures/shop.ts", "fixtures/payer.ts"] });
  mesh.stub("inventory", sequence({ reserved: 1 }, { reserved: 2 }));
  mesh.stubTool("clock", { now: "noon" });
  await mesh.start("recorder", async () => {
    const recorder = new Recorder({
      mesh: connectMesh(),
      write: (some) => void lines.push(...some.map((line) => formatLine(line))),
    });
    await recorder.run();
    return recorder;
  });
  await mesh.goal("order.goal", order);
  const run = await mesh.client.submitGoal("ask.goal", {});
  await mesh.advance(3_600_000);
  await mesh.tracker.answer(run.planId, "yes");
  expect(await run.result()).toEqual({ ask: "yes" });
  await mesh.client.bus.request("now", {});
  await mesh.goal("order.goal", order);
  // A goal is answered to its client a moment before everybody else hears of it.
  await mesh.settle();
  await mesh.stop("recorder");
  return parseRecording(lines.join("\n"));
}

test("a recording is a fixture: sent again into a mesh of stubs it is answered as it was, in virtual time", async () => {
  const recording = await recorded();
  await using mesh = await testMesh({ agents: {}, recording });
  const report = await replayRecording(recording, { client: mesh.client });
  expect(report.inputs.map(({ kind, type, verdict }) => `${kind} ${type} ${verdict}`)).toEqual([
    "goal order.goal same",
    "goal ask.goal same",
    // Nobody asks: what the stubbed planner said is the answer.
    "order answer skipped",
    "request now same",
    "goal order.goal same",
  ]);
});

test("a planner that was changed gives other answers to what was recorded, and that is told", async () => {
  const recording = await recorded();
  const changed = async () => {
    const planner = new Planner({ name: "shop" });
    planner.onGoal("order.goal", ({ data }) => ({
      tasks: [
        { name: "reserve", assignedTo: "inventory", data: data.item },
        { name: "payment", assignedTo: "pay", data: { card: data.card }, dependsOn: ["reserve"] },
      ],
    }));
    planner.onComplete(({ results }) => ({ ...results, note: "new" }));
    await planner.run();
  };
  await using mesh = await testMesh({ agents: { shop: changed }, recording });
  const report = await replayRecording(recording, { client: mesh.client, only: "order.*" });
  expect(report).toMatchObject({ same: 0, different: 2 });
  expect(report.inputs[0]?.differences).toEqual([{ path: "result.note", recorded: undefined, actual: "new" }]);
});
