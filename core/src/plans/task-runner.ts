import { SoormaError, toFailure } from "../errors.ts";
import type { Timer } from "../runtime.ts";
import { type AttemptEnd, Attempts } from "./attempts.ts";
import { Delegations } from "./delegations.ts";
import type { TaskAssignment } from "./dispatcher.ts";
import type { DriverOptions } from "./driver.ts";
import { type PlanChange, type RetryPolicy, type TaskState, type WaitSpec, waitKey } from "./log.ts";
import { dependencyFailure, waitFailure } from "./outcome.ts";
import { dataOf, expandGroup, inputsOf, waitOf } from "./task-data.ts";
import { isTerminal } from "./task-node.ts";
import { backoffDelay } from "./timing.ts";
import type { Turns } from "./turns.ts";

/** So often in a row a task may be handed back or lost before that counts as a failure: whatever hands it back is at fault. */
const mostUncounted = 20;
/** Milliseconds after which an attempt that is handed back or lost is the first one in a row. */
const lastedMs = 60_000;

/** Brings one plan's tasks from ready to ended. */
export class TaskRunner {
  readonly #turns: Turns;
  readonly #options: DriverOptions;
  readonly #attempts: Attempts;
  readonly #delegations: Delegations;
  /** Of backoffs and of waits: a task has one of them at most. */
  readonly #timers = new Map<string, Timer & { readonly attempt: number | undefined }>();
  /** Tasks whose backoff is over. */
  readonly #due = new Set<string>();
  /** How often in a row a task's attempts came to nothing without being counted. */
  readonly #uncounted = new Map<string, number>();

  constructor(turns: Turns, options: DriverOptions, onNote: () => void) {
    this.#turns = turns;
    this.#options = options;
    this.#delegations = new Delegations(turns);
    this.#attempts = new Attempts(options.dispatcher, options.runtime, {
      onEnd: (end) => turns.step(() => this.#attemptEnded(end)),
      onNote,
      onDelegate: (taskId, attempt, tasks) => this.#delegations.delegate(taskId, attempt, tasks),
      onJoin: (taskId, name, signal) => this.#delegations.join(taskId, name, signal),
    });
  }

  /** Brings what is under way here and what a new fold says together. */
  adopt(): void {
    const { fold } = this.#turns;
    this.abortUnwanted();
    this.#due.clear();
    for (const taskId of fold.running) {
      const task = fold.task(taskId);
      if (!task) continue;
      if (task.wait) this.#resumeWait(task);
      else if (!this.#attempts.has(taskId, task.attempt)) {
        // An earlier driver began it: it may be running still, or be done.
        const resume = task.agentId === undefined ? {} : { agentId: task.agentId };
        // What is a goal may not have been submitted.
        const data = task.goal === undefined ? undefined : dataOf(fold, task);
        this.#turns.after(() => this.#startAttempt(taskId, resume, data));
      }
    }
    for (const taskId of fold.backingOff) {
      const task = fold.task(taskId);
      if (!task || this.#isTimed(task)) continue;
      // The stamp is another machine's clock: it may shorten the wait, never stretch it.
      const waitMs = Math.min((task.retryAtMs ?? 0) - this.#options.runtime.now(), this.#retryOf(task).maxBackoffMs);
      this.#retryAfter(taskId, waitMs);
    }
    this.#delegations.adopt();
  }

  /** Adds to the turn what can begin and what never can. */
  advance(): void {
    const { fold } = this.#turns;
    this.#failDoomed();
    if (fold.status !== "running") return;
    for (const taskId of fold.groupsToExpand) this.#expand(taskId);
    if (fold.ready.size > 0 || this.#due.size > 0) this.#dispatchReady();
    this.#failDoomed();
  }

  /** A change that ends a task was taken into this turn. */
  ended(taskId: string): void {
    const task = this.#turns.fold.task(taskId);
    if (!task || !isTerminal(task.status)) return;
    this.#uncounted.delete(taskId);
    if (this.#timers.has(taskId)) this.#turns.after(() => this.#dropTimer(taskId));
    this.#delegations.ended(task);
    if (this.#turns.fold.childCount(taskId) > 0) this.#turns.after(() => this.abortUnwanted());
    // The last one of a group ends it, and so does the first one that fails.
    if (task.item !== undefined && task.parentTaskId !== undefined) this.ended(task.parentTaskId);
  }

  /** Somebody else recorded an entry. */
  foreign(change: PlanChange): void {
    switch (change.type) {
      case "task.signalled": {
        const task = this.#turns.fold.task(change.taskId);
        if (task?.wait) this.#resumeWait(task);
        break;
      }
      case "task.cancelled":
        this.ended(change.taskId);
        this.abortUnwanted();
        break;
      case "plan.failed":
      case "plan.cancelled":
        this.abortUnwanted();
    }
  }

  abortUnwanted(): void {
    const { fold, planId } = this.#turns;
    this.#attempts.abort(
      () => new SoormaError("CANCELLED", `plan ${planId} does not want this attempt any more`),
      (id, attempt) => fold.running.has(id) && fold.task(id)?.attempt === attempt,
    );
    for (const taskId of this.#timers.keys()) {
      if (!fold.running.has(taskId) && !fold.backingOff.has(taskId)) this.#dropTimer(taskId);
    }
  }

  /** Assignments and progress that are not in the log yet. */
  takeNotes(): PlanChange[] {
    return this.#attempts.takeNotes();
  }

  stop(reason: () => unknown): void {
    this.#attempts.abort(reason);
    this.#delegations.stop(reason);
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
  }

  #failDoomed(): void {
    const { fold } = this.#turns;
    for (const taskId of fold.doomed) {
      const task = fold.task(taskId);
      if (!task) continue;
      this.#turns.propose({ type: "task.failed", taskId, failure: dependencyFailure(fold, task) });
    }
  }

  #expand(taskId: string): void {
    const task = this.#turns.fold.task(taskId);
    if (!task) return;
    try {
      const tasks = expandGroup(this.#turns.fold, task);
      if (this.#turns.propose({ type: "task.expanded", taskId, tasks }) && tasks.length === 0) this.ended(taskId);
    } catch (error) {
      const failure = toFailure(error);
      if (failure.code === "BUDGET_EXCEEDED") this.#turns.propose({ type: "plan.failed", failure });
      else this.#turns.propose({ type: "task.failed", taskId, failure });
    }
  }

  #dispatchReady(): void {
    const { fold } = this.#turns;
    const tasks: TaskState[] = [];
    let isMixed = false;
    for (const ids of [fold.ready, this.#due]) {
      for (const taskId of ids) {
        const task = fold.task(taskId);
        if (!task) continue;
        tasks.push(task);
        isMixed ||= task.priority !== tasks[0]?.priority;
      }
    }
    this.#due.clear();
    if (isMixed) tasks.sort((a, b) => (b.priority ?? 0) - (a.priority ?? 0));
    for (const task of tasks) {
      if (task.wait) this.#beginWait(task);
      else this.#dispatch(task);
    }
  }

  #dispatch(task: TaskState): void {
    const { taskId, attempt } = task;
    let data: unknown;
    try {
      data = dataOf(this.#turns.fold, task);
    } catch (error) {
      this.#turns.propose({ type: "task.failed", taskId, failure: toFailure(error) });
      return;
    }
    if (!this.#turns.propose({ type: "task.dispatched", taskId, attempt: attempt + 1 })) return;
    this.#turns.after(() => this.#startAttempt(taskId, undefined, data));
  }

  #startAttempt(taskId: string, resume: TaskAssignment["resume"], data?: unknown): void {
    const { fold, skipped } = this.#turns;
    const task = fold.task(taskId);
    if (!task || !fold.running.has(taskId) || this.#attempts.has(taskId, task.attempt)) return;
    const { origin } = fold;
    const { goal, attempt, failures } = task;
    this.#attempts.start({
      planId: this.#turns.planId,
      goalId: origin.goalId,
      taskId,
      name: task.name,
      assignedTo: goal ?? task.assignedTo ?? "",
      ...(goal === undefined ? {} : { goal }),
      data,
      inputs: inputsOf(fold, task),
      attempt,
      failures,
      epoch: fold.epoch,
      hasJournal: attempt > 1 && (skipped || fold.hasJournal(taskId)),
      mayOverlap: fold.mayOverlap(taskId),
      ...(resume === undefined ? {} : { resume }),
      ...(task.timeoutMs === undefined ? {} : { timeoutMs: task.timeoutMs }),
      // What takes others back runs after the deadline, too.
      ...(origin.deadline === undefined || task.undoes !== undefined ? {} : { deadline: origin.deadline }),
      priority: task.priority ?? 0,
      origin,
    });
  }

  #attemptEnded({ taskId, attempt, agent, durationMs, outcome }: AttemptEnd): void {
    const { fold } = this.#turns;
    this.#turns.after(() => this.#options.dispatcher.recorded?.(taskId, attempt));
    const task = fold.task(taskId);
    if (!task || !fold.running.has(taskId) || task.attempt !== attempt) return;
    if (agent) this.#turns.propose({ type: "task.assigned", taskId, attempt, ...agent });
    if ("result" in outcome) {
      this.#turns.propose({ type: "task.succeeded", taskId, attempt, result: outcome.result, durationMs });
      return;
    }
    const { failure } = outcome;
    const policy = this.#retryOf(task);
    // Whatever is at fault is so soon: what was lost later was being done, or waited, as it should.
    const lost = durationMs >= lastedMs ? 0 : (this.#uncounted.get(taskId) ?? 0);
    const isUncounted = isLost(failure) && lost < mostUncounted;
    const failures = task.failures + (isUncounted ? 0 : 1);
    if (!isUncounted && (!failure.retryable || failures >= policy.maxAttempts)) {
      this.#turns.propose({ type: "task.failed", taskId, attempt, failure, durationMs });
      return;
    }
    // What was only handed back goes on at once, unless that happens again and again.
    const delayMs = isUncounted && lost === 0 ? 0 : backoffDelay(this.#options.runtime, policy, lost || failures);
    this.#turns.propose({
      type: "task.retried",
      taskId,
      attempt,
      failure,
      delayMs,
      durationMs,
      ...(isUncounted ? { uncounted: true } : {}),
    });
    if (isUncounted && lost === 0) this.#due.add(taskId);
    this.#turns.after(() => {
      if (isUncounted) this.#uncounted.set(taskId, lost + 1);
      else if (!isLost(failure)) this.#uncounted.delete(taskId);
      if (!isUncounted || lost > 0) this.#retryAfter(taskId, delayMs);
    });
  }

  #retryAfter(taskId: string, delayMs: number): void {
    this.#setTimer(taskId, delayMs, () => {
      if (this.#turns.fold.backingOff.has(taskId)) this.#due.add(taskId);
    });
  }

  #retryOf(task: TaskState): Required<RetryPolicy> {
    return { ...this.#options.retry, ...task.retry };
  }

  #beginWait(task: TaskState): void {
    const { taskId } = task;
    const attempt = task.attempt + 1;
    let on: ReturnType<typeof waitOf>;
    try {
      on = waitOf(this.#turns.fold, task);
    } catch (error) {
      this.#turns.propose({ type: "task.failed", taskId, failure: toFailure(error) });
      return;
    }
    if (!on || !this.#turns.propose({ type: "task.dispatched", taskId, attempt })) return;
    const known = task.waits?.find(({ key }) => key === waitKey);
    if (known?.signalled) {
      // Its answer came as it ended, and it was revived.
      this.#turns.propose({ type: "task.succeeded", taskId, attempt, result: known.signalled.value });
      return;
    }
    const lastsMs = lengthOf(task, on);
    this.#turns.propose({
      type: "task.waiting",
      taskId,
      attempt,
      key: waitKey,
      on,
      ...(lastsMs === undefined ? {} : { untilMs: this.#options.runtime.now() + lastsMs }),
    });
    this.#turns.after(() => this.#armWait(taskId));
  }

  #resumeWait(task: TaskState): void {
    const { taskId, attempt } = task;
    const wait = task.waits?.find(({ key }) => key === waitKey);
    if (wait?.signalled) {
      this.#turns.propose({ type: "task.succeeded", taskId, attempt, result: wait.signalled.value });
    } else if (!wait) {
      // The batch that held both was appended in two parts.
      // Not at once: the plan may be paused.
      this.#due.add(taskId);
    } else if (!this.#isTimed(task)) {
      this.#turns.after(() => this.#armWait(taskId));
    }
  }

  #armWait(taskId: string): void {
    const task = this.#turns.fold.task(taskId);
    const wait = task?.waits?.find(({ key }) => key === waitKey);
    if (!task || !wait || wait.untilMs === undefined || !this.#turns.fold.running.has(taskId)) return;
    // As above: another machine's clock. The state node's, which `sinceMs` is of, is a third one.
    const lastsMs = lengthOf(task, wait.on) ?? Number.POSITIVE_INFINITY;
    const restMs = Math.min(wait.untilMs - this.#options.runtime.now(), lastsMs);
    const { attempt } = task;
    this.#setTimer(taskId, restMs, () => {
      const now = this.#turns.fold.task(taskId);
      if (!now || !this.#turns.fold.running.has(taskId)) return;
      // The answer came to the log while this was on its way there.
      if (now.waits?.some(({ key, signalled }) => key === waitKey && signalled)) this.#resumeWait(now);
      else if (task.wait?.kind === "sleep") {
        this.#turns.propose({ type: "task.succeeded", taskId, attempt, result: null });
      } else {
        this.#turns.propose({ type: "task.failed", taskId, attempt, failure: waitFailure(task) });
      }
    });
  }

  /** A timer of this attempt goes on: to begin it anew by a stamp of another machine's clock could go on for ever. */
  #isTimed({ taskId, attempt }: TaskState): boolean {
    return this.#timers.get(taskId)?.attempt === attempt;
  }

  #setTimer(taskId: string, delayMs: number, step: () => void): void {
    this.#timers.get(taskId)?.cancel();
    const due = (): void => {
      this.#timers.delete(taskId);
      this.#turns.step(step);
    };
    const timer = this.#options.runtime.setTimer(due, delayMs);
    const attempt = this.#turns.fold.task(taskId)?.attempt;
    this.#timers.set(taskId, { attempt, cancel: () => timer.cancel() });
  }

  #dropTimer(taskId: string): void {
    this.#timers.get(taskId)?.cancel();
    this.#timers.delete(taskId);
  }
}

/** Not the fault of whoever did the task: it was handed back, lost with its driver, or lost while it only waited. */
function isLost({
  code,
  details,
}: {
  readonly code: string;
  readonly details?: Readonly<Record<string, unknown>>;
}): boolean {
  return code === "NODE_STOPPED" || code === "ATTEMPT_LOST" || details?.suspended === true;
}

/** Milliseconds a wait may last; undefined for as long as it takes. */
function lengthOf(task: Pick<TaskState, "timeoutMs">, on: WaitSpec): number | undefined {
  return on.kind === "sleep" ? on.ms : task.timeoutMs;
}
