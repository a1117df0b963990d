import { SoormaError } from "../errors.ts";
import { type AppendOptions, isFreeChange, type PlanChange } from "../plans/log.ts";

/** What a log has to know of a plan to judge an append. */
export interface LogHead {
  readonly version: number;
  /** Version of the latest entry that is no free change. */
  readonly solidVersion: number;
  readonly epoch: number;
}

/**
 * Whether a driver's append may be made.
 *
 * @throws {SoormaError} `PLAN_FENCED`, `PLAN_CONFLICT`, `PLAN_INVALID` for a log that begins wrong.
 */
export function checkAppend(
  planId: string,
  head: LogHead | undefined,
  expectedVersion: number,
  changes: readonly PlanChange[],
  { epoch }: AppendOptions,
): void {
  if (head && epoch !== undefined && epoch !== head.epoch) {
    throw new SoormaError(
      "PLAN_FENCED",
      `plan ${planId} was to be changed in epoch ${epoch}, but it is in epoch ${head.epoch}`,
      { hint: "Another instance drives the plan: let go of it.", details: { planId, epoch: head.epoch } },
    );
  }
  const version = head?.version ?? 0;
  if (expectedVersion > version || expectedVersion < (head?.solidVersion ?? 0)) {
    const found = version === 0 ? "there is no such plan" : `it is at version ${version}`;
    throw new SoormaError(
      "PLAN_CONFLICT",
      `plan ${planId} was to be changed at version ${expectedVersion}, but ${found}`,
      {
        hint: "Read what was appended meanwhile and decide anew.",
        details: { planId, expected: expectedVersion, version },
      },
    );
  }
  if (version === 0 && changes[0] !== undefined && changes[0].type !== "plan.created") {
    throw new SoormaError(
      "PLAN_INVALID",
      `the log of plan ${planId} cannot begin with ${changes[0].type}, only with plan.created`,
    );
  }
}

/** Version of the latest entry that is no free change after these, the last of which is at `version`. */
export function solidVersionAfter(before: number, changes: readonly PlanChange[], version: number): number {
  const last = changes.findLastIndex((change) => !isFreeChange(change));
  return last < 0 ? before : version - (changes.length - 1 - last);
}
