import { Client, createMesh, type PlanSummary, silentLogger } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import registryBroker from "@soorma/registry-broker";
import { inproc } from "@soorma/transport-inproc";
import { endFaults, quiet, scheduleFaults } from "./faults.ts";
import { type Audited, audit, auditCalm } from "./invariants.ts";
import type { GoalRecord } from "./ledger.ts";
import * as roles from "./roles.ts";
import { scriptOf } from "./scripts.ts";
import { brief } from "./trace.ts";
import { machineChance, World, type WorldOptions } from "./world.ts";

/** How long after the last fault everything has to be done. */
const convergeMs = 90_000;

/** How long after that what nobody waited for may take. */
const orphanMs = 60_000;

export interface Outcome {
  readonly seed: number;
  readonly violations: readonly string[];
  /** Of everything that happened. */
  readonly hash: string;
  readonly steps: number;
  readonly virtualMs: number;
  /** Virtual milliseconds from the last fault to the last answer. */
  readonly convergedMs: number;
  readonly goals: number;
}

/** One seed's world, from its first process to the end of its last. */
export async function simulate(options: WorldOptions): Promise<Outcome> {
  const world = new World(options);
  const { runtime, ledger, hub } = world;
  const unhandled = (reason: unknown): void => {
    ledger.violated(`unhandled rejection: ${brief(reason)}`);
    world.trace.show("unhandled", reason instanceof Error ? (reason.stack ?? "") : brief(reason));
  };
  process.on("unhandledRejection", unhandled);
  let convergedMs = -1;
  try {
    hub.setEveryLink(quiet);
    const names = populate(world);
    const chance = machineChance(world, "scenario");
    const faultsUntilMs = chance.between(2_000, 18_000);
    world.untilMs = faultsUntilMs;
    const busyMs: number[] = [];
    const clients = names.filter((name) => name.startsWith("client"));
    for (let id = 1, count = chance.whole(1, 16); id <= count; id++) {
      const record: GoalRecord = { script: scriptOf(chance, id), answers: [] };
      ledger.goals.push(record);
      const atMs = chance.between(0, faultsUntilMs);
      busyMs.push(atMs);
      world.member(chance.one(clients)).goals.push({ atMs, record });
    }
    for (const member of world.members.values()) runtime.setTimer(() => world.start(member), chance.between(0, 400));
    const isCalm = scheduleFaults(world, machineChance(world, "faults"), faultsUntilMs, busyMs) === 0;
    await runtime.advance(faultsUntilMs);
    endFaults(world);
    const isReady = (): boolean => [...world.members.values()].every(({ running }) => running !== undefined);
    const isAnswered = (): boolean =>
      ledger.goals.every(
        (goal) => goal.answers.length > 0 || (goal.planId === undefined && goal.refused !== undefined),
      );
    await converge(world, () => isReady() && isAnswered(), "not every goal was answered");
    convergedMs = runtime.elapsedMs - faultsUntilMs;
    await auditAll(world, isCalm);
    await finish(world, world.stopAll(names.toReversed()), "not every process stopped");
    // What is left is the network's, and the faults' own.
    await runtime.advance(30_000);
    if (runtime.pending > 0) ledger.violated(`${runtime.pending} timers are left when everything has stopped`);
  } catch (error) {
    ledger.violated(`the run broke: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`);
  } finally {
    await new Promise((resolve) => setImmediate(resolve));
    process.off("unhandledRejection", unhandled);
  }
  return {
    seed: options.seed,
    violations: ledger.violations,
    hash: world.trace.hash,
    steps: world.trace.steps,
    virtualMs: runtime.elapsedMs,
    convergedMs,
    goals: ledger.goals.length,
  };
}

function populate(world: World): string[] {
  world.add("broker", roles.broker);
  world.add("state", roles.state);
  for (const n of [1, 2]) world.add(`planner-${n}`, roles.planner);
  for (const n of [1, 2, 3]) world.add(`worker-${n}`, roles.worker);
  world.add("tool", roles.tool);
  world.add("observer", roles.observer);
  for (const n of [1, 2]) world.add(`client-${n}`, roles.client);
  return [...world.members.keys()];
}

async function converge(world: World, isDone: () => boolean, otherwise: string): Promise<void> {
  try {
    await world.runtime.runUntil(isDone, { maxMs: convergeMs });
  } catch (error) {
    const open = world.ledger.goals
      .filter((goal) => goal.answers.length === 0)
      .map((goal) => `${goal.script.id} ${goal.planId ?? goal.refused ?? "not submitted"}`);
    const away = [...world.members.values()].filter(({ running }) => !running).map(({ name }) => name);
    world.ledger.violated(`${otherwise} (goals ${open.join(", ")}; away ${away.join(", ")}): ${String(error)}`);
  }
}

/** Waits for something inside the world, in virtual time. */
async function finish<T>(world: World, promise: Promise<T>, otherwise: string): Promise<T | undefined> {
  let value: T | undefined;
  let isDone = false;
  promise.then(
    (result) => {
      value = result;
      isDone = true;
    },
    (error) => {
      world.ledger.violated(`${otherwise}: ${String(error)}`);
      isDone = true;
    },
  );
  await converge(world, () => isDone, otherwise);
  return value;
}

/** Reads everything back as a stranger would, once it has calmed down. */
async function auditAll(world: World, isCalm: boolean): Promise<void> {
  const { hub, ledger } = world;
  const auditor = world.process("auditor", 1, 0, () => {});
  const { runtime } = auditor;
  const { monotonic } = runtime;
  const mesh = createMesh(async () => ({
    transport: auditor.transport(inproc(hub)),
    createRegistry: (deps) => createFromPlugin(registryBroker, { address: "inproc://broker", timeoutMs: 5_000 }, deps),
    runtime,
    log: silentLogger,
    host: "auditor",
    pid: 1,
  }));
  const readBack = async (): Promise<void> => {
    const client = await Client.connect({ name: "auditor", mesh });
    const { tracker } = client;
    const isOpen = ({ status }: PlanSummary): boolean => !["completed", "failed", "cancelled"].includes(status);
    const known = new Set(ledger.goals.map(({ planId }) => planId));
    const pause = (ms: number): Promise<void> => new Promise((resolve) => void runtime.setTimer(resolve, ms));
    const untilMs = monotonic() + orphanMs;
    // A goal whose client gave up on it may come out of a process that was stopped only now.
    await pause(1_000);
    const list = (): Promise<PlanSummary[]> => tracker.listPlans({ limit: 10_000 });
    const cancelled = new Set<string>();
    const ended = async (): Promise<PlanSummary[]> => {
      let plans = await list();
      for (; plans.some(isOpen) && monotonic() < untilMs; plans = await list()) {
        for (const { planId, parentPlanId } of plans.filter(isOpen)) {
          // Its client died before it knew that it was accepted: nobody is there to tell it what it may wait for.
          if (known.has(planId) || parentPlanId !== undefined || cancelled.has(planId)) continue;
          cancelled.add(planId);
          await tracker.cancelPlan(planId, "nobody knows of it");
        }
        await pause(250);
      }
      return plans;
    };
    const read = new Map<string, Audited>();
    const unread = (plans: readonly PlanSummary[]) => plans.filter(({ planId }) => !read.has(planId));
    // Such a goal may come while the others are read, too.
    for (let plans = unread(await ended()); plans.length > 0; plans = unread(await ended())) {
      for (const { planId } of plans) {
        // The last thing that happens to a plan; what clients saw came before.
        while (!(await tracker.getPlan(planId)).answered && monotonic() < untilMs) await pause(100);
        const entries = await tracker.read(planId);
        read.set(planId, { planId, entries, plan: await tracker.getPlan(planId) });
        if (world.trace.reading) for (const entry of entries) world.trace.show(planId, brief(entry));
      }
    }
    const audited = [...read.values()];
    audit(ledger, audited);
    if (isCalm) auditCalm(ledger, audited);
    for (const [key, { acknowledged, tried }] of ledger.registers) {
      const value = (await client.memory.retrieve<number>(key)) ?? 0;
      if (value < acknowledged || value > tried) {
        ledger.violated(`memory ${key} is ${value}; ${acknowledged} was acknowledged and ${tried} tried`);
      }
    }
    const count = (await client.memory.retrieve<number>("sim:counter")) ?? 0;
    const { acknowledged, unknown } = ledger.counter;
    if (count < acknowledged || count > acknowledged + unknown) {
      ledger.violated(`the counter is ${count}; ${acknowledged} increments were acknowledged, ${unknown} are unknown`);
    }
    await client.stop();
  };
  await finish(world, readBack(), "the state could not be read back");
  await finish(world, world.end(auditor), "the auditor did not end");
}
