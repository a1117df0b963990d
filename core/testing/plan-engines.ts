import { silentLogger } from "../src/log.ts";
import { createPlanEngine, type PlanEngine, type PlanEngineOptions } from "../src/plans/engine.ts";
import type { PlanHandlers } from "../src/plans/handlers.ts";
import type { PlanChange, PlanEntry, PlanOrigin, PlanState, TaskSpec } from "../src/plans/log.ts";
import { type FakeRuntime, fakeRuntime } from "./fake-runtime.ts";
import { type MemoryPlanLog, type MemoryPlanLogOptions, memoryPlanLog } from "./memory-plan-log.ts";
import { testOrigin } from "./plan-changes.ts";
import { type ScriptedDispatcher, type ScriptedTask, scriptedDispatcher } from "./scripted-dispatcher.ts";

/** A task for an agent that returns its name and the names of its inputs, unless it has a script of its own. */
export function testTask(name: string, ...dependsOn: string[]): TaskSpec {
  return { name, assignedTo: "worker", dependsOn };
}

export interface PlanEnginesOptions extends Partial<PlanEngineOptions> {
  readonly seed?: number;
  readonly fault?: MemoryPlanLogOptions["fault"];
  readonly latencyMs?: number | (() => number);
}

export interface PlanEngines {
  readonly runtime: FakeRuntime;
  readonly log: MemoryPlanLog;
  readonly dispatcher: ScriptedDispatcher;
  engineFor(agentId: string): PlanEngine;
  /** Leases for the engine's agent, so that it hears of what others change. */
  lease(agentId: string): Promise<void>;
  /** Has an engine claim and take what nobody with a lease drives. @returns how many plans that were. */
  takeOver(engine: PlanEngine, agentId: string, handlersFor: () => PlanHandlers): Promise<number>;
  /** Moves time until the promise is settled. */
  settle<T>(promise: Promise<T>): Promise<T>;
  /** Has engine `p1` do a plan `p` to its end. */
  run(handlers: PlanHandlers, from?: Partial<PlanOrigin>): Promise<PlanState>;
  /** Entries of plan `p`. */
  changes<T extends PlanChange["type"]>(type: T): Extract<PlanEntry, { type: T }>[];
}

/** One log in memory, imagined agents, virtual time, and any number of engines that come and go. */
export function planEngines(scripts: Record<string, ScriptedTask> = {}, options: PlanEnginesOptions = {}): PlanEngines {
  const { fault, latencyMs, seed = 1, ...engineOptions } = options;
  const runtime = fakeRuntime({ seed });
  const log = memoryPlanLog({ runtime, ...(fault ? { fault } : {}) });
  const echo: ScriptedTask = ({ name, inputs }) => ({ name, from: Object.keys(inputs) });
  const dispatcher = scriptedDispatcher(
    runtime,
    { worker: echo, ...scripts },
    latencyMs === undefined ? {} : { latencyMs },
  );
  const settle = async <T>(promise: Promise<T>): Promise<T> => {
    let settled = false;
    const mark = (): void => {
      settled = true;
    };
    promise.then(mark, mark);
    await runtime.runUntil(() => settled);
    return promise;
  };
  const engineFor = (agentId: string): PlanEngine =>
    createPlanEngine({ log: log.as(agentId), dispatcher, runtime, logger: silentLogger, agentId, ...engineOptions });
  return {
    runtime,
    log,
    dispatcher,
    engineFor,
    lease: async (agentId) => void (await log.as(agentId).lease("tester", agentId, 3_600_000)),
    async takeOver(engine, agentId, handlersFor) {
      const { plans } = await settle(log.as(agentId).claim("tester", agentId, 10));
      for (const plan of plans) await settle(engine.take(plan, handlersFor));
      return plans.length;
    },
    settle,
    async run(handlers, from = {}) {
      const engine = engineFor("p1");
      await settle(engine.accept({ ...testOrigin, ...from }, "p", handlers));
      const state = await settle(engine.ended("p"));
      if (!state) throw new Error("the engine let go of the plan");
      return state;
    },
    changes: <T extends PlanChange["type"]>(type: T) =>
      log.entries("p").filter((entry): entry is Extract<PlanEntry, { type: T }> => entry.type === type),
  };
}
