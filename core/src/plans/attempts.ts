import { type Failure, SoormaError, toFailure } from "../errors.ts";
import type { Runtime, Timer } from "../runtime.ts";
import type { TaskAssignment, TaskDispatcher } from "./dispatcher.ts";
import type { PlanChange } from "./log.ts";
import { setLongTimer } from "./timing.ts";

interface Agent {
  readonly agentId: string;
  readonly agentName: string;
}

interface Attempt {
  readonly assignment: TaskAssignment;
  readonly controller: AbortController;
  beganAt: number;
  agent?: Agent;
  timer?: Timer;
}

/** How an attempt ended. */
export interface AttemptEnd {
  readonly taskId: string;
  readonly attempt: number;
  /** Who did it, if nobody was told yet. */
  readonly agent?: Agent;
  readonly durationMs: number;
  readonly outcome: { readonly result: unknown } | { readonly failure: Failure };
}

export interface AttemptListener {
  onEnd(end: AttemptEnd): void;
  /** There is something for {@link Attempts.takeNotes}. */
  onNote(): void;
}

/** The attempts of one plan that are under way: at most one a task, each ends once. */
export class Attempts {
  readonly #dispatcher: TaskDispatcher;
  readonly #runtime: Runtime;
  readonly #listener: AttemptListener;
  readonly #attempts = new Map<string, Attempt>();
  /** What is worth logging some time: assignments, and of each task the latest progress. */
  readonly #notes = new Map<string, { agent?: Agent; progress?: { fraction: number; message?: string } }>();

  constructor(dispatcher: TaskDispatcher, runtime: Runtime, listener: AttemptListener) {
    this.#dispatcher = dispatcher;
    this.#runtime = runtime;
    this.#listener = listener;
  }

  has(taskId: string, attempt: number): boolean {
    return this.#attempts.get(taskId)?.assignment.attempt === attempt;
  }

  start(assignment: TaskAssignment): void {
    const { taskId } = assignment;
    this.#drop(taskId)?.controller.abort(
      new SoormaError("CANCELLED", `attempt ${assignment.attempt} replaces this one`),
    );
    const attempt: Attempt = { assignment, controller: new AbortController(), beganAt: this.#runtime.monotonic() };
    this.#attempts.set(taskId, attempt);
    const isCurrent = (): boolean => this.#attempts.get(taskId) === attempt;
    const dispatch = async (): Promise<unknown> =>
      this.#dispatcher.dispatch(assignment, {
        signal: attempt.controller.signal,
        onAssigned: (agentId, agentName) => {
          if (isCurrent()) this.#assigned(attempt, { agentId, agentName });
        },
        onProgress: (fraction, message) => {
          if (!isCurrent()) return;
          this.#note(taskId).progress = { fraction, ...(message === undefined ? {} : { message }) };
          this.#listener.onNote();
        },
      });
    dispatch().then(
      (result) => this.#end(attempt, { result }),
      (error) => this.#end(attempt, { failure: toFailure(error, "TASK_FAILED") }),
    );
  }

  /** Ends every attempt for which `isWanted` is false; nobody is told how it ends. */
  abort(reason: unknown, isWanted: (taskId: string, attempt: number) => boolean = () => false): void {
    for (const [taskId, attempt] of this.#attempts) {
      if (isWanted(taskId, attempt.assignment.attempt)) continue;
      this.#drop(taskId);
      attempt.controller.abort(reason);
    }
  }

  /** Assignments and progress since the last call. */
  takeNotes(): PlanChange[] {
    const changes: PlanChange[] = [];
    for (const [taskId, { agent, progress }] of this.#notes) {
      const attempt = this.#attempts.get(taskId)?.assignment.attempt;
      if (attempt === undefined) continue;
      if (agent) changes.push({ type: "task.assigned", taskId, attempt, ...agent });
      if (progress) changes.push({ type: "task.progress", taskId, attempt, ...progress });
    }
    this.#notes.clear();
    return changes;
  }

  #assigned(attempt: Attempt, agent: Agent): void {
    const { taskId, name, timeoutMs, attempt: number } = attempt.assignment;
    attempt.agent = agent;
    attempt.beganAt = this.#runtime.monotonic();
    attempt.timer?.cancel();
    if (timeoutMs !== undefined) {
      const expire = (): void => {
        const error = new SoormaError(
          "TIMEOUT",
          `attempt ${number} at task "${name}" was not done by ${agent.agentName} within its ${timeoutMs} ms`,
          { details: { task: name, attempt: number, agentId: agent.agentId, timeoutMs } },
        );
        // Recorded at once: the agent may never answer the abort.
        this.#end(attempt, { failure: toFailure(error) });
        attempt.controller.abort(error);
      };
      attempt.timer = setLongTimer(this.#runtime, expire, timeoutMs);
    }
    this.#note(taskId).agent = agent;
    this.#listener.onNote();
  }

  #end(attempt: Attempt, outcome: AttemptEnd["outcome"]): void {
    const { taskId, attempt: number } = attempt.assignment;
    if (this.#attempts.get(taskId) !== attempt) return;
    const durationMs = Math.round((this.#runtime.monotonic() - attempt.beganAt) * 1000) / 1000;
    const agent = this.#notes.get(taskId)?.agent;
    this.#drop(taskId);
    this.#listener.onEnd({ taskId, attempt: number, durationMs, outcome, ...(agent ? { agent } : {}) });
  }

  #drop(taskId: string): Attempt | undefined {
    const attempt = this.#attempts.get(taskId);
    attempt?.timer?.cancel();
    this.#attempts.delete(taskId);
    this.#notes.delete(taskId);
    return attempt;
  }

  #note(taskId: string): { agent?: Agent; progress?: { fraction: number; message?: string } } {
    let note = this.#notes.get(taskId);
    if (!note) {
      note = {};
      this.#notes.set(taskId, note);
    }
    return note;
  }
}
