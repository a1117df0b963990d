import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Client } from "@soorma/core";
import { limited } from "./limited.ts";
import type { Held } from "./steps/held.ts";
import { benchMesh } from "./steps/mesh.ts";
import { Processes, startMesh } from "./steps/peers.ts";
import type { BenchRow } from "./transport.ts";

const planCount = 10_000;
const taskCount = 10_000;

/**
 * A planner with 10,000 open plans is killed and started again at once, then one with a plan of 10,000 tasks; every task
 * is running at a worker meanwhile. When a plan is driven again is what its log says: the time of its `plan.driven`.
 */
export async function run(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const processes = new Processes();
  try {
    await startMesh(processes, folder);
    const held = (role: string): Promise<void> =>
      processes.start(role, [
        process.execPath,
        join(import.meta.dir, "steps", "held.ts"),
        role,
        JSON.stringify({ folder }),
      ]);
    await held("worker");
    await held("planner");
    const client = await Client.connect({ mesh: benchMesh(folder) });
    try {
      return [...(await manyPlans(client, processes, held)), ...(await largePlan(client, processes, held))];
    } finally {
      await client.stop();
    }
  } finally {
    await processes[Symbol.asyncDispose]();
    rmSync(folder, { recursive: true, force: true });
  }
}

type Start = (role: string) => Promise<void>;

async function manyPlans(client: Client, processes: Processes, start: Start): Promise<BenchRow[]> {
  const before = residentMib(processes.pids.planner);
  const data: Held = { tasks: 1, done: 0, gate: "plans" };
  let left = planCount;
  const planIds: string[] = [];
  const submit = async (): Promise<void> => {
    while (left-- > 0) planIds.push((await client.submitGoal("held", data, { timeoutMs: 60_000 })).planId);
  };
  await Promise.all(Array.from({ length: 100 }, submit));
  await until(async () => (await heldCount(client)) === planCount);
  const after = residentMib(processes.pids.planner);

  const killedAtMs = await killPlanner(processes);
  await start("planner");
  const readyMs = Date.now() - killedAtMs;
  await until(async () => {
    const [newest] = await client.tracker.listPlans({ limit: 1 });
    return newest !== undefined && newest.epoch > 1;
  });
  await until(async () => (await client.tracker.listPlans({ limit: planCount })).every(({ epoch }) => epoch > 1));
  const driven: number[] = [];
  const look = async (): Promise<void> => {
    for (let id = planIds.pop(); id !== undefined; id = planIds.pop()) {
      const entry = (await client.tracker.timeline(id)).find(({ type }) => type === "plan.driven");
      if (entry) driven.push(entry.timeMs - killedAtMs);
    }
  };
  await Promise.all(Array.from({ length: 50 }, look));
  driven.sort((a, b) => a - b);
  const openedAtMs = Date.now();
  await client.bus.request("held.open", { gate: "plans" }, { timeoutMs: 30_000 });
  await until(async () => (await client.tracker.listPlans({ status: "running", limit: 1 })).length === 0);
  const answeredMs = Date.now() - openedAtMs;
  console.error(
    `  ${driven.length} of ${planCount} plans driven again; the new planner's process was ready after ${readyMs} ms; all answered ${answeredMs} ms after their tasks were let go`,
  );
  return [
    limited("first of 10,000 open plans resumed after a SIGKILL and restart", "ms", driven[0] ?? Number.NaN, 1_000),
    limited(
      "all 10,000 resumed",
      "ms",
      driven.length === planCount ? (driven.at(-1) ?? Number.NaN) : Number.NaN,
      5_000,
    ),
    limited("memory of a planner with 10,000 open plans of one task", "MiB", after),
    limited("the same planner without them", "MiB", before),
  ];
}

async function largePlan(client: Client, processes: Processes, start: Start): Promise<BenchRow[]> {
  const data: Held = { tasks: taskCount, done: taskCount / 2, gate: "tasks" };
  const before = residentMib(processes.pids.planner);
  const run = await client.submitGoal("held", data, { timeoutMs: 60_000 });
  await until(async () => (await heldCount(client)) === taskCount / 2);
  await until(async () => {
    const [plan] = await client.tracker.listPlans({ limit: 1 });
    return plan?.doneCount === taskCount / 2;
  });
  const after = residentMib(processes.pids.planner);
  const killedAtMs = await killPlanner(processes);
  const opened = client.bus.request("held.open", { gate: "tasks" }, { timeoutMs: 30_000 });
  await start("planner");
  await opened;
  await until(async () => (await client.tracker.listPlans({ status: "running", limit: 1 })).length === 0);
  const timeline = await client.tracker.timeline(run.planId);
  const taken = timeline.findIndex(({ type }) => type === "plan.driven");
  const at = (type: string): number =>
    (timeline.slice(taken).find((entry) => entry.type === type)?.timeMs ?? Number.NaN) - killedAtMs;
  console.error(
    `  a plan of ${taskCount} tasks: driven again after ${at("plan.driven")} ms, its first result after ${at("task.succeeded")} ms, completed after ${at("plan.completed")} ms`,
  );
  return [
    limited("a plan of 10,000 tasks goes on after a SIGKILL and restart", "ms", at("task.succeeded"), 2_000),
    limited("memory of a planner with a plan of 10,000 tasks", "MiB", after),
    limited("the same planner before", "MiB", before),
  ];
}

/** Kills it and resolves with when that was. */
async function killPlanner(processes: Processes): Promise<number> {
  const atMs = Date.now();
  await processes.kill("planner");
  return atMs;
}

async function heldCount(client: Client): Promise<number> {
  return Number(await client.bus.request("held.count", {}, { timeoutMs: 30_000 }));
}

/** What the process has in memory now. */
function residentMib(pid: number | undefined): number {
  const kib = /VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kib) / 1024;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + 300_000;
  while (!(await condition())) {
    if (Date.now() > endMs) throw new Error(`this did not come true in five minutes: ${condition}`);
    await Bun.sleep(20);
  }
}

if (import.meta.main) console.table(await run());
