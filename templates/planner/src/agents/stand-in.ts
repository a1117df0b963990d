import { Worker } from "soorma";

// Does the plan's tasks until real workers do, so that you can try the planner with `soorma goal`.
// Delete this file when workers with these capabilities run.
const worker = new Worker({
  name: "{{name}}-stand-in",
  description: "Stands in for the workers {{name}} plans for",
  capabilities: ["research", "writing"],
});

worker.onTask("research", async (task) => ({ found: JSON.stringify(task.data) }));
worker.onTask("writing", async (task) => ({ report: `written from ${Object.keys(task.inputs).join(" and ")}` }));

await worker.run();
