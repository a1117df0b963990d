import { describe, expect, test } from "bun:test";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type AnyData, Client, type EventMessage } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { type MeshProcess, testProcesses } from "./fixtures/processes.ts";
import { inProcessMesh } from "./in-process.ts";

const timeoutMs = 90_000;
const bound = { timeoutMs: 30_000 };

/** Broker, state node and a worker in processes of their own; planners as wanted. */
async function setting() {
  const mesh = testProcesses();
  let broker = await mesh.startBroker();
  const start = (role: string): Promise<MeshProcess> =>
    mesh.start("takeover-process.ts", role, mesh.folder, mesh.broker);
  let [state] = await Promise.all([start("state"), start("worker")]);
  const client = await Client.connect({ mesh: mesh.mesh() });
  const answers: EventMessage<AnyData>[] = [];
  await client.bus.subscribe("goal.*", (event) => void answers.push(event));
  return {
    client,
    answers,
    start,
    async restart(role: "state" | "broker"): Promise<void> {
      if (role === "state") {
        await state.kill("SIGKILL");
        state = await start("state");
      } else {
        await broker.kill("SIGKILL");
        broker = await mesh.startBroker();
      }
    },
    /** Lets held tasks go on. */
    go: () => writeFileSync(join(mesh.folder, "go"), ""),
    /** Ids of the tasks whose handlers began, sorted. */
    ledger: () => lines(join(mesh.folder, "ledger")),
    /** The same of those that were aborted. */
    aborted: () => lines(join(mesh.folder, "aborted")),
    async [Symbol.asyncDispose]() {
      await client.stop();
      await mesh[Symbol.asyncDispose]();
    },
  };
}

function lines(path: string): string[] {
  try {
    return readFileSync(path, "utf8").trim().split("\n").sort();
  } catch {
    return [];
  }
}

const isOnce = (ids: readonly string[]): void => expect(ids).toEqual([...new Set(ids)]);

describe("a planner killed with SIGKILL", () => {
  test(
    "loses nothing to another instance, which takes over what was open within the lease; no handler runs again",
    async () => {
      await using at = await setting();
      const planners = await Promise.all([at.start("planner"), at.start("planner")]);
      const run = await at.client.submitGoal("held.goal", { count: 20 });
      await waitFor(() => at.ledger().length === 20, bound);
      const { driver } = await run.plan();
      const killedAt = performance.now();
      await planners.find(({ said }) => said.agentId === driver)?.kill("SIGKILL");
      const taken = await waitFor(async () => {
        const plan = await run.plan();
        return plan.epoch === 2 && plan;
      }, bound);
      expect(performance.now() - killedAt).toBeLessThan(10_000);
      expect(taken.driver).not.toBe(driver);
      at.go();
      expect((await run.result({ timeoutMs: 30_000 })).sum).toBe(190);
      isOnce(at.ledger());
      expect(at.ledger()).toHaveLength(21);
      await waitFor(() => at.answers.length > 0);
      expect(at.answers.map(({ data }) => data.planId)).toEqual([run.planId]);
    },
    timeoutMs,
  );

  test(
    "goes on when it is started again; no handler runs again",
    async () => {
      await using at = await setting();
      const planner = await at.start("planner");
      const run = await at.client.submitGoal("held.goal", { count: 5 });
      await waitFor(() => at.ledger().length === 5, bound);
      await planner.kill("SIGKILL");
      await at.start("planner");
      at.go();
      expect((await run.result({ timeoutMs: 30_000 })).sum).toBe(10);
      isOnce(at.ledger());
    },
    timeoutMs,
  );

  test(
    "leaves hundreds of plans, which all instances share",
    async () => {
      await using at = await setting();
      const first = await at.start("planner");
      const runs = await Promise.all(Array.from({ length: 300 }, () => at.client.submitGoal("asking.goal", null)));
      await waitFor(
        async () => (await at.client.tracker.listTasks({ status: "paused", limit: 1_000 })).length === 300,
        bound,
      );
      await first.kill("SIGKILL");
      await Promise.all([at.start("planner"), at.start("planner")]);
      await waitFor(
        async () => (await at.client.tracker.listPlans({ limit: 1_000 })).every(({ epoch }) => epoch === 2),
        bound,
      );
      await Promise.all(runs.map((run, n) => at.client.tracker.answer(run.planId, n)));
      const results = await Promise.all(runs.map((run) => run.result({ timeoutMs: 30_000 })));
      expect(results).toEqual(runs.map((_, n) => ({ ask: n })));
      await waitFor(() => at.answers.length >= 300, bound);
      isOnce(at.answers.map(({ data }) => data.planId).sort());
    },
    timeoutMs,
  );

  test(
    "does not keep its goal from being cancelled, down to its handlers",
    async () => {
      await using at = await setting();
      const planner = await at.start("planner");
      const run = await at.client.submitGoal("held.goal", { count: 1 });
      await waitFor(() => at.ledger().length === 1, bound);
      await planner.kill("SIGKILL");
      await run.cancel("nobody wants it");
      expect((await run.plan()).status).toBe("cancelled");
      await waitFor(() => at.aborted().length === 1, bound);
      // Whoever waits for the answer gets it from the next instance.
      await at.start("planner");
      await waitFor(() => at.answers.length === 1, bound);
      expect(at.answers[0]).toMatchObject({ type: "goal.failed", data: { planId: run.planId, status: "cancelled" } });
    },
    timeoutMs,
  );
});

test(
  "a planner stopped with SIGSTOP is replaced; continued, it changes nothing any more",
  async () => {
    await using at = await setting();
    const planners = await Promise.all([at.start("planner"), at.start("planner")]);
    const run = await at.client.submitGoal("held.goal", { count: 3 });
    await waitFor(() => at.ledger().length === 3, bound);
    const { driver } = await run.plan();
    const stopped = planners.find(({ said }) => said.agentId === driver)?.subprocess;
    stopped?.kill("SIGSTOP");
    await waitFor(async () => (await run.plan()).epoch === 2, bound);
    stopped?.kill("SIGCONT");
    at.go();
    expect((await run.result({ timeoutMs: 30_000 })).sum).toBe(3);
    isOnce(at.ledger());
    // It takes goals again.
    const others = await Promise.all(Array.from({ length: 8 }, () => at.client.submitGoal("short.goal", 1)));
    for (const other of others) expect(await other.result({ timeoutMs: 30_000 })).toEqual({ a: 1, b: 1 });
    const timeline = await at.client.tracker.timeline(run.planId);
    const taken = timeline.findIndex(({ type }) => type === "plan.driven");
    expect(timeline.slice(taken).filter(({ by }) => by === driver)).toEqual([]);
    await waitFor(() => at.answers.length >= 9, bound);
    isOnce(at.answers.map(({ data }) => data.planId).sort());
  },
  timeoutMs,
);

test.each(["state", "broker"] as const)(
  "with the %s process killed and restarted under load every goal is answered once",
  async (role) => {
    await using at = await setting();
    await Promise.all([at.start("planner"), at.start("planner")]);
    let stop = false;
    let answered = 0;
    const load = Promise.all(
      Array.from({ length: 8 }, async (_, lane) => {
        for (let n = 0; !stop; n++) {
          const run = await at.client.submitGoal("short.goal", { lane, n }, { timeoutMs: 60_000 });
          expect(await run.result({ timeoutMs: 60_000 })).toEqual({ a: { lane, n }, b: { lane, n } });
          answered++;
        }
      }),
    );
    await waitFor(() => answered > 50, bound);
    for (let round = 0; round < 2; round++) {
      await at.restart(role);
      const before = answered;
      await waitFor(() => answered > before + 50, { timeoutMs: 60_000 });
    }
    stop = true;
    await load;
    await waitFor(() => at.answers.length >= answered, bound);
    const ids = at.answers.map(({ data }) => data.planId).sort();
    isOnce(ids);
    expect(ids).toHaveLength(answered);
  },
  timeoutMs * 2,
);

test("an answer that its planner published but could not note is published again, and received once", async () => {
  await using mesh = await inProcessMesh();
  const build = () => {
    const planner = mesh.planner({ name: "planner" });
    planner.onGoal("quick.goal", () => ({ tasks: [] }));
    return planner;
  };
  const first = build();
  await first.run();
  const client = await mesh.client();
  const everybody: string[] = [];
  const grouped: string[] = [];
  await client.bus.subscribe("goal.completed", ({ id }) => {
    everybody.push(id);
    // Before the planner can note that it published it.
    if (everybody.length === 1) mesh.hub.crash(first.record().nodeId);
  });
  for (const name of ["one", "two", "three"]) {
    const member = await mesh.client({ name });
    await member.bus.subscribe("goal.completed", ({ id }) => void grouped.push(id), { group: "g" });
  }
  // The planner may be lost before it said that it accepted the goal: then the next one is asked, and finds it in the log.
  const submitted = client.submitGoal("quick.goal", null);
  await waitFor(() => everybody.length === 1);
  const second = build();
  await second.run();
  const run = await submitted;
  await waitFor(async () => (await run.plan()).answered === true);
  const last = (await client.tracker.timeline(run.planId)).at(-1);
  expect(last).toMatchObject({ type: "plan.answered", by: second.agentId });
  expect(everybody).toEqual([`${run.planId}.answer`]);
  expect(grouped).toEqual([`${run.planId}.answer`]);
});
