import type { PlanChange, PlannedTask, Status } from "../src/plans/log.ts";
import { isTerminal } from "../src/plans/reducer.ts";

/** A task of the reference: everything that follows from something else is looked for when it is asked for. */
interface Plain extends PlannedTask {
  deps: string[];
  status: Status;
  attempt: number;
  failures: number;
  code?: string;
  result?: unknown;
  due: boolean;
  handled: boolean;
  reused: boolean;
  expanded: boolean;
  decided: boolean;
  completedAs: number;
  steps: string[];
  /** What is waited for, whether the answer is there, or which attempt gave it up. */
  waits: { key: string; kind: string; done: boolean; lateIn?: number }[];
}

const isAwaited = ({ done, lateIn }: Plain["waits"][number]): boolean => !done && lateIn === undefined;

/** What the fold has to agree with: the same rules without any bookkeeping, by going through all tasks each time. */
export class ReferencePlan {
  tasks: Plain[] = [];
  started = false;
  paused = false;
  grows = false;
  epoch = 0;
  ending: "failed" | "cancelled" | undefined;
  end: Status | undefined;
  answered = false;
  maxTasks = Number.POSITIVE_INFINITY;
  completions = 0;

  get status(): Status {
    if (this.end) return this.end;
    if (this.paused) return "paused";
    return this.started || this.ending ? "running" : "pending";
  }

  of = (id: string | undefined): Plain | undefined => this.tasks.find(({ taskId }) => taskId === id);
  named = (name: string): Plain | undefined => this.tasks.find((task) => task.name === name);
  childrenOf = (task: Plain): Plain[] => this.tasks.filter((one) => one.parentTaskId === task.taskId);
  isOpen = (task: Plain): boolean => !isTerminal(task.status);
  isOwn = (task: Plain): boolean => task.parentTaskId === undefined && task.undoes === undefined;
  /** `doomed` if a dependency ended otherwise, `blocked` if one is open. */
  inputs(task: Plain): "all" | "blocked" | "doomed" {
    const states = task.deps.map((name) => this.named(name)?.status ?? "pending");
    if (states.some((status) => status === "failed" || status === "cancelled")) return "doomed";
    return states.every((status) => status === "completed") ? "all" : "blocked";
  }
  isUnderWay = (task: Plain): boolean => (task.status === "running" || task.status === "paused") && !task.expanded;
  isTurn(task: Plain): boolean {
    if (task.undoes !== undefined) return this.tasks.find((one) => one.undoes && this.isOpen(one)) === task;
    const parent = this.of(task.parentTaskId);
    if (!parent?.expanded) return true;
    const places = parent.forEach?.concurrency ?? Number.POSITIVE_INFINITY;
    return this.childrenOf(parent).filter(this.isOpen).slice(0, places).includes(task);
  }
  isPlaced = (task: Plain): boolean => task.status === "pending" && this.inputs(task) === "all" && this.isTurn(task);
  ids = (which: (task: Plain) => boolean): string[] =>
    this.tasks
      .filter(which)
      .map(({ taskId }) => taskId)
      .sort();

  ready = () => this.ids((task) => this.isPlaced(task) && !task.due && !task.forEach);
  groupsToExpand = () => this.ids((task) => this.isPlaced(task) && !task.due && task.forEach !== undefined);
  backingOff = () => this.ids((task) => this.isPlaced(task) && task.due);
  running = () => this.ids(this.isUnderWay);
  doomed = () => this.ids((task) => task.status === "pending" && this.inputs(task) === "doomed");
  undecided = () => (this.end || this.ending || !this.grows ? [] : this.ids((task) => this.wantsDecision(task)));
  unhandled = () =>
    this.ids(
      (task) =>
        this.isOwn(task) &&
        (task.status === "failed" || task.status === "cancelled") &&
        !task.handled &&
        task.code !== "DEPENDENCY_FAILED",
    ).length;
  waiting = () =>
    this.tasks
      .filter(this.isOpen)
      .flatMap((task) => task.waits.filter(isAwaited).map(({ key }) => `${task.taskId} ${key}`))
      .sort();

  wantsDecision(task: Plain): boolean {
    if (task.decided || task.reused || !this.isOwn(task)) return false;
    return task.status === "completed" || (task.status === "failed" && task.code !== "DEPENDENCY_FAILED");
  }

  add(tasks: readonly PlannedTask[]): void {
    for (const task of tasks) {
      this.tasks.push({
        ...task,
        deps: [...(task.dependsOn ?? [])],
        status: "pending",
        attempt: 0,
        failures: 0,
        due: false,
        handled: false,
        reused: false,
        expanded: false,
        decided: false,
        completedAs: 0,
        steps: [],
        waits: [],
      });
    }
  }
  mayAdd(tasks: readonly PlannedTask[], parent?: string): boolean {
    const count = this.tasks.filter(({ undoes }) => undoes === undefined).length + tasks.length;
    if (count > this.maxTasks) return false;
    return tasks.every(
      (task, index) =>
        !this.of(task.taskId) &&
        !this.named(task.name) &&
        task.parentTaskId === parent &&
        tasks.every((one, at) => at === index || (one.name !== task.name && one.taskId !== task.taskId)) &&
        (task.dependsOn ?? []).every(
          (name) =>
            tasks.some((one) => one.name === name) ||
            this.tasks.some((one) => one.name === name && one.parentTaskId === parent && !one.undoes),
        ),
    );
  }

  finish(task: Plain, status: Status, code?: string, result?: unknown): void {
    if (!this.isOpen(task)) return;
    task.status = status;
    task.due = false;
    if (code === undefined) delete task.code;
    else task.code = code;
    if (status === "completed") {
      task.result = result;
      task.completedAs = ++this.completions;
    } else {
      for (const child of this.childrenOf(task)) this.finish(child, "cancelled", "CANCELLED");
    }
    const parent = this.of(task.parentTaskId);
    if (!parent?.expanded || !this.isOpen(parent)) return;
    if (status !== "completed") this.finish(parent, "failed", code);
    else this.fanIn(parent);
  }
  fanIn(parent: Plain): void {
    const children = this.childrenOf(parent);
    if (!children.every(({ status }) => status === "completed")) return;
    this.finish(
      parent,
      "completed",
      undefined,
      children.map(({ result }) => result),
    );
  }
  shows(task: Plain): void {
    if (this.isUnderWay(task))
      task.status = task.waits.some((wait) => wait.kind === "input" && isAwaited(wait)) ? "paused" : "running";
  }

  revive(task: Plain): boolean {
    if (task.status !== "failed" || task.handled || task.undoes || task.code === "DEPENDENCY_FAILED") return false;
    const parent = this.of(task.parentTaskId);
    if (parent && !this.isOpen(parent) && parent.status !== "completed") return this.revive(parent);
    this.reopen(task);
    // Over and over, until nothing is left that failed only for what is open again.
    for (let again = true; again; ) {
      again = false;
      for (const one of this.tasks) {
        if (one.status !== "failed" || one.code !== "DEPENDENCY_FAILED" || one.handled) continue;
        if (this.inputs(one) === "doomed" || !one.deps.some((name) => this.reopened.has(name))) continue;
        this.reopen(one);
        again = true;
      }
    }
    this.reopened.clear();
    return true;
  }
  readonly reopened = new Set<string>();
  reopen(task: Plain): void {
    if (this.isOpen(task) || task.status === "completed") return;
    task.status = task.expanded ? "running" : "pending";
    task.failures = 0;
    task.decided = false;
    task.handled = false;
    task.waits = task.waits.filter(({ done }) => done);
    delete task.code;
    this.reopened.add(task.name);
    for (const child of this.childrenOf(task)) this.reopen(child);
  }

  take(change: PlanChange): boolean {
    switch (change.type) {
      case "plan.driven":
        if (this.answered || change.epoch !== this.epoch + 1) return false;
        this.epoch++;
        return true;
      case "plan.answered":
        if (!this.end || this.answered) return false;
        this.answered = true;
        return true;
      case "task.discarded": {
        const task = this.of(change.taskId);
        if (task?.status !== "failed" || task.attempt === 0 || task.handled) return false;
        if (task.code === "DEPENDENCY_FAILED") return false;
        task.handled = true;
        return true;
      }
    }
    return this.end === undefined && this.takeOpen(change);
  }

  takeOpen(change: PlanChange): boolean {
    switch (change.type) {
      case "plan.started":
        if (this.started || this.ending || !this.mayAdd(change.tasks)) return false;
        if (change.tasks.length > (change.budget?.maxTasks ?? change.tasks.length)) return false;
        this.started = true;
        this.grows = change.grows === true;
        this.maxTasks = change.budget?.maxTasks ?? this.maxTasks;
        this.add(change.tasks);
        return true;
      case "plan.paused":
      case "plan.resumed":
        if (this.paused === (change.type === "plan.paused")) return false;
        this.paused = !this.paused;
        return true;
      case "plan.completed":
        if (this.status !== "running" || this.ending || this.tasks.some(this.isOpen)) return false;
        if (this.undecided().length > 0) return false;
        this.end = "completed";
        return true;
      case "plan.failed":
      case "plan.cancelled":
        return this.stop(change.type === "plan.failed" ? "failed" : "cancelled");
      case "plan.undone":
        if (!this.ending || this.tasks.some(this.isOpen)) return false;
        this.end = this.ending;
        this.ending = undefined;
        return true;
    }
    const task = "taskId" in change ? this.of(change.taskId) : undefined;
    return task !== undefined && this.takeTask(task, change);
  }

  stop(end: "failed" | "cancelled"): boolean {
    if (this.ending) return false;
    for (const task of this.tasks) this.finish(task, "cancelled", "CANCELLED");
    const undone = this.tasks.filter(
      (task) => task.status === "completed" && task.undo && !task.expanded && !task.reused,
    );
    undone.sort((a, b) => b.completedAs - a.completedAs);
    this.add(undone.map((task) => ({ taskId: `${task.taskId}.undo`, name: `undo:${task.name}`, undoes: task.taskId })));
    if (undone.length === 0) this.end = end;
    else {
      this.ending = end;
      this.paused = false;
    }
    return true;
  }

  takeTask(task: Plain, change: PlanChange): boolean {
    if (change.type === "plan.transitioned") {
      if (!this.undecided().includes(task.taskId) || !this.mayAdd(change.tasks ?? [])) return false;
      task.decided = true;
      if (change.handled && task.status === "failed") task.handled = true;
      this.add(change.tasks ?? []);
      return true;
    }
    if (change.type === "task.revived") return !this.ending && this.revive(task);
    if (!this.isOpen(task)) return false;
    const isCurrent = "attempt" in change && this.isUnderWay(task) && task.attempt === change.attempt;
    switch (change.type) {
      case "task.reused":
        if (task.status !== "pending" || task.attempt > 0 || !this.isOwn(task)) return false;
        task.reused = true;
        this.finish(task, "completed", undefined, change.result);
        return true;
      case "task.delegated":
        if (!this.isUnderWay(task) || change.tasks.length === 0 || !this.mayAdd(change.tasks, task.taskId))
          return false;
        this.add(change.tasks);
        return true;
      case "task.expanded":
        if (this.paused || !this.groupsToExpand().includes(task.taskId)) return false;
        if (!this.mayAdd(change.tasks, task.taskId)) return false;
        task.status = "running";
        task.expanded = true;
        this.add(change.tasks);
        this.fanIn(task);
        return true;
      case "task.dispatched":
        if (this.paused || change.attempt <= task.attempt) return false;
        if (![...this.ready(), ...this.backingOff(), ...this.running()].includes(task.taskId)) return false;
        task.attempt = change.attempt;
        task.due = false;
        task.status = "running";
        this.shows(task);
        return true;
      case "task.stepped":
        if (!isCurrent || task.steps.includes(change.key)) return false;
        task.steps.push(change.key);
        return true;
      case "task.waiting":
        if (!isCurrent) return false;
        if (task.waits.some(({ key, lateIn = task.attempt }) => key === change.key && lateIn >= task.attempt))
          return false;
        task.waits = task.waits.filter(({ key }) => key !== change.key);
        task.waits.push({ key: change.key, kind: change.on.kind, done: false });
        this.shows(task);
        return true;
      case "task.timedout": {
        const wait = task.waits.find((one) => one.key === change.key && isAwaited(one));
        if (!isCurrent || !wait || wait.kind === "sleep") return false;
        wait.lateIn = task.attempt;
        this.shows(task);
        return true;
      }
      case "task.signalled": {
        const wait = task.waits.find((one) => one.key === change.key && isAwaited(one));
        if (!wait) return false;
        wait.done = true;
        this.shows(task);
        return true;
      }
      case "task.succeeded":
        if (isCurrent) this.finish(task, "completed", undefined, change.result);
        return isCurrent;
      case "task.retried":
        if (!isCurrent) return false;
        task.status = "pending";
        task.due = true;
        task.code = change.failure.code;
        if (!change.uncounted) task.failures++;
        return true;
      case "task.failed":
        if (change.attempt !== undefined && !isCurrent) return false;
        if (change.attempt !== undefined) task.failures++;
        this.finish(task, "failed", change.failure.code);
        return true;
      case "task.cancelled":
        this.finish(task, "cancelled", "CANCELLED");
        return true;
      default:
        return false;
    }
  }
}
