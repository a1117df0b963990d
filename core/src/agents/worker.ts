import { checkData, type InputOf, type OutputOf, type TaskContract } from "../contracts.ts";
import { fromFailure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { envelopeOf, viewOf } from "../mesh/node.ts";
import type { AgentStats } from "../mesh/node-stats.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import { Wakefulness } from "../mesh/wakefulness.ts";
import { findUnpackable } from "../plans/packable.ts";
import type { AgentRecord } from "../registry/records.ts";
import { atMost, type Runtime, type Timer } from "../runtime.ts";
import { Agent, type AgentOptions } from "./agent.ts";
import { AnsweredResults } from "./answered-results.ts";
import type { AnyData } from "./any-data.ts";
import type { PlatformContext } from "./context.ts";
import { EventListeners } from "./event-listeners.ts";
import { HeldAttempt } from "./held-attempt.ts";
import { HoldingRounds } from "./holding-rounds.ts";
import { checkResult } from "./request.ts";
import type { NodeServices } from "./services.ts";
import { SignalWatches } from "./signal-watches.ts";
import { Slots } from "./slots.ts";
import type { Task } from "./task.ts";
import { failureOf, TaskHandle, type TaskServices } from "./task-handle.ts";
import { deliver } from "./task-report.ts";
import {
  type Holding,
  type OfferAnswer,
  type OfferedTask,
  type Outcome,
  type ReplyTo,
  readAttach,
  readCancel,
  readOffer,
  readRecorded,
  taskMethods,
} from "./task-wire.ts";

export type TaskHandler<T = unknown, R = unknown> = (task: Task<T>, context: PlatformContext) => R | Promise<R>;

export interface WorkerOptions extends AgentOptions {
  /**
   * Every third of so many milliseconds the worker tells each planner what it has of theirs. A task missing from that is
   * given to another instance. Default 10_000.
   */
  readonly leaseMs?: number;
}

interface Handled {
  readonly contract: TaskContract | undefined;
  readonly handler: TaskHandler<AnyData>;
  /** How many of its latest runs were over at once, about. */
  quick: number;
}

const defaultLeaseMs = 10_000;
/** Milliseconds a result is offered to a planner, or to the next one, before it is forgotten. */
const resultPatienceMs = 60_000;
/** Milliseconds for handing back what is not done when the worker stops. */
const handBackMs = 1_000;
/** Milliseconds of handlers beginning one after the other before others get the thread. */
const longTurnMs = 10;
/** A handler that took so many milliseconds was quick. */
const quickMs = 1;
/** Runs after which a handler is expected to be quick, and how many are remembered. */
const quickEnough = 3;
const mostQuick = 32;
/** A quick handler gets so many microtasks before its offer is answered without its result. */
const quickHops = 12;
/** Epochs of plans that were taken over are remembered for so many plans. */
const rememberedEpochs = 10_000;

/** An agent that carries tasks out. */
export class Worker extends Agent {
  readonly kind = "worker";
  readonly #handlers = new Map<string, Handled>();
  /** By task: the latest attempt, until its end is acknowledged. */
  readonly #attempts = new Map<string, HeldAttempt>();
  /** Whose handlers have not ended. */
  readonly #running = new Set<HeldAttempt>();
  /** Taken in this turn; their handlers begin in a moment. */
  readonly #beginning: [HeldAttempt, Handled][] = [];
  #answered: AnsweredResults | undefined;
  readonly #delivering = new Set<Promise<void>>();
  /** Plans that another driver took over, with its epoch: what an earlier one still asks for comes too late. */
  readonly #epochs = new Map<string, number>();
  /** Planners that were told that there is no room, in the order they asked. */
  readonly #refused = new Map<string, ReplyTo>();
  readonly #slots: Slots;
  #succeeded = 0;
  #failed = 0;
  readonly #leaseMs: number;
  #shared: (TaskServices & { readonly signals: SignalWatches; readonly events: EventListeners }) | undefined;
  #holding: HoldingRounds | undefined;
  #awake: Wakefulness | undefined;
  #isClosed = false;
  #idleWaiters: (() => void)[] = [];

  constructor(options: WorkerOptions) {
    super(options);
    const { leaseMs = defaultLeaseMs } = options;
    if (!(leaseMs > 0)) throw new TypeError(`leaseMs must be a number of milliseconds, not ${leaseMs}`);
    this.#leaseMs = leaseMs;
    this.#slots = new Slots(this.concurrency, () => this.#tellRoom());
  }

  /**
   * Registers the handler of tasks assigned to `task` or, when there is none for what a task is assigned to, of tasks
   * with that name. What it returns becomes the task's result; what it throws makes the attempt fail.
   */
  onTask<C extends TaskContract>(task: C, handler: TaskHandler<InputOf<C>, OutputOf<C>>): this;
  onTask(task: string, handler: TaskHandler<AnyData>): this;
  onTask(task: string | TaskContract, handler: TaskHandler<AnyData>): this {
    const name = typeof task === "string" ? task : task.name;
    const contract = typeof task === "string" ? undefined : task;
    if (this.#handlers.has(name)) throw new TypeError(`${this.name} has a handler for task "${name}" already`);
    this.#handlers.set(name, { contract, handler, quick: 0 });
    if (contract) this.keepSchemas(contract);
    return this;
  }

  override record(): AgentRecord {
    const record = super.record();
    const tasks = [...this.#handlers].map(([name, { contract }]) => this.operation(name, contract));
    // A handler is a capability too: whoever assigns a task to its name finds this worker.
    const capabilities = [...new Set([...record.capabilities, ...this.#handlers.keys()])];
    return { ...record, tasks, capabilities };
  }

  override stats(): AgentStats {
    const suspended = count(this.#running, (attempt) => attempt.isSuspended);
    return {
      ...super.stats(),
      tasks: {
        running: this.#running.size - suspended,
        suspended,
        unacknowledged: count(this.#attempts.values(), (attempt) => attempt.outcome !== undefined),
        succeeded: this.#succeeded,
        failed: this.#failed,
      },
    };
  }

  override onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    switch (method) {
      case taskMethods.offer:
        return this.#offered(envelopeOf(params));
      case taskMethods.recorded:
        return this.#recorded(params);
      case taskMethods.cancel:
        return this.#cancelled(params);
      case taskMethods.attach:
        return this.#attached(params);
      default:
        return super.onCall(method, params, call);
    }
  }

  protected override async onStart({ node, tracker }: NodeServices): Promise<void> {
    const { agentId, log } = this;
    this.#isClosed = false;
    this.#awake = new Wakefulness(node.runtime);
    this.#answered = new AnsweredResults(node.runtime, (attempt) => this.#deliver(attempt, resultPatienceMs));
    this.#holding = new HoldingRounds({
      node,
      log,
      everyMs: this.#leaseMs / 3,
      attempts: this.#attempts,
      tell: (planner, attempts) => this.#tell(planner, taskMethods.holding, { agentId, attempts }),
      hasEnded: (attempt) => this.#hasEnded(attempt.offer),
      drop: (attempt, reason) => this.#drop(attempt, reason),
    });
    this.#shared = {
      agentId,
      services: () => this.services(),
      signals: new SignalWatches(tracker.logOf(agentId), node.runtime, log),
      events: new EventListeners(this.context.bus, node.runtime),
    };
  }

  protected override async idle(): Promise<void> {
    // Who only waits can do so elsewhere.
    for (const attempt of this.#running) if (attempt.isSuspended) attempt.abort(this.#stopping());
    await super.idle();
    while (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.push(resolve);
      });
    }
    this.#answered?.deliverAll();
    await Promise.all(this.#delivering);
  }

  protected override async onStop(): Promise<void> {
    this.#holding?.[Symbol.dispose]();
    this.#awake?.close();
    // What did not finish in time goes back, so that another instance gets it at once.
    for (const attempt of this.#running) {
      attempt.abort(this.stopSignal.reason ?? this.#stopping());
      this.#end(attempt, { ok: false, failure: toFailure(this.#stopping()) }, handBackMs);
    }
    const { runtime } = this.services().node;
    await atMost(runtime, handBackMs, Promise.all(this.#delivering));
    for (const attempt of this.#attempts.values()) attempt.abandon();
    this.#attempts.clear();
    this.#answered?.close();
    this.#shared?.signals[Symbol.dispose]();
    await this.#shared?.events[Symbol.asyncDispose]();
    this.#isClosed = true;
  }

  #offered(envelope: Envelope): OfferAnswer | Promise<OfferAnswer> {
    const offer = readOffer(envelope);
    if (envelope.tenantId !== this.services().node.tenantId)
      throw new SoormaError("MESSAGE_MALFORMED", "the task is of another tenant");
    const { taskId, attempt, planId, epoch } = offer;
    if (epoch < (this.#epochs.get(planId) ?? 0))
      throw new SoormaError("PLAN_FENCED", `another planner drives plan ${planId} by now`);
    const known = this.#attempts.get(taskId);
    // Offered again because the answer was lost.
    if (known?.offer.attempt === attempt && !known.unwanted) return "accepted";
    if (known && known.offer.attempt >= attempt) {
      const { attempt: latest, name } = known.offer;
      throw new SoormaError("ATTEMPT_STALE", `attempt ${attempt} at task "${name}" comes too late, after ${latest}`);
    }
    const handled = this.#handlers.get(offer.assignedTo) ?? this.#handlers.get(offer.name);
    if (!handled) {
      throw new SoormaError(
        "TASK_UNASSIGNABLE",
        `${this.name} has no handler for task "${offer.name}" assigned to "${offer.assignedTo}"; it handles: ${[...this.#handlers.keys()].join(", ") || "nothing"}`,
        { retryable: false, hint: `Register one with worker.onTask("${offer.assignedTo}", …).` },
      );
    }
    if (known) this.#drop(known, new SoormaError("ATTEMPT_STALE", `attempt ${attempt} at task "${offer.name}" began`));
    if (this.isStopping) throw this.#stopping();
    if (!this.#slots.take()) {
      this.#refused.set(offer.replyTo.agentId, offer.replyTo);
      return "busy";
    }
    return this.#begin(envelope, offer, handled);
  }

  #begin(envelope: Envelope, offer: OfferedTask, handled: Handled): OfferAnswer | Promise<OfferAnswer> {
    const { runtime } = this.services().node;
    const held = new HeldAttempt({
      envelope,
      offer,
      timeoutMs: offer.timeoutMs ?? handled.contract?.timeoutMs,
      runtime,
      slots: this.#slots,
      isFresh: this.#awake?.isCertain() ?? false,
      onSuspended: (attempt) => this.#suspended(attempt),
    });
    this.#attempts.set(offer.taskId, held);
    this.#running.add(held);
    this.#holding?.begin();
    if (handled.quick >= quickEnough) return this.#answerWithResult(held, handled);
    // The answers to offers go first, at the end of the turn: a handler may keep the thread from its first line on.
    if (this.#beginning.push([held, handled]) === 1)
      runtime.defer(() => runtime.defer(() => this.#beginHandlers(runtime)));
    return "accepted";
  }

  /** Of a handler that is usually over at once. */
  async #answerWithResult(held: HeldAttempt, handled: Handled): Promise<OfferAnswer> {
    held.isAnswering = true;
    void this.#run(held, handled);
    for (let hop = 0; hop < quickHops && !held.outcome; hop++) await undefined;
    held.isAnswering = false;
    if (!held.outcome || held.unwanted) return "accepted";
    this.#answered?.add(held);
    return held.outcome;
  }

  #beginHandlers(runtime: Runtime): void {
    const beganAt = runtime.monotonic();
    for (let next = this.#beginning.shift(); next; next = this.#beginning.shift()) {
      void this.#run(...next);
      // What one that kept the thread returned is not held up by those after it.
      if (this.#beginning.length > 0 && runtime.monotonic() - beganAt > longTurnMs) {
        runtime.defer(() => this.#beginHandlers(runtime));
        return;
      }
    }
  }

  async #run(attempt: HeldAttempt, handled: Handled): Promise<void> {
    const { contract, handler } = handled;
    const { offer, envelope } = attempt;
    const { runtime } = this.services().node;
    const beganAt = runtime.monotonic();
    const timer = this.#ownTimeout(attempt, contract);
    let outcome: Outcome;
    try {
      if (contract) checkData(contract.input, offer.data, `data of task "${offer.name}"`);
      if (!this.#shared) throw this.#stopping();
      if (attempt.abortedWith) throw attempt.abortedWith.reason;
      const task = viewOf(this.services().node, new TaskHandle(attempt, this.#shared));
      const result = await this.handle(
        { kind: "task", name: offer.name, assignedTo: offer.assignedTo, data: offer.data },
        envelope,
        () => handler(task, this.context),
      );
      const unpackable = findUnpackable(result, "result");
      if (unpackable) {
        const { path, what } = unpackable;
        throw new SoormaError("PAYLOAD_INVALID", `${path} is ${what}, which cannot be sent`, { details: { path } });
      }
      if (contract) checkResult(contract.output, result, `result of task "${offer.name}" by ${this.name}`);
      outcome = { ok: true, result: result ?? null };
    } catch (error) {
      outcome = { ok: false, failure: this.#failureOf(attempt, error) };
    }
    const tookMs = runtime.monotonic() - beganAt;
    // One that took long may keep the thread again, and its offers are answered first.
    handled.quick =
      tookMs < quickMs ? Math.min(mostQuick, handled.quick + 1) : tookMs < longTurnMs ? handled.quick >> 1 : 0;
    timer?.cancel();
    this.#running.delete(attempt);
    attempt.end();
    this.#end(attempt, outcome, resultPatienceMs);
    if (this.#running.size === 0) for (const wake of this.#idleWaiters.splice(0)) wake();
  }

  /** The planner watches a time that it knows of. One that only the contract here names has to be watched here. */
  #ownTimeout(attempt: HeldAttempt, contract: TaskContract | undefined): Timer | undefined {
    const { offer } = attempt;
    const timeoutMs = contract?.timeoutMs;
    if (timeoutMs === undefined || offer.timeoutMs != null) return undefined;
    const expire = (): void => {
      const error = new SoormaError("TIMEOUT", `task "${offer.name}" took longer than its ${timeoutMs} ms`);
      attempt.abort(error);
      this.#end(attempt, { ok: false, failure: toFailure(error) }, resultPatienceMs);
    };
    return this.services().node.runtime.setTimer(expire, timeoutMs);
  }

  #failureOf(attempt: HeldAttempt, error: unknown): ReturnType<typeof toFailure> {
    const { offer, envelope, abortedWith } = attempt;
    // Whatever it threw: it was told to give up, and goes on elsewhere.
    if (isSoormaError(abortedWith?.reason, "NODE_STOPPED")) return toFailure(this.#stopping());
    if (!isSoormaError(error)) {
      const { taskId, name: task, attempt: number } = offer;
      this.log.warn("task.failed", { task, taskId, attempt: number, traceId: envelope.traceId, error });
    }
    return failureOf(error);
  }

  /** The first end of an attempt is delivered to its planner, unless nobody wants it. */
  #end(attempt: HeldAttempt, outcome: Outcome, patienceMs: number): void {
    if (attempt.outcome) return;
    attempt.outcome = outcome;
    if (outcome.ok) this.#succeeded++;
    else this.#failed++;
    if (attempt.unwanted) this.#forget(attempt);
    else if (!attempt.isAnswering) this.#deliver(attempt, patienceMs);
  }

  #recorded(params: unknown): void {
    for (const { taskId, attempt } of readRecorded(params).attempts) {
      const known = this.#attempts.get(taskId);
      if (known?.offer.attempt === attempt && known.outcome && known.deliveries === 0) this.#forget(known);
    }
  }

  #deliver(attempt: HeldAttempt, patienceMs: number): void {
    const { node } = this.services();
    const { agentId, log } = this;
    const hasEnded = (): Promise<boolean> => this.#hasEnded(attempt.offer);
    const delivering = deliver(attempt, { node, agentId, log, patienceMs, hasEnded }).then((isOver) => {
      this.#delivering.delete(delivering);
      if (isOver) this.#forget(attempt);
    });
    this.#delivering.add(delivering);
  }

  async #hasEnded({ planId, taskId, attempt }: OfferedTask): Promise<boolean> {
    const { tracker } = this.services();
    return (await tracker.logOf(this.agentId).journal(planId, taskId)).attempt !== attempt;
  }

  #forget(attempt: HeldAttempt): void {
    const { taskId } = attempt.offer;
    this.#answered?.delete(attempt);
    if (this.#attempts.get(taskId) === attempt) this.#attempts.delete(taskId);
  }

  /** Nobody wants to hear of it any more. */
  #drop(attempt: HeldAttempt, reason: unknown): void {
    attempt.unwanted = true;
    attempt.abandon();
    attempt.abort(reason);
    if (attempt.outcome) this.#forget(attempt);
  }

  #cancelled(params: unknown): void {
    const { taskId, attempt, epoch, failure } = readCancel(params);
    const known = this.#attempts.get(taskId);
    // A planner that lost the plan, and may not know it yet, has no say.
    if (known?.offer.attempt !== attempt || epoch < known.epoch) return;
    this.#drop(known, fromFailure(failure));
  }

  #attached(params: unknown): Holding[] {
    const { replyTo, attempts } = readAttach(params);
    return attempts.map(({ taskId, attempt, planId, epoch }) => {
      if (epoch < (this.#epochs.get(planId) ?? 0)) return "fenced";
      if (epoch > 1) this.#noteEpoch(planId, epoch);
      const known = this.#attempts.get(taskId);
      if (known?.offer.attempt !== attempt || known.unwanted) return "unknown";
      if (epoch < known.epoch) return "fenced";
      const isOther = known.replyTo.agentId !== replyTo.agentId;
      if (isOther) known.moveTo(replyTo, epoch);
      const { ranMs, isSuspended } = known;
      if (!known.outcome) return { state: isSuspended ? "suspended" : "running", ranMs };
      if (isOther) this.#deliver(known, resultPatienceMs);
      return { state: "done", ranMs };
    });
  }

  #noteEpoch(planId: string, epoch: number): void {
    this.#epochs.delete(planId);
    this.#epochs.set(planId, epoch);
    const oldest = this.#epochs.keys().next().value;
    if (this.#epochs.size > rememberedEpochs && oldest !== undefined) this.#epochs.delete(oldest);
  }

  #suspended(attempt: HeldAttempt): void {
    const { taskId, attempt: number } = attempt.offer;
    const suspended = attempt.isSuspended;
    if (suspended && this.isStopping) attempt.abort(this.#stopping());
    const note = { taskId, attempt: number, agentId: this.agentId, suspended, order: ++attempt.notes };
    this.#tell(attempt.replyTo, taskMethods.suspended, note);
  }

  /** One planner hears of it at a time; its offer may come just as another one's. */
  #tellRoom(): void {
    if (this.#refused.size === 0) return;
    const [first] = this.#refused.values();
    if (!first) return;
    this.#refused.delete(first.agentId);
    this.#tell(first, taskMethods.room, { agentId: this.agentId });
  }

  #tell(to: ReplyTo, method: string, note: object): void {
    // A handler may end long after its worker gave it up.
    if (this.#isClosed) return;
    this.services()
      .node.tellAgent(to, method, note)
      .catch((error) => this.log.debug("note.lost", { method, planner: to.agentId, error }));
  }

  #stopping(): SoormaError {
    return new SoormaError("NODE_STOPPED", `${this.name} stops before the task is done`);
  }
}

function count<T>(all: Iterable<T>, is: (one: T) => boolean): number {
  let found = 0;
  for (const one of all) if (is(one)) found++;
  return found;
}
