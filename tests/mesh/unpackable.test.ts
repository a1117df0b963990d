import { expect, test } from "bun:test";
import { type AnyData, SoormaError } from "@soorma/core";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

function circle(): AnyData {
  const loop: AnyData = { items: [1] };
  loop.items.push(loop);
  return loop;
}

/** Fine to look at, but it cannot be packed. */
class Broken {
  readonly size = 1;
  toJSON(): never {
    throw new Error("out of order");
  }
}

test("what cannot be sent is refused where it is sent, with the path of what is wrong", async () => {
  await using mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "planner" });
  planner.onGoal("run", () => ({ tasks: [] }));
  await planner.run();
  const tool = mesh.tool({ name: "tool" });
  tool.onInvoke("echo", ({ data }) => data);
  tool.onInvoke("loop", () => circle());
  tool.onInvoke("broken", () => new Broken());
  await tool.run();
  const client = await mesh.client();
  await client.bus.subscribe("news.*", () => {});
  const attempts: [() => Promise<unknown>, string][] = [
    [() => client.submitGoal("run", circle()), "data.items[1] is an object that contains itself"],
    [() => client.bus.request("echo", { at: Symbol("x") }), "data.at is a symbol"],
    [() => client.bus.request("loop", {}), "answer.items[1] is an object that contains itself"],
    [() => client.bus.request("broken", {}), "answer cannot be packed: out of order"],
    [() => client.bus.publish("news.today", circle()), "data.items[1] is an object that contains itself"],
    [() => client.memory.store("key", { count: 10n ** 50n }), "value.count is an integer of more than 64 bits"],
    [() => client.memory.store("key", { vector: new Float32Array([1.5, 2]) }), "value.vector is a Float32Array"],
    [() => client.bus.publish("news.today", [new DataView(new ArrayBuffer(8))]), "data[0] is a DataView"],
  ];
  for (const [attempt, why] of attempts) {
    expect(await failureOf(attempt())).toThrow(
      expect.objectContaining({
        code: "PAYLOAD_INVALID",
        retryable: false,
        message: expect.stringContaining(why),
      }),
    );
  }
  expect(await client.bus.request("echo", { still: "works" })).toEqual({ still: "works" });
}, 60_000);

test("an agent's own operations get the same refusal", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const tool = mesh.tool({ name: "tool" });
  tool.onInvoke("loop", () => circle());
  tool.onInvoke("ask", async ({ data }, { bus }) => bus.request("loop", data === "bad" ? circle() : {}));
  await tool.run();
  const client = await mesh.client();
  const wrong: [string, string][] = [
    ["bad", "data.items[1] is an object that contains itself"],
    ["good", "answer.items[1] is an object that contains itself"],
  ];
  for (const [data, why] of wrong) {
    expect(await failureOf(client.bus.request("ask", data))).toThrow(
      expect.objectContaining({
        code: "PAYLOAD_INVALID",
        retryable: false,
        message: expect.stringContaining(why),
      }),
    );
  }
}, 60_000);

test("a task whose result or failure cannot be delivered fails with why, and its goal is answered", async () => {
  await using mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "planner" });
  planner.onGoal("run", ({ data }) => ({ tasks: [{ name: "main", assignedTo: data }] }));
  await planner.run();
  const worker = mesh.worker({ name: "worker" });
  worker.onTask("broken", () => new Broken());
  worker.onTask("circular", () => {
    throw new SoormaError("PLAN_REFUSED", "no such room", { details: circle() });
  });
  worker.onTask("odd", () => {
    throw new SoormaError("PLAN_REFUSED", "no such floor", { details: { at: new Broken() } });
  });
  await worker.run();
  const client = await mesh.client();
  for (const [name, why] of [
    ["broken", "out of order"],
    ["circular", "no such room"],
    ["odd", "no such floor"],
  ]) {
    const run = await client.submitGoal("run", name);
    const failure = await failureOf(run.result({ timeoutMs: 15_000 }));
    expect(failure).toThrow(expect.objectContaining({ message: expect.stringContaining(String(why)) }));
    expect((await run.plan()).tasks).toMatchObject([{ status: "failed", attempt: 1 }]);
  }
}, 60_000);
