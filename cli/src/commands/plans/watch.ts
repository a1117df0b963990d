import type { GoalRun } from "@soorma/core";
import { colorsFor, colorsForStdout } from "../../ui/colors.ts";
import { Interrupted } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import { createLive } from "../../ui/live.ts";
import { drawPlan } from "../../ui/plan-graph.ts";
import { connect } from "../connect.ts";
import type { RunCommand } from "../spec.ts";
import { entryLine } from "./entry-line.ts";
import { findPlanId } from "./find.ts";

/** How often durations of what runs are drawn anew. */
const tickMs = 250;

export const runWatch: RunCommand = async ({ args: [given], options, io }) => {
  const { json = false } = options as { readonly json?: boolean };
  await using client = await connect(io);
  const run = await client.attach(await findPlanId(client, given));
  const final = json ? await watchAsJson(run, io) : await watchAsGraph(run, io);
  if (io.signal.aborted) throw new Interrupted(`interrupted; plan ${run.planId} goes on`);
  return final === "completed" || final === unread ? 0 : 1;
};

/** Instead of a status: whoever read the lines has seen enough. */
const unread = "unread";

async function watchAsJson(run: GoalRun, io: Io): Promise<string> {
  let status = "";
  for await (const { entry, plan } of run.progress({ signal: io.signal })) {
    if (!io.out(JSON.stringify(entry))) return unread;
    status = plan().status;
  }
  return status;
}

async function watchAsGraph(run: GoalRun, io: Io): Promise<string> {
  using live = createLive(io);
  const colors = colorsFor(io);
  let plan = await run.plan();
  const draw = (): void => {
    const drawing = { colors, columns: process.stderr.columns ?? 80, nowMs: Date.now() };
    // What does not fit the screen could not be taken away again.
    live.set(drawPlan(plan, drawing).slice(0, Math.max(5, (process.stderr.rows ?? 24) - 2)));
  };
  const ticker = live.enabled ? setInterval(draw, tickMs) : undefined;
  try {
    for await (const step of run.progress({ signal: io.signal })) {
      if (live.enabled) {
        plan = step.plan();
        draw();
      } else {
        const names = (taskId: string): string => step.task?.name ?? taskId;
        live.print(entryLine(step.entry, step.plan().createdAtMs, names, colors));
      }
    }
  } finally {
    clearInterval(ticker);
    live.clear();
  }
  if (io.signal.aborted) return plan.status;
  plan = await run.plan();
  const columns = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  for (const line of drawPlan(plan, { colors: colorsForStdout(io), columns, nowMs: Date.now() })) io.out(line);
  return plan.status;
}
