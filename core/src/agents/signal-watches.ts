import { SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { PlanLog } from "../plans/log.ts";
import { type Runtime, sleep } from "../runtime.ts";

/** Milliseconds until a log is watched again after that failed. */
const retryMs = 500;

interface Listener {
  readonly taskId: string;
  readonly key: string;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

interface PlanWatch {
  /** Two attempts at one task wait for the same while the earlier one is being ended. */
  readonly listeners: Set<Listener>;
  readonly controller: AbortController;
  begun: boolean;
}

/** What a task waits for, from when it is asked for. */
export interface SignalWatch extends Disposable {
  /** The value it was signalled with. Rejects when the plan ended without. */
  readonly value: Promise<unknown>;
  /** To be called with a version at which it was not signalled yet. */
  from(version: number): void;
}

/** Hears of what the tasks of a worker wait for, by watching the logs of their plans: one watch a plan. */
export class SignalWatches implements Disposable {
  readonly #log: PlanLog;
  readonly #runtime: Runtime;
  readonly #logger: Logger;
  readonly #plans = new Map<string, PlanWatch>();

  constructor(log: PlanLog, runtime: Runtime, logger: Logger) {
    this.#log = log;
    this.#runtime = runtime;
    this.#logger = logger;
  }

  /** Nothing is missed from this call on, once `from` was called. */
  listen(planId: string, taskId: string, key: string): SignalWatch {
    let plan = this.#plans.get(planId);
    if (!plan) {
      plan = { listeners: new Set(), controller: new AbortController(), begun: false };
      this.#plans.set(planId, plan);
    }
    const watch = plan;
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    promise.catch(() => {});
    const listener: Listener = { taskId, key, resolve, reject };
    watch.listeners.add(listener);
    return {
      value: promise,
      // A watch that runs is at an earlier version: it began when an earlier wait did, and everything passes by it.
      from: (version) => {
        if (watch.begun) return;
        watch.begun = true;
        void this.#follow(planId, watch, version);
      },
      [Symbol.dispose]: () => {
        watch.listeners.delete(listener);
        if (watch.listeners.size > 0) return;
        watch.controller.abort();
        if (this.#plans.get(planId) === watch) this.#plans.delete(planId);
      },
    };
  }

  [Symbol.dispose](): void {
    for (const { controller } of this.#plans.values()) controller.abort();
    this.#plans.clear();
  }

  async #follow(planId: string, { listeners, controller }: PlanWatch, version: number): Promise<void> {
    const { signal } = controller;
    let afterVersion = version;
    while (!signal.aborted) {
      try {
        for await (const entry of this.#log.watch(planId, { afterVersion, signal })) {
          afterVersion = entry.version;
          if (entry.type !== "task.signalled") continue;
          for (const { taskId, key, resolve } of listeners) {
            if (taskId === entry.taskId && key === entry.key) resolve(entry.value);
          }
        }
        if (signal.aborted) return;
        const error = new SoormaError("ATTEMPT_STALE", `plan ${planId} ended while a task of it was waiting`);
        for (const listener of listeners) listener.reject(error);
        return;
      } catch (error) {
        if (signal.aborted) return;
        this.#logger.warn("signals.unwatched", { planId, error });
        await sleep(this.#runtime, retryMs, signal).catch(() => {});
      }
    }
  }
}
