import type { Client } from "@soorma/core";
import { CommandError } from "../../ui/errors.ts";
import type { RunCommand } from "../spec.ts";
import { connect, findPlanId } from "./find.ts";

/** Gives an order to one plan, and says what came of it. */
function order(
  done: string,
  impossible: string,
  give: (client: Client, planId: string, reason: string | undefined) => Promise<boolean>,
): RunCommand {
  return async ({ args: [given], options, io }) => {
    const { reason, json = false } = options as { readonly reason?: string; readonly json?: boolean };
    await using client = await connect();
    const planId = await findPlanId(client, given);
    if (!(await give(client, planId, reason))) {
      const { status } = await client.tracker.getPlan(planId);
      throw new CommandError("PLAN_INVALID", `plan ${planId} cannot be ${done}: ${impossible} (it is ${status})`, {
        hint: `\`soorma plans show ${planId}\` draws it`,
      });
    }
    io.out(json ? JSON.stringify({ planId, done }) : `plan ${planId} is ${done}`);
    return undefined;
  };
}

export const runCancel = order("cancelled", "it has ended", (client, planId, reason) =>
  client.tracker.cancelPlan(planId, reason ?? "cancelled from the command line"),
);

export const runPause = order("paused", "it has ended or is paused already", (client, planId, reason) =>
  client.tracker.pausePlan(planId, reason),
);

export const runResume = order("resumed", "it is not paused", (client, planId) => client.tracker.resumePlan(planId));
