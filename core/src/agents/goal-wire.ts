import type { HandlingContext } from "../events/context.ts";
import type { Envelope } from "../events/envelope.ts";
import type { PlanOrigin } from "../plans/log.ts";

/** Directed calls by which a goal goes to a planner. Each is an envelope, answered with {@link GoalAccepted}. */
export const goalMethods = {
  /** The goal. Answered once it is in the log. */
  submit: "goal.submit",
  /** The same goal again: {@link ReplayRequest} is its data. */
  replay: "goal.replay",
} as const;

export interface GoalAccepted {
  readonly planId: string;
  /** Who took it. Another instance may drive the plan by now. */
  readonly agentId: string;
  readonly agentName: string;
}

export interface ReplayRequest {
  readonly planId: string;
  /** Name or id of the task to begin at. */
  readonly from?: string;
}

/** Out of the goal's id, so that a goal submitted again after a lost answer is the same plan. */
export function planIdOf(goalId: string): string {
  return `plan-${goalId}`;
}

const longestGoalId = 100;

/** Goal id of a task's sub-plan: the same for whoever drives the task, and another one after each failure. */
export function subGoalIdOf(taskId: string, failures: number): string {
  return idWithin(taskId, `${failures + 1}`);
}

/** Goal id of the plan in which a dead letter of an ended plan is tried again: the same for whoever retries it, however often. */
export function retryGoalIdOf(taskId: string): string {
  return idWithin(taskId, "retry");
}

function idWithin(taskId: string, name: string): string {
  const id = `${taskId.replace(/^plan-/, "")}.${name}`;
  if (id.length <= longestGoalId) return id;
  // Plans within plans within plans: ids are limited, and each is part of the next.
  return `g${[0n, 1n].map((seed) => Bun.hash(id, seed).toString(36)).join("")}`;
}

/** What a plan keeps of the message that submitted its goal. */
export function originOf(envelope: Envelope, goalId: string, planner: string): PlanOrigin {
  const {
    type,
    data,
    traceId,
    correlationId,
    tenantId,
    parentId,
    sessionId,
    userId,
    responseEvent,
    responseTopic,
    deadline,
    planId,
    taskId,
    hops,
  } = envelope;
  return {
    goalId,
    goalType: type,
    goalData: data ?? null,
    traceId,
    correlationId,
    tenantId,
    planner,
    hops,
    ...(parentId === undefined ? {} : { parentId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(responseEvent === undefined ? {} : { responseEvent }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(deadline === undefined ? {} : { deadline }),
    // A goal submitted inside a task belongs to that task's plan.
    ...(planId === undefined ? {} : { parentPlanId: planId }),
    ...(planId === undefined || taskId === undefined ? {} : { parentTaskId: taskId }),
  };
}

/** What a planner's handlers run under: everything they send belongs to the plan. */
export function contextOf(origin: PlanOrigin, planId: string): HandlingContext {
  const { goalId, traceId, correlationId, tenantId, sessionId, userId, deadline, hops = 0 } = origin;
  return {
    id: goalId,
    traceId,
    correlationId,
    tenantId,
    goalId,
    planId,
    hops,
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(deadline === undefined ? {} : { deadline }),
  };
}
