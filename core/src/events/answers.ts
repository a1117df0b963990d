import type { Envelope } from "./envelope.ts";

/**
 * Id of the event that answers a plan's goal. It may be published twice, by a planner that was lost before it could note
 * that it had, and by the one after it: whoever had it knows it by its id.
 */
export function answerIdOf(planId: string): string {
  return `${planId}.answer`;
}

/** Whether an event is the answer of a goal. */
export function isAnswer({ id, planId }: Pick<Envelope, "id" | "planId">): boolean {
  return planId !== undefined && id.length === planId.length + 7 && id === answerIdOf(planId);
}
