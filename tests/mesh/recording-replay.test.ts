import { describe, expect, test } from "bun:test";
import { inputsOf, type Recording, type RecordingLine, replayRecording } from "@soorma/core/recording";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";
import { type Mesh, only, record, shop, startStubs } from "./recorded-mesh.ts";

describe("a recording that is sent again", () => {
  /** Of one goal, one request and one event of a client, sent one after the other. */
  async function recorded(): Promise<Recording> {
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const recording = await record(mesh);
    const client = await mesh.client({ name: "customer" });
    await client.bus.request("times", { a: 2, b: 2 });
    await client.submitGoal("order.goal", { count: 4 }).then((run) => run.result());
    await client.submitGoal("order.goal", { count: 50 }).then((run) => run.result().catch(() => {}));
    await client.bus.publish("order.paid", { by: "card" });
    await waitFor(() => seen.length === 3);
    await client.stop();
    return await recording.stop();
  }

  test("gives the same results in the same mesh, in the order that one waited for the other", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const client = await mesh.client({ name: "replay" });
    const again = await record(mesh);
    const report = await replayRecording(recording, { client });
    const kinds = report.inputs.map(({ kind, type, verdict }) => `${kind} ${type} ${verdict}`);
    expect(kinds).toEqual([
      "request times same",
      "goal order.goal same",
      "goal order.goal same",
      "event order.paid sent",
    ]);
    expect(report).toMatchObject({ same: 3, different: 0, sent: 1, skipped: 0 });
    await waitFor(() => seen.length === 3);
    expect(inputsOf(await again.stop()).map(({ message }) => message.data)).toEqual(
      inputsOf(recording).map(({ message }) => message.data),
    );
  });

  test("tells where results differ, but for what may", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    const tool = mesh.tool({ name: "calculator" });
    tool.onInvoke("times", ({ data }) => ({ product: data.a + data.b + 1, at: 7 }));
    await tool.run();
    const client = await mesh.client();
    const report = await replayRecording(recording, { client, only: "times" });
    expect(report.inputs.map(({ verdict, differences }) => [verdict, differences])).toEqual([
      [
        "different",
        [
          { path: "result.product", recorded: 4, actual: 5 },
          { path: "result.at", recorded: undefined, actual: 7 },
        ],
      ],
    ]);
    expect(await replayRecording(recording, { client, only: "times", ignore: ["at", "result.product"] })).toMatchObject(
      { same: 1 },
    );
    const nobody = await replayRecording(recording, { client, only: "order.goal", timeoutMs: 50 });
    expect(nobody.inputs[0]?.differences).toMatchObject([{ path: "", actual: { error: { code: "NO_RESPONDER" } } }]);
  });

  test("waits as long as was waited then", async () => {
    const recording = await recorded();
    const lines = recording.lines.map((line) =>
      line.kind === "event" && line.type === "order.paid" ? { ...line, time: line.time + 60_000 } : line,
    );
    await using mesh = await inProcessMesh();
    await shop(mesh);
    const client = await mesh.client();
    const started = performance.now();
    await replayRecording({ ...recording, lines }, { client, speed: 100 });
    expect(performance.now() - started).toBeGreaterThan(590);
  });

  test("answers again what a person answered, and cancels what was cancelled", async () => {
    const publishing = async (mesh: Mesh) => {
      const planner = mesh.planner({ name: "press" });
      planner.onGoal("print.goal", () => ({
        tasks: [{ name: "ok", wait: { kind: "input", prompt: "Print it?" } }],
      }));
      await planner.run();
    };
    const original = await (async () => {
      await using mesh = await inProcessMesh();
      await publishing(mesh);
      const recording = await record(mesh);
      const client = await mesh.client({ name: "editor" });
      const asked = async () => {
        const run = await client.submitGoal("print.goal", {});
        await waitFor(async () => (await run.plan()).tasks[0]?.waits?.length === 1);
        return run;
      };
      const [first, second] = [await asked(), await asked()];
      await client.tracker.answer(first.planId, { yes: true });
      expect(await first.result()).toEqual({ ok: { yes: true } });
      await second.cancel("no paper");
      await waitFor(() => recording.texts.filter((text) => text.includes('"status":"cancelled"')).length > 0);
      await client.stop();
      return await recording.stop();
    })();
    const orders = only(original, "order");
    expect(orders.map(({ type, data }) => [type, data])).toEqual([
      ["answer", { yes: true }],
      ["cancel", "no paper"],
    ]);
    const [goal] = only(original, "goal");
    expect(orders[0]).toMatchObject({ from: goal?.from, traceId: goal?.traceId, goalId: goal?.id });
    await using mesh = await inProcessMesh();
    await publishing(mesh);
    const client = await mesh.client();
    // On a fast machine all of it happens within a millisecond; and orders may stand behind what came of them.
    const atOnce = original.lines.map((line) => ({ ...line, time: 1_000 }));
    const isOrder = ({ kind }: RecordingLine) => kind === "order";
    const behind = [...atOnce.filter((line) => !isOrder(line)), ...atOnce.filter(isOrder).toReversed()];
    for (const lines of [original.lines, atOnce, behind]) {
      const report = await replayRecording({ ...original, lines }, { client, only: "print.*", timeoutMs: 3_000 });
      expect(report.inputs.map(({ kind, verdict }) => `${kind} ${verdict}`)).toEqual([
        "goal same",
        "goal same",
        "order sent",
        "order sent",
      ]);
    }
  });

  test("sends an order of a client again that shares its node with other agents", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "asker" });
    planner.onGoal("ask.goal", () => ({ tasks: [{ name: "ok", wait: { kind: "input", prompt: "ok?" } }] }));
    await planner.run();
    const shared = mesh.mesh();
    const client = await mesh.client({ mesh: shared });
    await mesh.tool({ name: "neighbour", mesh: shared }).run();
    const recording = await record(mesh);
    const run = await client.submitGoal("ask.goal", null);
    await waitFor(async () => (await run.plan()).tasks[0]?.waits?.length === 1);
    await client.tracker.answer(run.planId, "yes");
    expect(await run.result()).toEqual({ ok: "yes" });
    const read = await recording.stop();
    expect(only(read, "order").map(({ from }) => from)).toEqual([""]);
    const report = await replayRecording(read, { client, timeoutMs: 2_000 });
    expect(report.inputs.map(({ kind, verdict }) => [kind, verdict])).toEqual([
      ["goal", "same"],
      ["order", "sent"],
    ]);
  });

  test("into a mesh of stubs is answered as it was recorded", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using stubs = await startStubs(mesh, recording);
    expect(stubs.names.toSorted()).toEqual(["calculator", "clerk", "ledger", "shop"]);
    const client = await mesh.client();
    expect(await replayRecording(recording, { client })).toMatchObject({ same: 3, different: 0, sent: 1 });
  });
});
