import type { PlanBudget, TaskSpec } from "@soorma/core";

/** One thing a task's handler is told to do. */
export type Act =
  | { readonly do: "work"; readonly ms: number }
  /** A step with a side effect that takes `ms`. */
  | { readonly do: "step"; readonly name: string; readonly ms: number }
  /** Sub-tasks, one after the other or all at once. */
  | { readonly do: "delegate"; readonly tasks: readonly Behaviour[]; readonly atOnce: boolean }
  | { readonly do: "sleep"; readonly ms: number }
  | { readonly do: "input" }
  | { readonly do: "event"; readonly type: string }
  | { readonly do: "progress"; readonly fraction: number }
  /** Attempts before that one throw, or hang until they are aborted. */
  | { readonly do: "throw"; readonly until: number }
  | { readonly do: "hang"; readonly until: number }
  /** Throws what must not be retried. */
  | { readonly do: "fatal" };

/** What a task's handler is told to do, and to return besides what it did. */
export interface Behaviour {
  readonly acts: readonly Act[];
  readonly returns?: unknown;
}

/** What a handler returns. */
export interface Returned {
  /** Of this very run of the handler. */
  readonly token: string;
  /** What its acts gave, in their order. */
  readonly values: readonly unknown[];
  readonly returns?: unknown;
}

export interface GoalScript {
  readonly id: number;
  /** Of the goal. Default `sim.goal`. */
  readonly type?: string;
  readonly tasks: readonly TaskSpec[];
  readonly budget?: PlanBudget;
  /** What else is in the goal's data. */
  readonly data?: object;
  /** How it has to end if nobody cancels it. */
  readonly ends: "completed" | "failed";
  /** The failure's code, if only one will do. */
  readonly code?: string;
  /** Its client pauses it then, and lets it go on a while later. */
  readonly pauseAfterMs?: number;
  /** Milliseconds after it was accepted that its client cancels it. */
  readonly cancelAfterMs?: number;
}

export interface GoalRecord {
  readonly script: GoalScript;
  /** When the client was told that it is in the log. */
  acceptedMs?: number;
  planId?: string;
  /** The submission failed, so it may be there or not. */
  refused?: string;
  cancelled?: boolean;
  paused?: boolean;
  /** What clients were told, in order. */
  readonly answers: { readonly status: string; readonly value: unknown; readonly atMs: number; readonly by: string }[];
}

/** A handler's run, as it told of it outside of the mesh. */
export interface Run {
  readonly planId: string;
  readonly taskId: string;
  readonly attempt: number;
  readonly process: string;
  readonly startedMs: number;
  readonly inputs: Readonly<Record<string, unknown>>;
  readonly token: string;
  ended?: "returned" | "threw" | "aborted";
}

/** A side effect of a step. */
export interface SideEffect {
  readonly taskId: string;
  readonly key: string;
  readonly attempt: number;
  readonly value: unknown;
  readonly atMs: number;
  readonly process: string;
}

export interface Register {
  /** The last value whose store was acknowledged. */
  acknowledged: number;
  /** The last value that was tried. */
  tried: number;
}

/** What happened, written down outside of the mesh: nothing the mesh loses is lost here. */
export class Ledger {
  readonly goals: GoalRecord[] = [];
  readonly runs: Run[] = [];
  readonly effects: SideEffect[] = [];
  /** Steps whose value a handler was given, by task and key. */
  readonly steps = new Map<string, { readonly value: unknown; readonly atMs: number }>();
  readonly registers = new Map<string, Register>();
  /** What people and events told waiting tasks, by plan. */
  readonly told = new Map<string, Set<string>>();
  /** Tasks that were taken back, in order. */
  readonly undone: { readonly planId: string; readonly of: string; readonly atMs: number }[] = [];
  /** Compare-and-set increments. */
  readonly counter = { acknowledged: 0, unknown: 0 };
  /** From when on the observer hears everything, unless something goes wrong. */
  listeningMs = Number.POSITIVE_INFINITY;
  /** Answers' events, by observer and plan. */
  readonly heard = new Map<string, number>();
  readonly requests = { answered: 0, failed: 0 };
  readonly violations: string[] = [];

  violated(what: string): void {
    if (this.violations.length < 50) this.violations.push(what);
  }

  effect(effect: SideEffect): void {
    const done = this.steps.get(`${effect.taskId} ${effect.key}`);
    if (done) {
      this.violated(
        `step ${effect.key} of ${effect.taskId} had its effect again at ${effect.atMs} in ${effect.process} (attempt ${effect.attempt}), though it was recorded by ${done.atMs}`,
      );
    }
    this.effects.push(effect);
  }

  stepped(taskId: string, key: string, value: unknown, atMs: number): void {
    const before = this.steps.get(`${taskId} ${key}`);
    if (!before) this.steps.set(`${taskId} ${key}`, { value, atMs });
    else if (before.value !== value) {
      this.violated(
        `step ${key} of ${taskId} was ${String(before.value)} to one attempt and ${String(value)} to another`,
      );
    }
  }

  answered(goal: GoalRecord, status: string, value: unknown, atMs: number, by: string): void {
    const first = goal.answers[0];
    if (first && (first.status !== status || JSON.stringify(first.value) !== JSON.stringify(value))) {
      this.violated(
        `goal ${goal.script.id} was answered ${first.status} ${JSON.stringify(first.value)} to ${first.by}, then ${status} ${JSON.stringify(value)} to ${by}`,
      );
    }
    goal.answers.push({ status, value, atMs, by });
  }
}
