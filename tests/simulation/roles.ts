import { startBroker } from "@soorma/broker";
import {
  Client,
  createMesh,
  isSoormaError,
  type Logger,
  type Mesh,
  NonRetryableError,
  Planner,
  sleep,
  Tool,
  Worker,
} from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import { StateNode } from "@soorma/core/state";
import type { SimulatedDisk, SimulatedProcess } from "@soorma/core/testing";
import registryBroker from "@soorma/registry-broker";
import { type Hub, inproc } from "@soorma/transport-inproc";
import { chanceOf, seedOf } from "./chance.ts";
import type { Behaviour, GoalRecord, Ledger } from "./ledger.ts";

/** What a process of a certain role is started with. */
export interface Surroundings {
  readonly process: SimulatedProcess;
  readonly hub: Hub;
  readonly log: Logger;
  readonly ledger: Ledger;
  readonly elapsedMs: () => number;
  readonly disk: (name: string) => SimulatedDisk;
  readonly seed: number;
  /** Scripted goals that this client is to submit, and when. */
  readonly goals: readonly { readonly atMs: number; readonly record: GoalRecord }[];
  /** Until when clients write, request and publish. */
  readonly untilMs: number;
}

/** Something running that can be stopped cleanly. */
export interface Running {
  stop(): Promise<void>;
}

export type Role = (surroundings: Surroundings) => Promise<Running>;

const drainMs = 3_000;

function meshOf({ process, hub, log }: Surroundings): Mesh {
  return createMesh(async () => ({
    transport: process.transport(inproc(hub, { host: process.name })),
    createRegistry: (deps) => createFromPlugin(registryBroker, { address: "inproc://broker", timeoutMs: 5_000 }, deps),
    runtime: process.runtime,
    log,
    host: process.name,
    pid: 1,
  }));
}

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
  const agent = new Planner({ name: "planner", mesh: meshOf(surroundings), drainMs });
  agent.onGoal("sim.goal", async (goal, context) => {
    if (goal.data.askMemory) await context.memory.retrieve("sim:nothing");
    return { tasks: goal.data.tasks };
  });
  await agent.run();
  return agent;
};

export const worker: Role = async (surroundings) => {
  const { process, ledger, elapsedMs } = surroundings;
  const concurrency = chanceOf(seedOf(surroundings.seed, `${process.name} concurrency`)).whole(1, 6);
  const agent = new Worker({ name: "worker", mesh: meshOf(surroundings), drainMs, concurrency });
  let runs = 0;
  agent.onTask("work", async (task) => {
    const { ms, failsUntil = 0, hangsUntil = 0, fatal } = task.data as Behaviour;
    const token = `${task.taskId}/${task.attempt}/${process.name}/${++runs}`;
    const run = {
      planId: task.planId,
      taskId: task.taskId,
      attempt: task.attempt,
      process: process.name,
      startedMs: elapsedMs(),
      inputs: task.inputs,
      token,
    };
    if (process.alive) ledger.runs.push(run);
    await sleep(process.runtime, ms, task.signal);
    if (fatal) throw new NonRetryableError(`scripted to fail: ${task.name}`);
    if (task.attempt < hangsUntil) await sleep(process.runtime, 10_000_000, task.signal);
    if (task.attempt < failsUntil) throw new Error(`scripted to throw: ${task.name}`);
    return { token };
  });
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
  return client;
};

export const client: Role = async (surroundings) => {
  const { process, ledger, elapsedMs, goals, untilMs, seed } = surroundings;
  const agent = await Client.connect({ name: process.name, mesh: meshOf(surroundings), drainMs });
  const { runtime } = process;
  const chance = chanceOf(seedOf(seed, `${process.name} at ${elapsedMs()}`));
  const stopping = new AbortController();
  const over = (): boolean => stopping.signal.aborted || !process.alive;
  const pause = (ms: number): Promise<void> => sleep(runtime, ms, stopping.signal).catch(() => {});

  /** Follows a plan until its end is known, whatever happens on the way. */
  const follow = async (goal: GoalRecord, planId: string): Promise<void> => {
    while (!over() && goal.answers.length === 0) {
      try {
        for await (const entry of agent.tracker.watch(planId, { signal: stopping.signal })) {
          if (over()) return;
          const end = endOf(entry);
          if (!end) continue;
          ledger.answered(goal, end.status, end.value, elapsedMs(), process.name);
          return;
        }
      } catch (error) {
        if (!isSoormaError(error)) throw error;
      }
      await pause(200);
    }
  };

  const submit = async (goal: GoalRecord): Promise<void> => {
    const { script } = goal;
    try {
      const run = await agent.submitGoal("sim.goal", {
        id: script.id,
        tasks: script.tasks,
        askMemory: script.id % 3 === 0,
      });
      if (over()) return;
      goal.acceptedMs = elapsedMs();
      goal.planId = run.planId;
      if (script.cancelAfterMs !== undefined)
        void cancelLater(goal, () => run.cancel("scripted"), script.cancelAfterMs);
      await follow(goal, run.planId);
    } catch (error) {
      if (!isSoormaError(error)) throw error;
      if (!over()) goal.refused = error.code;
    }
  };
  const cancelLater = async (goal: GoalRecord, cancel: () => Promise<void>, ms: number): Promise<void> => {
    await pause(ms);
    if (over()) return;
    goal.cancelled = true;
    await cancel().catch(() => {});
  };

  const write = async (): Promise<void> => {
    const key = `sim:${process.name}`;
    const register = ledger.registers.get(key) ?? { acknowledged: 0, tried: 0 };
    ledger.registers.set(key, register);
    while (!over() && elapsedMs() < untilMs) {
      const value = ++register.tried;
      try {
        await agent.memory.store(key, value);
        if (over()) return;
        register.acknowledged = value;
        const read = (await agent.memory.retrieve<number>(key)) ?? 0;
        if (over()) return;
        if (read !== value) ledger.violated(`${process.name} wrote ${value} to memory and read ${read}`);
      } catch (error) {
        if (!isSoormaError(error)) throw error;
      }
      await pause(chance.between(200, 3_000));
    }
  };
  const count = async (): Promise<void> => {
    while (!over() && elapsedMs() < untilMs) {
      try {
        const entry = await agent.memory.entry<number>("sim:counter");
        if (over()) return;
        ledger.counter.unknown++;
        await agent.memory.store("sim:counter", (entry?.value ?? 0) + 1, { ifVersion: entry?.version ?? 0 });
        if (over()) return;
        ledger.counter.unknown--;
        ledger.counter.acknowledged++;
      } catch (error) {
        if (!isSoormaError(error)) throw error;
        if (!over() && error.code === "VERSION_CONFLICT") ledger.counter.unknown--;
      }
      await pause(chance.between(500, 4_000));
    }
  };
  const ask = async (): Promise<void> => {
    while (!over() && elapsedMs() < untilMs) {
      const [a, b] = [chance.whole(0, 1_000), chance.whole(0, 1_000)];
      try {
        const { sum } = await agent.bus.request("sim.add", { a, b, ms: chance.between(0, 20) }, { timeoutMs: 3_000 });
        if (sum !== a + b) ledger.violated(`${a} + ${b} was answered ${sum}`);
        ledger.requests.answered++;
      } catch (error) {
        if (!isSoormaError(error)) throw error;
        ledger.requests.failed++;
      }
      await pause(chance.between(500, 4_000));
    }
  };
  const submitAll = async (): Promise<void> => {
    await Promise.all(
      goals.map(async ({ atMs, record }) => {
        if (record.planId !== undefined) {
          if (record.answers.length === 0) await follow(record, record.planId);
          return;
        }
        if (record.refused !== undefined || atMs < elapsedMs() - 100_000) return;
        await pause(Math.max(0, atMs - elapsedMs()));
        if (over()) return;
        await submit(record);
      }),
    );
  };
  const background = Promise.all([submitAll(), write(), count(), ask()]);
  background.catch((error) => ledger.violated(`${process.name} threw ${String(error)}`));
  return {
    async stop() {
      stopping.abort();
      await agent.stop();
    },
  };
};

function endOf(entry: { readonly type: string }): { readonly status: string; readonly value: unknown } | undefined {
  const fields = entry as { type: string; result?: unknown; failure?: { code: string } };
  if (entry.type === "plan.completed") return { status: "completed", value: fields.result };
  if (entry.type === "plan.failed") return { status: "failed", value: fields.failure?.code };
  if (entry.type === "plan.cancelled") return { status: "cancelled", value: undefined };
  return undefined;
}
