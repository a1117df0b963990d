import { isSoormaError, SoormaError, toFailure } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { type AttemptEnd, Attempts } from "./attempts.ts";
import type { TaskDispatcher } from "./dispatcher.ts";
import { checkPlan, type PlanDraft } from "./graph.ts";
import type { PlanChange, PlanEntry, PlanLog, PlanOrigin, PlanState, RetryPolicy, TaskState } from "./log.ts";
import { LogAccess } from "./log-access.ts";
import {
  checkAnswer,
  deadlineFailure,
  dependencyFailure,
  goalFailure,
  plannerFailure,
  resultsByName,
  unloggable,
} from "./outcome.ts";
import { isTerminal, PlanFold } from "./reducer.ts";
import { backoffDelay, setLongTimer } from "./timing.ts";

/** What a planner contributes to one plan. Each may run again after a crash. */
export interface PlanHandlers {
  /** Breaks the goal down. The signal aborts when the plan ended meanwhile or the engine stopped. */
  makeTasks(
    origin: PlanOrigin,
    options: { readonly planId: string; readonly signal: AbortSignal },
  ): PlanDraft | Promise<PlanDraft>;
  /** Shapes the goal's answer out of each task's result by name. Without it they are the answer as they are. */
  onComplete?(results: Record<string, unknown>, state: PlanState): unknown;
  /** Called when the plan's end is in the log, to answer the goal. Not called when another engine ended it. */
  onEnd?(state: PlanState): void | Promise<void>;
}

export interface DriverOptions {
  readonly log: PlanLog;
  readonly dispatcher: TaskDispatcher;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Who appends. */
  readonly agentId: string;
  /** For what a task's own policy leaves open. */
  readonly retry: Required<RetryPolicy>;
  /** Assignments and progress are logged this often at most, unless a result takes them along. */
  readonly progressIntervalMs: number;
}

/** Changes that only a plan's driver makes; a command, a cancellation say, can come from anybody. */
const drivers = new Set<PlanChange["type"]>([
  "plan.started",
  "task.dispatched",
  "task.retried",
  "plan.completed",
  "plan.failed",
]);

/**
 * Drives one plan: decides what happens next, appends it, and only then lets it happen.
 *
 * Everything that happens to the plan becomes a step in a queue. A turn takes all waiting steps, tries them on the fold,
 * and appends what they changed as one batch, one batch at a time; what shall follow (calling an agent, answering) is
 * kept until the batch is in the log. When someone else changed the plan first, the turn is taken back: the log is read
 * anew and the same steps are tried on what it says now. So steps have to stand being tried twice.
 */
export class PlanDriver {
  readonly planId: string;
  /** The plan's last state; undefined when this driver let go of it before its end. Rejects when it cannot be logged. */
  readonly ended: Promise<PlanState | undefined>;
  /** Resolves when the driver has let go of the plan and nothing of it is under way here any more, `onEnd` included. */
  readonly gone: Promise<void>;
  readonly #options: DriverOptions;
  readonly #handlers: PlanHandlers;
  readonly #access: LogAccess;
  readonly #attempts: Attempts;
  readonly #stop = new AbortController();
  readonly #leave: () => void;
  readonly #settle: { resolve(state: PlanState | undefined): void; reject(error: unknown): void };
  readonly #retryTimers = new Map<string, Timer>();
  readonly #commands = new Set<(legal: boolean | undefined) => void>();
  /** Tasks whose next attempt may begin: their backoff is over, or the last attempt was lost with its driver. */
  readonly #due = new Set<string>();
  #deadlineTimer: Timer | undefined;
  #notesTimer: Timer | undefined;
  #fold: PlanFold;
  /** Version up to which the fold is known to be in the log. */
  #logged: number;
  #steps: (() => void)[] = [];
  #changes: PlanChange[] = [];
  #effects: (() => void)[] = [];
  #reconcile = true;
  #turning: Promise<void> | undefined;
  #askedToPlan = false;
  #askedToComplete = false;
  #refused = false;

  /** `fold` is of the log so far, at least `plan.created`; it is the driver's from now on. */
  constructor(fold: PlanFold, handlers: PlanHandlers, options: DriverOptions) {
    const { planId } = fold;
    this.planId = planId;
    this.#options = options;
    this.#handlers = handlers;
    const { runtime, logger, log, dispatcher } = options;
    this.#access = new LogAccess({ log, planId, runtime, logger, signal: this.#stop.signal });
    this.#attempts = new Attempts(dispatcher, runtime, {
      onEnd: (end) => this.#step(() => this.#attemptEnded(end)),
      onNote: () => this.#noteSoon(),
    });
    this.#fold = fold;
    this.#logged = fold.version;
    const { promise, resolve, reject } = Promise.withResolvers<PlanState | undefined>();
    this.ended = promise;
    this.#settle = { resolve, reject };
    const gone = Promise.withResolvers<void>();
    this.gone = gone.promise;
    this.#leave = gone.resolve;
    // Whoever wants to know waits for it; nobody has to.
    promise.catch(() => {});
  }

  /** Begins, or goes on from where the log ends. */
  start(): void {
    const { deadline } = this.#fold.origin;
    if (deadline !== undefined && !isTerminal(this.#fold.status)) {
      const expire = (): void =>
        this.#step(() => this.#propose({ type: "plan.failed", failure: deadlineFailure(this.#fold.state()) }));
      const { runtime } = this.#options;
      this.#deadlineTimer = setLongTimer(runtime, expire, deadline - runtime.now());
    }
    this.#turn();
  }

  /**
   * Appends a change from outside. Resolves with whether it was legal, once it is in the log; with undefined when the
   * driver let go of the plan before it knew.
   */
  command(change: PlanChange): Promise<boolean | undefined> {
    if (this.#stop.signal.aborted) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const done = (legal: boolean | undefined): void => {
        this.#commands.delete(done);
        resolve(legal);
      };
      this.#commands.add(done);
      this.#step(() => {
        const legal = this.#propose(change);
        this.#effects.push(() => {
          this.#abortUnwanted();
          done(legal);
        });
      });
    });
  }

  /** Lets go of the plan where it is; resolves as `gone` does. */
  stop(): Promise<void> {
    this.#letGo(new SoormaError("NODE_STOPPED", `the engine that drives plan ${this.planId} stopped`));
    this.#settle.resolve(undefined);
    if (!this.#turning) this.#leave();
    return this.gone;
  }

  #step(step: () => void): void {
    if (this.#stop.signal.aborted) return;
    this.#steps.push(step);
    this.#turn();
  }

  #turn(): void {
    this.#turning ??= this.#takeTurns()
      .catch((error) => this.#abandon(error))
      .finally(() => {
        this.#turning = undefined;
        if (this.#stop.signal.aborted) this.#leave();
        // What came in after the last look at the queue.
        else if (this.#steps.length > 0) this.#turn();
      });
  }

  async #takeTurns(): Promise<void> {
    // Whatever else arrives in this tick goes into the same batch.
    await Promise.resolve();
    while (!this.#stop.signal.aborted) {
      const steps = this.#steps.splice(0);
      for (const step of steps) step();
      this.#advance();
      const changes = this.#changes.splice(0);
      const effects = this.#effects.splice(0);
      if (changes.length > 0 && !(await this.#append(changes, steps))) continue;
      // Stopped while the answer was on its way: whoever resumes the plan sees to what follows.
      if (this.#stop.signal.aborted) return;
      for (const effect of effects) effect();
      if (isTerminal(this.#fold.status)) return this.#finish();
      if (this.#steps.length === 0) return;
    }
  }

  /** Resolves with false when nothing of it may take effect: the fold is then what the log says now. */
  async #append(changes: readonly PlanChange[], steps: readonly (() => void)[]): Promise<boolean> {
    try {
      this.#logged = await this.#access.append(this.#logged, changes);
      return true;
    } catch (error) {
      if (this.#stop.signal.aborted) return false;
      if (isSoormaError(error, "PLAN_CONFLICT")) {
        this.#steps.unshift(...steps);
      } else {
        if (this.#refused || isSoormaError(error, "PLAN_NOT_FOUND")) throw error;
        this.#refused = true;
        this.#options.logger.error("plan.append.refused", { planId: this.planId, changes: changes.length, error });
        const failure = unloggable(this.planId, error);
        this.#steps.unshift(() => this.#propose({ type: "plan.failed", failure }));
      }
      await this.#readAgain();
      return false;
    }
  }

  async #readAgain(): Promise<void> {
    const { logger, agentId } = this.#options;
    let entries: PlanEntry[];
    try {
      entries = await this.#access.read();
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      throw error;
    }
    const other = entries.find(
      ({ version, by, type }) => version > this.#logged && by !== agentId && drivers.has(type),
    );
    if (other) {
      logger.warn("plan.driven.elsewhere", { planId: this.planId, by: other.by, version: other.version });
      this.#letGo(new SoormaError("PLAN_CONFLICT", `plan ${this.planId} is driven by ${other.by}`));
      this.#settle.resolve(undefined);
      return;
    }
    this.#fold = PlanFold.of(this.planId, entries);
    this.#logged = this.#fold.version;
    this.#reconcile = true;
  }

  #propose(change: PlanChange): boolean {
    if (!this.#fold.propose(change, this.#options.runtime.now())) return false;
    this.#changes.push(change);
    return true;
  }

  /** Adds to the turn what follows from the plan's state by itself. */
  #advance(): void {
    const fold = this.#fold;
    if (isTerminal(fold.status)) return;
    if (this.#reconcile) this.#adopt();
    if (!fold.started) {
      if (!this.#askedToPlan) this.#effects.push(() => void this.#plan());
    } else if (fold.status === "running") {
      if (fold.ready.size + this.#due.size > 0) this.#dispatchReady();
      if (fold.openCount === 0 && !this.#askedToComplete) this.#conclude();
    }
  }

  /** Brings what is under way here and what the log says together. */
  #adopt(): void {
    this.#reconcile = false;
    this.#abortUnwanted();
    this.#due.clear();
    for (const taskId of this.#fold.running) {
      const attempt = this.#fold.task(taskId)?.attempt ?? 0;
      if (!this.#attempts.has(taskId, attempt)) this.#due.add(taskId);
    }
    for (const task of this.#fold.state().tasks) {
      // Ended by somebody else, or just before a crash.
      if (task.status === "failed" || task.status === "cancelled") this.#failDependents(task);
    }
    const { runtime } = this.#options;
    for (const taskId of this.#fold.backingOff) {
      const task = this.#fold.task(taskId);
      if (!task) continue;
      // The stamp is another machine's clock: it may shorten the wait, never stretch it.
      const waitMs = Math.min((task.retryAtMs ?? 0) - runtime.now(), this.#retryOf(task).maxBackoffMs);
      this.#retryAfter(taskId, waitMs);
    }
  }

  #abortUnwanted(): void {
    this.#attempts.abort(
      new SoormaError("CANCELLED", `plan ${this.planId} does not want this attempt any more`),
      (id, n) => {
        const task = this.#fold.task(id);
        return task?.status === "running" && task.attempt === n;
      },
    );
  }

  #dispatchReady(): void {
    const tasks: TaskState[] = [];
    for (const taskId of [...this.#fold.ready, ...this.#due]) {
      const task = this.#fold.task(taskId);
      if (task) tasks.push(task);
    }
    this.#due.clear();
    tasks.sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
    for (const { taskId, attempt } of tasks) {
      if (!this.#propose({ type: "task.dispatched", taskId, attempt: attempt + 1 })) continue;
      this.#effects.push(() => this.#startAttempt(taskId));
    }
  }

  #startAttempt(taskId: string): void {
    const task = this.#fold.task(taskId);
    if (task?.status !== "running") return;
    const { origin } = this.#fold;
    const dependencies = task.dependsOn.flatMap((name) => this.#fold.taskNamed(name) ?? []);
    this.#attempts.start({
      planId: this.planId,
      goalId: origin.goalId,
      taskId,
      name: task.name,
      assignedTo: task.assignedTo,
      data: task.data,
      inputs: resultsByName(dependencies),
      attempt: task.attempt,
      ...(task.timeoutMs === undefined ? {} : { timeoutMs: task.timeoutMs }),
      ...(origin.deadline === undefined ? {} : { deadline: origin.deadline }),
      priority: task.priority ?? 0,
      origin,
    });
  }

  #attemptEnded({ taskId, attempt, agent, durationMs, outcome }: AttemptEnd): void {
    const task = this.#fold.task(taskId);
    if (task?.status !== "running" || task.attempt !== attempt) return;
    if (agent) this.#propose({ type: "task.assigned", taskId, attempt, ...agent });
    if ("result" in outcome) {
      this.#propose({ type: "task.succeeded", taskId, attempt, result: outcome.result, durationMs });
      return;
    }
    const { failure } = outcome;
    const policy = this.#retryOf(task);
    const failures = task.failures + 1;
    if (failure.retryable && failures < policy.maxAttempts) {
      const delayMs = backoffDelay(this.#options.runtime, policy, failures);
      this.#propose({ type: "task.retried", taskId, attempt, failure, delayMs, durationMs });
      this.#effects.push(() => this.#retryAfter(taskId, delayMs));
    } else {
      this.#propose({ type: "task.failed", taskId, attempt, failure, durationMs });
      this.#failDependents(task);
    }
  }

  #failDependents(culprit: TaskState): void {
    const affected = this.#fold.dependents(culprit.taskId);
    for (let task = affected.pop(); task; task = affected.pop()) {
      const failure = dependencyFailure(task, culprit);
      // Refused for those that were reached before, by another way or from another failed task.
      if (this.#propose({ type: "task.failed", taskId: task.taskId, failure })) {
        affected.push(...this.#fold.dependents(task.taskId));
      }
    }
  }

  #retryAfter(taskId: string, delayMs: number): void {
    this.#retryTimers.get(taskId)?.cancel();
    const due = (): void => {
      this.#retryTimers.delete(taskId);
      this.#step(() => {
        if (this.#fold.backingOff.has(taskId)) this.#due.add(taskId);
      });
    };
    this.#retryTimers.set(taskId, setLongTimer(this.#options.runtime, due, delayMs));
  }

  #retryOf(task: TaskState): Required<RetryPolicy> {
    return { ...this.#options.retry, ...task.retry };
  }

  #noteSoon(): void {
    if (this.#notesTimer || this.#stop.signal.aborted) return;
    const log = (): void => {
      let notes: PlanChange[] | undefined;
      this.#step(() => {
        // Taken only now: while the log is away, what is outdated by newer progress is never written.
        notes ??= this.#attempts.takeNotes();
        this.#notesTimer = undefined;
        for (const note of notes) this.#propose(note);
      });
    };
    this.#notesTimer = this.#options.runtime.setTimer(log, this.#options.progressIntervalMs);
  }

  async #plan(): Promise<void> {
    this.#askedToPlan = true;
    const { origin } = this.#fold;
    try {
      const draft = await this.#handlers.makeTasks(origin, { planId: this.planId, signal: this.#stop.signal });
      const tasks = checkPlan(draft, this.planId);
      this.#step(() => this.#propose({ type: "plan.started", tasks }));
    } catch (error) {
      this.#step(() => this.#propose({ type: "plan.failed", failure: plannerFailure(error, origin, "onGoal") }));
    }
  }

  /** All tasks ended. */
  #conclude(): void {
    const { doneCount, taskCount } = this.#fold.summary();
    const state = this.#fold.state();
    if (doneCount < taskCount) this.#propose({ type: "plan.failed", failure: goalFailure(state) });
    else if (this.#handlers.onComplete) this.#effects.push(() => void this.#complete(state));
    else this.#propose({ type: "plan.completed", result: resultsByName(state.tasks) });
  }

  async #complete(state: PlanState): Promise<void> {
    this.#askedToComplete = true;
    try {
      const result = checkAnswer(await this.#handlers.onComplete?.(resultsByName(state.tasks), state));
      this.#step(() => this.#propose({ type: "plan.completed", result }));
    } catch (error) {
      const failure = plannerFailure(error, state.origin, "onComplete");
      this.#step(() => this.#propose({ type: "plan.failed", failure }));
    }
  }

  async #finish(): Promise<void> {
    const state = this.#fold.state();
    this.#letGo(new SoormaError("CANCELLED", state.failure?.message ?? `plan ${this.planId} is ${state.status}`));
    this.#settle.resolve(state);
    try {
      await this.#handlers.onEnd?.(state);
    } catch (error) {
      this.#options.logger.error("plan.answer.failed", { planId: this.planId, failure: toFailure(error) });
    }
  }

  #abandon(error: unknown): void {
    this.#options.logger.error("plan.abandoned", { planId: this.planId, error });
    this.#letGo(error);
    this.#settle.reject(error);
  }

  #letGo(reason: unknown): void {
    this.#stop.abort(reason);
    this.#attempts.abort(reason);
    this.#deadlineTimer?.cancel();
    this.#notesTimer?.cancel();
    for (const timer of this.#retryTimers.values()) timer.cancel();
    for (const done of [...this.#commands]) done(undefined);
  }
}
