import type { PlanState, TaskState } from "@soorma/core";
import type { World } from "./world.ts";

/** What a mesh in which nothing happens any more is waiting for, as lines of text. */
export function describeWaits(world: World, plans: readonly PlanState[]): string[] {
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
