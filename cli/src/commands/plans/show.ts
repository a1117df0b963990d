import type { PlanEntry } from "@soorma/core";
import { colorsForStdout } from "../../ui/colors.ts";
import { drawPlan } from "../../ui/plan-graph.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { entryLine } from "./entry-line.ts";
import { findPlanId } from "./find.ts";

export const runShow = oneShot(async ({ args: [given], options, io }) => {
  const { log = false, json = false } = options as { readonly log?: boolean; readonly json?: boolean };
  await using client = await connect(io);
  const planId = await findPlanId(client, given);
  const plan = await client.tracker.getPlan(planId);
  const subPlans = await client.tracker.subPlans(planId);
  const timeline: readonly PlanEntry[] = log ? await client.tracker.timeline(planId) : [];
  if (json) {
    io.out(JSON.stringify({ ...plan, subPlans, ...(log ? { timeline } : {}) }));
    return undefined;
  }
  const colors = colorsForStdout(io);
  const drawing = { colors, columns: io.stdoutColumns ?? Number.POSITIVE_INFINITY, nowMs: Date.now() };
  for (const line of drawPlan(plan, drawing)) io.out(line);
  for (const sub of subPlans) io.out(colors.dim(`sub-plan ${sub.planId}  ${sub.goalType}  ${sub.status}`));
  if (timeline.length > 0) io.out("");
  const names = new Map(plan.tasks.map(({ taskId, name }) => [taskId, name]));
  for (const entry of timeline)
    io.out(entryLine(entry, plan.createdAtMs, (taskId) => names.get(taskId) ?? taskId, colors));
  if (plan.tasks.some((task) => task.status === "paused")) {
    io.err(colors.dim(`a task waits for you: soorma plans answer ${planId}`));
  }
  return undefined;
});
