import { describe, expect, test } from "bun:test";
import { type AnyData, type EventMessage, NonRetryableError, SoormaError } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

/** A planner of trips, whose legs are plans of another planner. */
async function travels() {
  const mesh = await inProcessMesh();
  const build = (name: "trips" | "legs") => {
    const planner = mesh.planner({ name, retry: { backoffMs: 1 } });
    if (name === "trips") {
      planner.onGoal("trip.goal", ({ data }) => ({
        tasks: [
          {
            name: "leg",
            goal: "leg.goal",
            data: { to: "{{goal.data.to}}", stay: data.stay ?? false },
            templated: true,
            ...(data.timeoutMs ? { timeoutMs: data.timeoutMs, retry: { maxAttempts: 1 } } : {}),
          },
          { name: "sum", assignedTo: "sum", data: "{{results.leg.book}}", templated: true, dependsOn: ["leg"] },
        ],
      }));
    } else {
      planner.onGoal("leg.goal", ({ data }) => ({ tasks: [{ name: "book", assignedTo: "book", data }] }));
    }
    return planner;
  };
  const trips = build("trips");
  const legs = build("legs");
  await trips.run();
  await legs.run();
  const worker = mesh.worker({ name: "agency" });
  const begun = Promise.withResolvers<void>();
  const aborted = Promise.withResolvers<string>();
  const go = Promise.withResolvers<void>();
  let bookings = 0;
  worker.onTask("book", async ({ data, signal, deadline }) => {
    bookings++;
    if (data.to === "nowhere") throw new NonRetryableError("no train goes there");
    signal.addEventListener("abort", () => aborted.resolve(signal.reason.message));
    begun.resolve();
    if (data.stay) {
      await Promise.race([go.promise, new Promise((_, reject) => signal.addEventListener("abort", reject))]);
    }
    return { to: data.to, deadline };
  });
  worker.onTask("sum", ({ data }) => ({ ...data, booked: true }));
  await worker.run();
  const client = await mesh.client();
  return {
    mesh,
    build,
    trips,
    legs,
    client,
    begun: begun.promise,
    aborted: aborted.promise,
    go: go.resolve,
    bookings: () => bookings,
    [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose](),
  };
}

describe("a task that is a goal of its own", () => {
  test("is a plan of another planner, in the same trace and with the same deadline; its answer is the task's result", async () => {
    await using at = await travels();
    const run = await at.client.submitGoal("trip.goal", { to: "Rome" }, { deadlineMs: 60_000, sessionId: "s" });
    const { sum } = await run.result();
    const plan = await run.plan();
    expect(sum).toEqual({ to: "Rome", booked: true, deadline: plan.origin.deadline });
    const [sub] = await at.client.tracker.subPlans(run.planId);
    expect(sub).toMatchObject({ planner: "legs", goalType: "leg.goal", status: "completed" });
    const { origin } = await at.client.tracker.getPlan(sub?.planId ?? "");
    expect(origin).toMatchObject({
      parentPlanId: run.planId,
      parentTaskId: plan.tasks[0]?.taskId,
      traceId: plan.origin.traceId,
      sessionId: "s",
      goalData: { to: "Rome", stay: false },
    });
    expect(plan.tasks[0]).toMatchObject({ name: "leg", agentName: "legs", result: { book: { to: "Rome" } } });
  });

  test("makes its parent fail when it fails", async () => {
    await using at = await travels();
    const run = await at.client.submitGoal("trip.goal", { to: "nowhere" });
    expect(await failureOf(run.result())).toThrow(/"leg".*leg\.goal.*no train goes there/s);
    expect(at.bookings()).toBe(1);
  });

  test("is cancelled with its parent, down to its handlers", async () => {
    await using at = await travels();
    const run = await at.client.submitGoal("trip.goal", { to: "Oslo", stay: true });
    await at.begun;
    await run.cancel("no holidays");
    await at.aborted;
    expect(await failureOf(run.result())).toThrow(/was cancelled: no holidays/);
    const [sub] = await at.client.tracker.subPlans(run.planId);
    await waitFor(async () => (await at.client.tracker.getPlan(sub?.planId ?? "")).status === "cancelled");
  });

  test("goes on when its parent's planner is lost, and is not begun again", async () => {
    await using at = await travels();
    const run = await at.client.submitGoal("trip.goal", { to: "Bonn", stay: true });
    await at.begun;
    at.mesh.hub.crash(at.trips.record().nodeId);
    await at.build("trips").run();
    await waitFor(async () => (await run.plan()).epoch === 2);
    at.go();
    expect(await run.result()).toMatchObject({ sum: { to: "Bonn", booked: true } });
    expect(at.bookings()).toBe(1);
    expect(await at.client.tracker.subPlans(run.planId)).toHaveLength(1);
  });

  test("has no more than its time, though its parent's planner is lost meanwhile", async () => {
    await using at = await travels();
    const timeoutMs = 2_000;
    const run = await at.client.submitGoal("trip.goal", { to: "Genoa", stay: true, timeoutMs });
    await at.begun;
    at.mesh.hub.crash(at.trips.record().nodeId);
    await at.build("trips").run();
    expect(await failureOf(run.result())).toThrow(/leg.* was not done by legs within its 2000 ms/);
    const [leg] = (await run.plan()).tasks;
    expect(leg?.durationMs).toBeGreaterThan(0.9 * timeoutMs);
    await at.aborted;
  });

  test("is answered to its parent also when its own planner is lost", async () => {
    await using at = await travels();
    const run = await at.client.submitGoal("trip.goal", { to: "Graz", stay: true });
    await at.begun;
    at.mesh.hub.crash(at.legs.record().nodeId);
    await at.build("legs").run();
    at.go();
    expect(await run.result()).toMatchObject({ sum: { to: "Graz", booked: true } });
    expect(at.bookings()).toBe(1);
  });

  test("waits for a planner that comes later", async () => {
    await using mesh = await inProcessMesh();
    const outer = mesh.planner({ name: "outer" });
    outer.onGoal("outer.goal", () => ({ tasks: [{ name: "in", goal: "inner.goal" }] }));
    await outer.run();
    const client = await mesh.client();
    const run = await client.submitGoal("outer.goal", null);
    await waitFor(async () => (await run.plan()).tasks[0]?.status === "running");
    const inner = mesh.planner({ name: "inner" });
    inner.onGoal("inner.goal", () => ({ tasks: [] }));
    inner.onComplete(() => "late");
    await inner.run();
    expect(await run.result()).toEqual({ in: "late" });
  });
});

test("a sub-plan that nobody had taken when its parent's planner was lost is begun with its data", async () => {
  await using mesh = await inProcessMesh();
  const build = () => {
    const outer = mesh.planner({ name: "outer" });
    outer.onGoal("outer.goal", () => ({
      tasks: [{ name: "leg", goal: "inner.goal", data: { to: "{{goal.data.to}}" }, templated: true }],
    }));
    return outer.run().then(() => outer);
  };
  const first = await build();
  const client = await mesh.client();
  const run = await client.submitGoal("outer.goal", { to: "Rome" });
  await waitFor(async () => (await run.plan()).tasks[0]?.status === "running");
  mesh.hub.crash(first.record().nodeId);
  await build();
  await waitFor(async () => (await run.plan()).epoch === 2);
  const inner = mesh.planner({ name: "inner" });
  const planned: unknown[] = [];
  inner.onGoal("inner.goal", ({ data }) => {
    planned.push(data);
    return { tasks: [] };
  });
  await inner.run();
  await run.result({ timeoutMs: 20_000 });
  expect(planned).toEqual([{ to: "Rome" }]);
});

test.each(["NODE_STOPPED", "ATTEMPT_LOST", "PLAN_FENCED"] as const)(
  "%s that a sub-plan or a delegated task fails with is its failure, and not one of whoever waits for it",
  async (code) => {
    await using mesh = await inProcessMesh();
    const planner = mesh.planner({ name: "planner", retry: { maxAttempts: 2, backoffMs: 1 } });
    planner.onGoal("outer.goal", ({ data }) => ({
      tasks: [data === "goal" ? { name: "leg", goal: "inner.goal" } : { name: "main", assignedTo: "main" }],
    }));
    let planned = 0;
    const thrown = (): never => {
      throw new SoormaError(code, "of something else", { retryable: false });
    };
    planner.onGoal("inner.goal", () => {
      planned++;
      return thrown();
    });
    await planner.run();
    const worker = mesh.worker({ name: "worker", concurrency: 3 });
    worker.onTask("main", (task) => task.delegate("sub", null));
    worker.onTask("sub", thrown);
    await worker.run();
    const client = await mesh.client();
    for (const shape of ["goal", "task"]) {
      const run = await client.submitGoal("outer.goal", shape);
      expect(await failureOf(run.result({ timeoutMs: 20_000 }))).toThrow(/of something else/);
    }
    expect(planned).toBe(1);
  },
);

test("a goal that a handler submits is a sub-plan of its task's plan, with its deadline", async () => {
  await using mesh = await inProcessMesh();
  const client = await mesh.client();
  const planner = mesh.planner({ name: "planner" });
  planner.onGoal("outer.goal", () => ({ tasks: [{ name: "ask", assignedTo: "ask" }] }));
  planner.onGoal("inner.goal", () => ({ tasks: [{ name: "stay", wait: { kind: "input", prompt: "Well?" } }] }));
  await planner.run();
  const worker = mesh.worker({ name: "worker" });
  const submitted = Promise.withResolvers<string>();
  worker.onTask("ask", async () => {
    const inner = await client.submitGoal("inner.goal", null);
    submitted.resolve(inner.planId);
    return await inner.result();
  });
  await worker.run();
  const run = await client.submitGoal("outer.goal", null, { deadlineMs: 60_000 });
  const innerId = await submitted.promise;
  const { origin } = await client.tracker.getPlan(innerId);
  const outer = await run.plan();
  expect(origin).toMatchObject({
    parentPlanId: run.planId,
    parentTaskId: outer.tasks[0]?.taskId,
    deadline: outer.origin.deadline,
  });
  await run.cancel("enough");
  await waitFor(async () => (await client.tracker.getPlan(innerId)).status === "cancelled");
});

test("goals of one type all the way down end at the limit of hops", async () => {
  await using mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "planner" });
  planner.onGoal("deep.goal", () => ({ tasks: [{ name: "deeper", goal: "deep.goal" }] }));
  await planner.run();
  const client = await mesh.client();
  const failures: EventMessage<AnyData>[] = [];
  await client.bus.subscribe("goal.failed", (event) => void failures.push(event));
  const run = await client.submitGoal("deep.goal", null);
  expect(await failureOf(run.result())).toThrow(/passed through 65 handlers/);
  await waitFor(() => failures.length === 65);
});
