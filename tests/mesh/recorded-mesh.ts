import { expect } from "bun:test";
import {
  formatLine,
  parseRecording,
  type RecordedMessage,
  Recorder,
  type Recording,
  type RecordingLine,
  recordedStubs,
  type StubOptions,
} from "@soorma/core/recording";
import { waitFor } from "@soorma/core/testing";
import type { inProcessMesh } from "./in-process.ts";

export type Mesh = Awaited<ReturnType<typeof inProcessMesh>>;

/** A planner, a worker, a tool and a subscriber, each a node of its own. */
export async function shop(mesh: Mesh) {
  const planner = mesh.planner({ name: "shop" });
  planner.onGoal("order.goal", ({ data }) => ({
    tasks: [
      { name: "price", assignedTo: "price", data },
      { name: "ship", assignedTo: "ship", dependsOn: ["price"] },
    ],
  }));
  await planner.run();
  const tool = mesh.tool({ name: "calculator", capabilities: ["arithmetic"] });
  tool.onInvoke("times", ({ data }) => ({ product: data.a * data.b }));
  await tool.run();
  const worker = mesh.worker({ name: "clerk", produces: ["order.priced"] });
  worker.onTask("price", async (task, context) => {
    await task.reportProgress(0.5, "calculating");
    const { product } = await context.bus.request("times", { a: task.data.count, b: 3 });
    await context.bus.publish("order.priced", { price: product, token: "secret" });
    return { price: product };
  });
  worker.onTask("ship", (task) => {
    if (task.inputs.price.price > 100) throw new Error("too heavy");
    return { shipped: task.inputs.price.price };
  });
  await worker.run();
  const seen: unknown[] = [];
  const clerk = mesh.tool({ name: "ledger" });
  clerk.onEvent("order.*", ({ data }) => void seen.push(data));
  await clerk.run();
  return { planner, tool, worker, clerk, seen };
}

export async function record(mesh: Mesh, options: { redact?: string[] } = {}) {
  const texts: string[] = [];
  const recorder = new Recorder({
    mesh: mesh.mesh(),
    write: (lines) => void texts.push(...lines.map(formatLine)),
    ...options,
  });
  await recorder.run();
  expect(await recorder.copying()).toBe(true);
  return {
    recorder,
    texts,
    async stop(): Promise<Recording> {
      // A goal is answered to its client a moment before everybody else hears of it.
      const count = (pattern: RegExp): number => texts.filter((text) => pattern.test(text)).length;
      await waitFor(() => count(/"kind":"goal"/) === count(/^\{"kind":"event".*"id":"[^"]+\.answer"/));
      await recorder.stop();
      return parseRecording(texts.map((text) => `${text}\n`).join(""));
    },
  };
}

export const messagesOf = ({ lines }: Recording): RecordedMessage[] =>
  lines.filter((line): line is RecordedMessage => "from" in line);
export const only = <K extends RecordingLine["kind"]>(recording: Recording, kind: K) =>
  recording.lines.filter((line): line is RecordingLine & { readonly kind: K } => line.kind === kind);

/** Runs the stubs of a recording. */
export async function startStubs(mesh: Mesh, recording: Recording, options?: StubOptions) {
  const agents = recordedStubs(recording, options).map((stub) => stub.create({ mesh: mesh.mesh(), drainMs: 200 }));
  for (const agent of agents) await agent.run();
  return {
    names: agents.map(({ name }) => name),
    async [Symbol.asyncDispose]() {
      for (const agent of agents) await agent.stop();
    },
  };
}
