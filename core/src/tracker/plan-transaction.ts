import { SoormaError } from "../errors.ts";
import type { EventWhere } from "../events/where.ts";
import type { PlanChange, PlanEntry, TaskState, WaitSpec } from "../plans/log.ts";
import { isTerminal, type PlanFold } from "../plans/reducer.ts";
import { roughBytes } from "../rough-size.ts";
import type { StoreTransaction } from "../store/store.ts";
import { type AgentCounts, type EndedAttempt, endedAttempt } from "./agent-metrics.ts";
import { solidVersionAfter } from "./append-rules.ts";
import { addDeadLetter, removeDeadLetter } from "./dead-letters.ts";
import type { FoldCache, PlanMemo } from "./fold-cache.ts";
import { type Batch, type Head, isFinished, planKey, writeBatch } from "./plan-records.ts";

/** What was appended to a plan, once it is on disk. */
export interface Appended extends Batch {
  readonly tenant: string;
  readonly planId: string;
  readonly head: Head;
  /** Who drives it has changed, or whether somebody has to. */
  readonly isMoved: boolean;
  /** A driver that should hear of it: it is not the one who appended. */
  readonly tell: string | undefined;
  /** Waits for events that began, and those that are over. */
  readonly opened: readonly EventWait[];
  readonly closed: readonly Pick<EventWait, "taskId" | "key">[];
}

/** As it lies in the store: pattern, topic, `where`. */
export type StoredWait = readonly [pattern: string, topic?: string | null, where?: EventWhere];

/** A task waits for an event. */
export interface EventWait {
  readonly tenant: string;
  readonly planId: string;
  readonly taskId: string;
  readonly key: string;
  readonly pattern: string;
  readonly topic?: string;
  readonly where?: EventWhere;
}

export interface WriteOptions {
  /** Who appends: agent or node id. */
  readonly by: string;
  readonly operationId?: string | undefined;
  /** Nothing is written unless every change is legal. Default: what is illegal is written and changes nothing. */
  readonly onlyLegal?: boolean;
  /** It follows from what happened to another plan: the driver has to hear of it even if it wrote that. */
  readonly isConsequence?: boolean;
}

/** What others did and a driver need not act upon. It meets it when it next reads. */
const quiet: ReadonlySet<PlanChange["type"]> = new Set<PlanChange["type"]>([
  "task.stepped",
  "task.waiting",
  "task.timedout",
  "task.discarded",
  "plan.answered",
]);

/**
 * Changes of plans within one transaction of the store: the log, and everything that is derived from it.
 *
 * Costs the same however long a plan's log is.
 */
export class PlanTransaction {
  readonly tx: StoreTransaction;
  /** What was appended, to be told when it is on disk. */
  readonly appended: Appended[] = [];
  readonly #folds: FoldCache;
  readonly #nowMs: number;

  constructor(tx: StoreTransaction, folds: FoldCache, nowMs: number) {
    this.tx = tx;
    this.#folds = folds;
    this.#nowMs = nowMs;
  }

  /** `onRead` is called with the plan's log if that has to be read for it. */
  plan(tenant: string, planId: string, onRead?: (entries: readonly PlanEntry[]) => void): PlanMemo | undefined {
    return this.#folds.get(this.tx, tenant, planId, onRead);
  }

  /** A plan that is to be: it has to be written to. */
  newPlan(tenant: string, planId: string): PlanMemo {
    return this.#folds.make(tenant, planId);
  }

  /** To be called last: what has to be counted is counted in memory, which is not taken back. */
  count(counts: AgentCounts): void {
    for (const attempt of this.#ended) counts.add(this.tx, attempt);
  }

  /** Nothing is written after all: the folds that took it in are read anew when they are needed. */
  abandon(): void {
    for (const memo of this.#touched) this.#folds.drop(memo);
  }

  readonly #touched: PlanMemo[] = [];
  readonly #ended: EndedAttempt[] = [];

  /**
   * Appends to a plan, and cancels its open sub-plans if that ends it as failed or cancelled.
   *
   * @returns false, with nothing written, if `onlyLegal` and something is not legal.
   */
  write(memo: PlanMemo, changes: readonly PlanChange[], options: WriteOptions): boolean {
    const wasOver = memo.head !== undefined && isOver(memo.head);
    const isNew = memo.head === undefined;
    if (!this.#writeOne(memo, changes, options)) return false;
    if (isNew) this.#cancelIfParentEnded(memo, options);
    if (!wasOver && memo.head && isOver(memo.head)) this.#cancelSubPlans(memo, options);
    return true;
  }

  #writeOne(
    memo: PlanMemo,
    changes: readonly PlanChange[],
    { by, operationId, onlyLegal = false, isConsequence = false }: WriteOptions,
  ): boolean {
    const { fold, tenant, planId, head: before } = memo;
    this.#touched.push(memo);
    // A wall clock may jump back; within a log time does not.
    const timeMs = Math.max(this.#nowMs, before?.summary.updatedAtMs ?? 0);
    const { driver } = fold;
    const firstVersion = fold.version + 1;
    const endedBefore = this.#ended.length;
    const derived = new Derived(this.tx, tenant, planId, before?.waits ?? 0, this.#ended);
    for (const change of changes) {
      derived.look(fold, change);
      if (fold.propose(change, timeMs)) derived.took(fold, change);
      else if (!onlyLegal) fold.apply({ ...change, version: fold.version + 1, timeMs, by });
      else {
        // What was taken in of the changes before it is not in the log.
        if (fold.version >= firstVersion) this.#folds.drop(memo);
        this.#ended.length = endedBefore;
        return false;
      }
    }
    const bytes = roughBytes(changes);
    this.#folds.grew(memo, bytes, changes.length);
    const summary = fold.summary();
    if (operationId !== undefined) memo.operations.add(operationId, summary.version, timeMs);
    if (isTerminal(summary.status)) derived.planEnded();
    else if (derived.waits > 0 && changes.some((change) => mayEndOthers(fold, change))) derived.closeEnded(fold);
    const isForeign = driver !== undefined && (by !== driver || isConsequence);
    const isLoud = isForeign && changes.some((change) => !quiet.has(change.type));
    const head: Head = {
      summary,
      solidVersion: solidVersionAfter(before?.solidVersion ?? 0, changes, summary.version),
      bytes: (before?.bytes ?? 0) + bytes,
      foreignVersion: isLoud ? summary.version : isForeign ? (before?.foreignVersion ?? 0) : 0,
      waits: derived.waits,
      answered: fold.answered,
      ending: fold.ending !== undefined,
    };
    const batch: Batch = { firstVersion, timeMs, by, operationId, changes };
    writeBatch(this.tx, tenant, head, batch);
    memo.head = head;
    const isMoved = this.#index(tenant, before, head);
    const tell = isLoud ? driver : undefined;
    const { opened, closed } = derived;
    this.appended.push({ ...batch, tenant, planId, head, isMoved, tell, opened, closed });
    return true;
  }

  /** @returns whether the plan is to be found elsewhere than before. */
  #index(tenant: string, before: Head | undefined, head: Head): boolean {
    const { planId, status, createdAtMs, parentPlanId, planner, driver } = head.summary;
    const isOpen = !isFinished(head);
    const wasOpen = before !== undefined && !isFinished(before);
    if (before && isOpen === wasOpen && before.summary.driver === driver) return false;
    if (!before && parentPlanId !== undefined) {
      this.tx.put(planKey.subPlan(tenant, parentPlanId, createdAtMs, planId), 0);
    }
    const open = planKey.open(tenant, createdAtMs, planId);
    const finished = planKey.finished(tenant, status, createdAtMs, planId);
    if (isOpen) this.tx.put(open, driver === undefined ? [planner] : [planner, driver]);
    else this.tx.put(finished, 0);
    if (before && isOpen !== wasOpen) this.tx.delete(isOpen ? finished : open);
    return true;
  }

  #cancelSubPlans(ended: PlanMemo, { by }: WriteOptions): void {
    const { tenant } = ended;
    const parents = [ended];
    for (let parent = parents.pop(); parent; parent = parents.pop()) {
      const { planId, head } = parent;
      const status = head?.summary.status ?? "failed";
      const how = isTerminal(status) ? status : "ended";
      const children = Array.from(this.tx.range({ prefix: ["planp", tenant, planId] }), ({ key }) => String(key[4]));
      for (const childId of children) {
        const child = this.plan(tenant, childId);
        if (child && this.#cancel(child, `its parent plan ${planId} ${how}`, by)) parents.push(child);
      }
    }
  }

  /** The parent may have ended while the sub-plan was on its way. */
  #cancelIfParentEnded(child: PlanMemo, { by }: WriteOptions): void {
    const { tenant, fold } = child;
    const { parentPlanId, parentTaskId } = fold.origin;
    const parent = parentPlanId === undefined ? undefined : this.plan(tenant, parentPlanId);
    if (!parent?.head || !isOver(parent.head)) return;
    if (parent.head.ending) {
      // What takes a plan back may have plans of its own; those of its cancelled tasks may not begin.
      const task = parentTaskId === undefined ? undefined : parent.fold.task(parentTaskId);
      if (!task || !isTerminal(task.status)) return;
    }
    this.#cancel(child, `its parent plan ${parentPlanId} had ended`, by);
  }

  #cancel(plan: PlanMemo, reason: string, by: string): boolean {
    return this.#writeOne(plan, [{ type: "plan.cancelled", reason }], { by, onlyLegal: true, isConsequence: true });
  }
}

/** Failed or cancelled, or going to be once everything is taken back. */
function isOver({ summary, ending }: Head): boolean {
  return ending || summary.status === "failed" || summary.status === "cancelled";
}

/** Whether tasks may have ended with the one, or the plan, that this ended. */
function mayEndOthers(fold: PlanFold, change: PlanChange): boolean {
  switch (change.type) {
    case "plan.failed":
    case "plan.cancelled":
      return true;
    case "task.failed":
    case "task.cancelled":
      return fold.task(change.taskId)?.parentTaskId !== undefined || fold.children(change.taskId).length > 0;
    default:
      return false;
  }
}

/** The dead letters among the tasks that one belongs to, and their sub-tasks, other than itself. */
function deadKin(fold: PlanFold, taskId: string): TaskState[] {
  let top = fold.task(taskId);
  for (let parent = top; parent; parent = fold.task(parent.parentTaskId ?? "")) top = parent;
  const dead: TaskState[] = [];
  const open = top ? [top] : [];
  for (let task = open.pop(); task; task = open.pop()) {
    if (task.taskId !== taskId && fold.isDeadLetter(task.taskId)) dead.push(task);
    for (const child of fold.children(task.taskId)) open.push(child);
  }
  return dead;
}

/** What follows from changes beside the log: metrics, dead letters, and who waits for events. */
class Derived {
  readonly opened: EventWait[] = [];
  readonly closed: { readonly taskId: string; readonly key: string }[] = [];
  waits: number;
  readonly #tx: StoreTransaction;
  readonly #tenant: string;
  readonly #planId: string;
  readonly #ended: EndedAttempt[];
  /** The task before the change that is looked at. */
  #task: TaskState | undefined;
  #wasDead = false;
  /** Dead letters that a task begun anew may take along: those of the task it belongs to, and of its sub-tasks. */
  #kin: readonly TaskState[] = [];

  constructor(tx: StoreTransaction, tenant: string, planId: string, waits: number, ended: EndedAttempt[]) {
    this.#ended = ended;
    this.#tx = tx;
    this.#tenant = tenant;
    this.#planId = planId;
    this.waits = waits;
  }

  /** To be called before the fold takes the change. */
  look(fold: PlanFold, change: PlanChange): void {
    this.#task = undefined;
    this.#kin = change.type === "task.revived" ? deadKin(fold, change.taskId) : [];
    switch (change.type) {
      case "task.succeeded":
      case "task.failed":
      case "task.retried":
      case "task.revived":
      case "task.discarded":
      case "plan.transitioned":
        this.#task = fold.task(change.taskId);
        this.#wasDead = fold.isDeadLetter(change.taskId);
    }
  }

  /** To be called when it was legal. */
  took(fold: PlanFold, change: PlanChange): void {
    switch (change.type) {
      case "task.waiting":
        if (change.on.kind === "event") this.#open(change.taskId, change.key, change.on);
        return;
      case "task.signalled":
      case "task.timedout":
        if (this.waits > 0) this.#close(change.taskId, change.key);
        return;
      case "task.cancelled":
        this.#closeAll(change.taskId);
        return;
      case "task.succeeded":
      case "task.failed":
        this.#closeAll(change.taskId);
    }
    for (const dead of this.#kin) {
      if (!fold.isDeadLetter(dead.taskId)) removeDeadLetter(this.#tx, this.#tenant, fold.summary(), dead);
    }
    const task = this.#task;
    if (!task) return;
    const attempt = endedAttempt(this.#tenant, task, change);
    if (attempt) this.#ended.push(attempt);
    const isDead = fold.isDeadLetter(task.taskId);
    if (isDead === this.#wasDead) return;
    const now = fold.task(task.taskId);
    if (!isDead) removeDeadLetter(this.#tx, this.#tenant, fold.summary(), task);
    else if (now) addDeadLetter(this.#tx, this.#tenant, fold.summary(), now);
  }

  /** The waits of tasks that ended with another one. */
  closeEnded(fold: PlanFold): void {
    for (const { key } of Array.from(this.#tx.range({ prefix: ["planw", this.#tenant, this.#planId] }))) {
      const taskId = String(key[3]);
      if (isTerminal(fold.task(taskId)?.status ?? "failed")) this.#close(taskId, String(key[4]));
    }
  }

  planEnded(): void {
    if (this.waits > 0) this.#closeRange(["planw", this.#tenant, this.#planId]);
  }

  #open(taskId: string, key: string, on: Extract<WaitSpec, { kind: "event" }>): void {
    const { kind: _kind, ...wanted } = on;
    const { pattern, topic = null, where } = wanted;
    const stored: StoredWait = where === undefined ? [pattern, topic] : [pattern, topic, where];
    this.#tx.put(["planw", this.#tenant, this.#planId, taskId, key], stored);
    this.waits++;
    this.opened.push({ tenant: this.#tenant, planId: this.#planId, taskId, key, ...wanted });
  }

  #close(taskId: string, key: string): void {
    const at = ["planw", this.#tenant, this.#planId, taskId, key];
    if (this.#tx.get(at) === undefined) return;
    this.#tx.delete(at);
    this.waits--;
    const begun = this.opened.findIndex((wait) => wait.taskId === taskId && wait.key === key);
    // One that began and ended at once never was.
    if (begun >= 0) this.opened.splice(begun, 1);
    else this.closed.push({ taskId, key });
  }

  #closeAll(taskId: string): void {
    if (this.waits > 0) this.#closeRange(["planw", this.#tenant, this.#planId, taskId]);
  }

  #closeRange(prefix: readonly string[]): void {
    const open = Array.from(this.#tx.range({ prefix }), ({ key }) => ({ taskId: String(key[3]), key: String(key[4]) }));
    for (const { taskId, key } of open) this.#close(taskId, key);
  }
}

export function planNotFound(planId: string): SoormaError {
  return new SoormaError("PLAN_NOT_FOUND", `there is no plan ${planId}`, {
    hint: "Check the id and the tenant; `soorma plans list` shows what there is.",
    details: { planId },
  });
}
