import { isSoormaError, SoormaError } from "../errors.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { TaskKey } from "./task-wire.ts";

/** True when the agent asked did not take it for a reason of its own, so that another one may be asked. */
export function isElsewhere(error: unknown): boolean {
  return isSoormaError(error, "NODE_STOPPED") || (isSoormaError(error, "NO_RESPONDER") && error.retryable);
}

export function stopped(): SoormaError {
  return new SoormaError("NODE_STOPPED", "the planner has stopped");
}

export function stale({ taskId, attempt }: TaskKey): SoormaError {
  return new SoormaError("ATTEMPT_STALE", `attempt ${attempt} at task ${taskId} is not the current one any more`);
}

export function fenced({ taskId }: TaskKey): SoormaError {
  return new SoormaError("PLAN_FENCED", `another planner instance drives the plan of task ${taskId} by now`);
}

/** The agent did not answer, and so may have the attempt. */
export function unanswered(agent: AgentRecord, taskName: string, cause: SoormaError): SoormaError {
  const why = `${agent.name} (${agent.agentId}) did not answer the offer: ${cause.message}`;
  return new SoormaError("ATTEMPT_LOST", `task "${taskName}": ${why}`, { cause });
}
