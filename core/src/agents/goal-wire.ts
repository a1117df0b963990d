/** Directed calls by which a goal goes to a planner. */
export const goalMethods = {
  /** Client to planner: the goal's envelope. Answered with {@link GoalAccepted} once the goal is in the log. */
  submit: "goal.submit",
  /** Anybody to planner: `{ planId, reason }`. */
  cancel: "goal.cancel",
} as const;

export interface GoalAccepted {
  readonly planId: string;
}
