import { type Client, isSoormaError, type PlanSummary } from "@soorma/core";
import { CommandError } from "../../ui/errors.ts";
import { suggest } from "../../ui/suggest.ts";

/** Plans that are looked through for an id's beginning, newest first. */
const mostPlans = 10_000;

/**
 * The plan a person means: by its id, by what only its id begins with, or, with nothing said, the newest.
 *
 * @throws {CommandError} `PLAN_NOT_FOUND` naming the nearest one, `PLAN_AMBIGUOUS` naming some of them.
 */
export async function findPlanId(client: Client, given: string | undefined): Promise<string> {
  if (given === undefined) {
    const [newest] = await client.tracker.listPlans({ limit: 1 });
    if (newest) return newest.planId;
    throw new CommandError("PLAN_NOT_FOUND", "there is no plan yet", {
      hint: "`soorma goal <type> '<json>'` submits a goal, and a planner makes a plan of it",
    });
  }
  try {
    await client.tracker.getPlan(given);
    return given;
  } catch (error) {
    if (!isSoormaError(error, "PLAN_NOT_FOUND")) throw error;
  }
  const plans = await client.tracker.listPlans({ limit: mostPlans });
  const matching = plans.filter(({ planId }) => planId.startsWith(given) || planId.startsWith(`plan-${given}`));
  const [only] = matching;
  if (only && matching.length === 1) return only.planId;
  if (only) {
    const some = matching.slice(0, 5).map(({ planId }) => planId);
    throw new CommandError("PLAN_AMBIGUOUS", `${matching.length} plans begin with "${given}"`, {
      hint: `say more of it: ${some.join(", ")}${matching.length > some.length ? ", …" : ""}`,
    });
  }
  throw notFound(given, plans);
}

function notFound(given: string, plans: readonly PlanSummary[]): CommandError {
  const known = plans.map(({ planId }) => planId);
  return new CommandError("PLAN_NOT_FOUND", `there is no plan ${given}`, {
    hint: suggest(given, known, "`soorma plans list` shows the plans there are"),
  });
}
