// Plans that stay open until they are let go. `bun held.ts <planner|worker> <given>`
import { Planner, Worker } from "@soorma/core";
import { given, ready } from "./measure.ts";
import { benchMesh } from "./mesh.ts";

/** Data of the goal `held`: so many tasks, of which the first ones end at once and the others when their gate opens. */
export interface Held {
  readonly tasks: number;
  readonly done: number;
  readonly gate: string;
}

if (import.meta.main) {
  const { role, folder } = given();
  const mesh = benchMesh(folder);
  if (role === "planner") {
    const planner = new Planner({ name: "planner", mesh });
    planner.onGoal("held", (goal) => {
      const { tasks, done, gate } = goal.data as Held;
      return {
        tasks: Array.from({ length: tasks }, (_, i) => ({
          name: `t${i}`,
          assignedTo: "hold",
          data: i < done ? {} : { gate },
        })),
      };
    });
    planner.onComplete(({ results }) => Object.keys(results).length);
    await planner.run();
  } else {
    const gates = new Map<string, PromiseWithResolvers<void>>();
    const gateOf = (name: string): PromiseWithResolvers<void> => {
      const gate = gates.get(name) ?? Promise.withResolvers<void>();
      gates.set(name, gate);
      return gate;
    };
    let held = 0;
    const worker = new Worker({ name: "hold", mesh, concurrency: 20_000 });
    worker.onTask("hold", async ({ data }) => {
      if (typeof data.gate !== "string") return { held: false };
      held++;
      await gateOf(data.gate).promise;
      held--;
      return { held: true };
    });
    worker.onRequest("held.count", () => held);
    worker.onRequest("held.open", ({ data }) => gateOf(data.gate).resolve());
    await worker.run();
  }
  ready();
}
