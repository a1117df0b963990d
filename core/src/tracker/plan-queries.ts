import type { PlanQuery, PlanSummary, Status, TaskState } from "../plans/log.ts";
import { isTerminal } from "../plans/reducer.ts";
import type { Entry, Key, StoreReader, StoreTransaction } from "../store/store.ts";
import type { FoldCache } from "./fold-cache.ts";
import { readHead } from "./plan-records.ts";

/** A line of a list of tasks: a task without its data, its result and its journal. */
export interface TaskSummary
  extends Pick<
    TaskState,
    | "taskId"
    | "name"
    | "assignedTo"
    | "goal"
    | "parentTaskId"
    | "status"
    | "attempt"
    | "failures"
    | "agentId"
    | "agentName"
    | "fraction"
    | "message"
    | "failure"
    | "retryAtMs"
    | "durationMs"
    | "startedAtMs"
    | "endedAtMs"
  > {
  readonly planId: string;
  readonly goalType: string;
  readonly planner: string;
}

export interface TaskQuery {
  readonly planId?: string;
  readonly status?: Status;
  /** Name of the agent that does or did it. */
  readonly agentName?: string;
  readonly assignedTo?: string;
  /** The plan's goal and planner. */
  readonly goalType?: string;
  readonly planner?: string;
  /** Plan created at this time or later. */
  readonly sinceMs?: number;
  /** Plan created before this time. */
  readonly untilMs?: number;
  /** Tasks of the newest plans first, in their order within a plan. Default 100. */
  readonly limit?: number;
}

/** Where a page ended; the next one begins behind it. */
export type PlanCursor = readonly [createdAtMs: number, planId: string];
/** Likewise, with how many of the plan's tasks were looked at; all of them if that is left out. */
export type TaskCursor = readonly [createdAtMs: number, planId: string, tasks?: number];

export interface QueryPage<T, Cursor> {
  readonly items: readonly T[];
  /** There may be more. */
  readonly next?: Cursor;
}

export const defaultLimit = 100;
/** What is looked at for one page: a question that nothing fits must not keep the state node from its work. */
const plansScannedAtOnce = 1_000;
const tasksScannedAtOnce = 5_000;
const plansFoldedAtOnce = 100;

/** A page of plans, newest first. */
export function readPlans(
  reader: StoreReader,
  tenant: string,
  query: PlanQuery,
  after?: PlanCursor,
): QueryPage<PlanSummary, PlanCursor> {
  const { status, goalType, planner, parentPlanId, limit = defaultLimit } = query;
  const items: PlanSummary[] = [];
  if (limit <= 0) return { items };
  let scanned = 0;
  for (const [createdAtMs, planId] of newestFirst(reader, tenant, query, after)) {
    const summary = readHead(reader, tenant, planId)?.summary;
    const isWanted =
      summary &&
      (status === undefined || summary.status === status) &&
      (goalType === undefined || summary.goalType === goalType) &&
      (planner === undefined || summary.planner === planner) &&
      (parentPlanId === undefined || summary.parentPlanId === parentPlanId);
    if (isWanted) items.push(summary);
    if (items.length >= limit) return { items };
    if (++scanned >= plansScannedAtOnce) return { items, next: [createdAtMs, planId] };
  }
  return { items };
}

/** A page of tasks, those of the newest plan first. */
export function readTasks(
  tx: StoreTransaction,
  folds: FoldCache,
  tenant: string,
  query: TaskQuery,
  after?: TaskCursor,
): QueryPage<TaskSummary, TaskCursor> {
  const { status, limit = defaultLimit } = query;
  const items: TaskSummary[] = [];
  if (limit <= 0) return { items };
  // A task of an ended plan has ended.
  const isOpen = status !== undefined && !isTerminal(status);
  let scanned = 0;
  let folded = 0;
  for (const [createdAtMs, planId] of plansOf(tx, tenant, query, after)) {
    const summary = readHead(tx, tenant, planId)?.summary;
    const isWanted =
      summary &&
      !(isOpen && isTerminal(summary.status)) &&
      (query.goalType === undefined || summary.goalType === query.goalType) &&
      (query.planner === undefined || summary.planner === query.planner);
    if (isWanted) {
      const { tasks } = folds.peek(tx, tenant, planId).state();
      let at = after?.[1] === planId ? (after[2] ?? tasks.length) : 0;
      for (; at < tasks.length; at++) {
        const task = tasks[at];
        if (task && isWantedTask(task, query)) items.push(toSummary(task, summary));
        if (items.length >= limit) return { items };
        if (++scanned >= tasksScannedAtOnce) return { items, next: [createdAtMs, planId, at + 1] };
      }
      folded++;
    }
    if (++scanned >= tasksScannedAtOnce || folded >= plansFoldedAtOnce) return { items, next: [createdAtMs, planId] };
  }
  return { items };
}

function* plansOf(reader: StoreReader, tenant: string, query: TaskQuery, after?: TaskCursor): Generator<PlanCursor> {
  if (query.planId !== undefined) {
    const createdAtMs = readHead(reader, tenant, query.planId)?.summary.createdAtMs;
    if (createdAtMs !== undefined && (!after || after[2] !== undefined)) yield [createdAtMs, query.planId];
    return;
  }
  const { sinceMs, untilMs } = query;
  const times = { ...(sinceMs === undefined ? {} : { sinceMs }), ...(untilMs === undefined ? {} : { untilMs }) };
  // The plan that the last page ended within goes on.
  if (after?.[2] !== undefined) yield [after[0], after[1]];
  yield* newestFirst(reader, tenant, times, after && [after[0], after[1]]);
}

/** Plans behind `after`, of which those with another status have to be passed over. */
function* newestFirst(
  reader: StoreReader,
  tenant: string,
  { status, parentPlanId, sinceMs, untilMs }: PlanQuery,
  after: PlanCursor | undefined,
): Generator<PlanCursor> {
  const from = after ?? (untilMs === undefined ? undefined : [untilMs]);
  const prefixes: Key[] = [];
  if (parentPlanId !== undefined) prefixes.push(["planp", tenant, parentPlanId]);
  else {
    // An ended plan that is not answered yet is still among the open ones.
    prefixes.push(["plano", tenant]);
    for (const end of ends) if (status === undefined || status === end) prefixes.push(["planst", tenant, end]);
  }
  const ranges = prefixes.map((prefix) => {
    const range = reader.range({
      prefix,
      reverse: true,
      ...(from ? { from } : {}),
      ...(sinceMs === undefined ? {} : { to: [sinceMs] }),
    });
    return cursors(range, after);
  });
  yield* merged(ranges);
}

const ends = ["completed", "failed", "cancelled"] as const;

function* cursors(range: Iterable<Entry>, after: PlanCursor | undefined): Generator<PlanCursor, undefined> {
  for (const { key } of range) {
    const cursor: PlanCursor = [Number(key.at(-2)), String(key.at(-1))];
    if (!after || isNewer(after, cursor)) yield cursor;
  }
}

/** All of them together, newest first. */
function* merged(sources: readonly Generator<PlanCursor, undefined>[]): Generator<PlanCursor> {
  const queues = sources.map((source) => ({ source, step: source.next() }));
  try {
    for (;;) {
      let newest: PlanCursor | undefined;
      let at: (typeof queues)[number] | undefined;
      for (const queue of queues) {
        if (queue.step.done || (newest && !isNewer(queue.step.value, newest))) continue;
        newest = queue.step.value;
        at = queue;
      }
      if (!newest || !at) return;
      yield newest;
      at.step = at.source.next();
    }
  } finally {
    for (const { source } of queues) source.return(undefined);
  }
}

/** Whether `a` comes before `b`. Ids are compared as keys are: by their bytes. */
function isNewer(a: PlanCursor, b: PlanCursor): boolean {
  return a[0] === b[0] ? Buffer.compare(Buffer.from(a[1]), Buffer.from(b[1])) > 0 : a[0] > b[0];
}

function isWantedTask(task: TaskState, { status, agentName, assignedTo }: TaskQuery): boolean {
  return (
    (status === undefined || task.status === status) &&
    (agentName === undefined || task.agentName === agentName) &&
    (assignedTo === undefined || task.assignedTo === assignedTo)
  );
}

function toSummary(task: TaskState, { planId, goalType, planner }: PlanSummary): TaskSummary {
  const { data: _data, result: _result, steps: _steps, waits: _waits, item: _item, undo: _undo, ...rest } = task;
  const { dependsOn: _on, forEach: _each, templated: _text, retry: _retry, wait: _wait, ...line } = rest;
  return { ...line, planId, goalType, planner };
}
