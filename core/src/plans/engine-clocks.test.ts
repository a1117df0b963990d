import { expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { planEngines } from "../../testing/plan-engines.ts";
import { SimulatedProcess } from "../../testing/simulated-process.ts";
import { silentLogger } from "../log.ts";
import type { PlanHandlers } from "./driver.ts";
import { createPlanEngine } from "./engine.ts";

const hourMs = 3_600_000;
const handlers: PlanHandlers = {
  makeTasks: () => ({ tasks: [{ name: "nap", wait: { kind: "sleep", ms: 2_000 } }] }),
};

for (const [first, second] of [
  [hourMs, 0],
  [hourMs, -hourMs],
  [-hourMs, 0],
] as const) {
  test(`a sleep goes on where clocks differ: the first driver's by ${first} ms, the next one's by ${second} ms`, async () => {
    const { runtime: world, log, dispatcher, takeOver, settle } = planEngines();
    const engineOn = (agentId: string, clockOffsetMs: number) => {
      const process = new SimulatedProcess({ name: agentId, world, seed: 1, clockOffsetMs });
      const { runtime } = process;
      return {
        process,
        engine: createPlanEngine({ log: log.as(agentId), dispatcher, runtime, logger: silentLogger, agentId }),
      };
    };
    const a = engineOn("a", first);
    await settle(a.engine.accept(testOrigin, "p", handlers));
    await world.advance(1_000);
    a.process.crash();
    await settle(log.as("a").release("a"));
    const b = engineOn("b", second);
    expect(await takeOver(b.engine, "b", () => handlers)).toBe(1);
    expect((await settle(b.engine.ended("p")))?.status).toBe("completed");
    // At most the whole of it once more.
    expect(world.elapsedMs).toBeLessThanOrEqual(3_100);
  });
}
