import type { Envelope } from "../events/envelope.ts";
import type { TaskAssignment } from "../plans/dispatcher.ts";
import { type OfferedTask, type ReplyTo, taskMethods } from "./task-wire.ts";

export interface OfferOptions {
  readonly id: string;
  /** Wall clock milliseconds when its planner certainly drove the plan. */
  readonly time: number;
  readonly replyTo: ReplyTo;
}

/** The message that offers an attempt to a worker. */
export function taskOffer(assignment: TaskAssignment, { id, time, replyTo }: OfferOptions): Envelope {
  const { origin, taskId, planId, attempt, epoch, name, assignedTo, data, inputs, hasJournal, mayOverlap, timeoutMs } =
    assignment;
  const { priority, deadline } = assignment;
  const task: OfferedTask = {
    taskId,
    planId,
    attempt,
    epoch,
    name,
    assignedTo,
    data,
    inputs,
    hasJournal,
    mayOverlap,
    priority,
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    replyTo,
  };
  return {
    id,
    source: replyTo.agentId,
    specversion: "1.0",
    type: taskMethods.offer,
    time,
    topic: "task-events",
    data: task,
    traceId: origin.traceId,
    correlationId: origin.correlationId,
    // A goal's id is the id of the message that submitted it.
    parentId: origin.goalId,
    tenantId: origin.tenantId,
    goalId: origin.goalId,
    planId,
    taskId,
    attempt,
    hops: (origin.hops ?? 0) + 1,
    ...(origin.sessionId === undefined ? {} : { sessionId: origin.sessionId }),
    ...(origin.userId === undefined ? {} : { userId: origin.userId }),
    ...(deadline === undefined ? {} : { deadline }),
  };
}
