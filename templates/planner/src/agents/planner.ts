import { defineGoal, Planner, Type } from "soorma";
import { Goal, planFor } from "../plan.ts";

const planner = new Planner({
  name: "{{name}}",
  description: "{{description}}",
  capabilities: ["{{capabilities}}"],
});

const goal = defineGoal({ name: "{{goal}}", input: Goal, output: Type.Unknown() });
planner.onGoal(goal, async ({ data }) => ({ tasks: planFor(data) }));

await planner.run();
