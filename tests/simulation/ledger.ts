import type { TaskSpec } from "@soorma/core";

/** What a task's handler is told to do. */
export interface Behaviour {
  /** Milliseconds of work. */
  readonly ms: number;
  /** Attempts before this one throw. */
  readonly failsUntil?: number;
  /** Attempts before this one hang until they are aborted. */
  readonly hangsUntil?: number;
  /** Throws what must not be retried. */
  readonly fatal?: boolean;
}

export interface GoalScript {
  readonly id: number;
  readonly tasks: readonly TaskSpec[];
  /** How it has to end if nobody cancels it. */
  readonly ends: "completed" | "failed";
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
  /** Compare-and-set increments. */
  readonly counter = { acknowledged: 0, unknown: 0 };
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
