import type { Failure } from "../errors.ts";
import type { PlannedTask, Status, StepState, TaskJournal, TaskState, WaitState } from "./log.ts";

/** Whether nothing can change any more. */
export function isTerminal(status: Status): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

/** Of a `forEach` whose list is known. */
export interface Group {
  /** Children that may be worked at at the same time. */
  readonly limit: number;
  /** Children that take up one of these places: they are ready, tried, or between two attempts. */
  active: number;
  completed: number;
  /** Children without a place, from `next` on, in the items' order. */
  parked: readonly TaskNode[];
  next: number;
}

/** A task within a fold, with what would be costly to look for. */
export class TaskNode {
  readonly parent: TaskNode | undefined;
  readonly dependents: TaskNode[] = [];
  children: TaskNode[] | undefined;
  group: Group | undefined;
  /** Takes up a place of its parent's group. */
  admitted = false;
  /** Dependencies that are not completed. */
  waiting = 0;
  /** Dependencies that failed or were cancelled. */
  blocked = 0;
  /** An attempt that is not the current one may still be running: nobody reported its end. */
  mayOverlap = false;
  /** Keys of waits that were not signalled and did not time out, while the task is open. */
  readonly openWaits = new Set<string>();
  #openInputs = 0;
  /** All but the journal. */
  #core: TaskState;
  #steps: Map<string, StepState> | undefined;
  #waits: Map<string, WaitState> | undefined;
  #view: TaskState | undefined;

  constructor(task: PlannedTask, parent: TaskNode | undefined) {
    this.parent = parent;
    this.#core = {
      ...task,
      data: task.data,
      dependsOn: task.dependsOn ?? [],
      status: "pending",
      attempt: 0,
      failures: 0,
      fraction: 0,
    };
  }

  /** The task's state but for its steps and waits: cheap at every moment. */
  get core(): TaskState {
    return this.#core;
  }

  set core(core: TaskState) {
    this.#core = core;
    this.#view = undefined;
  }

  get id(): string {
    return this.#core.taskId;
  }

  get isOpen(): boolean {
    return !isTerminal(this.#core.status);
  }

  get hasJournal(): boolean {
    return this.#steps !== undefined || this.#waits !== undefined;
  }

  /** What a task under way looks like: one that waits for a person is paused. */
  get runningStatus(): "running" | "paused" {
    return this.#openInputs > 0 ? "paused" : "running";
  }

  /** The task's state as a value that does not change any more; the same one until something changes. */
  view(): TaskState {
    this.#view ??= this.hasJournal
      ? {
          ...this.#core,
          ...(this.#steps ? { steps: [...this.#steps.values()] } : {}),
          ...(this.#waits ? { waits: [...this.#waits.values()] } : {}),
        }
      : this.#core;
    return this.#view;
  }

  journal(): TaskJournal {
    return { steps: [...(this.#steps?.values() ?? [])], waits: [...(this.#waits?.values() ?? [])] };
  }

  wait(key: string): WaitState | undefined {
    return this.#waits?.get(key);
  }

  /** @returns false if a step of this key is known. */
  addStep(step: StepState): boolean {
    this.#steps ??= new Map();
    if (this.#steps.has(step.key)) return false;
    this.#steps.set(step.key, step);
    this.#view = undefined;
    return true;
  }

  /** @returns false if a wait of this key is known, and none that timed out in an earlier attempt. */
  addWait(wait: WaitState): boolean {
    this.#waits ??= new Map();
    const known = this.#waits.get(wait.key);
    if (known && !(known.timedOut && wait.attempt > known.timedOut.attempt)) return false;
    this.#waits.set(wait.key, wait);
    this.openWaits.add(wait.key);
    if (wait.on.kind === "input") this.#openInputs++;
    this.#view = undefined;
    return true;
  }

  /** @returns false if nothing waits for that. */
  signal(key: string, value: unknown): boolean {
    const wait = this.#waits?.get(key);
    if (!wait || !this.openWaits.delete(key)) return false;
    this.#waits?.set(key, { ...wait, signalled: { value } });
    if (wait.on.kind === "input") this.#openInputs--;
    this.#view = undefined;
    return true;
  }

  /** @returns false if that attempt does not wait for it, or without end. */
  timeOut(key: string, attempt: number): boolean {
    const wait = this.#waits?.get(key);
    if (!wait || wait.on.kind === "sleep" || wait.attempt > attempt || !this.openWaits.delete(key)) return false;
    this.#waits?.set(key, { ...wait, timedOut: { attempt } });
    if (wait.on.kind === "input") this.#openInputs--;
    this.#view = undefined;
    return true;
  }

  /** An ended task waits for nothing. */
  closeWaits(): void {
    this.openWaits.clear();
    this.#openInputs = 0;
  }

  /** Waits that came to nothing begin anew when the task does: their time-outs are over. */
  forgetUnsignalledWaits(): void {
    this.closeWaits();
    for (const [key, wait] of this.#waits ?? []) if (!wait.signalled) this.#waits?.delete(key);
    if (this.#waits?.size === 0) this.#waits = undefined;
    this.#view = undefined;
  }
}

/** Codes of attempts whose end nobody reported, and of some that a handler may have passed on. */
const unreported: ReadonlySet<string> = new Set(["ATTEMPT_LOST", "LEASE_EXPIRED", "PEER_UNREACHABLE", "TIMEOUT"]);

/** Whether an attempt that ended so may still be running. What was handed back begins nothing more. */
export function mayStillRun(failure: Failure | undefined): boolean {
  return !failure || failure.code === "CANCELLED" || unreported.has(failure.code);
}

/** Failed only because a task it depends on did not complete. */
export function isDependencyFailure({ status, failure }: TaskState): boolean {
  return status === "failed" && failure?.code === "DEPENDENCY_FAILED";
}

/**
 * Whether somebody should look at the task: an attempt at it failed for good, and neither the planner nor a person has
 * dealt with that.
 */
export function isDeadLetter(task: TaskState): boolean {
  return task.status === "failed" && task.attempt > 0 && task.handled !== true && !isDependencyFailure(task);
}

/** Whether it is one of the plan's own tasks: neither delegated nor one of a `forEach`, and takes nothing back. */
export function isTopLevel(task: PlannedTask): boolean {
  return task.parentTaskId === undefined && task.undoes === undefined;
}
