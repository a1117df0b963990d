import { isSoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Runtime, sleep } from "../runtime.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { PlanChange, PlanLog, PlanState } from "./log.ts";
import type { LogAccess } from "./log-access.ts";
import type { NoteClock } from "./note-clock.ts";
import { backoffDelay } from "./timing.ts";

/** Publishing an answer is tried so often before it is left to whoever takes the plan next. */
const patience = { maxAttempts: 5, backoffMs: 200, maxBackoffMs: 5_000 };

export interface AnsweringOptions {
  readonly log: PlanLog;
  /** Once it is stopped nothing is tried again. */
  readonly access: LogAccess;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly handlers: PlanHandlers;
  /** When it is recorded: nobody waits for that, and the records of several plans need not each have a flush of their own. */
  readonly answers: NoteClock;
}

/** Answers the goal of a plan that has ended, and then records that. Never rejects. */
export async function publishAnswer(
  state: PlanState,
  version: number,
  epoch: number,
  { log, access, runtime, logger, handlers, answers }: AnsweringOptions,
): Promise<void> {
  const { planId } = state;
  for (let failures = 1; handlers.onEnd; failures++) {
    try {
      await handlers.onEnd(state);
      break;
    } catch (error) {
      logger.error("plan.answer.failed", { planId, failures, error });
      if (failures >= patience.maxAttempts || access.isStopped) return;
      await sleep(runtime, backoffDelay(runtime, patience, failures), access.signal).catch(() => {});
    }
  }
  if (!access.isStopped) await new Promise<void>((resolve) => answers.add(resolve));
  const answered: PlanChange[] = [{ type: "plan.answered" }];
  try {
    if (access.isStopped) await log.append(planId, version, answered, { epoch });
    else await access.append(version, answered, epoch);
  } catch (error) {
    // It is there: somebody took the plan for open who did not know yet.
    if (isSoormaError(error, "PLAN_CONFLICT")) return;
    // Then it is published again by whoever takes the plan; receivers know it by its id.
    logger.warn("plan.answered.unrecorded", { planId, error });
  }
}
