import type { AnyData, Client, GoalRun, Planner } from "@soorma/core";
import type { Outcome } from "../ledger.ts";
import type { Random } from "../random.ts";

/** One shape of plan: what is asked for, what the planner makes of it, and what has to come out of it. */
export interface Shape {
  /** The goal's type. */
  readonly goal: string;
  data(random: Random): AnyData;
  /** Registers what plans it. */
  plan(planner: Planner): void;
  /** What is wrong with the outcome; `undefined` if nothing is. */
  judge(data: AnyData, outcome: Outcome): string | undefined;
  /** What its client does while the plan runs: answers, cancels, pauses. It may be cut off anywhere and be done again. */
  steer?(steering: Steering): Promise<void>;
}

export interface Steering {
  readonly run: GoalRun<AnyData>;
  readonly client: Client;
  readonly data: AnyData;
  /** Aborts when the client is told to stop. */
  readonly signal: AbortSignal;
}

/** A judge for goals that have to be completed with what `expected` says of their data. */
export function completedWith(expected: (data: AnyData) => AnyData, actual: (result: AnyData) => AnyData) {
  return (data: AnyData, outcome: Outcome): string | undefined => {
    if (outcome.status !== "completed") return `it ${outcome.status}: ${outcome.code}: ${outcome.message}`;
    const wanted = expected(data);
    const got = actual(outcome.result);
    return Bun.deepEquals(wanted, got, true)
      ? undefined
      : `its answer is ${JSON.stringify(got)} instead of ${JSON.stringify(wanted)}`;
  };
}

/** A judge for goals that have to fail with that code. */
export function failedWith(code: string) {
  return (_data: AnyData, outcome: Outcome): string | undefined =>
    outcome.status === "failed" && outcome.code === code
      ? undefined
      : `it ended as ${JSON.stringify(outcome)} instead of failing with ${code}`;
}
