import { type Failure, isSoormaError, SoormaError } from "../errors.ts";
import type { PlanOrigin, TaskSpec } from "./log.ts";

/** One attempt at one task, as it goes to an agent. */
export interface TaskAssignment {
  readonly planId: string;
  readonly goalId: string;
  readonly taskId: string;
  readonly name: string;
  /** Name, id or capability of the agent that shall do it; of a sub-plan, the type of its goal. */
  readonly assignedTo: string;
  /** Type of the goal, if the task is a sub-plan. */
  readonly goal?: string;
  readonly data: unknown;
  /** Results of the tasks this one depends on, by their names. */
  readonly inputs: Readonly<Record<string, unknown>>;
  /** Counts from 1. Of two attempts at a task the higher one is the valid one. */
  readonly attempt: number;
  /** Attempts that failed before this one and counted. Does not change when a driver is lost. */
  readonly failures: number;
  /** Fencing token of the plan's driver. Of two drivers' assignments the one of the higher epoch is valid. */
  readonly epoch: number;
  /** Earlier attempts may have left steps and waits in the journal. */
  readonly hasJournal: boolean;
  /** An earlier attempt may still be running: its agent was lost, or did not say that it ended. */
  readonly mayOverlap: boolean;
  /**
   * The attempt was begun by an earlier driver and may be running, or be done, at this agent, or, if that is not known,
   * at any. It is to be found and its end waited for; `ATTEMPT_LOST` if nobody has it. It must not be begun anew.
   */
  readonly resume?: { readonly agentId?: string };
  /** Milliseconds the attempt may take, from when an agent took it. The engine enforces it, too. */
  readonly timeoutMs?: number;
  /** When the whole goal has to be done, wall clock milliseconds. */
  readonly deadline?: number;
  /** Higher goes first when agents are busy. */
  readonly priority: number;
  /** Trace, session, tenant and user that the attempt runs under. */
  readonly origin: PlanOrigin;
}

/** What an agent says of an attempt that an earlier driver began. */
export interface AttemptAge {
  /** Milliseconds its handler has been at it, or was. */
  readonly ms: number;
  /** It has ended. How is on its way, and counts although nobody was there to say that its time was over. */
  readonly isOver: boolean;
}

export interface DispatchOptions {
  /**
   * Aborts when the attempt is no matter of this engine any more. Its reason says why: {@link isHandOver}, then the agent goes
   * on and answers the next driver; else (`CANCELLED`, `TIMEOUT`) nobody wants it and the agent is to be told.
   */
  readonly signal: AbortSignal;
  /** The signal's reason, once it aborted. */
  readonly abortedWith: { readonly reason: unknown } | undefined;
  /** Has `listener` called when the signal aborts; one only. A signal is made for nobody who does with this. */
  whenAborted(listener: (reason: unknown) => void): void;
  /**
   * To be called when an agent took it; again when another one did, and when it is known for how long it has had it. The
   * attempt's `timeoutMs` begins here, `age` earlier.
   */
  onAssigned(agentId: string, agentName: string, age?: AttemptAge): void;
  /** As often as wanted: the engine logs the latest now and then. */
  onProgress(fraction: number, message?: string): void;
  /**
   * The running attempt wants tasks of its own. Resolves when they are in the log; asking again for names that are there is
   * fine. Names are given without the parent's. @throws {SoormaError} `PLAN_INVALID`, `BUDGET_EXCEEDED`, `ATTEMPT_STALE`;
   * `NODE_STOPPED` when the plan is handed over: the next driver is to be asked. Likewise below.
   */
  onDelegate(tasks: readonly TaskSpec[]): Promise<void>;
  /** The end of a delegated task. @throws what made it fail. */
  onJoin(name: string, signal: AbortSignal): Promise<unknown>;
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
   * A rejection is a failed attempt; a `SoormaError`'s code and `retryable` decide what follows. It may be offered to
   * several agents in turn within one attempt, but must not run on two. `NODE_STOPPED` (handed back), `ATTEMPT_LOST` and
   * whatever has `details.suspended` (lost while it only waited) are not counted as attempts.
   */
  dispatch(assignment: TaskAssignment, options: DispatchOptions): Promise<unknown>;
  /**
   * How the attempt ended is in the log, or does not matter: its agent may forget it. Called once for each attempt whose
   * `dispatch` settled before its signal aborted, unless the plan was handed over meanwhile: then the next driver asks the
   * agent for the result.
   */
  recorded?(taskId: string, attempt: number): void;
}

/** Whether an attempt was aborted only because another engine drives its plan from now on. Nobody tells its agent to stop. */
export function isHandOver(reason: unknown): boolean {
  return isSoormaError(reason, "NODE_STOPPED") || isSoormaError(reason, "PLAN_FENCED");
}

/** What whoever asks the engine something for an attempt gets when the plan is another one's by now: ask that. */
export function handedOver(planId: string): SoormaError {
  return new SoormaError("NODE_STOPPED", `plan ${planId} is handed over: its next driver will answer`);
}

const attemptCodes: ReadonlySet<string> = new Set(["NODE_STOPPED", "ATTEMPT_LOST", "PLAN_FENCED"]);

/**
 * What a handler, a sub-task or a sub-plan failed with, for whoever asked for that. What would say something of the attempt itself, that
 * it was handed over, or lost while it waited, comes from elsewhere here: whoever passes such an error on has failed.
 */
export function passedOn({ details, ...failure }: Failure): Failure {
  const { suspended: _suspended, ...rest } = details ?? {};
  return {
    ...failure,
    ...(attemptCodes.has(failure.code) ? { code: "TASK_FAILED" } : {}),
    ...(details === undefined ? {} : { details: rest }),
  };
}
