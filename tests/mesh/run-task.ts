import type { Task } from "@soorma/core";
import type { inProcessMesh } from "./in-process.ts";

type TestMesh = Awaited<ReturnType<typeof inProcessMesh>>;

const soon = { backoffMs: 1, maxBackoffMs: 1 };

/** A planner whose goal `do` is one task, `main`, for a handler of that name. */
export async function startPlanner(mesh: TestMesh) {
  const planner = mesh.planner({ name: "planner", retry: soon });
  planner.onGoal("do", ({ data }) => ({ tasks: [{ name: "main", assignedTo: "main", data }] }));
  await planner.run();
  return planner;
}

/** Runs one handler as the task of a goal; resolves with the task's result. */
export async function runTask(
  mesh: TestMesh,
  handler: (task: Task) => unknown,
  options: { concurrency?: number } = {},
) {
  await startPlanner(mesh);
  const worker = mesh.worker({ name: "worker", ...options });
  worker.onTask("main", handler);
  worker.onTask("double", ({ data }) => data * 2);
  await worker.run();
  const client = await mesh.client();
  const run = await client.submitGoal("do", {});
  const result = async (): Promise<unknown> => ((await run.result({ timeoutMs: 20_000 })) as { main: unknown }).main;
  return { worker, client, run, result };
}
