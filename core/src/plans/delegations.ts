import { fromFailure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import { handedOver, isHandOver, passedOn } from "./dispatcher.ts";
import { checkAddition } from "./graph.ts";
import type { TaskSpec, TaskState } from "./log.ts";
import { isTerminal } from "./task-node.ts";
import type { Turns } from "./turns.ts";

interface Waiter {
  readonly parentTaskId: string;
  settle(task: TaskState): void;
  reject(error: unknown): void;
}

/** Tasks that running attempts ask for, and the waiting for their ends. */
export class Delegations {
  readonly #turns: Turns;
  /** By the id of the task whose end they wait for. */
  readonly #waiters = new Map<string, Set<Waiter>>();
  readonly #asking = new Set<(error: unknown) => void>();

  constructor(turns: Turns) {
    this.#turns = turns;
  }

  /** Resolves when the tasks are in the log. */
  delegate(taskId: string, attempt: number, tasks: readonly TaskSpec[]): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const refuse = (error: unknown): void => {
      this.#asking.delete(refuse);
      reject(error);
    };
    this.#asking.add(refuse);
    this.#turns.step(() => {
      try {
        this.#add(taskId, attempt, tasks);
      } catch (error) {
        if (isSoormaError(error, "BUDGET_EXCEEDED")) {
          this.#turns.propose({ type: "plan.failed", failure: toFailure(error) });
        }
        this.#turns.after(() => refuse(error));
        return;
      }
      this.#turns.after(() => {
        this.#asking.delete(refuse);
        resolve();
      });
    });
    return promise;
  }

  #add(taskId: string, attempt: number, tasks: readonly TaskSpec[]): void {
    const { fold } = this.#turns;
    const parent = fold.task(taskId);
    if (!parent || !fold.running.has(taskId) || parent.attempt !== attempt) {
      throw new SoormaError(
        "ATTEMPT_STALE",
        `attempt ${attempt} at task "${parent?.name ?? taskId}" may not delegate: it is not the current one any more`,
      );
    }
    // An attempt that is tried again joins the tasks of the one before.
    const isKnown = (task: TaskSpec): boolean =>
      fold.taskNamed(`${parent.name}/${task?.name}`)?.parentTaskId === taskId;
    const added = checkAddition(
      Array.isArray(tasks) ? tasks.filter((task: TaskSpec) => !isKnown(task)) : tasks,
      fold,
      taskId,
    );
    if (added.length === 0 || this.#turns.propose({ type: "task.delegated", taskId, tasks: added })) return;
    throw new SoormaError("PLAN_REFUSED", `task "${parent.name}" cannot delegate now`);
  }

  /** Resolves with the result of a delegated task, or rejects with what made it fail, once its end is in the log. */
  join(taskId: string, name: string, signal: AbortSignal): Promise<unknown> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason);
        return;
      }
      let childId: string | undefined;
      const done = (): void => {
        signal.removeEventListener("abort", onAbort);
        const waiters = childId === undefined ? undefined : this.#waiters.get(childId);
        if (waiters?.delete(waiter) && waiters.size === 0) this.#waiters.delete(childId ?? "");
        this.#asking.delete(waiter.reject);
      };
      const waiter: Waiter = {
        parentTaskId: taskId,
        settle: ({ status, result, failure, name: child }) => {
          done();
          if (status === "completed") resolve(result);
          else
            reject(
              failure ? fromFailure(passedOn(failure)) : new SoormaError("CANCELLED", `task "${child}" is ${status}`),
            );
        },
        reject: (error) => {
          done();
          reject(error);
        },
      };
      const onAbort = (): void => waiter.reject(signal.reason);
      signal.addEventListener("abort", onAbort, { once: true });
      this.#asking.add(waiter.reject);
      this.#turns.step(() => {
        const { fold } = this.#turns;
        const child = fold.taskNamed(`${fold.task(taskId)?.name}/${name}`);
        if (child?.parentTaskId !== taskId) {
          waiter.reject(new SoormaError("PLAN_INVALID", `task ${taskId} has delegated no task "${name}"`));
        } else if (isTerminal(child.status)) {
          this.#turns.after(() => waiter.settle(child));
        } else if (!signal.aborted) {
          childId = child.taskId;
          const waiters = this.#waiters.get(childId) ?? new Set();
          this.#waiters.set(childId, waiters.add(waiter));
        }
      });
    });
  }

  /** A task ended in this turn. */
  ended(task: TaskState): void {
    if (this.#waiters.size === 0) return;
    if (this.#waiters.has(task.taskId)) {
      this.#turns.after(() => {
        for (const waiter of [...(this.#waiters.get(task.taskId) ?? [])]) waiter.settle(task);
      });
    }
    if (this.#turns.fold.childCount(task.taskId) === 0) return;
    this.#turns.after(() => {
      for (const waiters of [...this.#waiters.values()]) {
        for (const waiter of [...waiters]) {
          if (waiter.parentTaskId !== task.taskId) continue;
          waiter.reject(new SoormaError("CANCELLED", `task "${task.name}" waits for nothing any more: it ended`));
        }
      }
    });
  }

  /** Looks at every task that is waited for: the fold is a new one. */
  adopt(): void {
    for (const taskId of this.#waiters.keys()) {
      const task = this.#turns.fold.task(taskId);
      if (task && isTerminal(task.status)) this.ended(task);
    }
  }

  /** Nobody here will answer: whoever asked may ask the next driver. */
  stop(reason: () => unknown): void {
    if (this.#asking.size === 0) return;
    const error = isHandOver(reason()) ? handedOver(this.#turns.planId) : reason();
    for (const reject of [...this.#asking]) reject(error);
  }
}
