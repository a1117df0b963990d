import { isSoormaError, type PlanLog } from "@soorma/core";

/** A log on which nobody is ever too late: what it refuses is appended behind what came in between. */
export function withoutVersions(log: PlanLog): PlanLog {
  return {
    ...log,
    async append(planId, expectedVersion, changes, options) {
      try {
        return await log.append(planId, expectedVersion, changes, options);
      } catch (error) {
        if (!isSoormaError(error, "PLAN_CONFLICT") && !isSoormaError(error, "PLAN_FENCED")) throw error;
        const entries = await log.read(planId);
        const epoch = entries.findLast((entry) => entry.type === "plan.driven")?.epoch ?? 1;
        return await log.append(planId, entries.at(-1)?.version ?? 0, changes, { epoch });
      }
    },
  };
}
