import { expect, test } from "bun:test";
import { Client } from "@soorma/core";
import { failureOf } from "./failure-of.ts";
import { testProcesses } from "./fixtures/processes.ts";
import { done } from "./fixtures/scenarios/surroundings.ts";

test("a handler that keeps the thread longer than an offer waits is begun once, measured, and ended by its time", async () => {
  await using mesh = testProcesses();
  await mesh.startBroker();
  await mesh.startAgent("state");
  await Promise.all(["planner", "worker"].map((role) => mesh.startScenario("busy", role)));
  await using client = await Client.connect({ mesh: mesh.mesh() });

  const long = await client.submitGoal("crunch.goal", { name: "long", ms: 4_000 });
  expect(await long.result({ timeoutMs: 30_000 })).toEqual({ crunch: "long" });
  expect(done(mesh.folder)).toEqual(["began long 1"]);
  const [succeeded] = (await client.tracker.timeline(long.planId)).filter((entry) => entry.type === "task.succeeded");
  expect(succeeded?.durationMs).toBeGreaterThan(3_000);

  const late = await client.submitGoal("crunch.goal", { name: "late", ms: 4_000, timeoutMs: 300 });
  expect(await failureOf(late.result({ timeoutMs: 30_000 }))).toThrow(
    expect.objectContaining({ message: expect.stringContaining("TIMEOUT") }),
  );
  expect(done(mesh.folder)).toEqual(["began long 1", "began late 1"]);
}, 90_000);

test("a handler that was always quick and then keeps the thread for longer than an offer waits is begun once, too", async () => {
  await using mesh = testProcesses();
  await mesh.startBroker();
  await mesh.startAgent("state");
  await Promise.all(["planner", "worker"].map((role) => mesh.startScenario("busy", role)));
  await using client = await Client.connect({ mesh: mesh.mesh() });

  const names = Array.from({ length: 20 }, (_, i) => `quick${i}`);
  for (const name of names) {
    const quick = await client.submitGoal("crunch.goal", { name, ms: 0 });
    expect(await quick.result({ timeoutMs: 30_000 })).toEqual({ crunch: name });
  }
  const sudden = await client.submitGoal("crunch.goal", { name: "sudden", ms: 5_000 });
  expect(await sudden.result({ timeoutMs: 30_000 })).toEqual({ crunch: "sudden" });
  const after = await client.submitGoal("crunch.goal", { name: "after", ms: 0 });
  expect(await after.result({ timeoutMs: 30_000 })).toEqual({ crunch: "after" });
  expect(done(mesh.folder)).toEqual([...names, "sudden", "after"].map((name) => `began ${name} 1`));
}, 90_000);
