import { SoormaError } from "../src/errors.ts";
import { type DispatchOptions, isHandOver, type TaskAssignment, type TaskDispatcher } from "../src/plans/dispatcher.ts";
import { type Runtime, sleep } from "../src/runtime.ts";

/** What an imagined agent does with an attempt. */
export type ScriptedTask = (
  assignment: TaskAssignment,
  options: Omit<DispatchOptions, "abortedWith" | "whenAborted">,
) => unknown;

export interface Dispatched {
  readonly assignment: TaskAssignment;
  /** Milliseconds of the runtime's wall clock. */
  readonly beganAtMs: number;
  endedAtMs?: number;
  /** The reason, if the attempt was aborted before it ended. */
  aborted?: unknown;
}

export interface ScriptedDispatcher extends TaskDispatcher {
  /** Every attempt that was begun, in order; not those that were only found again. */
  readonly calls: readonly Dispatched[];
  callsOf(name: string): Dispatched[];
  /** What was asked for with `resume`. */
  readonly resumed: readonly TaskAssignment[];
  /** The most attempts that were under way at one time. */
  readonly peak: number;
  /** All agents are gone: attempts under way are aborted, and nobody has those that an engine asks for again. */
  forget(): void;
}

export interface ScriptedDispatcherOptions {
  /** Milliseconds of each attempt before its script runs. Default 10. */
  readonly latencyMs?: number | (() => number);
}

/** An attempt at its agent. It outlives the engine that began it. */
interface Job {
  readonly call: Dispatched;
  readonly controller: AbortController;
  readonly done: Promise<unknown>;
  /** Monotonic milliseconds. */
  readonly takenAt: number;
  endedAt?: number;
  /** Of whoever asked last. */
  options: DispatchOptions;
  /** Settled when somebody else asks. */
  handedOver: PromiseWithResolvers<typeof again>;
}

const again = Symbol("asked again");

/**
 * A dispatcher without agents: runs the script of a task's name, else of its `assignedTo`, after `latencyMs`.
 *
 * As with real agents an attempt goes on when its plan is handed over, and is found again by the next engine until its
 * end is recorded.
 */
export function scriptedDispatcher(
  runtime: Runtime,
  scripts: Readonly<Record<string, ScriptedTask>>,
  options: ScriptedDispatcherOptions = {},
): ScriptedDispatcher {
  const { latencyMs = 10 } = options;
  const calls: Dispatched[] = [];
  const resumed: TaskAssignment[] = [];
  const jobs = new Map<string, Job>();
  let active = 0;
  let peak = 0;

  const run = async (job: Job): Promise<unknown> => {
    const { call, controller } = job;
    const { assignment } = call;
    peak = Math.max(peak, ++active);
    try {
      await sleep(runtime, typeof latencyMs === "number" ? latencyMs : latencyMs(), controller.signal);
      const script = scripts[assignment.name] ?? scripts[assignment.assignedTo];
      if (!script) throw new SoormaError("TASK_UNASSIGNABLE", `no agent takes "${assignment.assignedTo}"`);
      return await script(assignment, {
        signal: controller.signal,
        onAssigned: (agentId, agentName) => job.options.onAssigned(agentId, agentName),
        onProgress: (fraction, message) => job.options.onProgress(fraction, message),
        onDelegate: (tasks) => ask(job, (driver) => driver.onDelegate(tasks)),
        onJoin: (name, signal) => ask(job, (driver) => driver.onJoin(name, signal)),
      });
    } finally {
      call.endedAtMs = runtime.now();
      job.endedAt = runtime.monotonic();
      active--;
    }
  };

  /** As agents do: what the plan's driver leaves open when it lets go of the plan, the next one is asked. */
  const ask = async <T>(job: Job, question: (driver: DispatchOptions) => Promise<T>): Promise<T> => {
    for (;;) {
      const { options, handedOver } = job;
      const answer = await Promise.race([
        question(options).catch((error) => (isHandOver(error) ? handedOver.promise : Promise.reject(error))),
        handedOver.promise,
      ]);
      if (answer !== again) return answer;
    }
  };

  const begin = (assignment: TaskAssignment, dispatchOptions: DispatchOptions): Job => {
    const call: Dispatched = { assignment, beganAtMs: runtime.now() };
    calls.push(call);
    const { promise, resolve } = Promise.withResolvers<unknown>();
    const job: Job = {
      call,
      controller: new AbortController(),
      done: promise,
      takenAt: runtime.monotonic(),
      options: dispatchOptions,
      handedOver: Promise.withResolvers(),
    };
    jobs.set(keyOf(assignment), job);
    resolve(run(job));
    promise.catch(() => {});
    return job;
  };

  return {
    calls,
    resumed,
    callsOf: (name) => calls.filter(({ assignment }) => assignment.name === name),
    get peak() {
      return peak;
    },
    forget() {
      for (const job of jobs.values()) abort(job, new SoormaError("PEER_UNREACHABLE", "its agent is gone"));
      jobs.clear();
    },
    recorded: (taskId, attempt) => void jobs.delete(keyOf({ taskId, attempt })),
    dispatch(assignment, dispatchOptions) {
      let job: Job | undefined;
      if (assignment.resume) {
        resumed.push(assignment);
        job = jobs.get(keyOf(assignment));
        if (!job) return Promise.reject(new SoormaError("ATTEMPT_LOST", `nobody has ${keyOf(assignment)}`));
        const { handedOver } = job;
        job.options = dispatchOptions;
        job.handedOver = Promise.withResolvers();
        handedOver.resolve(again);
      } else {
        job = begin(assignment, dispatchOptions);
      }
      const { signal } = dispatchOptions;
      const { done } = job;
      return new Promise((resolve, reject) => {
        signal.addEventListener("abort", () => {
          reject(signal.reason);
          if (job.options !== dispatchOptions || isHandOver(signal.reason)) return;
          abort(job, signal.reason);
          jobs.delete(keyOf(assignment));
        });
        const { takenAt, endedAt } = job;
        dispatchOptions.onAssigned(`${assignment.assignedTo}-1`, assignment.assignedTo, {
          ms: (endedAt ?? runtime.monotonic()) - takenAt,
          isOver: endedAt !== undefined,
        });
        done.then(resolve, reject);
      });
    },
  };
}

function abort({ call, controller }: Job, reason: unknown): void {
  if (call.endedAtMs === undefined) call.aborted = reason;
  controller.abort(reason);
}

function keyOf({ taskId, attempt }: { readonly taskId: string; readonly attempt: number }): string {
  return `${taskId} ${attempt}`;
}
