import { Planner } from "soorma";

// Hands a goal straight to the worker, so that you can try it with `soorma goal`.
// Delete this file once a planner of yours gives the worker its tasks.
const planner = new Planner({
  name: "{{name}}-planner",
  description: "Hands each goal to {{name}}",
  capabilities: [],
});

planner.onGoal("{{goal}}", async (goal) => ({
  tasks: [{ name: "answer", assignedTo: "{{capability}}", data: goal.data }],
}));

await planner.run();
