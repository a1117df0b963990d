import { SoormaError } from "../src/errors.ts";
import type { DispatchOptions, TaskAssignment, TaskDispatcher } from "../src/plans/dispatcher.ts";
import { type Runtime, sleep } from "../src/runtime.ts";

/** What an imagined agent does with an attempt. */
export type ScriptedTask = (assignment: TaskAssignment, options: DispatchOptions) => unknown;

export interface Dispatched {
  readonly assignment: TaskAssignment;
  /** Milliseconds of the runtime's wall clock. */
  readonly beganAtMs: number;
  endedAtMs?: number;
  /** The reason, if the attempt was aborted before it ended. */
  aborted?: unknown;
}

export interface ScriptedDispatcher extends TaskDispatcher {
  /** Every attempt so far, in order. */
  readonly calls: readonly Dispatched[];
  callsOf(name: string): Dispatched[];
  /** The most attempts that were under way at one time. */
  readonly peak: number;
}

/**
 * A dispatcher without agents: runs the script of a task's name, else of its `assignedTo`, after `latencyMs`.
 *
 * @param options.latencyMs - Of each attempt before its script runs. Default 10.
 */
export function scriptedDispatcher(
  runtime: Runtime,
  scripts: Readonly<Record<string, ScriptedTask>>,
  options: { latencyMs?: number | (() => number) } = {},
): ScriptedDispatcher {
  const { latencyMs = 10 } = options;
  const calls: Dispatched[] = [];
  let active = 0;
  let peak = 0;
  return {
    calls,
    callsOf: (name) => calls.filter(({ assignment }) => assignment.name === name),
    get peak() {
      return peak;
    },
    async dispatch(assignment, dispatchOptions) {
      const call: Dispatched = { assignment, beganAtMs: runtime.now() };
      calls.push(call);
      const { signal } = dispatchOptions;
      signal.addEventListener("abort", () => {
        if (call.endedAtMs === undefined) call.aborted = signal.reason;
      });
      peak = Math.max(peak, ++active);
      try {
        dispatchOptions.onAssigned(`${assignment.assignedTo}-1`, assignment.assignedTo);
        await sleep(runtime, typeof latencyMs === "number" ? latencyMs : latencyMs(), signal);
        const script = scripts[assignment.name] ?? scripts[assignment.assignedTo];
        if (!script) throw new SoormaError("TASK_UNASSIGNABLE", `no agent takes "${assignment.assignedTo}"`);
        return await script(assignment, dispatchOptions);
      } finally {
        call.endedAtMs = runtime.now();
        active--;
      }
    },
  };
}
