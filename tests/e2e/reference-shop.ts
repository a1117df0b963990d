/** The project that the examples of the command reference talk about, as one file of agents. */
export const shopAgents = `
import { existsSync } from "node:fs";
import { join } from "node:path";
import { Planner, Tool, Worker } from "soorma";

const worker = new Worker({ name: "worker", description: "Does everything there is to do" });
worker.onTask("search", async (task) => ({ papers: [task.data.topic] }));
worker.onTask("summarize", async (task) => ({ summary: "about " + (task.inputs.search?.papers ?? []).join() }));
worker.onTask("pay", async () => {
  if (existsSync(join(process.cwd(), "bank-closed"))) throw new Error("the bank is closed");
  return { paid: true };
});

const calculator = new Tool({ name: "calculator", description: "Adds", capabilities: ["arithmetic"] });
calculator.onInvoke("calculate", ({ data }) => ({
  result: data.expression.split("+").reduce((sum, part) => sum + Number(part), 0),
}));

const planner = new Planner({ name: "research-planner", description: "Plans research" });
planner.onGoal("research.goal", ({ data }) => ({
  tasks: [
    { name: "search", assignedTo: "search", data },
    { name: "summarize", assignedTo: "summarize", dependsOn: ["search"], data },
  ],
}));
planner.onGoal("review.goal", () => ({ tasks: [{ name: "review", wait: { kind: "input", prompt: "Print it?" } }] }));
planner.onGoal("order.goal", () => ({ tasks: [{ name: "pay", assignedTo: "pay", retry: { maxAttempts: 1 } }] }));

await Promise.all([worker.run(), calculator.run(), planner.run()]);
`;
