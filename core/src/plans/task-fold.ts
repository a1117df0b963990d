import type { Failure } from "../errors.ts";
import type { PlanChange, PlannedTask, Status, TaskState } from "./log.ts";
import { type Group, isDependencyFailure, isTopLevel, mayStillRun, TaskNode } from "./task-node.ts";
import { undoTask } from "./undo.ts";

type Change<T extends PlanChange["type"]> = Extract<PlanChange, { type: T }>;

/** Changes of what a task's attempts have done for good. */
type JournalChange = Change<"task.stepped" | "task.waiting" | "task.signalled" | "task.timedout">;

/** Changes that concern one task and nothing else of the plan. */
export type TaskChange = Exclude<
  Extract<PlanChange, { taskId: string }>,
  { type: "plan.transitioned" | "task.discarded" | "task.revived" | "task.reused" | "task.delegated" | "task.expanded" }
>;

/**
 * The tasks of one plan and what can happen to each next, kept up to date at a cost that does not grow with the plan.
 *
 * Every open task is in exactly one place: it waits for others, is in one of the sets here, is parked because of its
 * group's `concurrency`, or is a group whose children are under way.
 */
export class TaskFold {
  readonly ready = new Set<string>();
  readonly groupsToExpand = new Set<string>();
  readonly backingOff = new Set<string>();
  readonly running = new Set<string>();
  readonly doomed = new Set<string>();
  readonly undecided = new Set<string>();
  /** Ids of open tasks that wait for something. */
  readonly waiting = new Set<string>();
  readonly nodes = new Map<string, TaskNode>();
  readonly names = new Map<string, TaskNode>();
  /** Whether ended tasks are `undecided` until the planner looked at them. */
  grows = false;
  open = 0;
  completed = 0;
  /** Tasks but for those that take others back. */
  planned = 0;
  /** Tasks of the plan itself. */
  own = 0;
  unhandledFailures = 0;
  /** Completed tasks that can be taken back, in the order of their completion. */
  readonly #undoable: TaskNode[] = [];
  #undoQueue: readonly TaskNode[] = [];
  #undoNext = 0;

  /**
   * Unique new ids and names, and dependencies among the tasks of the same parent. Whoever appends checks more, and says
   * what is wrong.
   */
  canAdd(tasks: readonly PlannedTask[], parent?: TaskNode): boolean {
    const names = new Set(tasks.map((task) => task.name));
    const ids = new Set(tasks.map((task) => task.taskId));
    if (names.size !== tasks.length || ids.size !== tasks.length) return false;
    return tasks.every(
      (task) =>
        !this.names.has(task.name) &&
        !this.nodes.has(task.taskId) &&
        task.undoes === undefined &&
        task.parentTaskId === parent?.id &&
        (task.dependsOn ?? []).every((name) => {
          if (names.has(name)) return true;
          const other = this.names.get(name);
          return other !== undefined && other.parent === parent && other.core.undoes === undefined;
        }),
    );
  }

  add(tasks: readonly PlannedTask[], parent?: TaskNode): TaskNode[] {
    const added = tasks.map((task) => this.#insert(task, parent));
    for (const node of added) {
      // A name given twice is one dependency.
      for (const name of new Set(node.core.dependsOn)) {
        const dependency = this.names.get(name);
        if (!dependency) continue;
        dependency.dependents.push(node);
        if (dependency.core.status === "completed") continue;
        node.waiting++;
        if (!dependency.isOpen) node.blocked++;
      }
    }
    if (parent) {
      parent.children ??= [];
      for (const node of added) parent.children.push(node);
    }
    for (const node of added) this.#file(node);
    return added;
  }

  #insert(task: PlannedTask, parent: TaskNode | undefined): TaskNode {
    const node = new TaskNode(task, parent);
    this.nodes.set(task.taskId, node);
    if (!this.names.has(task.name)) this.names.set(task.name, node);
    this.open++;
    if (task.undoes === undefined) this.planned++;
    if (isTopLevel(task)) this.own++;
    return node;
  }

  /** The list of a `forEach` is known: it ends with the last of these. */
  expand(node: TaskNode, tasks: readonly PlannedTask[], timeMs: number): void {
    this.#unfile(node);
    const limit = node.core.forEach?.concurrency ?? Number.POSITIVE_INFINITY;
    node.group = { limit, active: 0, completed: 0, parked: [], next: 0 };
    node.core = { ...node.core, status: "running", startedAtMs: timeMs };
    node.children = [];
    const children = this.add(tasks, node);
    if (children.length === 0) this.#complete(node, { result: [] }, timeMs);
    else this.#repark(node);
  }

  reuse(node: TaskNode, { result, undecided }: Change<"task.reused">, timeMs: number): boolean {
    const { core } = node;
    if (core.status !== "pending" || core.attempt > 0 || !isTopLevel(core)) return false;
    this.#complete(node, { result, reused: true }, timeMs);
    if (this.grows && undecided === true) this.undecided.add(node.id);
    return true;
  }

  change(node: TaskNode, change: TaskChange, timeMs: number): boolean {
    const { core } = node;
    const attempt = "attempt" in change ? change.attempt : undefined;
    const isCurrent = attempt === core.attempt && this.running.has(core.taskId);
    switch (change.type) {
      case "task.dispatched":
        return this.#dispatched(node, change, timeMs);
      case "task.assigned":
        if (!isCurrent) return false;
        node.core = { ...core, agentId: change.agentId, agentName: change.agentName };
        return true;
      case "task.progress":
        if (!this.running.has(core.taskId) || Number.isNaN(change.fraction)) return false;
        if (attempt !== undefined && !isCurrent) return false;
        node.core = {
          ...core,
          fraction: Math.min(1, Math.max(0, change.fraction)),
          ...(change.message === undefined ? {} : { message: change.message }),
        };
        return true;
      case "task.stepped":
      case "task.waiting":
      case "task.signalled":
      case "task.timedout":
        if (change.type !== "task.signalled" && !isCurrent) return false;
        return this.note(node, change, timeMs);
      case "task.succeeded":
        if (!isCurrent) return false;
        this.#complete(node, { ...duration(change), result: change.result }, timeMs);
        return true;
      case "task.retried":
        if (!isCurrent) return false;
        node.mayOverlap ||= mayStillRun(change.failure);
        this.running.delete(core.taskId);
        this.backingOff.add(core.taskId);
        node.core = {
          ...core,
          ...duration(change),
          status: "pending",
          fraction: 0,
          failures: core.failures + (change.uncounted === true ? 0 : 1),
          failure: change.failure,
          retryAtMs: timeMs + change.delayMs,
        };
        return true;
      case "task.failed": {
        if (attempt !== undefined && !isCurrent) return false;
        const failures = core.failures + (attempt === undefined ? 0 : 1);
        this.#end(node, "failed", { ...duration(change), failure: change.failure, failures }, timeMs);
        return true;
      }
      case "task.cancelled":
        this.#end(node, "cancelled", { failure: cancelled(change.reason) }, timeMs);
        return true;
    }
  }

  /** Writes into an open task's journal, whichever attempt it is from. */
  note(node: TaskNode, change: JournalChange, timeMs: number): boolean {
    if (change.type === "task.stepped") {
      const { key, value } = change;
      return node.addStep({ key, value, ...duration(change), endedAtMs: timeMs });
    }
    if (!changeWait(node, change, timeMs)) return false;
    if (node.openWaits.size > 0) this.waiting.add(node.id);
    else this.waiting.delete(node.id);
    const { core } = node;
    if (this.running.has(core.taskId) && core.status !== node.runningStatus) {
      node.core = { ...core, status: node.runningStatus };
    }
    return true;
  }

  #dispatched(node: TaskNode, change: Change<"task.dispatched">, timeMs: number): boolean {
    const { core } = node;
    const id = core.taskId;
    // A running task may be dispatched anew: its attempt was lost with its driver.
    const isPossible = this.ready.has(id) || this.backingOff.has(id) || this.running.has(id);
    if (!isPossible || !(change.attempt > core.attempt)) return false;
    node.mayOverlap ||= this.running.has(id);
    const { agentId: _id, agentName: _name, retryAtMs: _due, durationMs: _took, message: _said, ...rest } = core;
    node.core = {
      ...rest,
      status: node.runningStatus,
      attempt: change.attempt,
      fraction: 0,
      startedAtMs: core.startedAtMs ?? timeMs,
      ...(change.agentId === undefined ? {} : { agentId: change.agentId }),
      ...(change.agentName === undefined ? {} : { agentName: change.agentName }),
    };
    this.ready.delete(id);
    this.backingOff.delete(id);
    this.running.add(id);
    return true;
  }

  #complete(node: TaskNode, fields: Partial<TaskState>, timeMs: number): void {
    const { failure: _earlier, ...rest } = node.core;
    node.core = rest;
    this.#end(node, "completed", { ...fields, fraction: 1 }, timeMs);
  }

  #end(node: TaskNode, status: Status, fields: Partial<TaskState>, timeMs: number): void {
    const { retryAtMs: _due, ...rest } = node.core;
    const core: TaskState = { ...rest, ...fields, status, endedAtMs: timeMs };
    node.core = core;
    if (status !== "completed" && this.running.has(core.taskId)) node.mayOverlap ||= mayStillRun(core.failure);
    node.closeWaits();
    this.#unfile(node);
    this.open--;
    if (status === "completed") {
      this.completed++;
      // Of a group each child is taken back by itself; what was reused, another plan did.
      if (core.undo && !node.group && core.reused !== true) this.#undoable.push(node);
      for (const dependent of node.dependents) {
        dependent.waiting--;
        if (dependent.core.status === "pending") this.#file(dependent);
      }
    } else {
      if (countsAsFailure(core)) this.unhandledFailures++;
      for (const dependent of node.dependents) {
        dependent.blocked++;
        if (dependent.core.status === "pending") this.doomed.add(dependent.id);
      }
      const failure = cancelled(`task "${core.name}", which it belongs to, ${ended(status)}`);
      for (const child of node.children ?? []) if (child.isOpen) this.#end(child, "cancelled", { failure }, timeMs);
    }
    if (this.grows && wantsDecision(core)) this.undecided.add(core.taskId);
    if (node.parent?.group) this.#childEnded(node.parent, node.parent.group, node, timeMs);
    if (core.undoes !== undefined) this.#undoNextOne();
  }

  #childEnded(parent: TaskNode, group: Group, child: TaskNode, timeMs: number): void {
    if (!parent.isOpen) return;
    if (child.admitted) group.active--;
    child.admitted = false;
    const { status, failure } = child.core;
    const children = parent.children ?? [];
    if (status !== "completed") {
      this.#end(parent, "failed", failure === undefined ? {} : { failure }, timeMs);
    } else if (++group.completed === children.length) {
      this.#complete(parent, { result: children.map((one) => one.core.result) }, timeMs);
    } else {
      parent.core = { ...parent.core, fraction: group.completed / children.length };
      this.#admit(group);
    }
  }

  #admit(group: Group): void {
    while (group.active < group.limit) {
      const child = group.parked[group.next++];
      if (!child) return;
      child.admitted = true;
      group.active++;
      this.#file(child);
    }
  }

  /** Gives the places of a group to its first open children. */
  #repark({ group, children }: TaskNode): void {
    if (!group) return;
    group.parked = children?.filter((child) => child.isOpen) ?? [];
    group.next = 0;
    this.#admit(group);
  }

  /** Puts an open task that is not under way where it belongs. */
  #file(node: TaskNode): void {
    const { core } = node;
    if (node.blocked > 0) this.doomed.add(core.taskId);
    if (node.waiting > 0 || core.undoes !== undefined) return;
    if (node.parent?.group && !node.admitted) return;
    if (core.retryAtMs !== undefined) this.backingOff.add(core.taskId);
    else if (core.forEach) this.groupsToExpand.add(core.taskId);
    else this.ready.add(core.taskId);
  }

  #unfile({ id }: TaskNode): void {
    this.ready.delete(id);
    this.groupsToExpand.delete(id);
    this.backingOff.delete(id);
    this.running.delete(id);
    this.doomed.delete(id);
    this.waiting.delete(id);
  }

  /** The planner, or a person, dealt with a task's failure. */
  handle(node: TaskNode): void {
    if (countsAsFailure(node.core)) this.unhandledFailures--;
    node.core = { ...node.core, handled: true };
  }

  /** Begins a failed task anew, with all that ended only because of it. */
  revive(node: TaskNode): boolean {
    const root = revivable(node);
    if (!root) return false;
    const reopened: TaskNode[] = [];
    const affected = [root];
    for (let one = affected.pop(); one; one = affected.pop()) {
      if (one.isOpen || one.core.status === "completed") continue;
      this.#reopen(one);
      reopened.push(one);
      affected.push(...(one.children ?? []));
      for (const dependent of one.dependents) {
        dependent.blocked--;
        if (dependent.blocked > 0) continue;
        this.doomed.delete(dependent.id);
        if (isDependencyFailure(dependent.core) && dependent.core.handled !== true) affected.push(dependent);
      }
    }
    for (const one of reopened) {
      if (one.group) this.#repark(one);
      else this.#file(one);
    }
    return true;
  }

  #reopen(node: TaskNode): void {
    const { core, group } = node;
    if (countsAsFailure(core)) this.unhandledFailures--;
    this.undecided.delete(core.taskId);
    this.open++;
    node.forgetUnsignalledWaits();
    node.admitted = false;
    if (group) group.active = 0;
    const { failure: _why, endedAtMs: _end, durationMs: _took, message: _said, handled: _seen, ...rest } = core;
    node.core = { ...rest, status: group ? "running" : "pending", failures: 0, fraction: group ? core.fraction : 0 };
  }

  /** Ends whatever is open. */
  endAll(end: "failed" | "cancelled", timeMs: number): void {
    this.undecided.clear();
    if (this.open === 0) return;
    const failure = cancelled(`the plan ${ended(end)}`);
    for (const node of this.nodes.values()) if (node.isOpen) this.#end(node, "cancelled", { failure }, timeMs);
    this.undecided.clear();
  }

  /**
   * Adds what takes completed tasks back: one is ready at a time, that of the latest completed one first.
   *
   * @returns whether there is any.
   */
  undo(): boolean {
    const tasks: PlannedTask[] = [];
    for (const { core } of this.#undoable.reverse()) {
      let taskId = `${core.taskId}.undo`;
      while (this.nodes.has(taskId)) taskId += "+";
      const task = undoTask(core, taskId);
      if (task) tasks.push(task);
    }
    this.#undoQueue = this.add(tasks);
    this.#undoNextOne();
    return tasks.length > 0;
  }

  #undoNextOne(): void {
    // The one whose turn it is stays before the mark until it ends.
    if (this.#undoQueue[this.#undoNext - 1]?.isOpen) return;
    while (this.#undoQueue[this.#undoNext]?.isOpen === false) this.#undoNext++;
    const node = this.#undoQueue[this.#undoNext++];
    if (node) this.ready.add(node.id);
  }
}

function changeWait(node: TaskNode, change: Exclude<JournalChange, Change<"task.stepped">>, timeMs: number): boolean {
  switch (change.type) {
    case "task.signalled":
      return node.signal(change.key, change.value);
    case "task.timedout":
      return node.timeOut(change.key, change.attempt);
    case "task.waiting": {
      const { key, on, attempt, untilMs } = change;
      return node.addWait({ key, on, attempt, sinceMs: timeMs, ...(untilMs === undefined ? {} : { untilMs }) });
    }
  }
}

/** The task that has to be begun anew so that this one is; undefined if it cannot be. */
function revivable(node: TaskNode): TaskNode | undefined {
  const { core, parent } = node;
  if (core.status !== "failed" || core.handled === true || core.undoes !== undefined) return undefined;
  if (isDependencyFailure(core)) return undefined;
  // A parent that failed with it begins anew, too: nobody else would take the result.
  return parent === undefined || parent.isOpen || parent.core.status === "completed" ? node : revivable(parent);
}

function countsAsFailure(core: TaskState): boolean {
  if (core.status !== "failed" && core.status !== "cancelled") return false;
  return isTopLevel(core) && core.handled !== true && !isDependencyFailure(core);
}

function wantsDecision(core: TaskState): boolean {
  if (!isTopLevel(core) || core.reused === true) return false;
  return core.status === "completed" || (core.status === "failed" && !isDependencyFailure(core));
}

export function cancelled(message: string): Failure {
  return { code: "CANCELLED", message, retryable: false };
}

function ended(status: Status): string {
  return status === "cancelled" ? "was cancelled" : status;
}

function duration(change: { readonly durationMs?: number }): { durationMs?: number } {
  return change.durationMs === undefined ? {} : { durationMs: change.durationMs };
}
