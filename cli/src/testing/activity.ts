import { AsyncLocalStorage } from "node:async_hooks";
import type { Envelope, HandlerRun, NodeObserver } from "@soorma/core";

/** A task, request or goal that went to a handler of an agent or of a stub. */
export interface MeshCall {
  readonly kind: "task" | "request" | "goal";
  /** Name of the agent, or of the stub, that got it. */
  readonly agent: string;
  /** The task's name, the operation, the goal's type. */
  readonly name: string;
  /** Of a task: what the planner assigned it to. */
  readonly assignedTo: string | undefined;
  /** A copy of what it was called with. */
  readonly data: unknown;
  /** `lost`: its process crashed. */
  readonly status: "running" | "done" | "failed" | "lost";
  /** What the handler returned; of a goal the plan. */
  readonly result: unknown;
  /** What the handler threw. */
  readonly error: unknown;
  /** Counts from 1. Of a task. */
  readonly attempt: number | undefined;
  readonly planId: string | undefined;
  readonly taskId: string | undefined;
  readonly traceId: string;
  /** Virtual milliseconds since the mesh was made. */
  readonly startedMs: number;
  readonly endedMs: number | undefined;
}

/** Where handlers run, as far as their activity is concerned. */
export interface ActivityPlace {
  readonly name: string;
  readonly isRunning: boolean;
}

/** Code of the user that runs: a handler, the start of an agent's module, a function of the test. */
export interface Activity {
  readonly place: ActivityPlace;
  /** For people: `task "search" of worker`. */
  readonly what: string;
  readonly sinceMs: number;
  /** Answers of the mesh it waits for, and so lets time move on. */
  waits: number;
  /** Real time since it waits for something else: a file, a network, a real timer. */
  outsideSince: number | undefined;
  /** It was waited for as long as may be: time moves on without it. */
  givenUp: boolean;
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

const running = new AsyncLocalStorage<Activity>();

/** The code of a simulated process that is being run, by whatever mesh. */
export function currentActivity(): Activity | undefined {
  return running.getStore();
}

export interface ActivityOptions {
  readonly elapsedMs: () => number;
  /** Real milliseconds that time stands still for code that waits for something outside of the mesh. */
  readonly outsideMs: number;
}

/**
 * What the user's code is doing. Virtual time must not run away from code that waits for something real, a file say, and has
 * to move on for code that waits for the mesh: so it is counted who waits for what.
 */
export class ActivityLog {
  readonly calls: MeshCall[] = [];
  readonly events: Envelope[] = [];
  /** Grows with whatever handlers and publishers do. */
  changes = 0;
  /** Whose code runs where nothing says so: a module that is being evaluated. */
  starting: Activity | undefined;
  readonly #active = new Set<Activity>();
  /** By the ids of events that are published: whoever waits for them. */
  readonly #expected = new Map<string, () => void>();
  readonly #options: ActivityOptions;
  readonly #views = new WeakMap<object, object>();
  readonly #places = new WeakMap<MeshCall, ActivityPlace>();

  constructor(options: ActivityOptions) {
    this.#options = options;
  }

  /** Code that has not come to its end, in processes that run. */
  get active(): Activity[] {
    return [...this.#active].filter(({ place }) => place.isRunning);
  }

  /** Whether some code waits for something real, and has not done so for too long. */
  isOutside(): boolean {
    let isOutside = false;
    for (const activity of this.#active) {
      if (!activity.place.isRunning) this.#active.delete(activity);
      else if (activity.waits > 0) activity.outsideSince = undefined;
      else if (!activity.givenUp) {
        const now = performance.now();
        activity.outsideSince ??= now;
        activity.givenUp = now - activity.outsideSince > this.#options.outsideMs;
        isOutside ||= !activity.givenUp;
      }
    }
    return isOutside;
  }

  /** Runs code of the user at a place. */
  run<R>(place: ActivityPlace, what: string, body: (activity: Activity) => R, onEnd?: Ends): R {
    const sinceMs = this.#options.elapsedMs();
    const activity: Activity = { place, what, sinceMs, waits: 0, outsideSince: undefined, givenUp: false };
    this.#active.add(activity);
    const end = (failed: boolean, value: unknown): void => {
      this.#active.delete(activity);
      onEnd?.(failed, value);
    };
    let result: R;
    try {
      result = running.run(activity, () => body(activity));
    } catch (error) {
      end(true, error);
      throw error;
    }
    if (!isPromise(result)) {
      end(false, result);
      return result;
    }
    return result.then(
      (value) => {
        end(false, value);
        return value;
      },
      (error) => {
        end(true, error);
        throw error;
      },
    ) as R;
  }

  /** What the nodes of a place tell. */
  observer(place: ActivityPlace): NodeObserver {
    if (place.name === "test-planner") {
      return {
        handle: (_run, body) => body(),
        view: (given) => given,
        published: ({ id }) => this.#expected.get(id)?.(),
      };
    }
    return {
      handle: (run, body) => {
        this.changes++;
        const call = this.#callOf(run);
        if (call) {
          this.calls.push(call);
          this.#places.set(call, place);
        }
        const what = `${run.kind} "${run.name}" of ${run.agentName}`;
        return this.run(place, what, body, (failed, value) => {
          this.changes++;
          // What it returned in a process that had crashed by then, nobody got.
          if (!call || !place.isRunning) return;
          call.status = failed ? "failed" : "done";
          if (failed) call.error = value;
          else call.result = value;
          call.endedMs = this.#options.elapsedMs();
        });
      },
      view: (given) => this.view(given),
      published: (event) => {
        this.changes++;
        this.events.push(event);
        this.#expected.get(event.id)?.();
      },
    };
  }

  /** Calls `heard` when an event with that id is published. */
  expect(id: string, heard: () => void): Disposable {
    this.#expected.set(id, heard);
    return { [Symbol.dispose]: () => void this.#expected.delete(id) };
  }

  /** The calls that were under way in a process that crashed, end there. */
  lose(place: ActivityPlace): void {
    for (const call of this.calls as Mutable<MeshCall>[]) {
      if (call.status !== "running" || this.#places.get(call) !== place) continue;
      call.status = "lost";
      call.endedMs = this.#options.elapsedMs();
    }
  }

  /** Waits, on behalf of the code that runs, for something of the mesh. */
  waiting<T>(promise: Promise<T>): Promise<T> {
    const activity = running.getStore() ?? this.starting;
    if (!activity) return promise;
    activity.waits++;
    const end = (): void => {
      activity.waits--;
      activity.outsideSince = undefined;
      activity.givenUp = false;
    };
    promise.then(end, end);
    return promise;
  }

  /** Behaves like `given`, and counts who waits for what its methods return. */
  view<T extends object>(given: T): T {
    const known = this.#views.get(given);
    if (known) return known as T;
    const view = isServices(given)
      ? (Object.fromEntries(Object.entries(given).map(([name, service]) => [name, this.view(service)])) as T)
      : new Proxy(given, {
          get: (target, key) => {
            const value: unknown = Reflect.get(target, key, target);
            if (typeof value !== "function") return value;
            return (...args: unknown[]) =>
              this.#seen(value.apply(target, key === "step" ? args.map((arg) => this.#own(arg)) : args));
          },
        });
    this.#views.set(given, view);
    return view;
  }

  #seen(result: unknown): unknown {
    if (isPromise(result)) return this.waiting(result).then((value) => this.#viewOfResult(value));
    return isIterating(result) ? this.view(result) : result;
  }

  /** Handles and runs, which have methods of their own, are seen too; data is data. */
  #viewOfResult(value: unknown): unknown {
    if (Array.isArray(value)) return value.some(hasMethods) ? value.map((one) => this.#viewOfResult(one)) : value;
    return hasMethods(value) ? this.view(value) : value;
  }

  /** Code of the user that the mesh runs while the user waits for the mesh: the body of a step. */
  #own(arg: unknown): unknown {
    const activity = running.getStore();
    if (typeof arg !== "function" || !activity) return arg;
    return (...args: unknown[]) => {
      activity.waits--;
      const back = (): void => void activity.waits++;
      let result: unknown;
      try {
        result = arg(...args);
      } catch (error) {
        back();
        throw error;
      }
      if (isPromise(result)) result.then(back, back);
      else back();
      return result;
    };
  }

  #callOf({ kind, name, assignedTo, data, agentName, context }: HandlerRun): Mutable<MeshCall> | undefined {
    if (kind !== "task" && kind !== "request" && kind !== "goal") return undefined;
    return {
      kind,
      agent: agentName,
      name,
      assignedTo,
      data: structuredClone(data),
      status: "running",
      result: undefined,
      error: undefined,
      attempt: context.attempt,
      planId: context.planId,
      taskId: context.taskId,
      traceId: context.traceId,
      startedMs: this.#options.elapsedMs(),
      endedMs: undefined,
    };
  }
}

type Ends = (failed: boolean, value: unknown) => void;

function isPromise(value: unknown): value is Promise<unknown> {
  return value instanceof Promise;
}

function isServices(given: object): boolean {
  return "bus" in given && "memory" in given && "registry" in given && !("run" in given);
}

export function isIterating(value: unknown): value is object {
  return typeof value === "object" && value !== null && (Symbol.asyncIterator in value || "next" in value);
}

export function hasMethods(value: unknown): value is object {
  return (
    typeof value === "object" && value !== null && Object.values(value).some((member) => typeof member === "function")
  );
}
