import { describe, expect, test } from "bun:test";
import { type Recording, recordedStubs } from "@soorma/core/recording";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";
import { record, shop, startStubs } from "./recorded-mesh.ts";

describe("stubs of a recording", () => {
  async function recorded(): Promise<Recording> {
    await using mesh = await inProcessMesh();
    const { seen } = await shop(mesh);
    const auditor = mesh.tool({ name: "auditor", produces: ["audit.done"] });
    auditor.onEvent("order.priced", async ({ data }, { bus }) => bus.publish("audit.done", { price: data.price }));
    await auditor.run();
    let failures = 0;
    const flaky = mesh.worker({ name: "flaky" });
    flaky.onTask("wrap", () => {
      if (++failures < 3) throw new Error(`failure ${failures}`);
      return "wrapped";
    });
    await flaky.run();
    const wrapper = mesh.planner({ name: "wrapper", retry: { backoffMs: 1 } });
    wrapper.onGoal("wrap.goal", () => ({ tasks: [{ name: "wrap", assignedTo: "wrap" }] }));
    await wrapper.run();
    const recording = await record(mesh);
    const client = await mesh.client({ name: "customer" });
    await client.submitGoal("order.goal", { count: 4 }).then((run) => run.result());
    await client.submitGoal("wrap.goal", {}).then((run) => run.result());
    await waitFor(() => seen.length === 1 && recording.texts.some((text) => text.includes("audit.done")));
    return await recording.stop();
  }

  test("stand in for workers and tools, so that a planner of one's own is tested against what they answered", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await startStubs(mesh, recording, { except: ["shop"] });
    const mine = mesh.planner({ name: "shop" });
    mine.onGoal("order.goal", ({ data }) => ({
      tasks: [
        { name: "price", assignedTo: "price", data },
        { name: "ship", assignedTo: "ship", dependsOn: ["price"] },
      ],
    }));
    mine.onComplete(({ results }) => ({ total: results.price.price }));
    await mine.run();
    const client = await mesh.client();
    const heard: unknown[] = [];
    await client.bus.subscribe("audit.done", ({ data }) => void heard.push(data));
    const run = await client.submitGoal("order.goal", { count: 4 });
    expect(await run.result()).toEqual({ total: 12 });
    // The worker's event was published, and another stub reacted to it.
    await waitFor(() => heard.length > 0);
    expect(heard).toEqual([{ price: 12 }]);
  });

  test("fail with the name of a call that was not recorded, and what comes closest", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await startStubs(mesh, recording, { except: ["shop"] });
    const mine = mesh.planner({ name: "shop" });
    mine.onGoal("order.goal", ({ data }) => ({
      tasks: [{ name: data.task, assignedTo: "price", data: { count: data.count } }],
    }));
    await mine.run();
    const client = await mesh.client();
    const failure = async (data: object) => {
      const run = await client.submitGoal("order.goal", data);
      return (await run.result().catch((error) => error)).message;
    };
    expect(await failure({ task: "price", count: 5 })).toContain(
      'the recording holds no task "price" for "price" with data {"count":5}; of the 1 it holds the closest has 4 at data.count instead of 5',
    );
    expect(await failure({ task: "cost", count: 4 })).toContain(
      'the recording holds no task "cost" for "price" (asked with data {"count":4})',
    );
    expect((await client.bus.request("times", { a: 9, b: 3 }).catch((error) => error)).code).toBe("CALL_NOT_RECORDED");
    await using other = await inProcessMesh();
    await using _others = await startStubs(other, recording, { ignore: ["data.a"] });
    expect(await other.client().then((one) => one.bus.request("times", { a: 9, b: 3 }))).toEqual({ product: 12 });
    expect(() => recordedStubs(recording, { except: ["shpo"] })).toThrow('the recording has no agent "shpo"');
  });

  test("answer a task that was tried again as each attempt was", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await startStubs(mesh, recording, { except: ["wrapper"] });
    const mine = mesh.planner({ name: "wrapper", retry: { backoffMs: 1 } });
    mine.onGoal("wrap.goal", () => ({ tasks: [{ name: "wrap", assignedTo: "wrap" }] }));
    await mine.run();
    const client = await mesh.client();
    const run = await client.submitGoal("wrap.goal", {});
    expect(await run.result()).toEqual({ wrap: "wrapped" });
    expect((await run.plan()).tasks[0]?.attempt).toBe(3);
  });

  test("stand in for planners", async () => {
    const recording = await recorded();
    await using mesh = await inProcessMesh();
    await using _stubs = await startStubs(mesh, recording);
    const client = await mesh.client();
    const run = await client.submitGoal("order.goal", { count: 4 });
    expect(await run.result()).toEqual({ price: { price: 12 }, ship: { shipped: 12 } });
    const other = await client.submitGoal("order.goal", { count: 1 });
    expect((await other.result().catch((error) => error)).message).toContain('no goal "order.goal"');
  });
});
