import { type Failure, SoormaError } from "../errors.ts";
import type {
  PlanBudget,
  PlanChange,
  PlanEntry,
  PlannedTask,
  PlanOrigin,
  PlanState,
  PlanSummary,
  Status,
  TaskJournal,
  TaskState,
  WaitState,
} from "./log.ts";
import { cancelled, TaskFold } from "./task-fold.ts";
import { isDeadLetter, type TaskNode } from "./task-node.ts";

export { isDeadLetter, isTerminal } from "./task-node.ts";

type Change<T extends PlanChange["type"]> = Extract<PlanChange, { type: T }>;

/** Something a task waits for now. */
export interface OpenWait extends WaitState {
  readonly taskId: string;
}

/**
 * A plan's state, built one log entry at a time at a cost that does not grow with the plan.
 *
 * What is illegal or late changes nothing but the version: a second result, a result of an old attempt, anything before
 * `plan.started` or after the plan's end. So every reader of a log, whatever was appended to it, sees the same state,
 * in which a task has at most one result, a running task has all its inputs, and an ended plan has no open task.
 *
 * The sets of ids are live, and in the order in which their tasks got there.
 */
export class PlanFold {
  readonly planId: string;
  #version = 0;
  #origin: PlanOrigin | undefined;
  #driver: string | undefined;
  #epoch = 0;
  #end: "completed" | "failed" | "cancelled" | undefined;
  #ending: "failed" | "cancelled" | undefined;
  #answered = false;
  #paused = false;
  #budget: PlanBudget | undefined;
  #machineState: string | undefined;
  #result: unknown;
  #failure: Failure | undefined;
  #createdAtMs = 0;
  #startedAtMs: number | undefined;
  #endedAtMs: number | undefined;
  #updatedAtMs = 0;
  readonly #tasks = new TaskFold();
  #snapshot: PlanState | undefined;

  constructor(planId: string) {
    this.planId = planId;
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
    return this.#startedAtMs === undefined && !this.#ending ? "pending" : "running";
  }

  get origin(): PlanOrigin {
    if (!this.#origin) throw new TypeError(`plan ${this.planId} has no log entry yet`);
    return this.#origin;
  }

  /** Whether the planner's tasks are known. */
  get started(): boolean {
    return this.#startedAtMs !== undefined;
  }

  /** Agent id of who drives the plan; undefined if it is driven by hand. */
  get driver(): string | undefined {
    return this.#driver;
  }

  /** Fencing token of the driver; 0 if there is none. */
  get epoch(): number {
    return this.#epoch;
  }

  /** How the plan will end once everything is taken back. While it is set, only tasks that take others back are open. */
  get ending(): "failed" | "cancelled" | undefined {
    return this.#ending;
  }

  /** Whether the goal's answer was published. */
  get answered(): boolean {
    return this.#answered;
  }

  get budget(): PlanBudget | undefined {
    return this.#budget;
  }

  /** Whether the planner is asked after each task's end. */
  get grows(): boolean {
    return this.#tasks.grows;
  }

  /** The one the plan was going to fail or was cancelled with. */
  get failure(): Failure | undefined {
    return this.#failure;
  }

  get createdAtMs(): number {
    return this.#createdAtMs;
  }

  get taskCount(): number {
    return this.#tasks.nodes.size;
  }

  /** Tasks that count against `budget.maxTasks`. */
  get plannedCount(): number {
    return this.#tasks.planned;
  }

  /** Tasks that have not ended. */
  get openCount(): number {
    return this.#tasks.open;
  }

  /**
   * Tasks of the plan itself that failed or were cancelled, which nobody has dealt with. Failures that only follow from
   * another one do not count, nor do those of delegated tasks, of which their parent makes what it wants.
   */
  get unhandledFailures(): number {
    return this.#tasks.unhandledFailures;
  }

  /** Ids of pending tasks that may be dispatched now and were not tried yet. Of a `forEach`, as many as its concurrency. */
  get ready(): ReadonlySet<string> {
    return this.#tasks.ready;
  }

  /** Ids of `forEach` tasks that have all their inputs: their list is to be found and `task.expanded` appended. */
  get groupsToExpand(): ReadonlySet<string> {
    return this.#tasks.groupsToExpand;
  }

  /** Ids of tasks that failed and wait for their next attempt. */
  get backingOff(): ReadonlySet<string> {
    return this.#tasks.backingOff;
  }

  /** Ids of tasks with an attempt under way, also if that waits for a person. A `forEach` with its children is none. */
  get running(): ReadonlySet<string> {
    return this.#tasks.running;
  }

  /** Ids of pending tasks that can never begin: something they depend on failed or was cancelled. */
  get doomed(): ReadonlySet<string> {
    return this.#tasks.doomed;
  }

  /** Ids of ended tasks that want a `plan.transitioned`, in the order of their ends. */
  get undecided(): ReadonlySet<string> {
    return this.#tasks.undecided;
  }

  /** What open tasks wait for. */
  get openWaits(): OpenWait[] {
    const found: OpenWait[] = [];
    for (const taskId of this.#tasks.waiting) {
      const node = this.#tasks.nodes.get(taskId);
      for (const key of node?.openWaits ?? []) {
        const wait = node?.wait(key);
        if (wait) found.push({ ...wait, taskId });
      }
    }
    return found;
  }

  task(taskId: string): TaskState | undefined {
    return this.#tasks.nodes.get(taskId)?.view();
  }

  taskNamed(name: string): TaskState | undefined {
    return this.#tasks.names.get(name)?.view();
  }

  /** The tasks that name this one in `dependsOn`. */
  dependents(taskId: string): TaskState[] {
    return (this.#tasks.nodes.get(taskId)?.dependents ?? []).map((node) => node.view());
  }

  /** The tasks that this one delegated, or those of its `forEach` in the items' order. */
  children(taskId: string): TaskState[] {
    return (this.#tasks.nodes.get(taskId)?.children ?? []).map((node) => node.view());
  }

  /** What the attempts of a task have done for good; undefined if there is no such task. */
  journal(taskId: string): TaskJournal | undefined {
    const node = this.#tasks.nodes.get(taskId);
    if (!node || !this.#tasks.running.has(taskId)) return node?.journal();
    return { ...node.journal(), attempt: node.core.attempt };
  }

  /** Whether there is anything in a task's journal. */
  hasJournal(taskId: string): boolean {
    return this.#tasks.nodes.get(taskId)?.hasJournal ?? false;
  }

  /** Whether an attempt at a task that is not its current one may still be running. */
  mayOverlap(taskId: string): boolean {
    return this.#tasks.nodes.get(taskId)?.mayOverlap ?? false;
  }

  /** Whether somebody should look at the task: it failed for good, and nobody has dealt with that. */
  isDeadLetter(taskId: string): boolean {
    const node = this.#tasks.nodes.get(taskId);
    return node !== undefined && isDeadLetter(node.core);
  }

  /** Tasks with this parent, or without one. */
  childCount(parentTaskId?: string): number {
    if (parentTaskId === undefined) return this.#tasks.own;
    return this.#tasks.nodes.get(parentTaskId)?.children?.length ?? 0;
  }

  /** Whether so many further tasks are more than the budget allows. */
  exceedsBudget(added: number): boolean {
    return this.#tasks.planned + added > (this.#budget?.maxTasks ?? Number.POSITIVE_INFINITY);
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
    this.#changedAt(entry.version, entry.timeMs);
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
    this.#changedAt(this.#version + 1, timeMs);
    return true;
  }

  /**
   * Takes in a free change that lies in the log among entries which this fold has taken already, because others recorded
   * it meanwhile. The version stays. Taking it twice is harmless.
   *
   * @returns whether anything changed.
   */
  catchUp(change: PlanChange, timeMs: number): boolean {
    let changed: boolean;
    switch (change.type) {
      case "task.stepped":
      case "task.waiting":
      case "task.signalled":
      case "task.timedout": {
        // Legal where it lies; the attempt may have ended since.
        const node = this.#tasks.nodes.get(change.taskId);
        changed = node?.isOpen === true && this.#tasks.note(node, change, timeMs);
        break;
      }
      case "task.discarded":
      case "plan.answered":
        changed = this.#change(change, timeMs);
        break;
      default:
        throw new TypeError(`${change.type} is no free change: plan ${this.planId} has to be folded anew with it`);
    }
    if (changed) this.#snapshot = undefined;
    return changed;
  }

  /** Says where the log is by now, when what this fold has not taken of it were free changes. Never goes back. */
  moveTo(version: number): void {
    if (version <= this.#version) return;
    this.#version = version;
    this.#snapshot = undefined;
  }

  /** The state as a value that does not change any more. Unchanged tasks are shared with earlier values. */
  state(): PlanState {
    this.#snapshot ??= {
      planId: this.planId,
      version: this.#version,
      status: this.status,
      origin: this.origin,
      ...(this.#driver === undefined ? {} : { driver: this.#driver }),
      epoch: this.#epoch,
      ...(this.#budget === undefined ? {} : { budget: this.#budget }),
      ...(this.grows ? { grows: true } : {}),
      ...(this.#machineState === undefined ? {} : { state: this.#machineState }),
      ...(this.#ending === undefined ? {} : { ending: this.#ending }),
      ...(this.#answered ? { answered: true } : {}),
      tasks: Array.from(this.#tasks.nodes.values(), (node) => node.view()),
      ...(this.#end === "completed" ? { result: this.#result } : {}),
      ...(this.#failure === undefined ? {} : { failure: this.#failure }),
      createdAtMs: this.#createdAtMs,
      ...(this.#startedAtMs === undefined ? {} : { startedAtMs: this.#startedAtMs }),
      ...(this.#endedAtMs === undefined ? {} : { endedAtMs: this.#endedAtMs }),
      updatedAtMs: this.#updatedAtMs,
    };
    return this.#snapshot;
  }

  summary(): PlanSummary {
    const { planId, status, version, driver, epoch } = this;
    const head = { planId, status, version, driver, epoch, createdAtMs: this.#createdAtMs };
    return summaryOf(this.origin, head, this.taskCount, this.#tasks.completed, this.#updatedAtMs);
  }

  #changedAt(version: number, timeMs: number): void {
    this.#version = version;
    if (this.#end) this.#endedAtMs ??= timeMs;
    this.#updatedAtMs = timeMs;
    this.#snapshot = undefined;
  }

  #change(change: PlanChange, timeMs: number): boolean {
    switch (change.type) {
      case "plan.created":
        if (this.#origin) return false;
        this.#origin = change.origin;
        this.#createdAtMs = timeMs;
        if (change.driver === undefined) return true;
        this.#driver = change.driver;
        this.#epoch = 1;
        return true;
      case "plan.driven":
        // Also of an ended plan whose goal has no answer yet: that is left to do.
        if ((this.#end && this.#answered) || change.epoch !== this.#epoch + 1) return false;
        this.#driver = change.driver;
        this.#epoch = change.epoch;
        return true;
      case "plan.answered":
        if (!this.#end || this.#answered) return false;
        this.#answered = true;
        return true;
      case "task.discarded": {
        const node = this.#tasks.nodes.get(change.taskId);
        if (!node || !isDeadLetter(node.core)) return false;
        this.#tasks.handle(node);
        return true;
      }
      default:
        return this.#end === undefined && this.#changeOpen(change, timeMs);
    }
  }

  #changeOpen(
    change: Exclude<PlanChange, Change<"plan.created" | "plan.driven" | "plan.answered" | "task.discarded">>,
    timeMs: number,
  ): boolean {
    switch (change.type) {
      case "plan.started":
        return this.#start(change, timeMs);
      case "plan.transitioned":
        return this.#transition(change);
      case "plan.paused":
        if (this.#paused) return false;
        this.#paused = true;
        return true;
      case "plan.resumed":
        if (!this.#paused) return false;
        this.#paused = false;
        return true;
      case "plan.completed":
        if (this.status !== "running" || this.#ending) return false;
        if (this.#tasks.open > 0 || this.#tasks.undecided.size > 0) return false;
        this.#end = "completed";
        this.#result = change.result;
        return true;
      case "plan.failed":
        return this.#endAs("failed", change.failure, timeMs);
      case "plan.cancelled":
        return this.#endAs("cancelled", cancelled(change.reason), timeMs);
      case "plan.undone":
        if (!this.#ending || this.#tasks.open > 0) return false;
        this.#end = this.#ending;
        this.#ending = undefined;
        return true;
      default: {
        const node = this.#tasks.nodes.get(change.taskId);
        return node !== undefined && this.#changeTask(node, change, timeMs);
      }
    }
  }

  #start({ tasks, budget, grows, state }: Change<"plan.started">, timeMs: number): boolean {
    if (this.started || this.#ending || !this.#tasks.canAdd(tasks)) return false;
    if (tasks.length > (budget?.maxTasks ?? Number.POSITIVE_INFINITY)) return false;
    this.#startedAtMs = timeMs;
    this.#budget = budget;
    this.#machineState = state;
    this.#tasks.grows = grows === true;
    this.#tasks.add(tasks);
    return true;
  }

  #transition({ taskId, to, tasks = [], handled }: Change<"plan.transitioned">): boolean {
    const node = this.#tasks.nodes.get(taskId);
    if (!node || !this.#tasks.undecided.has(taskId) || !this.#canAdd(tasks)) return false;
    this.#tasks.undecided.delete(taskId);
    if (to !== undefined) this.#machineState = to;
    if (handled === true && node.core.status === "failed") this.#tasks.handle(node);
    this.#tasks.add(tasks);
    return true;
  }

  #changeTask(
    node: TaskNode,
    change: Exclude<Extract<PlanChange, { taskId: string }>, Change<"plan.transitioned" | "task.discarded">>,
    timeMs: number,
  ): boolean {
    if (change.type === "task.revived") return !this.#ending && this.#tasks.revive(node);
    if (!node.isOpen) return false;
    switch (change.type) {
      case "task.reused":
        return this.#tasks.reuse(node, change, timeMs);
      case "task.delegated":
        if (change.tasks.length === 0 || !this.#tasks.running.has(node.id)) return false;
        if (!this.#canAdd(change.tasks, node)) return false;
        this.#tasks.add(change.tasks, node);
        return true;
      case "task.expanded":
        if (this.#paused || !this.#tasks.groupsToExpand.has(node.id) || !this.#canAdd(change.tasks, node)) return false;
        if (!change.tasks.every((task, index) => task.item?.index === index)) return false;
        this.#tasks.expand(node, change.tasks, timeMs);
        return true;
      case "task.dispatched":
        return !this.#paused && this.#tasks.change(node, change, timeMs);
      default:
        return this.#tasks.change(node, change, timeMs);
    }
  }

  #canAdd(tasks: readonly PlannedTask[], parent?: TaskNode): boolean {
    return !this.exceedsBudget(tasks.length) && this.#tasks.canAdd(tasks, parent);
  }

  #endAs(end: "failed" | "cancelled", failure: Failure, timeMs: number): boolean {
    if (this.#ending) return false;
    this.#failure = failure;
    this.#tasks.endAll(end, timeMs);
    if (this.#tasks.undo()) {
      this.#ending = end;
      this.#paused = false;
    } else {
      this.#end = end;
    }
    return true;
  }
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
  const done = state.tasks.filter((task) => task.status === "completed").length;
  return summaryOf(state.origin, state, state.tasks.length, done, state.updatedAtMs);
}

function summaryOf(
  { goalId, goalType, planner, tenantId, parentPlanId }: PlanOrigin,
  {
    planId,
    status,
    version,
    driver,
    epoch,
    createdAtMs,
  }: Pick<PlanSummary, "planId" | "status" | "version" | "epoch" | "createdAtMs"> & {
    readonly driver?: string | undefined;
  },
  taskCount: number,
  doneCount: number,
  updatedAtMs: number,
): PlanSummary {
  return {
    planId,
    goalId,
    goalType,
    planner,
    status,
    version,
    taskCount,
    doneCount,
    tenantId,
    ...(parentPlanId === undefined ? {} : { parentPlanId }),
    ...(driver === undefined ? {} : { driver }),
    epoch,
    createdAtMs,
    updatedAtMs,
  };
}
