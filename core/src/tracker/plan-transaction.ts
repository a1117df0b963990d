import { SoormaError } from "../errors.ts";
import type { PlanChange, PlanEntry, TaskState, WaitSpec } from "../plans/log.ts";
import { isTerminal, type PlanFold } from "../plans/reducer.ts";
import { roughBytes } from "../rough-size.ts";
import type { StoreTransaction } from "../store/store.ts";
import { countAttempt } from "./agent-metrics.ts";
import { solidVersionAfter } from "./append-rules.ts";
import { addDeadLetter, removeDeadLetter } from "./dead-letters.ts";
import type { FoldCache, PlanMemo } from "./fold-cache.ts";
import { isDriven } from "./open-plans.ts";
import { type Head, planKey, readHead, writeBatch, writeHead } from "./plan-records.ts";
import type { EntriesPage } from "./protocol.ts";

/** What was appended to a plan, once it is on disk. */
export interface Appended extends EntriesPage {
  readonly tenant: string;
  readonly planId: string;
  readonly head: Head;
  /** A driver that should hear of it: it is not the one who appended. */
  readonly tell?: string;
  /** Waits for events that began, and those that are over. */
  readonly opened: readonly EventWait[];
  readonly closed: readonly Pick<EventWait, "taskId" | "key">[];
}

/** A task waits for an event. */
export interface EventWait {
  readonly tenant: string;
  readonly planId: string;
  readonly taskId: string;
  readonly key: string;
  readonly pattern: string;
  readonly topic?: string;
}

export interface WriteOptions {
  /** Who appends: agent or node id. */
  readonly by: string;
  readonly operationId?: string | undefined;
  /** Nothing is written unless every change is legal. Default: what is illegal is written and changes nothing. */
  readonly onlyLegal?: boolean;
}

/** What others did and a driver need not act upon. It meets it when it next reads. */
const quiet: ReadonlySet<PlanChange["type"]> = new Set<PlanChange["type"]>([
  "task.stepped",
  "task.waiting",
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
  readonly #touched = new Set<string>();

  constructor(tx: StoreTransaction, folds: FoldCache, nowMs: number) {
    this.tx = tx;
    this.#folds = folds;
    this.#nowMs = nowMs;
  }

  head(tenant: string, planId: string): Head | undefined {
    return readHead(this.tx, tenant, planId);
  }

  memo(tenant: string, planId: string, head: Head | undefined): PlanMemo {
    return this.#folds.get(this.tx, tenant, planId, head?.summary.version ?? 0);
  }

  /** Nothing is written after all: the folds that took it in are read anew when they are needed. */
  abandon(): void {
    for (const key of this.#touched) this.#folds.drop(key);
  }

  /**
   * Appends to a plan, and cancels its open sub-plans if that ends it as failed or cancelled.
   *
   * @returns the plan's head from now on; undefined, with nothing written, if `onlyLegal` and something is not legal.
   */
  write(
    tenant: string,
    planId: string,
    before: Head | undefined,
    memo: PlanMemo,
    changes: readonly PlanChange[],
    options: WriteOptions,
  ): Head | undefined {
    const after = this.#writeOne(tenant, planId, before, memo, changes, options);
    if (!after) return undefined;
    if (!before) this.#cancelIfParentEnded(tenant, after, options);
    if (isOver(after) && !(before && isOver(before))) this.#cancelSubPlans(tenant, after, options);
    return after;
  }

  #writeOne(
    tenant: string,
    planId: string,
    before: Head | undefined,
    memo: PlanMemo,
    changes: readonly PlanChange[],
    { by, operationId, onlyLegal = false }: WriteOptions,
  ): Head | undefined {
    const { fold } = memo;
    this.#touched.add(memo.key);
    // A wall clock may jump back; within a log time does not.
    const timeMs = Math.max(this.#nowMs, before?.summary.updatedAtMs ?? 0);
    const { driver } = fold;
    const derived = new Derived(this.tx, tenant, planId, before?.waits ?? 0);
    const entries: PlanEntry[] = [];
    for (const change of changes) {
      const entry: PlanEntry = { ...change, version: fold.version + 1, timeMs, by };
      derived.look(fold, change);
      const isLegal = onlyLegal ? fold.propose(change, timeMs) : fold.apply(entry);
      if (onlyLegal && !isLegal) {
        // What was taken in of the changes before it is not in the log.
        if (entries.length > 0) this.#folds.drop(memo.key);
        return undefined;
      }
      if (isLegal) derived.took(fold, change);
      entries.push(entry);
    }
    const bytes = roughBytes(changes);
    this.#folds.grew(memo, bytes, entries.length);
    if (operationId !== undefined) memo.operations.add(operationId, fold.version, timeMs);
    writeBatch(this.tx, tenant, planId, entries, changes, operationId);
    const summary = fold.summary();
    const ended = isTerminal(summary.status);
    if (ended) derived.planEnded();
    const isForeign = driver !== undefined && by !== driver;
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
    writeHead(this.tx, tenant, head);
    this.#index(tenant, before, head);
    this.appended.push({
      tenant,
      planId,
      items: entries,
      version: summary.version,
      ended,
      head,
      ...(isLoud ? { tell: driver } : {}),
      opened: derived.opened,
      closed: derived.closed,
    });
    return head;
  }

  #index(tenant: string, before: Head | undefined, head: Head): void {
    const { planId, status, createdAtMs, parentPlanId } = head.summary;
    if (!before) {
      this.tx.put(planKey.byTime(tenant, createdAtMs, planId), 0);
      if (parentPlanId !== undefined) this.tx.put(planKey.byParent(tenant, parentPlanId, createdAtMs, planId), 0);
    }
    if (before?.summary.status !== status) {
      if (before) this.tx.delete(planKey.byStatus(tenant, before.summary.status, createdAtMs, planId));
      this.tx.put(planKey.byStatus(tenant, status, createdAtMs, planId), 0);
    }
    const wasDriven = before !== undefined && isDriven(before);
    if (isDriven(head) === wasDriven) return;
    if (wasDriven) this.tx.delete(planKey.open(tenant, createdAtMs, planId));
    else this.tx.put(planKey.open(tenant, createdAtMs, planId), 0);
  }

  #cancelSubPlans(tenant: string, ended: Head, { by }: WriteOptions): void {
    const parents = [ended];
    for (let parent = parents.pop(); parent; parent = parents.pop()) {
      const { planId, status } = parent.summary;
      const how = isTerminal(status) ? status : "ended";
      const children = Array.from(this.tx.range({ prefix: ["planp", tenant, planId] }), ({ key }) => String(key[4]));
      for (const childId of children) {
        const child = this.head(tenant, childId);
        if (!child || isOver(child) || isTerminal(child.summary.status)) continue;
        const cancelled = this.#cancel(tenant, child, `its parent plan ${planId} ${how}`, by);
        if (cancelled) parents.push(cancelled);
      }
    }
  }

  /** The parent may have ended while the sub-plan was on its way. */
  #cancelIfParentEnded(tenant: string, child: Head, { by }: WriteOptions): void {
    const { parentPlanId } = child.summary;
    if (parentPlanId === undefined || isTerminal(child.summary.status)) return;
    const parent = this.head(tenant, parentPlanId);
    if (!parent || !isOver(parent)) return;
    if (parent.ending) {
      // What takes a plan back may have plans of its own; those of its cancelled tasks may not begin.
      const { parentTaskId } = this.memo(tenant, child.summary.planId, child).fold.origin;
      const task =
        parentTaskId === undefined ? undefined : this.memo(tenant, parentPlanId, parent).fold.task(parentTaskId);
      if (!task || !isTerminal(task.status)) return;
    }
    this.#cancel(tenant, child, `its parent plan ${parentPlanId} had ended`, by);
  }

  #cancel(tenant: string, plan: Head, reason: string, by: string): Head | undefined {
    const { planId } = plan.summary;
    const changes: PlanChange[] = [{ type: "plan.cancelled", reason }];
    return this.#writeOne(tenant, planId, plan, this.memo(tenant, planId, plan), changes, { by, onlyLegal: true });
  }
}

/** Failed or cancelled, or going to be once everything is taken back. */
function isOver({ summary, ending }: Head): boolean {
  return ending || summary.status === "failed" || summary.status === "cancelled";
}

/** What follows from changes beside the log: metrics, dead letters, and who waits for events. */
class Derived {
  readonly opened: EventWait[] = [];
  readonly closed: { readonly taskId: string; readonly key: string }[] = [];
  waits: number;
  readonly #tx: StoreTransaction;
  readonly #tenant: string;
  readonly #planId: string;
  /** The task before the change that is looked at. */
  #task: TaskState | undefined;
  #wasDead = false;

  constructor(tx: StoreTransaction, tenant: string, planId: string, waits: number) {
    this.#tx = tx;
    this.#tenant = tenant;
    this.#planId = planId;
    this.waits = waits;
  }

  /** To be called before the fold takes the change. */
  look(fold: PlanFold, change: PlanChange): void {
    this.#task = undefined;
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
        if (this.waits > 0) this.#close(change.taskId, change.key);
        return;
      case "task.cancelled":
        this.#closeAll(change.taskId);
        return;
      case "task.succeeded":
      case "task.failed":
        this.#closeAll(change.taskId);
    }
    const task = this.#task;
    if (!task) return;
    countAttempt(this.#tx, this.#tenant, task, change);
    const isDead = fold.isDeadLetter(task.taskId);
    if (isDead === this.#wasDead) return;
    const now = fold.task(task.taskId);
    if (!isDead) removeDeadLetter(this.#tx, this.#tenant, fold.summary(), task);
    else if (now) addDeadLetter(this.#tx, this.#tenant, fold.summary(), now);
  }

  planEnded(): void {
    if (this.waits > 0) this.#closeRange(["planw", this.#tenant, this.#planId]);
  }

  #open(taskId: string, key: string, on: Extract<WaitSpec, { kind: "event" }>): void {
    const { pattern, topic } = on;
    this.#tx.put(
      ["planw", this.#tenant, this.#planId, taskId, key],
      topic === undefined ? [pattern] : [pattern, topic],
    );
    this.waits++;
    this.opened.push({
      tenant: this.#tenant,
      planId: this.#planId,
      taskId,
      key,
      pattern,
      ...(topic === undefined ? {} : { topic }),
    });
  }

  #close(taskId: string, key: string): void {
    const at = ["planw", this.#tenant, this.#planId, taskId, key];
    if (this.#tx.get(at) === undefined) return;
    this.#tx.delete(at);
    this.waits--;
    this.closed.push({ taskId, key });
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
