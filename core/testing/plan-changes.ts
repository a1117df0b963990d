import type { PlanChange, PlannedTask, PlanOrigin } from "../src/plans/log.ts";

/** A goal for tests, with what does not matter filled in. */
export function planOrigin(fields: Partial<PlanOrigin> = {}): PlanOrigin {
  return {
    goalId: "g",
    goalType: "research",
    goalData: {},
    traceId: "t",
    correlationId: "c",
    tenantId: "acme",
    planner: "p",
    ...fields,
  };
}

/** What engines and folds are tested with. */
export const testOrigin = planOrigin({
  goalId: "g1",
  goalType: "test.goal",
  tenantId: "default",
  planner: "tester",
});

/** Changes for tests, with what does not matter filled in. */
export const changes = {
  created(fields: Partial<PlanOrigin> = {}, driver?: string): PlanChange {
    return { type: "plan.created", origin: planOrigin(fields), ...(driver === undefined ? {} : { driver }) };
  },
  started(...tasks: (string | PlannedTask)[]): PlanChange {
    return {
      type: "plan.started",
      tasks: tasks.map((task) =>
        typeof task === "string" ? { taskId: task, name: task, assignedTo: "worker" } : task,
      ),
    };
  },
  dispatched(taskId: string, attempt = 1, agentName = "worker"): PlanChange {
    return { type: "task.dispatched", taskId, attempt, agentId: `${agentName}-1`, agentName };
  },
  succeeded(taskId: string, attempt = 1, durationMs?: number): PlanChange {
    return {
      type: "task.succeeded",
      taskId,
      attempt,
      result: taskId,
      ...(durationMs === undefined ? {} : { durationMs }),
    };
  },
  failed(taskId: string, attempt = 1, durationMs?: number): PlanChange {
    const failure = { code: "TASK_FAILED", message: `${taskId} broke`, retryable: false };
    return { type: "task.failed", taskId, attempt, failure, ...(durationMs === undefined ? {} : { durationMs }) };
  },
  stepped(taskId: string, key: string, attempt = 1): PlanChange {
    return { type: "task.stepped", taskId, attempt, key, value: key };
  },
  planFailed: { type: "plan.failed", failure: { code: "X", message: "x", retryable: false } } as PlanChange,
  cancelled: { type: "plan.cancelled", reason: "enough" } as PlanChange,
  answered: { type: "plan.answered" } as PlanChange,
} as const;
