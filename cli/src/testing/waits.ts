import { type GoalRun, isSoormaError, type Status, type Tracker } from "@soorma/core";
import type { World } from "./world.ts";

/** Resolves when a goal has an answer. To watch its plan would keep the state node busy while a task sleeps for a day. */
export async function untilEnded({ runtime, activity }: World, run: GoalRun): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  using _heard = activity.expect(`${run.planId}.answer`, resolve);
  // An answer may have been lost with its planner, and its plan ended by another.
  for (let pauseMs = 1_000; ; pauseMs = Math.min(pauseMs * 2, 3_600_000)) {
    try {
      if (isTerminal((await run.plan()).status)) return;
    } catch (error) {
      // Whoever waits for an answer waits for the state node, too.
      if (!isSoormaError(error, "STORE_UNAVAILABLE")) throw error;
    }
    const pause = Promise.withResolvers<void>();
    const timer = runtime.setTimer(pause.resolve, pauseMs);
    await Promise.race([promise, pause.promise]);
    timer.cancel();
  }
}

/** Ids of the plans in which something waits for a person. */
export async function waitingPlans(tracker: Tracker): Promise<string[]> {
  const plans = await tracker.listPlans({ limit: 1_000 });
  const waiting: string[] = [];
  for (const { planId, status } of plans) {
    if (!isTerminal(status) && (await waitsForPerson(tracker, planId))) waiting.push(planId);
  }
  return waiting;
}

export async function waitsForPerson(tracker: Tracker, planId: string): Promise<boolean> {
  const { tasks } = await tracker.getPlan(planId);
  return tasks.some((task) =>
    task.waits?.some(({ on, signalled, timedOut }) => on.kind === "input" && !signalled && !timedOut),
  );
}

/** Whether a plan has ended. */
export function isTerminal(status: Status): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
