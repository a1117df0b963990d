import { AsyncLocalStorage } from "node:async_hooks";
import { checkData, type TaskContract } from "../contracts.ts";
import { type Failure, fromFailure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { compilePattern } from "../events/pattern.ts";
import { type EventWhere, findWhereProblem, matchesWhere } from "../events/where.ts";
import { passedOn } from "../plans/dispatcher.ts";
import type { TaskSpec, WaitSpec } from "../plans/log.ts";
import { findUnpackable } from "../plans/packable.ts";
import type { AnyData } from "./any-data.ts";
import type { EventListeners } from "./event-listeners.ts";
import { type HeldAttempt, isPlannerTrouble } from "./held-attempt.ts";
import type { NodeServices } from "./services.ts";
import type { SignalWatches } from "./signal-watches.ts";
import type { DelegatedTask, DelegateOptions, Task, WaitForEventOptions, WaitOptions } from "./task.ts";
import { handlerOf, withDefaults } from "./task-defaults.ts";
import { Journal } from "./task-journal.ts";
import { type JoinAnswer, taskMethods } from "./task-wire.ts";

/** Milliseconds for the answer to a join: longer than the planner holds it. */
const joinTimeoutMs = 30_000;
const delegateTimeoutMs = 10_000;
/** Pauses between tries to reach a planner. */
const firstPauseMs = 50;
const longestPauseMs = 2_000;

/** What the tasks of one worker share. */
export interface TaskServices {
  readonly agentId: string;
  services(): NodeServices;
  readonly signals: SignalWatches;
  readonly events: EventListeners;
}

/** Name of the step whose body runs: there is no other way to know, within a handler that does several things at once. */
const stepping = new AsyncLocalStorage<string>();

/** {@link Task} of an attempt. */
export class TaskHandle implements Task<AnyData> {
  readonly #attempt: HeldAttempt;
  readonly #shared: TaskServices;
  /** How often a name was used. */
  #uses: Map<string, number> | undefined;
  #journal: Journal | undefined;

  constructor(attempt: HeldAttempt, shared: TaskServices) {
    this.#attempt = attempt;
    this.#shared = shared;
  }

  get taskId(): string {
    return this.#attempt.offer.taskId;
  }

  get planId(): string {
    return this.#attempt.offer.planId;
  }

  get goalId(): string | undefined {
    return this.#attempt.envelope.goalId;
  }

  get sessionId(): string | undefined {
    return this.#attempt.envelope.sessionId;
  }

  get name(): string {
    return this.#attempt.offer.name;
  }

  get assignedTo(): string {
    return this.#attempt.offer.assignedTo;
  }

  get data(): AnyData {
    return this.#attempt.offer.data;
  }

  get inputs(): Readonly<Record<string, AnyData>> {
    return this.#attempt.offer.inputs;
  }

  get attempt(): number {
    return this.#attempt.offer.attempt;
  }

  get deadline(): number | undefined {
    return this.#attempt.envelope.deadline;
  }

  get signal(): AbortSignal {
    return this.#attempt.signal;
  }

  // Each of these can be taken out of the task: `({ step, data }) => …`. A closure is made only if one is used.

  get reportProgress(): Task["reportProgress"] {
    return (fraction, message) => this.#reportProgress(fraction, message);
  }

  get step(): Task["step"] {
    return (name, body) => this.#step(name, body);
  }

  get delegate(): Task["delegate"] {
    return (to: string | TaskContract, data?: unknown, options?: DelegateOptions) => this.#delegate(to, data, options);
  }

  get delegateAll(): Task["delegateAll"] {
    return (tasks) => this.#delegateAll(tasks);
  }

  get sleep(): Task["sleep"] {
    return (ms) => this.#sleep(ms);
  }

  get waitForEvent(): Task["waitForEvent"] {
    return (pattern: string, options?: WaitForEventOptions) => this.#waitForEvent(pattern, options);
  }

  get waitForInput(): Task["waitForInput"] {
    return (prompt, options) => this.#waitForInput(prompt, options);
  }

  async #reportProgress(fraction: number, message?: string): Promise<void> {
    if (!Number.isFinite(fraction)) throw new TypeError(`progress must be a number from 0 to 1, not ${fraction}`);
    const note = {
      taskId: this.taskId,
      attempt: this.attempt,
      agentId: this.#shared.agentId,
      fraction: Math.min(1, Math.max(0, fraction)),
      ...(message === undefined ? {} : { message }),
    };
    const { node } = this.#shared.services();
    await node
      .tellAgent(this.#attempt.replyTo, taskMethods.progress, note)
      .catch((error) => node.log.debug("progress.lost", { taskId: this.taskId, error }));
  }

  async #step<R>(name: string, body: () => R | Promise<R>): Promise<R> {
    this.#mustNotBeInStep(`step "${name}"`);
    const key = this.#count("step", name);
    this.signal.throwIfAborted();
    const journal = this.#log();
    const known = await journal.step(key);
    if (known) return known.value as R;
    return await this.#attempt.working(async () => {
      const done = await journal.stepByNow(key);
      if (done) return done.value as R;
      // Nothing is begun by an attempt that was told to end: its worker may have given the task back already.
      this.signal.throwIfAborted();
      const { runtime } = this.#shared.services().node;
      const beganAt = runtime.monotonic();
      const value = await stepping.run(key, body);
      const durationMs = Math.round((runtime.monotonic() - beganAt) * 1000) / 1000;
      checkPackable(value, `value of step "${key}"`);
      await journal.recordStep(key, value ?? null, durationMs);
      return value;
    });
  }

  async #delegate(to: string | TaskContract, data?: unknown, options: DelegateOptions = {}): Promise<AnyData> {
    const [result] = await this.#delegateAll([
      typeof to === "string" ? { ...options, assignedTo: to, data } : { ...options, contract: to, data },
    ]);
    return result;
  }

  async #delegateAll(tasks: readonly DelegatedTask[]): Promise<AnyData[]> {
    this.#mustNotBeInStep("delegate");
    // Named before anything is awaited, so that the order of the calls decides.
    const named = tasks.map((task) => ({ task, name: task.name ?? this.#count("sub-task", addresseeOf(task)) }));
    if (named.length === 0) return [];
    return await this.#attempt.waiting(async () => {
      const specs = await Promise.all(named.map(({ task, name }) => this.#specOf(task, name)));
      const params = { tasks: specs };
      await this.#askPlanner(taskMethods.delegate, params, delegateTimeoutMs);
      return await Promise.all(specs.map(({ name }) => this.#join(name)));
    });
  }

  async #sleep(ms: number): Promise<void> {
    this.#mustNotBeInStep("sleep");
    if (!Number.isFinite(ms) || ms < 0) throw new TypeError(`a task can sleep 0 or more milliseconds, not ${ms}`);
    const key = this.#count("wait", "sleep");
    this.signal.throwIfAborted();
    const journal = this.#log();
    const { runtime } = this.#shared.services().node;
    const until = runtime.now() + ms;
    const known = await journal.wait(key);
    // The stamp may be of another machine's clock: it shortens the wait, and never stretches it.
    if (known && (known.untilMs ?? 0) <= runtime.now()) return;
    await this.#attempt.waiting(async () => {
      const { untilMs = until } = known ?? (await journal.recordWait(key, { kind: "sleep", ms }, until)).wait;
      await this.#within(Math.min(ms, untilMs - runtime.now()), undefined);
    });
  }

  async #waitForEvent(pattern: string, options: WaitForEventOptions = {}): Promise<Envelope<AnyData>> {
    compilePattern(pattern);
    const { topic, where } = options;
    const on: WaitSpec = {
      kind: "event",
      pattern,
      ...(topic === undefined ? {} : { topic }),
      ...(where === undefined ? {} : { where: checkedWhere(where) }),
    };
    const event = await this.#waitFor("event", on, options, `an event "${pattern}"`, async (key) => {
      const early: Envelope[] = [];
      let hear: ((event: Envelope) => void) | undefined;
      // The state node listens, too: this is for when it is away.
      const over = new AbortController();
      const listening = await this.#shared.events.listen(pattern, topic, (heard) => {
        if (!matchesWhere(heard, where)) return;
        if (hear) hear(heard);
        else early.push(heard);
      });
      return {
        begin: () => {
          const { node } = this.#shared.services();
          hear = (heard) => {
            this.#log()
              .recordSignal(key, heard, over.signal)
              .catch((error) => node.log.debug("signal.lost", { taskId: this.taskId, key, error }));
          };
          if (early[0]) hear(early[0]);
        },
        end: () => {
          over.abort(new SoormaError("CANCELLED", `task ${this.taskId} waits for "${pattern}" no more`));
          listening[Symbol.dispose]();
        },
      };
    });
    return event as Envelope<AnyData>;
  }

  async #waitForInput(prompt: string, options: WaitOptions = {}): Promise<AnyData> {
    return await this.#waitFor("input", { kind: "input", prompt }, options, `an answer to "${prompt}"`);
  }

  async #waitFor(
    name: string,
    on: WaitSpec,
    { timeoutMs }: WaitOptions,
    what: string,
    listen?: (key: string) => Promise<{ begin(): void; end(): void }>,
  ): Promise<unknown> {
    this.#mustNotBeInStep(`waiting for ${what}`);
    if (timeoutMs !== undefined && !(timeoutMs >= 0)) throw new TypeError(`timeoutMs cannot be ${timeoutMs}`);
    const key = this.#count("wait", name);
    this.signal.throwIfAborted();
    const journal = this.#log();
    const known = await journal.wait(key);
    if (known?.signalled) return known.signalled.value;
    const { runtime } = this.#shared.services().node;
    const until = timeoutMs === undefined ? undefined : runtime.now() + timeoutMs;
    return await this.#attempt.waiting(async () => {
      using watch = this.#shared.signals.listen(this.planId, this.taskId, key);
      const listening = await listen?.(key);
      try {
        const { wait, version } = await journal.recordWait(key, on, until);
        if (wait.signalled) return wait.signalled.value;
        watch.from(version);
        listening?.begin();
        const left =
          wait.untilMs === undefined || timeoutMs === undefined
            ? undefined
            : Math.min(timeoutMs, wait.untilMs - runtime.now());
        const over = this.#timedOut(what, timeoutMs);
        return await this.#within(left, watch.value, () => over).catch(async (error: unknown) => {
          if (error !== over) throw error;
          // The log decides whether an answer came first.
          const signalled = await journal.recordTimeout(key);
          if (signalled) return signalled.value;
          throw over;
        });
      } finally {
        listening?.end();
      }
    });
  }

  /** Resolves with `value`, or after `ms`, then with undefined or the error made; rejects when the attempt is aborted. */
  #within(ms: number | undefined, value: Promise<unknown> | undefined, error?: () => SoormaError): Promise<unknown> {
    const { signal } = this.#attempt;
    const { runtime } = this.#shared.services().node;
    return new Promise((resolve, reject) => {
      const onAbort = (): void => end(() => reject(signal.reason));
      const timer =
        ms === undefined
          ? undefined
          : runtime.setTimer(() => end(() => (error ? reject(error()) : resolve(undefined))), ms);
      const end = (settle: () => void): void => {
        timer?.cancel();
        signal.removeEventListener("abort", onAbort);
        settle();
      };
      value?.then(
        (result) => end(() => resolve(result)),
        (reason) => end(() => reject(reason)),
      );
      if (signal.aborted) onAbort();
      else signal.addEventListener("abort", onAbort, { once: true });
    });
  }

  #timedOut(what: string, timeoutMs: number | undefined): SoormaError {
    // Another attempt would wait as long again: that is for the handler to want.
    return new SoormaError("TIMEOUT", `task "${this.name}" waited for ${what}, and none came in ${timeoutMs} ms`, {
      retryable: false,
      details: { planId: this.planId, taskId: this.taskId, timeoutMs },
    });
  }

  async #specOf(task: DelegatedTask, name: string): Promise<TaskSpec> {
    const { contract, data = null, retry = contract?.retry, timeoutMs = contract?.timeoutMs } = task;
    const priority = task.priority ?? contract?.priority;
    const assignedTo = addresseeOf(task);
    const what = `data of delegated task "${name}"`;
    checkPackable(data, what);
    const services = this.#shared.services();
    const { directory } = services.node;
    if (contract) checkData(contract.input, data, what);
    else {
      const input = handlerOf(directory, { assignedTo, name })?.input;
      if (input) await services.check(input, data, what);
    }
    return withDefaults(directory, {
      name,
      assignedTo,
      data,
      ...(retry === undefined ? {} : { retry }),
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
      ...(priority === undefined ? {} : { priority }),
    });
  }

  async #join(name: string): Promise<unknown> {
    for (;;) {
      const answer = (await this.#askPlanner(taskMethods.join, { name }, joinTimeoutMs)) as JoinAnswer;
      if ("pending" in answer) continue;
      if (answer.ok) return answer.result;
      // It failed for good: trying this task again finds it as it is.
      throw fromFailure({ ...answer.failure, retryable: false });
    }
  }

  /** Calls whichever planner drives the plan, waiting for the next one when it is lost. */
  async #askPlanner(method: string, params: object, timeoutMs: number): Promise<unknown> {
    const { taskId, attempt, signal } = this;
    const { node } = this.#shared.services();
    for (let tries = 0; ; tries++) {
      signal.throwIfAborted();
      const { epoch } = this.#attempt;
      try {
        const message = { taskId, attempt, agentId: this.#shared.agentId, ...params };
        return await node.callAgent(this.#attempt.replyTo, method, message, { timeoutMs, signal });
      } catch (error) {
        signal.throwIfAborted();
        // What an earlier driver thinks of it does not matter any more.
        if (this.#attempt.epoch !== epoch) continue;
        if (isSoormaError(error, "ATTEMPT_STALE")) this.#attempt.abort(error);
        if (!isPlannerTrouble(error)) throw error;
        await this.#attempt.pause(Math.min(longestPauseMs, firstPauseMs * 2 ** Math.min(tries, 6)));
      }
    }
  }

  #log(): Journal {
    if (this.#journal) return this.#journal;
    const { node, tracker } = this.#shared.services();
    this.#journal = new Journal({
      offer: this.#attempt.offer,
      currentAt: this.#attempt.offeredAt,
      takenAt: this.#attempt.takenAt,
      log: tracker.logOf(this.#shared.agentId),
      runtime: node.runtime,
      logger: node.log,
      signal: this.signal,
      onStale: (error) => this.#attempt.abort(error),
    });
    return this.#journal;
  }

  /** The name by which the log knows this use of it. */
  #count(kind: "step" | "sub-task" | "wait", name: string): string {
    if (typeof name !== "string" || name === "") throw new TypeError(`a ${kind} needs a name`);
    if (/#\d+$/.test(name))
      throw new TypeError(`${JSON.stringify(name)} ends like a counted name; names are counted by themselves`);
    this.#uses ??= new Map();
    const id = `${kind} ${name}`;
    const uses = (this.#uses.get(id) ?? 0) + 1;
    this.#uses.set(id, uses);
    return uses === 1 ? name : `${name}#${uses}`;
  }

  #mustNotBeInStep(what: string): void {
    const step = stepping.getStore();
    if (step === undefined) return;
    throw new TypeError(
      `${what} was asked for inside step "${step}" of task "${this.name}": a step that runs again would do it twice`,
    );
  }
}

function addresseeOf({ assignedTo, contract }: DelegatedTask): string {
  const to = assignedTo ?? contract?.name;
  if (typeof to !== "string" || to === "") throw new TypeError("a delegated task needs an assignedTo or a contract");
  return to;
}

function checkedWhere(where: EventWhere): EventWhere {
  const found = findWhereProblem(where);
  if (!found) return where;
  const at = found.path === undefined ? "where" : `where[${JSON.stringify(found.path)}]`;
  throw new TypeError(`${at} ${found.problem}${found.hint === undefined ? "" : `; ${found.hint}`}`);
}

function checkPackable(value: unknown, what: string): void {
  const found = findUnpackable(value, what);
  if (!found) return;
  throw new SoormaError("PAYLOAD_INVALID", `${found.path} is ${found.what}, which cannot be stored`, {
    details: { path: found.path },
  });
}

/** A handler's failure as it is reported. */
export function failureOf(error: unknown): Failure {
  return passedOn(toFailure(error, "TASK_FAILED"));
}
