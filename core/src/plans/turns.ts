import type { PlanChange } from "./log.ts";
import type { PlanFold } from "./reducer.ts";

/**
 * What the parts of a driver work with.
 *
 * What happens becomes a step. Steps propose changes; what these shall lead to outside is an effect, and runs when the
 * changes of its turn are in the log. When someone else changed the plan first, steps are tried again on another fold and
 * their effects are dropped: a step may not rely on being tried once.
 */
export interface Turns {
  readonly planId: string;
  /** Of the log so far, and of what this turn proposed. Not the same object for ever. */
  readonly fold: PlanFold;
  /** There may be entries in the log that the fold does not know: free changes of others. */
  readonly skipped: boolean;
  /** Takes the change into this turn if it is legal now. */
  propose(change: PlanChange): boolean;
  /** To be done once this turn is in the log. */
  after(effect: () => void): void;
  /** To be tried in the next turn. */
  step(step: () => void): void;
}
