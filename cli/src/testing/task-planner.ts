import { Planner } from "@soorma/core";
import type { Start } from "./world.ts";

/** Its data is the one task to be done. */
export const taskGoal = "soorma.test.task";

/** A planner whose every goal is one task. */
export const startTaskPlanner: Start = async (host) => {
  const planner = new Planner({ ...host.defaults, name: "test-planner", mesh: host.mesh() });
  planner.onGoal(taskGoal, ({ data }) => ({ tasks: [data] }));
  planner.onComplete(({ results }) => Object.values(results)[0]);
  await host.run(planner, () => planner.run());
  return undefined;
};
