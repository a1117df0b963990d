import { SoormaError, toFailure } from "../errors.ts";
import { isHandOver } from "../plans/dispatcher.ts";
import type { Runtime } from "../runtime.ts";
import { stopped } from "./attempt-errors.ts";
import type { Job } from "./dispatch-job.ts";
import type { JoinAnswer } from "./task-wire.ts";

/** Milliseconds a join is held open. */
const joinHoldMs = 20_000;

/** Waits for a sub-task on behalf of its parent's worker, which asks again when it is told `pending`. */
export async function holdJoin(job: Job, name: string, runtime: Runtime): Promise<JoinAnswer> {
  const controller = new AbortController();
  let isOver = false;
  const timer = runtime.setTimer(() => {
    isOver = true;
    controller.abort(new SoormaError("TIMEOUT", `task "${name}" did not end within ${joinHoldMs} ms`));
  }, joinHoldMs);
  job.joins ??= new Set();
  job.joins.add(controller);
  try {
    return { ok: true, result: await job.options.onJoin(name, controller.signal) };
  } catch (error) {
    if (isOver) return { pending: true };
    // It is this planner's trouble, not how the task ended.
    if (isHandOver(controller.signal.aborted ? controller.signal.reason : error)) throw stopped();
    return { ok: false, failure: toFailure(error, "TASK_FAILED") };
  } finally {
    timer.cancel();
    job.joins.delete(controller);
  }
}
