import type { PlanOrigin } from "./log.ts";

/** One attempt at one task, as it goes to an agent. */
export interface TaskAssignment {
  readonly planId: string;
  readonly goalId: string;
  readonly taskId: string;
  readonly name: string;
  /** Name, id or capability of the agent that shall do it. */
  readonly assignedTo: string;
  readonly data: unknown;
  /** Results of the tasks this one depends on, by their names. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Counts from 1. Of two attempts at a task the higher one is the valid one. */
  readonly attempt: number;
  /** Milliseconds the attempt may take, from when an agent took it. The engine enforces it, too. */
  readonly timeoutMs?: number;
  /** When the whole goal has to be done, wall clock milliseconds. */
  readonly deadline?: number;
  /** Higher goes first when agents are busy. */
  readonly priority: number;
  /** Trace, session, tenant and user that the attempt runs under. */
  readonly origin: PlanOrigin;
}

export interface DispatchOptions {
  /** Aborts when the attempt's result is not wanted any more: cancelled, timed out, or the engine stopped. */
  readonly signal: AbortSignal;
  /** To be called when an agent took it; again when another one did. The attempt's `timeoutMs` begins here. */
  onAssigned(agentId: string, agentName: string): void;
  /** As often as wanted: the engine logs the latest now and then. */
  onProgress(fraction: number, message?: string): void;
}

/**
 * Gets attempts done by agents.
 *
 * The engine has appended `task.dispatched` before it calls: a crash between the two leaves an attempt that nobody
 * works at and that is followed by the next one after the plan is resumed. The other order could leave an agent working at
 * something no log knows of. Which agent took it is appended afterwards as `task.assigned`, since an offer may be declined.
 */
export interface TaskDispatcher {
  /**
   * Finds an agent, waits while all are busy, and resolves with the handler's result.
   *
   * A rejection is a failed attempt; a `SoormaError`'s code and `retryable` decide what follows. It may go to several
   * agents in turn within one attempt, but must not run on two at once.
   */
  dispatch(assignment: TaskAssignment, options: DispatchOptions): Promise<unknown>;
}
