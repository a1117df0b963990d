import { describe, expect, test } from "bun:test";
import { waitFor } from "@soorma/core/testing";
import { inProcessMesh } from "./in-process.ts";

describe("a goal whose agents come and go", () => {
  test("waits for a worker that comes later", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("patient.goal", () => ({ tasks: [{ name: "late", assignedTo: "late" }] }));
    await planner.run();
    const client = await mesh.client();
    const run = await client.submitGoal("patient.goal", {});
    const worker = mesh.worker({ name: "latecomer" });
    worker.onTask("late", () => "here");
    await worker.run();
    expect(await run.result()).toEqual({ late: "here" });
  });

  test("survives the loss of a worker's node: another instance does the task", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner", retry: { backoffMs: 1 } });
    planner.onGoal("tough.goal", () => ({ tasks: [{ name: "job", assignedTo: "job" }] }));
    await planner.run();
    const first = mesh.worker({ name: "jobber" });
    const begun = Promise.withResolvers<void>();
    first.onTask("job", () => {
      begun.resolve();
      return new Promise(() => {});
    });
    await first.run();
    const client = await mesh.client();
    const run = await client.submitGoal("tough.goal", {});
    await begun.promise;
    const second = mesh.worker({ name: "jobber" });
    second.onTask("job", ({ attempt }) => `attempt ${attempt}`);
    await second.run();
    mesh.hub.crash(first.record().nodeId);
    expect(await run.result()).toEqual({ job: "attempt 2" });
  });

  test("a worker that stops finishes what runs, and hands the rest back", async () => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner", retry: { backoffMs: 1 } });
    planner.onGoal("two.tasks", () => ({
      tasks: ["quick", "stuck"].map((name) => ({ name, assignedTo: "job" })),
    }));
    await planner.run();
    const first = mesh.worker({ name: "jobber" });
    const bothBegun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    let begun = 0;
    first.onTask("job", async ({ name, signal }) => {
      if (++begun === 2) bothBegun.resolve();
      if (name === "quick") await go.promise;
      else await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      return "first";
    });
    await first.run();
    const client = await mesh.client();
    const run = await client.submitGoal("two.tasks", {});
    await bothBegun.promise;
    const second = mesh.worker({ name: "jobber" });
    second.onTask("job", () => "second");
    await second.run();
    const stopping = first.stop({ drainMs: 100 });
    go.resolve();
    await stopping;
    expect(await run.result()).toEqual({ quick: "first", stuck: "second" });
  });

  test("a planner that starts again goes on with the plans it left open", async () => {
    await using mesh = await inProcessMesh();
    const build = () => {
      const planner = mesh.planner({ name: "planner" });
      planner.onGoal("long.goal", () => ({
        tasks: [
          { name: "wait", assignedTo: "wait" },
          { name: "end", assignedTo: "end", dependsOn: ["wait"] },
        ],
      }));
      return planner;
    };
    const first = build();
    await first.run();
    const client = await mesh.client();
    const run = await client.submitGoal("long.goal", {});
    mesh.hub.crash(first.record().nodeId);
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("wait", () => 1);
    worker.onTask("end", ({ inputs }) => inputs.wait + 1);
    await worker.run();
    await build().run();
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ wait: 1, end: 2 });
  });

  test("is taken over by another instance of its planner, which was there already, and what runs is not begun again", async () => {
    await using mesh = await inProcessMesh();
    const build = () => {
      const planner = mesh.planner({ name: "planner" });
      planner.onGoal("two.steps", () => ({
        tasks: [
          { name: "one", assignedTo: "one" },
          { name: "two", assignedTo: "two", dependsOn: ["one"] },
        ],
      }));
      return planner;
    };
    const planners = [build(), build()];
    for (const planner of planners) await planner.run();
    const begun = Promise.withResolvers<void>();
    const go = Promise.withResolvers<void>();
    const worker = mesh.worker({ name: "worker" });
    let runs = 0;
    worker.onTask("one", async ({ attempt }) => {
      runs++;
      begun.resolve();
      await go.promise;
      return attempt;
    });
    worker.onTask("two", ({ inputs }) => inputs.one);
    await worker.run();
    const client = await mesh.client();
    const run = await client.submitGoal("two.steps", {});
    await begun.promise;
    const { driver } = await run.plan();
    const lost = planners.find((planner) => planner.agentId === driver);
    mesh.hub.crash(lost?.record().nodeId ?? "");
    await waitFor(async () => (await run.plan()).epoch === 2, { timeoutMs: 20_000 });
    go.resolve();
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ one: 1, two: 1 });
    expect(runs).toBe(1);
    const driven = (await client.tracker.timeline(run.planId)).filter(({ type }) => type === "plan.driven");
    expect(driven).toMatchObject([{ driver: planners.find((planner) => planner !== lost)?.agentId, epoch: 2 }]);
  });
});
