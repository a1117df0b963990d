import type { InputOf, OutputOf, TaskContract } from "../contracts.ts";
import type { Envelope } from "../events/envelope.ts";
import type { Topic } from "../events/topics.ts";
import type { EventWhere } from "../events/where.ts";
import type { RetryPolicy } from "../plans/log.ts";
import type { AnyData } from "./any-data.ts";

/** How a task that a handler delegates is done. */
export interface DelegateOptions {
  /** The sub-task's name. Default: what it is delegated to; from its second use in a task on with `#2`, `#3`, … */
  readonly name?: string;
  /** Default: what the contract says, else the planner. */
  readonly retry?: RetryPolicy;
  /** Milliseconds one attempt may take. Default: what the contract says, else no limit. */
  readonly timeoutMs?: number;
  /** Higher goes first when agents are busy. Default: what the contract says, else 0. */
  readonly priority?: number;
}

/** A task for {@link Task.delegateAll}. */
export type DelegatedTask = DelegateOptions & { readonly data?: unknown } & (
    | {
        /** Name, id or capability of the agent that shall do it. */
        readonly assignedTo: string;
        readonly contract?: undefined;
      }
    | { readonly contract: TaskContract; readonly assignedTo?: string }
  );

export interface WaitOptions {
  /**
   * Milliseconds from the first attempt that waited. Default: no limit.
   *
   * An attempt that ends meanwhile leaves the rest to the next one. Once the time was over, which is in the log, an answer
   * comes too late, and an attempt after that waits anew, for as long again: what a handler does after a `TIMEOUT` that it
   * caught is not remembered, but for its steps.
   */
  readonly timeoutMs?: number;
}

export interface WaitForEventOptions extends WaitOptions {
  /** Default: whatever topic the event is on. */
  readonly topic?: Topic;
  /**
   * What parts of the event have to be, so that of many events of one type the right one is taken:
   * `{ "data.orderId": task.data.orderId }`. Compared exactly; the values have to be the same in each attempt.
   */
  readonly where?: EventWhere;
}

/**
 * A task as its handler sees it.
 *
 * What `step`, `delegate`, `sleep` and the two `waitFor…` did is in the plan's log under names that are counted in the
 * order of the calls: a handler that runs again, after a crash say, has to make them in the same order, and then gets
 * what the earlier attempt got without anything being done twice.
 *
 * While a handler only waits, for a sub-task, time, an event or a person, it does not count as one of the worker's
 * `concurrency`. If its worker stops meanwhile, another instance goes on from what is in the log.
 */
export interface Task<T = unknown> {
  readonly taskId: string;
  readonly planId: string;
  readonly goalId: string | undefined;
  readonly sessionId: string | undefined;
  /** The task's name within its plan. */
  readonly name: string;
  readonly assignedTo: string;
  readonly data: T;
  /** Results of the tasks this one depends on, by their names. */
  readonly inputs: Readonly<Record<string, AnyData>>;
  /** Counts from 1. */
  readonly attempt: number;
  /** Milliseconds since the epoch when the whole goal has to be done. */
  readonly deadline: number | undefined;
  /**
   * Aborts when the result is not wanted any more: cancelled, past its `timeoutMs` or the goal's deadline, done by another
   * instance, or handed back because the worker stops. The reason is a `SoormaError`.
   */
  readonly signal: AbortSignal;
  /** Tells whoever watches how far it is: a fraction from 0 to 1. It may be lost. */
  reportProgress(fraction: number, message?: string): Promise<void>;
  /**
   * Runs `body` once and for all: what it returned is in the log before this resolves, and later attempts get that instead.
   * What it throws is thrown here and not remembered. It runs again only when the worker was lost before it was recorded. A
   * worker that was stopped or cut off, and goes on while another instance does the task, finds what that one recorded.
   *
   * Steps may run at the same time; they must not contain one another or anything that waits.
   *
   * @param name - A name used again in the same task counts as `name#2`, `name#3`, …
   * @returns what `body` returned; in a later attempt as it came back from the log: of an instance of a class its fields,
   * of `undefined` null.
   * @throws {SoormaError} `PAYLOAD_INVALID` when the value cannot be stored; `ATTEMPT_STALE` when another instance does the
   * task by now; the signal's reason.
   */
  step<R>(name: string, body: () => R | Promise<R>): Promise<R>;
  /**
   * Has a sub-task of the same plan done and resolves with its result. Done once: a later attempt gets the same one.
   *
   * @throws {SoormaError} what made the sub-task fail for good, as not retryable; `PAYLOAD_INVALID`, `PLAN_INVALID`,
   * `BUDGET_EXCEEDED` when it cannot be added to the plan.
   */
  delegate<C extends TaskContract>(to: C, data: InputOf<C>, options?: DelegateOptions): Promise<OutputOf<C>>;
  delegate(to: string, data?: unknown, options?: DelegateOptions): Promise<AnyData>;
  /**
   * Has sub-tasks done at the same time and resolves with their results in the order given, whatever order they end in.
   * The first that fails for good rejects it; the others are cancelled when this task ends.
   *
   * @throws {SoormaError} as {@link Task.delegate} does
   */
  delegateAll(tasks: readonly DelegatedTask[]): Promise<AnyData[]>;
  /** Waits, also across restarts: a later attempt waits for what is left. */
  sleep(ms: number): Promise<void>;
  /**
   * Waits for the first event whose type matches `pattern` (`*` one token, `>` the rest) and that is as `where` says,
   * published after this call began to wait; the wait then is in the log, and so is the event.
   *
   * @throws {SoormaError} `TIMEOUT`, not retryable, after `timeoutMs`
   */
  waitForEvent(pattern: string, options?: WaitForEventOptions): Promise<Envelope<AnyData>>;
  /**
   * Waits for a person's answer, given with `tracker.answer()` or `soorma plans answer`. The task is `paused` meanwhile.
   *
   * @throws {SoormaError} `TIMEOUT`, not retryable, after `timeoutMs`
   */
  waitForInput(prompt: string, options?: WaitOptions): Promise<AnyData>;
}
