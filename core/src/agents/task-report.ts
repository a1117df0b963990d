import { type Failure, isSoormaError, toFailure } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { MeshNode } from "../mesh/node.ts";
import { type HeldAttempt, isPlannerTrouble } from "./held-attempt.ts";
import { type Outcome, type TaskOutcome, taskMethods } from "./task-wire.ts";

/** Milliseconds for the planner to have the end of an attempt in its log. */
const resultTimeoutMs = 10_000;
const firstPauseMs = 50;
const longestPauseMs = 2_000;
/** Characters of a failure's message that are kept when the failure as it is cannot be delivered. */
const mostMessage = 10_000;

export interface DeliveryOptions {
  readonly node: MeshNode;
  readonly agentId: string;
  readonly log: Logger;
  /** Milliseconds after which the outcome is given up. The plan's driver then has the task tried again. */
  readonly patienceMs: number;
  /** Whether the log has the attempt as ended. Asked when its planner does not answer: there may never be another one. */
  readonly hasEnded: () => Promise<boolean>;
}

/**
 * Tells the planner how an attempt ended until that is acknowledged.
 *
 * @returns whether the attempt can be forgotten: false when there is a later delivery, to another planner.
 */
export async function deliver(attempt: HeldAttempt, options: DeliveryOptions): Promise<boolean> {
  const { node, agentId, log, patienceMs, hasEnded } = options;
  const { taskId, attempt: number } = attempt.offer;
  const delivery = ++attempt.deliveries;
  const deadline = node.runtime.monotonic() + patienceMs;
  let asking = false;
  let isOver = false;
  let isPlain = false;
  for (let tries = 0; attempt.outcome; tries++) {
    const message: TaskOutcome = { taskId, attempt: number, agentId, ranMs: attempt.ranMs, ...attempt.outcome };
    const { replyTo } = attempt;
    try {
      await node.callAgent(replyTo, taskMethods.result, message, { timeoutMs: resultTimeoutMs });
      return delivery === attempt.deliveries;
    } catch (error) {
      if (delivery !== attempt.deliveries) return false;
      const mayPass = isPassing(error);
      if (!mayPass && !isPlain) {
        log.warn("task.result.refused", { taskId, attempt: number, planner: replyTo.agentId, error });
        isPlain = !attempt.outcome.ok;
        attempt.outcome = instead(attempt.outcome, error);
        continue;
      }
      const left = deadline - node.runtime.monotonic();
      if (left <= 0 || !mayPass) {
        log.warn("task.result.undelivered", { taskId, attempt: number, planner: replyTo.agentId, error });
        return true;
      }
      // Beside the tries, since the log may be away, too.
      if (tries > 0 && !asking) {
        asking = true;
        hasEnded().then(
          (ended) => {
            asking = false;
            isOver ||= ended;
          },
          () => {
            asking = false;
          },
        );
      }
      await attempt.pause(Math.min(left, longestPauseMs, firstPauseMs * 2 ** Math.min(tries, 6)));
      if (delivery !== attempt.deliveries) return false;
      if (isOver) return true;
    }
  }
  return true;
}

/** Whether the same message may well be taken later: the planner is in trouble, starting, stopping, or failed at it. */
function isPassing(error: unknown): boolean {
  return isPlannerTrouble(error) || (isSoormaError(error) && (error.retryable || error.code === "METHOD_UNKNOWN"));
}

/** What is delivered instead of an outcome that never can be: a task must not stay open for it. */
function instead(outcome: Outcome, error: unknown): Outcome {
  if (outcome.ok) return { ok: false, failure: { ...toFailure(error, "TASK_FAILED"), retryable: false } };
  const { code, message, retryable }: Failure = outcome.failure;
  return { ok: false, failure: { code, message: message.slice(0, mostMessage), retryable } };
}
