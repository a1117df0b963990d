import type { PlanQuery, Status } from "@soorma/core";
import { colorsForStdout } from "../../ui/colors.ts";
import { colorOf } from "../../ui/plan-graph.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import { findPlanId } from "./find.ts";

interface ListOptions {
  readonly status?: Status;
  readonly goal?: string;
  readonly planner?: string;
  readonly parent?: string;
  readonly since?: number;
  readonly until?: number;
  readonly limit?: number;
  readonly json?: boolean;
}

const defaultLimit = 20;

export const runList = oneShot(async ({ options, io }) => {
  const { status, goal, planner, parent, since, until, limit = defaultLimit, json } = options as ListOptions;
  await using client = await connect(io);
  const query: PlanQuery = {
    // One more, to know whether there are more.
    limit: limit + 1,
    ...(status === undefined ? {} : { status }),
    ...(goal === undefined ? {} : { goalType: goal }),
    ...(planner === undefined ? {} : { planner }),
    ...(parent === undefined ? {} : { parentPlanId: await findPlanId(client, parent) }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(until === undefined ? {} : { untilMs: until }),
  };
  const found = await client.tracker.listPlans(query);
  const plans = found.slice(0, limit);
  if (json) {
    io.out(JSON.stringify(plans));
    return undefined;
  }
  if (plans.length === 0) {
    const isFiltered = [status, goal, planner, parent, since, until].some((filter) => filter !== undefined);
    io.err(isFiltered ? "no such plans" : "there are no plans yet: `soorma goal <goal>` makes one");
    return undefined;
  }
  const colors = colorsForStdout(io);
  const now = Date.now();
  const rows = plans.map((plan) => [
    plan.planId,
    colorOf(plan.status, colors)(plan.status),
    oneLine(plan.goalType),
    `${plan.doneCount}/${plan.taskCount}`,
    colors.dim(`${formatDuration(now - plan.createdAtMs)} ago`),
  ]);
  const shown = [
    { title: "PLAN" },
    { title: "STATUS" },
    { title: "GOAL", least: 5 },
    { title: "TASKS", rank: 2 },
    { title: "CREATED", rank: 1 },
  ];
  for (const line of table(shown, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors })) io.out(line);
  if (found.length > limit) io.err(colors.dim(`there are more: --limit ${limit * 5}, or --until, shows them`));
  return undefined;
});
