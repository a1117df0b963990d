import type { Failure } from "../errors.ts";
import type { PlanSummary, TaskState } from "../plans/log.ts";
import type { Key, StoreReader, StoreTransaction } from "../store/store.ts";

/** A task that failed for good and that nobody has dealt with. */
export interface DeadLetter {
  readonly planId: string;
  readonly taskId: string;
  readonly name: string;
  readonly goalType: string;
  readonly planner: string;
  readonly assignedTo?: string;
  /** Who failed last at it. */
  readonly agentName?: string;
  /** Number of the last attempt. */
  readonly attempt: number;
  readonly failure: Failure;
  readonly failedAtMs: number;
}

export interface DeadLetterQuery {
  readonly planId?: string;
  readonly goalType?: string;
  readonly planner?: string;
  readonly agentName?: string;
  /** Failed at this time or later. */
  readonly sinceMs?: number;
  /** Failed before this time. */
  readonly untilMs?: number;
  /** Newest first. Default 100. */
  readonly limit?: number;
}

/** Where a page ended; the next one begins behind it. */
export type DeadLetterCursor = readonly [failedAtMs: number, planId: string, taskId: string];

const scannedAtOnce = 1_000;

export function addDeadLetter(tx: StoreTransaction, tenant: string, plan: PlanSummary, task: TaskState): void {
  const { planId, goalType, planner } = plan;
  const { taskId, name, attempt, assignedTo, agentName } = task;
  const failedAtMs = task.endedAtMs ?? plan.updatedAtMs;
  const letter: DeadLetter = {
    planId,
    taskId,
    name,
    goalType,
    planner,
    ...(assignedTo === undefined ? {} : { assignedTo }),
    ...(agentName === undefined ? {} : { agentName }),
    attempt,
    failure: task.failure ?? { code: "TASK_FAILED", message: "it failed", retryable: false },
    failedAtMs,
  };
  tx.put(letterKey(tenant, failedAtMs, planId, taskId), letter);
}

/** `task` as it was while it was one. */
export function removeDeadLetter(tx: StoreTransaction, tenant: string, plan: PlanSummary, task: TaskState): void {
  tx.delete(letterKey(tenant, task.endedAtMs ?? plan.updatedAtMs, plan.planId, task.taskId));
}

/** A page of dead letters, newest first; `next` tells that there may be more. */
export function readDeadLetters(
  reader: StoreReader,
  tenant: string,
  query: DeadLetterQuery,
  after?: DeadLetterCursor,
): { readonly items: readonly DeadLetter[]; readonly next?: DeadLetterCursor } {
  const { planId, goalType, planner, agentName, sinceMs, untilMs, limit = 100 } = query;
  const items: DeadLetter[] = [];
  if (limit <= 0) return { items };
  const from = after ?? (untilMs === undefined ? undefined : [untilMs]);
  const range = reader.range<DeadLetter>({
    prefix: ["pland", tenant],
    reverse: true,
    ...(from ? { from } : {}),
    ...(sinceMs === undefined ? {} : { to: [sinceMs] }),
  });
  let scanned = 0;
  for (const { key, value } of range) {
    const at: DeadLetterCursor = [Number(key[2]), String(key[3]), String(key[4])];
    if (after && at[0] === after[0] && at[1] === after[1] && at[2] === after[2]) continue;
    const isWanted =
      (planId === undefined || value.planId === planId) &&
      (goalType === undefined || value.goalType === goalType) &&
      (planner === undefined || value.planner === planner) &&
      (agentName === undefined || value.agentName === agentName);
    if (isWanted) items.push(value);
    if (items.length >= limit) return { items };
    if (++scanned >= scannedAtOnce) return { items, next: at };
  }
  return { items };
}

function letterKey(tenant: string, failedAtMs: number, planId: string, taskId: string): Key {
  return ["pland", tenant, failedAtMs, planId, taskId];
}
