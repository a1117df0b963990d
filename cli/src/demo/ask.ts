import { type AgentRecord, type OutputOf, silentLogger } from "@soorma/core";
import { Client } from "../agents.ts";
import { connectMesh } from "../mesh.ts";
import { count } from "../ui/text.ts";
import type { Activity } from "./activity.ts";
import { asking, indexing, textAnalysis, usage } from "./contracts.ts";
import type { DemoMesh } from "./mesh.ts";
import type { Ask } from "./plan.ts";
import type { ProgressView } from "./progress.ts";
import type { ProcessReport } from "./show.ts";

export type DemoAnswer = OutputOf<typeof asking>;

export interface Asked {
  readonly result: DemoAnswer;
  readonly activity: Activity;
  readonly agents: readonly ProcessReport[];
}

/** Connects to the demo's mesh as an app would, from this process. */
export async function connectClient(mesh: DemoMesh): Promise<Client> {
  return await Client.connect({
    name: "soorma-demo",
    // Trouble of this connection shows as an error of what was asked.
    mesh: connectMesh({ meshFile: mesh.meshFile, log: silentLogger }),
  });
}

/**
 * Submits the goal and follows it to its end.
 *
 * @throws {SoormaError} what the goal failed with.
 */
export async function ask(
  client: Client,
  mesh: DemoMesh,
  goal: Ask,
  options: {
    readonly signal: AbortSignal;
    readonly activity: Activity;
    /** Called at every change; the view is made when it is asked for. */
    onProgress(view: () => ProgressView): void;
  },
): Promise<Asked> {
  const { signal, activity, onProgress } = options;
  const names = createNames(client, mesh);
  await names.learn();
  const run = await client.submitGoal(asking, { ...goal, files: [...goal.files] }, { signal });
  let result: DemoAnswer | undefined;
  let logEntries = 0;
  for await (const { entry, fraction, doneCount, taskCount } of run.progress({ signal })) {
    activity.apply(entry);
    logEntries = entry.version;
    if (entry.type === "plan.completed") result = entry.result as DemoAnswer;
    if (entry.type === "task.assigned" && !names.knows(entry.agentId)) await names.learn();
    onProgress(() => ({
      fraction,
      doneCount,
      taskCount,
      workers: workersOf(activity, names, mesh),
    }));
  }
  signal.throwIfAborted();
  // A goal that failed says why there.
  result ??= await run.result({ signal });
  const tool = await client.registry.find(textAnalysis, { timeoutMs: 5_000, signal });
  const used = await tool?.invoke(usage, {}, { signal });
  return { result, activity, agents: reportsOf({ mesh, names, activity, result, logEntries, used }) };
}

/** Every worker process that runs, and what each did and does. */
function workersOf(activity: Activity, names: Names, mesh: DemoMesh): ProgressView["workers"] {
  const workers = new Map<string, ProgressView["workers"][number]>();
  const fresh = (name: string) => ({ name, done: 0, now: [], last: undefined });
  for (const { name } of mesh.processes) if (name.startsWith("worker-")) workers.set(name, fresh(name));
  for (const { agentId, done, now, last } of activity.instances) {
    const { name } = names.of(agentId);
    // A process that was started again goes on where its predecessor ended.
    const known = workers.get(name) ?? fresh(name);
    workers.set(name, { name, done: known.done + done, now: [...known.now, ...now], last: last ?? known.last });
  }
  return [...workers.values()];
}

interface Named {
  readonly name: string;
  readonly pid?: number;
}

/** Which process an agent is. */
interface Names {
  knows(agentId: string): boolean;
  of(agentId: string): Named;
  learn(): Promise<void>;
}

function createNames(client: Client, mesh: DemoMesh): Names {
  const known = new Map<string, Named>();
  return {
    knows: (agentId) => known.has(agentId),
    // It took a task and was gone before anybody could look at it.
    of: (agentId) => known.get(agentId) ?? { name: "worker" },
    async learn() {
      const byPid = new Map(mesh.processes.map(({ name, process }) => [process?.pid, name]));
      for (const { record } of await client.registry.findAll(indexing.name)) known.set(record.agentId, named(record));
      function named({ pid, name }: AgentRecord): Named {
        return { name: byPid.get(pid) ?? name, pid };
      }
    },
  };
}

function reportsOf(facts: {
  readonly mesh: DemoMesh;
  readonly names: Names;
  readonly activity: Activity;
  readonly result: DemoAnswer;
  readonly logEntries: number;
  readonly used: OutputOf<typeof usage> | undefined;
}): ProcessReport[] {
  const { mesh, names, activity, result, logEntries, used } = facts;
  const { taskCount, instances } = activity;
  const running = new Map(mesh.processes.map((process) => [process.name, process.process?.pid]));
  const at = (name: string): { readonly name: string; readonly pid?: number } => {
    const pid = running.get(name);
    return pid === undefined ? { name } : { name, pid };
  };
  const workers = instances.map(({ agentId, done, busyMs }) => ({
    ...names.of(agentId),
    kind: "worker" as const,
    did: count(done, "task"),
    tasks: done,
    busyMs,
    share: taskCount === 0 ? 0 : done / taskCount,
  }));
  // Nobody had a task for it, or it was started again after it had its last.
  const seen = new Set(workers.map(({ pid }) => pid));
  const idle = mesh.processes
    .filter(({ name, process }) => name.startsWith("worker-") && process && !seen.has(process.pid))
    .map(({ name }) => ({ ...at(name), kind: "worker" as const, did: "0 tasks", tasks: 0, busyMs: 0, share: 0 }));
  return [
    { ...at("broker"), kind: "broker", did: `directory of ${count(mesh.processes.length, "agent")}` },
    { ...at("state"), kind: "state", did: `${count(result.passages, "passage")}, ${count(logEntries, "log entry")}` },
    {
      ...at("planner"),
      kind: "planner",
      did: `plan of ${count(taskCount, "task")}`,
      busyMs: activity.phases().planningMs,
    },
    ...[...workers, ...idle].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : (a.pid ?? 0) - (b.pid ?? 0))),
    {
      ...at("tool"),
      kind: "tool",
      did: count(used?.calls ?? 0, "measurement"),
      ...(used ? { busyMs: used.busyMs } : {}),
    },
  ];
}
