import { type Failure, SoormaError } from "../errors.ts";
import type {
  PlanChange,
  PlanEntry,
  PlannedTask,
  PlanOrigin,
  PlanState,
  PlanSummary,
  Status,
  TaskState,
} from "./log.ts";

/** Whether nothing can change any more. */
export function isTerminal(status: Status): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}

type Change<T extends PlanChange["type"]> = Extract<PlanChange, { type: T }>;

interface Node {
  state: TaskState;
  /** Dependencies that are not completed yet. */
  waiting: number;
  readonly dependents: Node[];
}

/**
 * A plan's state, built one log entry at a time at a cost that does not grow with the plan.
 *
 * What is illegal or late changes nothing but the version: a second result, a result of an old attempt, anything before
 * `plan.started` or after the plan's end. So every reader of a log, whatever was appended to it, sees the same state,
 * in which a task has at most one result, a running task has all its inputs, and an ended plan has no open task.
 */
export class PlanFold {
  readonly planId: string;
  #version = 0;
  #origin: PlanOrigin | undefined;
  #end: "completed" | "failed" | "cancelled" | undefined;
  #paused = false;
  #result: unknown;
  #failure: Failure | undefined;
  #createdAtMs = 0;
  #startedAtMs: number | undefined;
  #updatedAtMs = 0;
  readonly #nodes = new Map<string, Node>();
  readonly #names = new Map<string, Node>();
  readonly #ready = new Set<string>();
  readonly #backingOff = new Set<string>();
  readonly #running = new Set<string>();
  #open = 0;
  #completed = 0;
  #snapshot: PlanState | undefined;

  constructor(planId: string) {
    this.planId = planId;
  }

  /** A fold that continues from a state, as if it had read the log up to `state.version`. */
  static from(state: PlanState): PlanFold {
    const fold = new PlanFold(state.planId);
    fold.#version = state.version;
    fold.#origin = state.origin;
    fold.#end = isTerminal(state.status) ? (state.status as "completed" | "failed" | "cancelled") : undefined;
    fold.#paused = state.status === "paused";
    fold.#result = state.result;
    fold.#failure = state.failure;
    fold.#createdAtMs = state.createdAtMs;
    fold.#startedAtMs = state.startedAtMs;
    fold.#updatedAtMs = state.updatedAtMs;
    fold.#addTasks(state.tasks);
    fold.#snapshot = state;
    return fold;
  }

  /**
   * The fold of a whole log.
   *
   * @throws {SoormaError} `PLAN_NOT_FOUND` for no entries, `PLAN_INVALID` when the first is not `plan.created`.
   */
  static of(planId: string, entries: Iterable<PlanEntry>): PlanFold {
    const fold = new PlanFold(planId);
    for (const entry of entries) fold.apply(entry);
    if (fold.version === 0) throw new SoormaError("PLAN_NOT_FOUND", `there is no plan ${planId}`);
    return fold;
  }

  /** Version of the latest entry; 0 before the first. */
  get version(): number {
    return this.#version;
  }

  get status(): Status {
    if (this.#end) return this.#end;
    if (this.#paused) return "paused";
    return this.#startedAtMs === undefined ? "pending" : "running";
  }

  get origin(): PlanOrigin {
    if (!this.#origin) throw new TypeError(`plan ${this.planId} has no log entry yet`);
    return this.#origin;
  }

  /** Whether the planner's tasks are known. */
  get started(): boolean {
    return this.#startedAtMs !== undefined;
  }

  get taskCount(): number {
    return this.#nodes.size;
  }

  /** Tasks that have not ended. */
  get openCount(): number {
    return this.#open;
  }

  /** Ids of pending tasks that have all their inputs and were not tried yet, in the plan's order of becoming so. */
  get ready(): ReadonlySet<string> {
    return this.#ready;
  }

  /** Ids of tasks that failed and wait for their next attempt. */
  get backingOff(): ReadonlySet<string> {
    return this.#backingOff;
  }

  get running(): ReadonlySet<string> {
    return this.#running;
  }

  task(taskId: string): TaskState | undefined {
    return this.#nodes.get(taskId)?.state;
  }

  taskNamed(name: string): TaskState | undefined {
    return this.#names.get(name)?.state;
  }

  /** The tasks that name this one in `dependsOn`. */
  dependents(taskId: string): TaskState[] {
    return (this.#nodes.get(taskId)?.dependents ?? []).map((node) => node.state);
  }

  /**
   * Takes an entry of the log. Entries that were taken before are passed over.
   *
   * @returns whether anything but the version changed.
   * @throws {SoormaError} `PLAN_INVALID` when the first entry is not `plan.created`.
   */
  apply(entry: PlanEntry): boolean {
    if (entry.version <= this.#version) return false;
    if (!this.#origin && entry.type !== "plan.created") {
      throw new SoormaError(
        "PLAN_INVALID",
        `the log of plan ${this.planId} begins with ${entry.type} (version ${entry.version}), not with plan.created`,
      );
    }
    const changed = this.#change(entry, entry.timeMs);
    this.#moveTo(entry.version, entry.timeMs);
    return changed;
  }

  /**
   * Takes a change as the next entry if it is legal now.
   *
   * @returns false, with not even the version changed, if it is not.
   */
  propose(change: PlanChange, timeMs: number): boolean {
    if (!this.#origin && change.type !== "plan.created") return false;
    if (!this.#change(change, timeMs)) return false;
    this.#moveTo(this.#version + 1, timeMs);
    return true;
  }

  /** The state as a value that does not change any more. Unchanged tasks are shared with earlier values. */
  state(): PlanState {
    this.#snapshot ??= {
      planId: this.planId,
      version: this.#version,
      status: this.status,
      origin: this.origin,
      tasks: Array.from(this.#nodes.values(), (node) => node.state),
      ...(this.#end === "completed" ? { result: this.#result } : {}),
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
      createdAtMs: this.#createdAtMs,
      ...(this.#startedAtMs === undefined ? {} : { startedAtMs: this.#startedAtMs }),
      updatedAtMs: this.#updatedAtMs,
    };
    return this.#snapshot;
  }

  summary(): PlanSummary {
    return {
      planId: this.planId,
      goalId: this.origin.goalId,
      goalType: this.origin.goalType,
      planner: this.origin.planner,
      status: this.status,
      version: this.#version,
      taskCount: this.#nodes.size,
      doneCount: this.#completed,
      createdAtMs: this.#createdAtMs,
      updatedAtMs: this.#updatedAtMs,
    };
  }

  #moveTo(version: number, timeMs: number): void {
    this.#version = version;
    this.#updatedAtMs = timeMs;
    this.#snapshot = undefined;
  }

  #change(change: PlanChange, timeMs: number): boolean {
    if (this.#end) return false;
    switch (change.type) {
      case "plan.created":
        if (this.#origin) return false;
        this.#origin = change.origin;
        this.#createdAtMs = timeMs;
        return true;
      case "plan.started":
        if (this.started || !isWellFormed(change.tasks)) return false;
        this.#startedAtMs = timeMs;
        this.#addTasks(change.tasks);
        return true;
      case "plan.paused":
        if (this.#paused) return false;
        this.#paused = true;
        return true;
      case "plan.resumed":
        if (!this.#paused) return false;
        this.#paused = false;
        return true;
      case "plan.completed":
        if (this.status !== "running" || this.#open > 0) return false;
        this.#end = "completed";
        this.#result = change.result;
        return true;
      case "plan.failed":
        this.#failure = change.failure;
        this.#endAll("failed", timeMs);
        return true;
      case "plan.cancelled":
        this.#failure = { code: "CANCELLED", message: change.reason, retryable: false };
        this.#endAll("cancelled", timeMs);
        return true;
      default: {
        const node = this.#nodes.get(change.taskId);
        return node !== undefined && !isTerminal(node.state.status) && this.#changeTask(node, change, timeMs);
      }
    }
  }

  #changeTask(node: Node, change: Extract<PlanChange, { taskId: string }>, timeMs: number): boolean {
    const { state } = node;
    const isCurrent = state.status === "running" && (change as { attempt?: number }).attempt === state.attempt;
    switch (change.type) {
      case "task.dispatched":
        return this.#dispatched(node, change, timeMs);
      case "task.assigned":
        if (!isCurrent) return false;
        node.state = { ...state, agentId: change.agentId, agentName: change.agentName };
        return true;
      case "task.progress":
        if (state.status !== "running" || Number.isNaN(change.fraction)) return false;
        if (change.attempt !== undefined && !isCurrent) return false;
        node.state = {
          ...state,
          fraction: Math.min(1, Math.max(0, change.fraction)),
          ...(change.message === undefined ? {} : { message: change.message }),
        };
        return true;
      case "task.succeeded":
        if (!isCurrent) return false;
        this.#succeeded(node, change, timeMs);
        return true;
      case "task.retried":
        if (!isCurrent) return false;
        this.#running.delete(state.taskId);
        this.#backingOff.add(state.taskId);
        node.state = {
          ...state,
          ...duration(change),
          status: "pending",
          fraction: 0,
          failures: state.failures + 1,
          failure: change.failure,
          retryAtMs: timeMs + change.delayMs,
        };
        return true;
      case "task.failed":
        if (change.attempt !== undefined && !isCurrent) return false;
        this.#endTask(node, "failed", timeMs, {
          ...duration(change),
          failure: change.failure,
          failures: state.failures + (change.attempt === undefined ? 0 : 1),
        });
        return true;
      case "task.cancelled":
        this.#endTask(node, "cancelled", timeMs, {
          failure: { code: "CANCELLED", message: change.reason, retryable: false },
        });
        return true;
    }
  }

  #dispatched(node: Node, change: Change<"task.dispatched">, timeMs: number): boolean {
    const { state } = node;
    // A running task may be dispatched anew: its attempt was lost with its driver.
    if (this.#paused || node.waiting > 0 || change.attempt <= state.attempt) return false;
    const { agentId: _id, agentName: _name, retryAtMs: _due, durationMs: _took, message: _said, ...rest } = state;
    node.state = {
      ...rest,
      status: "running",
      attempt: change.attempt,
      fraction: 0,
      startedAtMs: state.startedAtMs ?? timeMs,
      ...(change.agentId === undefined ? {} : { agentId: change.agentId }),
      ...(change.agentName === undefined ? {} : { agentName: change.agentName }),
    };
    this.#ready.delete(state.taskId);
    this.#backingOff.delete(state.taskId);
    this.#running.add(state.taskId);
    return true;
  }

  #succeeded(node: Node, change: Change<"task.succeeded">, timeMs: number): void {
    const { failure: _earlier, ...rest } = node.state;
    node.state = rest;
    this.#endTask(node, "completed", timeMs, { ...duration(change), fraction: 1, result: change.result });
    this.#completed++;
    for (const dependent of node.dependents) {
      dependent.waiting--;
      if (dependent.waiting === 0 && dependent.state.status === "pending") this.#ready.add(dependent.state.taskId);
    }
  }

  #endTask(node: Node, status: Status, timeMs: number, fields: Partial<TaskState>): void {
    const { retryAtMs: _due, ...rest } = node.state;
    node.state = { ...rest, ...fields, status, endedAtMs: timeMs };
    this.#open--;
    this.#ready.delete(rest.taskId);
    this.#backingOff.delete(rest.taskId);
    this.#running.delete(rest.taskId);
  }

  #endAll(end: "failed" | "cancelled", timeMs: number): void {
    this.#end = end;
    if (this.#open === 0) return;
    const failure: Failure = { code: "CANCELLED", message: `the plan ${end}`, retryable: false };
    for (const node of this.#nodes.values()) {
      if (!isTerminal(node.state.status)) this.#endTask(node, "cancelled", timeMs, { failure });
    }
  }

  #addTasks(tasks: readonly (PlannedTask | TaskState)[]): void {
    const added: Node[] = [];
    for (const task of tasks) {
      const node: Node = { state: "status" in task ? task : freshTask(task), waiting: 0, dependents: [] };
      this.#nodes.set(task.taskId, node);
      this.#names.set(task.name, node);
      added.push(node);
    }
    for (const node of added) {
      // A name given twice is one dependency.
      for (const name of new Set(node.state.dependsOn)) {
        const dependency = this.#names.get(name);
        if (!dependency) continue;
        dependency.dependents.push(node);
        if (dependency.state.status !== "completed") node.waiting++;
      }
      this.#file(node);
    }
  }

  #file({ state, waiting }: Node): void {
    if (state.status === "completed") this.#completed++;
    if (isTerminal(state.status)) return;
    this.#open++;
    if (state.status === "running") this.#running.add(state.taskId);
    else if (state.retryAtMs !== undefined) this.#backingOff.add(state.taskId);
    else if (waiting === 0) this.#ready.add(state.taskId);
  }
}

function freshTask(task: PlannedTask): TaskState {
  return {
    ...task,
    data: task.data,
    dependsOn: task.dependsOn ?? [],
    status: "pending",
    attempt: 0,
    failures: 0,
    fraction: 0,
  };
}

function duration(change: { readonly durationMs?: number }): { durationMs?: number } {
  return change.durationMs === undefined ? {} : { durationMs: change.durationMs };
}

/** Unique ids and names, known dependencies. Whoever appends checks more, and says what is wrong. */
function isWellFormed(tasks: readonly PlannedTask[]): boolean {
  const names = new Set(tasks.map((task) => task.name));
  const ids = new Set(tasks.map((task) => task.taskId));
  return (
    names.size === tasks.length &&
    ids.size === tasks.length &&
    tasks.every((task) => (task.dependsOn ?? []).every((name) => names.has(name)))
  );
}

/**
 * The state after one more entry, as a new value. Costs a copy of the plan: to follow a log use {@link PlanFold}.
 *
 * @throws {SoormaError} `PLAN_INVALID` when the first entry is not `plan.created`.
 */
export function reducePlan(state: PlanState | undefined, entry: PlanEntry, planId: string): PlanState {
  const fold = state ? PlanFold.from(state) : new PlanFold(planId);
  fold.apply(entry);
  return fold.state();
}

/**
 * The state after all entries.
 *
 * @throws {SoormaError} `PLAN_NOT_FOUND` for no entries, `PLAN_INVALID` when the first is not `plan.created`.
 */
export function foldPlan(planId: string, entries: Iterable<PlanEntry>): PlanState {
  return PlanFold.of(planId, entries).state();
}

export function summarize(state: PlanState): PlanSummary {
  return {
    planId: state.planId,
    goalId: state.origin.goalId,
    goalType: state.origin.goalType,
    planner: state.origin.planner,
    status: state.status,
    version: state.version,
    taskCount: state.tasks.length,
    doneCount: state.tasks.filter((task) => task.status === "completed").length,
    createdAtMs: state.createdAtMs,
    updatedAtMs: state.updatedAtMs,
  };
}
