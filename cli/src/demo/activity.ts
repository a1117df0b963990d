import type { PlanEntry, PlannedTask } from "@soorma/core";
import { kinds } from "./names.ts";

/** What one running instance of an agent has done and is doing. */
interface InstanceActivity {
  readonly agentId: string;
  readonly done: number;
  /** Milliseconds during which it had at least one task. */
  readonly busyMs: number;
  /** What it does now, the latest news last. */
  readonly now: readonly string[];
  /** What it did last. */
  readonly last: string | undefined;
}

interface PhaseTimes {
  readonly planningMs: number;
  readonly indexingMs: number;
  readonly searchingMs: number;
  readonly answeringMs: number;
}

interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

interface Running {
  readonly taskId: string;
  readonly sinceMs: number;
  message: string;
}

interface Instance {
  done: number;
  last: string | undefined;
  readonly spans: Span[];
  readonly running: Map<string, Running>;
}

/** Who does what and when, out of a plan's log. */
export interface Activity {
  apply(entry: PlanEntry): void;
  readonly instances: readonly InstanceActivity[];
  readonly taskCount: number;
  readonly doneCount: number;
  readonly retries: number;
  phases(): PhaseTimes;
}

export function createActivity(): Activity {
  const tasks = new Map<string, PlannedTask>();
  const instances = new Map<string, Instance>();
  const holders = new Map<string, string>();
  /** First dispatch and last end of the tasks of one kind. */
  const phases = new Map<string, { fromMs: number; toMs: number }>();
  let createdMs = 0;
  let startedMs = 0;
  let done = 0;
  let retries = 0;

  const instanceOf = (agentId: string): Instance => {
    const known = instances.get(agentId) ?? {
      done: 0,
      last: undefined,
      spans: [],
      running: new Map<string, Running>(),
    };
    instances.set(agentId, known);
    return known;
  };
  const touch = (taskId: string, timeMs: number): void => {
    const kind = tasks.get(taskId)?.assignedTo ?? "";
    const phase = phases.get(kind);
    if (phase) phase.toMs = timeMs;
    else phases.set(kind, { fromMs: timeMs, toMs: timeMs });
  };
  /** The task is with nobody any more. */
  const leave = (taskId: string, timeMs: number, { isDone = false, durationMs = 0 } = {}): void => {
    const holder = holders.get(taskId);
    if (holder === undefined) return;
    holders.delete(taskId);
    const instance = instanceOf(holder);
    const running = instance.running.get(taskId);
    // A short task's assignment is logged together with its end, and tells nothing of when it began.
    if (running) instance.spans.push({ fromMs: Math.min(running.sinceMs, timeMs - durationMs), toMs: timeMs });
    instance.running.delete(taskId);
    if (!isDone) return;
    instance.done++;
    instance.last = running?.message;
  };

  return {
    apply(entry) {
      const { timeMs } = entry;
      switch (entry.type) {
        case "plan.created":
          createdMs = timeMs;
          break;
        case "plan.started":
          startedMs = timeMs;
          for (const task of entry.tasks) tasks.set(task.taskId, task);
          break;
        case "task.dispatched":
          touch(entry.taskId, timeMs);
          // What was dispatched before its planner died is dispatched again.
          leave(entry.taskId, timeMs);
          break;
        case "task.assigned": {
          leave(entry.taskId, timeMs);
          holders.set(entry.taskId, entry.agentId);
          const message = tasks.get(entry.taskId)?.name ?? "";
          instanceOf(entry.agentId).running.set(entry.taskId, { taskId: entry.taskId, sinceMs: timeMs, message });
          break;
        }
        case "task.progress": {
          const running = instances.get(holders.get(entry.taskId) ?? "")?.running.get(entry.taskId);
          if (running && entry.message !== undefined) running.message = entry.message;
          break;
        }
        case "task.succeeded":
          touch(entry.taskId, timeMs);
          leave(entry.taskId, timeMs, { isDone: true, ...timed(entry) });
          done++;
          break;
        case "task.retried":
          retries++;
          leave(entry.taskId, timeMs, timed(entry));
          break;
        case "task.failed":
        case "task.cancelled":
          touch(entry.taskId, timeMs);
          leave(entry.taskId, timeMs);
          break;
        default:
      }
    },
    get instances() {
      return [...instances].map(([agentId, instance]) => ({
        agentId,
        done: instance.done,
        get busyMs() {
          return covered(instance.spans);
        },
        now: [...instance.running.values()].map(({ message }) => message),
        last: instance.last,
      }));
    },
    get taskCount() {
      return tasks.size;
    },
    get doneCount() {
      return done;
    },
    get retries() {
      return retries;
    },
    phases() {
      const lasted = (kind: string): number => {
        const phase = phases.get(kind);
        return phase ? phase.toMs - phase.fromMs : 0;
      };
      return {
        planningMs: Math.max(0, startedMs - createdMs),
        indexingMs: lasted(kinds.indexing),
        searchingMs: lasted(kinds.searching),
        answeringMs: lasted(kinds.answering),
      };
    },
  };
}

function timed({ durationMs }: { readonly durationMs?: number }): { readonly durationMs?: number } {
  return durationMs === undefined ? {} : { durationMs };
}

/** The time that spans cover together; what two of them share counts once. */
function covered(spans: readonly Span[]): number {
  let total = 0;
  let end = Number.NEGATIVE_INFINITY;
  for (const { fromMs, toMs } of spans.toSorted((a, b) => a.fromMs - b.fromMs)) {
    total += Math.max(0, toMs - Math.max(fromMs, end));
    end = Math.max(end, toMs);
  }
  return total;
}
