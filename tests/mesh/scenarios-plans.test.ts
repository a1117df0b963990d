import { expect, test } from "bun:test";
import { Client } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { testProcesses } from "./fixtures/processes.ts";
import { did, done } from "./fixtures/scenarios/surroundings.ts";

const timeoutMs = 90_000;
const bound = { timeoutMs: 60_000 };

test(
  "an order fans out to stock and payment and joins them, over three replicas of each, one of each killed meanwhile",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    const roles = ["planner", "orderWorker", "inventory", "payment"];
    const started = await Promise.all(roles.flatMap((role) => [1, 2, 3].map(() => mesh.startScenario("orders", role))));
    await mesh.startAgent("state");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const orders = Array.from({ length: 30 }, (_, order) => ({ order, items: [`item-${order}`], amount: order * 10 }));
    const runs = await Promise.all(orders.map((data) => client.submitGoal("order.wanted", data)));
    await waitFor(() => done(mesh.folder).length >= 10, bound);
    for (const i of [0, 3, 6, 9]) await started[i]?.kill("SIGKILL");

    for (const [i, run] of runs.entries()) {
      const data = orders[i];
      expect(await run.result({ timeoutMs: 60_000 })).toEqual({
        order: {
          stock: { order: data?.order, reserved: data?.items },
          receipt: { order: data?.order, paid: data?.amount },
          parcel: `parcel of ${data?.order}`,
        },
      });
      const results = (await client.tracker.read(run.planId)).filter(({ type }) => type === "task.succeeded");
      expect(results).toHaveLength(3);
    }
    // At least once; twice only where a worker was killed between doing it and saying so: four were killed.
    const effects = done(mesh.folder);
    for (const what of ["reserve", "take", "ship"]) {
      for (const { order } of orders) expect(effects).toContain(`${what} ${order}`);
    }
    expect(effects.length - new Set(effects).size).toBeLessThanOrEqual(3 * 16);
  },
  timeoutMs,
);

test(
  "a planner does research as a state machine of three action states, and goes through all of them",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    await Promise.all(["planner", "worker"].map((role) => mesh.startScenario("research", role)));
    await mesh.startAgent("state");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const run = await client.submitGoal("research.wanted", { topic: "bees" });
    expect(await run.result({ timeoutMs: 60_000 })).toEqual({ report: "2 papers: bees 1, bees 2" });
    const states = ["search", "analyze", "search#2", "analyze#2", "report"];
    expect(done(mesh.folder)).toEqual(states);
    expect((await run.plan()).tasks.map(({ name, status }) => `${name} ${status}`)).toEqual(
      states.map((name) => `${name} completed`),
    );
  },
  timeoutMs,
);

test.each(["twenty.delegated", "twenty.each"])(
  "twenty items of one kind at once each get their own data and come back in their order: %s",
  async (goal) => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    await Promise.all(["planner", "worker", "worker"].map((role) => mesh.startScenario("twenty", role)));
    await mesh.startAgent("state");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const run = await client.submitGoal(goal, {});
    const result = await run.result({ timeoutMs: 60_000 });
    const weights = Array.from({ length: 20 }, (_, index) => ({ item: `item-${index}`, index, weight: index * 100 }));
    expect(goal === "twenty.each" ? result.each : result.all.weights).toEqual(weights);
    expect(done(mesh.folder).sort()).toEqual(weights.map(({ item }) => `weigh ${item}`).sort());
  },
  timeoutMs,
);

test(
  "a worker that was stopped and continued is fenced: its late result changes nothing",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    await mesh.startAgent("state");
    await mesh.startScenario("letters", "planner");
    const first = await mesh.startScenario("letters", "worker");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const run = await client.submitGoal("letter.wanted", { to: "Ada" });
    await waitFor(() => done(mesh.folder).includes("began Ada"), bound);
    first.subprocess.kill("SIGSTOP");
    const second = await mesh.startScenario("letters", "worker");
    await waitFor(() => done(mesh.folder).length === 2, bound);
    did(mesh.folder, "go on");
    expect(await run.result({ timeoutMs: 60_000 })).toEqual({ write: { letter: "Dear Ada" } });
    const answered = async () => (await client.tracker.read(run.planId)).some(({ type }) => type === "plan.answered");
    await waitFor(answered, bound);
    const before = await client.tracker.read(run.planId);
    first.subprocess.kill("SIGCONT");
    // It is known again, and does what it is asked to.
    await second.kill("SIGTERM");
    const next = await client.submitGoal("letter.wanted", { to: "Grace" });
    expect(await next.result({ timeoutMs: 60_000 })).toEqual({ write: { letter: "Dear Grace" } });
    const { tasks } = await run.plan();
    expect(tasks.map(({ attempt, agentId, status }) => ({ attempt, agentId, status }))).toEqual([
      { attempt: 2, agentId: String(second.said.agentId), status: "completed" },
    ]);
    expect(await client.tracker.read(run.planId)).toEqual(before);
  },
  timeoutMs,
);

test(
  "a worker that was stopped between two steps and continued does not do what another one did meanwhile",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    await mesh.startAgent("state");
    await mesh.startScenario("zombie", "planner");
    const first = await mesh.startScenario("zombie", "worker");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const run = await client.submitGoal("transfer.wanted", {});
    const isBetween = ({ subprocess }: typeof first) => done(mesh.folder).includes(`between ${subprocess.pid}`);
    await waitFor(() => isBetween(first), bound);
    first.subprocess.kill("SIGSTOP");
    const second = await mesh.startScenario("zombie", "worker");
    await waitFor(() => isBetween(second), bound);
    did(mesh.folder, "go on");
    await run.result({ timeoutMs: 60_000 });
    first.subprocess.kill("SIGCONT");
    await waitFor(() => done(mesh.folder).includes(`ended ${first.subprocess.pid}`), bound);
    const effects = done(mesh.folder).filter((line) => line === "withdrawn" || line === "deposited");
    expect(effects).toEqual(["withdrawn", "deposited"]);
  },
  timeoutMs,
);
