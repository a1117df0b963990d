import type { PlanState, TaskState, Tracker } from "@soorma/core";
import { isTerminal } from "./waits.ts";
import type { World } from "./world.ts";

/**
 * The error of whoever waited for something that does not come: with what the mesh waits for itself, and its last troubles.
 *
 * @param tracker - Absent: there is none any more.
 */
export async function waitedInVain(
  world: World,
  tracker: Tracker | undefined,
  { what, why, seed }: { readonly what: string; readonly why: string; readonly seed: number },
): Promise<Error> {
  const plans: PlanState[] = [];
  try {
    const read = async (): Promise<void> => {
      for (const { planId, status } of (await tracker?.listPlans({ limit: 20 })) ?? []) {
        if (tracker && !isTerminal(status)) plans.push(await tracker.getPlan(planId));
      }
    };
    // Without a state node there is nothing to read.
    if (world.member("state").host?.isRunning) await world.driver.settle(read(), "the plans", 5_000);
  } catch {}
  const lines = describeWaits(world, plans);
  const troubles = world.logs.filter(({ level }) => level === "warn" || level === "error").slice(-3);
  return new Error(
    [
      `waited in vain for ${what}: ${why}, at ${Math.round(world.runtime.elapsedMs)} virtual ms, seed ${seed}`,
      ...(lines.length > 0 ? lines : ["nothing runs, and no plan is open"]).map((line) => `  ${line}`),
      ...troubles.map(({ level, component, event }) => `  logged: ${level} ${component} ${event}`),
    ].join("\n"),
  );
}

/** What a mesh in which nothing happens any more is waiting for, as lines of text. */
function describeWaits(world: World, plans: readonly PlanState[]): string[] {
  const lines: string[] = [];
  for (const plan of plans) {
    const open = plan.tasks.filter(({ status }) => status !== "completed" && status !== "cancelled");
    const paused = plan.status === "paused" ? ", which is paused" : "";
    lines.push(`plan of goal "${plan.origin.goalType}" (${plan.planId})${paused}:`);
    if (plan.tasks.length === 0) lines.push(`  its planner ${plan.origin.planner} has made no tasks of it`);
    for (const task of open) lines.push(`  ${describeTask(world, plan, task)}`);
  }
  for (const { place, what, sinceMs, waits, givenUp } of world.activity.active) {
    if (place.name === "test") continue;
    const forWhat = waits > 0 ? "waits for the mesh" : givenUp ? "waits for something outside of the mesh" : "runs";
    lines.push(`${what} ("${place.name}") ${forWhat}, since virtual ms ${Math.round(sinceMs)}`);
  }
  for (const { name, host } of world.members.values()) {
    if (host && !host.process.alive) lines.push(`"${name}" does not run: it crashed or was stopped`);
    else if (host?.process.frozen) lines.push(`"${name}" is frozen`);
  }
  return lines;
}

function describeTask(world: World, plan: PlanState, task: TaskState): string {
  const { name, status, assignedTo, attempt, agentName, failure, dependsOn } = task;
  const what = `task "${name}"`;
  const waiting = task.waits?.findLast(({ signalled, timedOut }) => !signalled && !timedOut)?.on ?? task.wait;
  if (waiting?.kind === "input")
    return `${what} waits for a person: ${JSON.stringify(waiting.prompt)}; answer with mesh.answer(…)`;
  if (waiting?.kind === "event")
    return `${what} waits for event "${waiting.pattern}"; publish one with mesh.publish(…)`;
  if (waiting) return `${what} waits (${waiting.kind})`;
  if (status === "failed") return `${what} failed: ${failure?.message ?? "nobody knows why"}`;
  if (status === "running" && agentName !== undefined) return `${what} is with ${agentName}, attempt ${attempt}`;
  const before = dependsOn.filter((id) =>
    plan.tasks.some((other) => other.taskId === id && other.status !== "completed"),
  );
  if (before.length > 0) return `${what} waits for the tasks before it`;
  if (task.retryAtMs !== undefined) return `${what} is tried again, after: ${failure?.message ?? "it failed"}`;
  if (assignedTo === undefined) return `${what} is ${status}`;
  return world.canDo(assignedTo)
    ? `${what} waits for room at an agent that does "${assignedTo}"`
    : `${what} waits for an agent that does "${assignedTo}": none runs in this mesh; run it, or mesh.stub(${JSON.stringify(assignedTo)}, …)`;
}
