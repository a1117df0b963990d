import { type Failure, SoormaError, toFailure } from "../errors.ts";
import type { Runtime, Timer } from "../runtime.ts";
import {
  type AttemptAge,
  type DispatchOptions,
  handedOver,
  isHandOver,
  type TaskAssignment,
  type TaskDispatcher,
} from "./dispatcher.ts";
import type { PlanChange, TaskSpec } from "./log.ts";

interface Agent {
  readonly agentId: string;
  readonly agentName: string;
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
  /** Of an attempt that is still wanted. */
  onDelegate(taskId: string, attempt: number, tasks: readonly TaskSpec[]): Promise<void>;
  onJoin(taskId: string, name: string, signal: AbortSignal): Promise<unknown>;
}

/** The attempts of one plan that are under way: at most one a task, each ends once. */
export class Attempts {
  readonly #dispatcher: TaskDispatcher;
  readonly #runtime: Runtime;
  readonly #listener: AttemptListener;
  readonly #attempts = new Map<string, Attempt>();
  /** Of these there is something worth logging some time: who does it, or its latest progress. */
  readonly #noted = new Set<Attempt>();

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
    this.#drop(taskId)?.abort(new SoormaError("CANCELLED", `attempt ${assignment.attempt} replaces this one`));
    const attempt = new Attempt(assignment, this.#runtime.monotonic(), {
      assigned: (agent, age) => this.#assigned(attempt, agent, age),
      progressed: (progress) => this.#progressed(attempt, progress),
      delegate: async (tasks) => {
        this.#checkWanted(attempt);
        return this.#listener.onDelegate(taskId, assignment.attempt, tasks);
      },
      join: async (name, signal) => {
        this.#checkWanted(attempt);
        return this.#listener.onJoin(taskId, name, signal);
      },
    });
    this.#attempts.set(taskId, attempt);
    let done: Promise<unknown>;
    try {
      done = this.#dispatcher.dispatch(assignment, attempt);
    } catch (error) {
      done = Promise.reject(error);
    }
    done.then(
      (result) => this.#end(attempt, { result }),
      (error) => this.#end(attempt, { failure: toFailure(error, "TASK_FAILED") }),
    );
  }

  /** Ends every attempt for which `isWanted` is false; nobody is told how it ends. */
  abort(reason: () => unknown, isWanted: (taskId: string, attempt: number) => boolean = () => false): void {
    for (const [taskId, attempt] of this.#attempts) {
      if (isWanted(taskId, attempt.assignment.attempt)) continue;
      this.#drop(taskId);
      attempt.abort(reason());
    }
  }

  /** Assignments and progress since the last call. */
  takeNotes(): PlanChange[] {
    const changes: PlanChange[] = [];
    for (const noted of this.#noted) {
      const { taskId, attempt } = noted.assignment;
      if (noted.agent && !noted.agentTold) changes.push({ type: "task.assigned", taskId, attempt, ...noted.agent });
      if (noted.progress) changes.push({ type: "task.progress", taskId, attempt, ...noted.progress });
      noted.agentTold = true;
      noted.progress = undefined;
    }
    this.#noted.clear();
    return changes;
  }

  #checkWanted({ assignment, abortedWith }: Attempt): void {
    const { taskId, name, planId, attempt } = assignment;
    if (this.has(taskId, attempt)) return;
    if (abortedWith && isHandOver(abortedWith.reason)) throw handedOver(planId);
    throw new SoormaError("ATTEMPT_STALE", `attempt ${attempt} at task "${name}" is not the current one any more`);
  }

  #assigned(attempt: Attempt, agent: Agent, { ms: ageMs, isOver }: AttemptAge): void {
    if (this.#attempts.get(attempt.assignment.taskId) !== attempt) return;
    const { resume, timeoutMs } = attempt.assignment;
    const isKnown = attempt.agentTold && attempt.agent?.agentId === agent.agentId;
    attempt.agentTold = isKnown || resume?.agentId === agent.agentId;
    attempt.agent = agent;
    attempt.beganAt = this.#runtime.monotonic() - ageMs;
    attempt.timer?.cancel();
    if (timeoutMs !== undefined) {
      // What has ended may take a moment to be delivered.
      const leftMs = isOver ? timeoutMs : Math.max(0, timeoutMs - ageMs);
      attempt.timer = this.#runtime.setTimer(() => this.#expire(attempt, agent, timeoutMs), leftMs);
    }
    if (!attempt.agentTold) this.#note(attempt);
  }

  #expire(attempt: Attempt, agent: Agent, timeoutMs: number): void {
    const { name, attempt: number } = attempt.assignment;
    const error = new SoormaError(
      "TIMEOUT",
      `attempt ${number} at task "${name}" was not done by ${agent.agentName} within its ${timeoutMs} ms`,
      { details: { task: name, attempt: number, agentId: agent.agentId, timeoutMs } },
    );
    // Recorded at once: the agent may never answer the abort.
    this.#end(attempt, { failure: toFailure(error) });
    attempt.abort(error);
  }

  #progressed(attempt: Attempt, progress: NonNullable<Attempt["progress"]>): void {
    if (this.#attempts.get(attempt.assignment.taskId) !== attempt) return;
    attempt.progress = progress;
    this.#note(attempt);
  }

  #note(attempt: Attempt): void {
    this.#noted.add(attempt);
    this.#listener.onNote();
  }

  #end(attempt: Attempt, outcome: AttemptEnd["outcome"]): void {
    const { taskId, attempt: number } = attempt.assignment;
    if (this.#attempts.get(taskId) !== attempt) return;
    const durationMs = Math.round((this.#runtime.monotonic() - attempt.beganAt) * 1000) / 1000;
    const { agent, agentTold } = attempt;
    this.#drop(taskId);
    this.#listener.onEnd({
      taskId,
      attempt: number,
      durationMs,
      outcome,
      ...(agent && !agentTold ? { agent } : {}),
    });
  }

  #drop(taskId: string): Attempt | undefined {
    const attempt = this.#attempts.get(taskId);
    if (!attempt) return undefined;
    attempt.timer?.cancel();
    this.#attempts.delete(taskId);
    this.#noted.delete(attempt);
    return attempt;
  }
}

const justTaken: AttemptAge = { ms: 0, isOver: false };

interface AttemptEvents {
  assigned(agent: Agent, age: AttemptAge): void;
  progressed(progress: { fraction: number; message?: string }): void;
  delegate(tasks: readonly TaskSpec[]): Promise<void>;
  join(name: string, signal: AbortSignal): Promise<unknown>;
}

class Attempt implements DispatchOptions {
  readonly assignment: TaskAssignment;
  beganAt: number;
  agent: Agent | undefined;
  agentTold = false;
  progress: { fraction: number; message?: string } | undefined;
  timer: Timer | undefined;
  readonly onAssigned: DispatchOptions["onAssigned"];
  readonly onProgress: DispatchOptions["onProgress"];
  readonly onDelegate: DispatchOptions["onDelegate"];
  readonly onJoin: DispatchOptions["onJoin"];
  #abortedWith: { readonly reason: unknown } | undefined;
  #controller: AbortController | undefined;
  #listener: ((reason: unknown) => void) | undefined;

  constructor(assignment: TaskAssignment, beganAt: number, events: AttemptEvents) {
    this.assignment = assignment;
    this.beganAt = beganAt;
    this.onAssigned = (agentId, agentName, age = justTaken) => events.assigned({ agentId, agentName }, age);
    this.onProgress = (fraction, message) =>
      events.progressed({ fraction, ...(message === undefined ? {} : { message }) });
    this.onDelegate = events.delegate;
    this.onJoin = events.join;
  }

  get signal(): AbortSignal {
    if (!this.#controller) {
      this.#controller = new AbortController();
      if (this.#abortedWith) this.#controller.abort(this.#abortedWith.reason);
    }
    return this.#controller.signal;
  }

  get abortedWith(): { readonly reason: unknown } | undefined {
    return this.#abortedWith;
  }

  whenAborted(listener: (reason: unknown) => void): void {
    this.#listener = listener;
  }

  abort(reason: unknown): void {
    if (this.#abortedWith) return;
    this.#abortedWith = { reason };
    this.#controller?.abort(reason);
    this.#listener?.(reason);
  }
}
