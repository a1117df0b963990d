import { startBroker } from "@soorma/broker";
import { Client, definePlan, Planner, sleep, Tool, Worker } from "@soorma/core";
import { StateNode } from "@soorma/core/state";
import { inproc } from "@soorma/transport-inproc";
import { brokenPlannerMesh, brokenWorkerMesh } from "./broken.ts";
import { chanceOf, seedOf } from "./chance.ts";
import { doScripts, patient } from "./handlers.ts";
import { drainMs, meshOf, type Role } from "./surroundings.ts";

export { client } from "./client.ts";

export const broker: Role = async ({ process, hub, disk, log }) => {
  const store = process.store(disk("broker").open());
  const running = await startBroker({
    transport: process.transport(inproc(hub, { host: process.name })),
    store,
    listen: "inproc://broker",
    runtime: process.runtime,
    log,
  });
  return {
    async stop() {
      await running.close();
      await store.close();
    },
  };
};

export const state: Role = async (surroundings) => {
  const store = surroundings.process.store(surroundings.disk("state").open());
  const node = new StateNode({ store, mesh: meshOf(surroundings), drainMs });
  await node.run();
  return {
    async stop() {
      await node.stop();
      await store.close();
    },
  };
};

export const planner: Role = async (surroundings) => {
  const agent = new Planner({
    name: "planner",
    mesh: brokenPlannerMesh(meshOf(surroundings), surroundings.broken),
    drainMs,
  });
  agent.onGoal("sim.goal", async ({ data }, context) => {
    if (data.id % 3 === 0) await context.memory.retrieve("sim:nothing");
    return { tasks: data.tasks, ...(data.budget ? { budget: data.budget } : {}) };
  });
  agent.onGoal("sim.grow", ({ data }) => ({ tasks: data.tasks }));
  agent.onTransition("sim.grow", ({ task, goalData }) => {
    const next = goalData.more[Number(task.name.slice(1))];
    return { tasks: next ? [next] : [], handled: task.status === "failed" };
  });
  agent.onGoal(rounds);
  await agent.run();
  return agent;
};

/** Works, asks a person, and begins again as often as the goal says. */
const rounds = definePlan({
  goal: "sim.rounds",
  initial: "works",
  states: {
    works: {
      task: { assignedTo: "work", data: "{{goal.data.behaviour}}", retry: patient },
      on: "asks",
      onFailure: "naps",
    },
    asks: { input: "once more?", on: "naps" },
    naps: {
      sleep: 200,
      on: [{ to: "works", when: ({ visits, goal }) => visits.works < goal.data.rounds }, { to: "done" }],
    },
    done: { final: true },
  },
});

export const worker: Role = async (surroundings) => {
  const concurrency = chanceOf(seedOf(surroundings.seed, `${surroundings.process.name} concurrency`)).whole(1, 6);
  const mesh = brokenWorkerMesh(meshOf(surroundings), surroundings.broken);
  const agent = new Worker({ name: "worker", mesh, drainMs, concurrency });
  doScripts(agent, surroundings);
  await agent.run();
  return agent;
};

export const tool: Role = async (surroundings) => {
  const agent = new Tool({ name: "adder", mesh: meshOf(surroundings), drainMs });
  agent.onInvoke("sim.add", async ({ data }) => {
    await sleep(surroundings.process.runtime, data.ms);
    return { sum: data.a + data.b };
  });
  await agent.run();
  return agent;
};

/** Hears every answer. */
export const observer: Role = async (surroundings) => {
  const { process, ledger } = surroundings;
  const client = await Client.connect({ name: "observer", mesh: meshOf(surroundings), drainMs });
  const life = `${process.name} ${process.runtime.random()}`;
  const hear = (event: { readonly id: string; readonly data: { readonly planId: string } }): void => {
    if (!process.alive) return;
    const key = `${life} ${event.data.planId}`;
    const times = (ledger.heard.get(key) ?? 0) + 1;
    ledger.heard.set(key, times);
    if (times > 1) ledger.violated(`${process.name} heard the answer of ${event.data.planId} ${times} times`);
  };
  await client.bus.subscribe("goal.completed", hear);
  await client.bus.subscribe("goal.failed", hear);
  ledger.listeningMs = surroundings.elapsedMs();
  return client;
};
