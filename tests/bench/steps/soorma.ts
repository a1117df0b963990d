// One process of a durable plan over the whole SDK. `bun soorma.ts <state|planner|worker|ask> <given>`
import { Client, defineGoal, defineTask, Planner, planTask, silentLogger, systemRuntime, Worker } from "@soorma/core";
import { StateNode } from "@soorma/core/state";
import { openLmdbStore } from "@soorma/core/store";
import { Type } from "typebox";
import { given, measure, ready, stepData } from "./measure.ts";
import { benchMesh } from "./mesh.ts";

const told = given();
const { role, folder, kind } = told;
const mesh = benchMesh(folder);
process.once("SIGTERM", () => process.exit(0));

const Data = Type.Object({ text: Type.String(), n: Type.Number() });
const Step = defineTask({ name: "step", input: Data, output: Data });
const Steps = defineTask({ name: "steps", input: Type.Object({ steps: Type.Number() }), output: Data });
const Chain = defineGoal({
  name: "chain",
  input: Type.Object({ steps: Type.Number(), kind: Type.String() }),
  output: Type.Unknown(),
});

if (role === "state") {
  const store = await openLmdbStore({ path: `${folder}/data`, runtime: systemRuntime, log: silentLogger });
  await new StateNode({ mesh, store }).run();
  ready();
} else if (role === "planner") {
  const planner = new Planner({ name: "planner", mesh });
  planner.onGoal(Chain, ({ data: { steps, kind } }) => ({
    tasks:
      kind === "steps"
        ? [planTask(Steps, { steps })]
        : Array.from({ length: steps }, (_, i) =>
            planTask(Step, { ...stepData, n: i }, { name: `s${i}`, dependsOn: i === 0 ? [] : [`s${i - 1}`] }),
          ),
  }));
  // As every peer answers: with the last step's value.
  planner.onComplete(({ results }) => Object.values(results).at(-1) ?? null);
  await planner.run();
  ready();
} else if (role === "worker") {
  const worker = new Worker({ name: "worker", concurrency: 64, mesh });
  worker.onTask(Step, ({ data }) => data);
  worker.onTask(Steps, async (task) => {
    let last = { ...stepData };
    for (let n = 0; n < task.data.steps; n++) last = await task.step(`s${n}`, () => ({ ...last, n }));
    return last;
  });
  await worker.run();
  ready();
} else {
  const client = await Client.connect({ mesh });
  await measure(told, async (steps) => (await client.submitGoal(Chain, { steps, kind })).result());
  await client.stop();
}
