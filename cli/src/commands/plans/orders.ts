import type { Client, Status } from "@soorma/core";
import { CommandError } from "../../ui/errors.ts";
import { connect } from "../connect.ts";
import type { RunCommand } from "../spec.ts";
import { findPlanId } from "./find.ts";

/** Gives an order to one plan, and says what came of it. */
function order(
  done: string,
  impossible: (status: Status) => string,
  give: (client: Client, planId: string, reason: string | undefined) => Promise<boolean>,
): RunCommand {
  return async ({ args: [given], options, io }) => {
    const { reason, json = false } = options as { readonly reason?: string; readonly json?: boolean };
    await using client = await connect(io);
    const planId = await findPlanId(client, given);
    if (!(await give(client, planId, reason))) {
      const { status } = await client.tracker.getPlan(planId);
      throw new CommandError("PLAN_INVALID", `plan ${planId} cannot be ${done}: ${impossible(status)}`, {
        hint: `\`soorma plans show ${planId}\` draws it`,
      });
    }
    io.out(json ? JSON.stringify({ planId, done }) : `plan ${planId} is ${done}`);
    return undefined;
  };
}

const whyNotPaused = (status: Status): string =>
  status === "paused"
    ? "it is paused already"
    : status === "completed" || status === "failed" || status === "cancelled"
      ? `it has ended (it is ${status})`
      : `it is ending (it is ${status})`;

export const runCancel = order(
  "cancelled",
  (status) =>
    status === "completed" || status === "failed" || status === "cancelled"
      ? `it has ended (it is ${status})`
      : "it is ending already: what it did is taken back",
  (client, planId, reason) => client.tracker.cancelPlan(planId, reason ?? "cancelled from the command line"),
);

export const runPause = order("paused", whyNotPaused, (client, planId, reason) =>
  client.tracker.pausePlan(planId, reason),
);

export const runResume = order(
  "resumed",
  (status) => `it is not paused (it is ${status})`,
  (client, planId) => client.tracker.resumePlan(planId),
);
