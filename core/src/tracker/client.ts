import { isSoormaError } from "../errors.ts";
import type { MemoryClientOptions } from "../memory/client.ts";
import type { PlanEntry, PlanLog, PlanSummary } from "../plans/log.ts";
import { createStateCalls } from "../state-calls.ts";
import type { DeadLetter, PlanQueries, TaskSummary, Tracker } from "./contract.ts";
import { createDriverClient } from "./driver-client.ts";
import { allPages } from "./local-log.ts";
import type { QueryPage } from "./plan-queries.ts";
import {
  type EndAnswer,
  type EntriesNote,
  type EntriesPage,
  type PlanEnd,
  trackerMethods,
  trackerNotes,
  watchLeaseMs,
} from "./protocol.ts";
import { createTracker } from "./tracker.ts";

export type TrackerClientOptions = MemoryClientOptions;

export interface TrackerClient extends Tracker, Disposable {
  /** The log for someone whose entries shall bear their name. What the tracker itself appends bears the node's id. */
  logOf(by: string): PlanLog;
  /**
   * Waits for the end of a plan, whatever outages there are meanwhile.
   *
   * @throws {SoormaError} `PLAN_NOT_FOUND`; the signal's reason.
   */
  end(planId: string, options?: { readonly signal?: AbortSignal }): Promise<PlanEnd>;
}

/** Milliseconds until the end of a plan is asked for again; the state node answers before. */
const endAttemptMs = 10_000;

interface Watch {
  /** Notes that came and were not looked at. */
  readonly notes: EntriesNote[];
  /** The state node is another one now, or again there: it knows nothing of this watch. */
  stale: boolean;
  wake: () => void;
}

/**
 * The tracker as it is on whichever node of the mesh keeps the state now. Disposing stops taking in watched entries.
 *
 * One a node: it takes the node's notes of plan entries.
 */
export function createTrackerClient(options: TrackerClientOptions): TrackerClient {
  const { caller, runtime, tenant, userId, nextId } = options;
  const call = createStateCalls(options);
  const identity = { tenant, ...(userId === undefined ? {} : { user: userId }) };
  const watches = new Map<string, Watch>();
  const drivers = createDriverClient({ ...options, identity });

  const notes = caller.onNote(trackerNotes.entries, (params) => {
    if (!isEntriesNote(params)) return;
    const watch = watches.get(params.watchId);
    watch?.notes.push(params);
    watch?.wake();
  });
  const reconnects = caller.onReconnect(() => {
    for (const watch of watches.values()) {
      watch.stale = true;
      watch.wake();
    }
  });

  /** Ends when a note came, the state node changed, the watch must be renewed, the node stopped, or the caller gave up. */
  const event = (watch: Watch, signal: AbortSignal | undefined): Promise<void> =>
    new Promise((resolve) => {
      const askAgain = (): void => {
        watch.stale = true;
        done();
      };
      const timer = runtime.setTimer(askAgain, watchLeaseMs / 3, { background: true });
      const done = (): void => {
        timer.cancel();
        signal?.removeEventListener("abort", done);
        caller.closed.removeEventListener("abort", askAgain);
        watch.wake = () => {};
        resolve();
      };
      watch.wake = done;
      signal?.addEventListener("abort", done, { once: true });
      // Asking then says so.
      caller.closed.addEventListener("abort", askAgain, { once: true });
      if (caller.closed.aborted) askAgain();
      else if (watch.notes.length > 0 || watch.stale || signal?.aborted) done();
    });

  async function* follow(
    planId: string,
    { afterVersion = 0, signal }: { afterVersion?: number; signal?: AbortSignal } = {},
  ): AsyncGenerator<PlanEntry, void, undefined> {
    const watchId = nextId();
    const watch: Watch = { notes: [], stale: true, wake: () => {} };
    watches.set(watchId, watch);
    let seen = afterVersion;
    let known = false;
    try {
      while (!signal?.aborted) {
        const note = watch.notes.shift();
        const first = note?.items[0]?.version;
        let page: EntriesPage | undefined = note;
        // What a note leaves out, or a lost note held, is fetched. So is everything when the state node is a new one.
        if (watch.stale || (note && (first === undefined || first > seen + 1) && note.version > seen)) {
          watch.stale = false;
          try {
            const params = { ...identity, planId, watchId, afterVersion: seen };
            page = await call<EntriesPage>(trackerMethods.watch, params, `watch plan ${planId}`, signal);
            known = true;
          } catch (error) {
            // A watch that began outlives any outage; it ends with its signal.
            if (signal?.aborted) return;
            if (!known || !isSoormaError(error, "STORE_UNAVAILABLE")) throw error;
            watch.stale = true;
            continue;
          }
        }
        if (!page) {
          await event(watch, signal);
          continue;
        }
        for (const entry of page.items) {
          if (entry.version !== seen + 1) continue;
          seen = entry.version;
          yield entry;
          if (signal?.aborted) return;
        }
        if (seen < page.version && watch.notes.length === 0) watch.stale = true;
        else if (page.ended && seen >= page.version) return;
      }
    } finally {
      watches.delete(watchId);
      // It would run out by itself; nobody waits for this.
      caller.call(trackerMethods.unwatch, { ...identity, watchId }, { timeoutMs: 1_000 }).catch(() => {});
    }
  }

  const appendBy = (by?: string): Pick<PlanLog, "append" | "record"> => {
    const author = by === undefined ? identity : { ...identity, by };
    return {
      append: (planId, expectedVersion, changes, { operationId = nextId(), epoch } = {}) =>
        call(
          trackerMethods.append,
          { ...author, planId, expectedVersion, changes, operationId, ...(epoch === undefined ? {} : { epoch }) },
          `append ${changes[0]?.type ?? "nothing"} to plan ${planId}`,
        ),
      record: (planId, change, { operationId = nextId() } = {}) =>
        call(
          trackerMethods.record,
          { ...author, planId, change, operationId },
          `record ${change.type} of plan ${planId}`,
        ),
    };
  };

  const logOf = (by?: string): PlanLog => ({
    ...appendBy(by),
    ...drivers.methods,
    journal: (planId, taskId) =>
      call(trackerMethods.journal, { ...identity, planId, taskId }, `read the journal of task ${taskId}`),
    async read(planId, { afterVersion = 0 } = {}) {
      const entries: PlanEntry[] = [];
      for (let after = afterVersion; ; ) {
        const params = { ...identity, planId, afterVersion: after };
        const page = await call<EntriesPage>(trackerMethods.read, params, `read plan ${planId}`);
        entries.push(...page.items);
        after = page.items.at(-1)?.version ?? page.version;
        if (after >= page.version) return entries;
      }
    },
    watch: follow,
    list: (query = {}) => pages<PlanSummary>(trackerMethods.list, query, "list plans"),
  });

  const pages = <T>(method: string, query: { readonly limit?: number }, what: string): Promise<T[]> =>
    allPages(query.limit, (limit, after: unknown) =>
      call<QueryPage<T, unknown>>(
        method,
        // A page is at most this long; the next one follows by itself.
        { ...identity, ...query, limit: Math.min(limit, 10_000), ...(after === undefined ? {} : { after }) },
        what,
      ),
    );

  const callLong = createStateCalls({ ...options, attemptMs: endAttemptMs });
  const end: TrackerClient["end"] = async (planId, { signal } = {}) => {
    for (;;) {
      try {
        const what = `wait for the end of plan ${planId}`;
        const answer = await callLong<EndAnswer>(trackerMethods.end, { ...identity, planId }, what, signal);
        if (!("pending" in answer)) return answer;
      } catch (error) {
        signal?.throwIfAborted();
        if (!isSoormaError(error, "STORE_UNAVAILABLE")) throw error;
      }
    }
  };

  const queries: PlanQueries = {
    listTasks: (query = {}) => pages<TaskSummary>(trackerMethods.tasks, query, "list tasks"),
    metrics: (query = {}) => call(trackerMethods.metrics, { ...identity, ...query }, "read the agents' metrics"),
    deadLetters: (query = {}) => pages<DeadLetter>(trackerMethods.deadLetters, query, "list dead letters"),
  };

  return {
    ...createTracker({ log: logOf(), queries, tenant, nextId, ...(userId === undefined ? {} : { userId }) }),
    logOf,
    end,
    [Symbol.dispose]() {
      notes[Symbol.dispose]();
      reconnects[Symbol.dispose]();
      drivers[Symbol.dispose]();
    },
  };
}

function isEntriesNote(params: unknown): params is EntriesNote {
  if (typeof params !== "object" || params === null) return false;
  const { watchId, items, version, ended } = params as Record<string, unknown>;
  return (
    typeof watchId === "string" && Array.isArray(items) && typeof version === "number" && typeof ended === "boolean"
  );
}
