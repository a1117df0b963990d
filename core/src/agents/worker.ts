import { checkData, type InputOf, type OutputOf, type TaskContract } from "../contracts.ts";
import { type Failure, isSoormaError, SoormaError, toFailure } from "../errors.ts";
import { runWith } from "../events/context.ts";
import type { Envelope } from "../events/envelope.ts";
import { envelopeOf } from "../mesh/node.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import type { AgentRecord } from "../registry/records.ts";
import { sleep } from "../runtime.ts";
import { Agent } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import type { PlatformContext } from "./context.ts";
import { checkResult } from "./request.ts";
import { type OfferAnswer, type OfferedTask, readKey, readOffer, type TaskOutcome, taskMethods } from "./task-wire.ts";

/** A task as its handler sees it. */
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
  /** Aborts when the result is not wanted any more: cancelled, timed out, or the worker stops. */
  readonly signal: AbortSignal;
  /** Tells whoever watches how far it is: a fraction from 0 to 1. It may be lost. */
  reportProgress(fraction: number, message?: string): Promise<void>;
}

export type TaskHandler<T = unknown, R = unknown> = (task: Task<T>, context: PlatformContext) => R | Promise<R>;

interface Handled {
  readonly contract: TaskContract | undefined;
  readonly handler: TaskHandler<AnyData>;
}

interface Running {
  readonly offer: OfferedTask;
  readonly controller: AbortController;
}

/** Milliseconds a finished task's result is offered to a planner that does not answer. */
const resultPatienceMs = 60_000;

/** An agent that carries tasks out. */
export class Worker extends Agent {
  readonly kind = "worker";
  readonly #handlers = new Map<string, Handled>();
  readonly #running = new Map<string, Running>();
  readonly #reporting = new Set<Promise<void>>();
  #idleWaiters: (() => void)[] = [];

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
    this.#handlers.set(name, { contract, handler });
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

  override onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    if (method === taskMethods.offer) return this.#offered(envelopeOf(params));
    if (method === taskMethods.cancel) {
      const key = readKey(params);
      this.#running.get(keyOf(key))?.controller.abort(new SoormaError("CANCELLED", `task ${key.taskId} was cancelled`));
      return undefined;
    }
    return super.onCall(method, params, call);
  }

  protected override async idle(): Promise<void> {
    await super.idle();
    while (this.#running.size > 0) {
      await new Promise<void>((resolve) => {
        this.#idleWaiters.push(resolve);
      });
    }
    await Promise.all(this.#reporting);
  }

  protected override async onStop(): Promise<void> {
    // What did not finish in time goes back, so that another instance gets it at once.
    const failure = toFailure(new SoormaError("NODE_STOPPED", `${this.name} stopped before the task was done`));
    const left = [...this.#running.values()];
    this.#running.clear();
    for (const { controller } of left) controller.abort(this.stopSignal.reason);
    await Promise.all(left.map(({ offer }) => this.#report(offer, { ok: false, failure }, 1_000)));
  }

  #offered(envelope: Envelope): OfferAnswer {
    const offer = readOffer(envelope);
    if (envelope.tenantId !== this.services().node.tenantId)
      throw new SoormaError("MESSAGE_MALFORMED", "the task is of another tenant");
    const key = keyOf(offer);
    // Offered again because the answer was lost.
    if (this.#running.has(key)) return "accepted";
    const handled = this.#handlers.get(offer.assignedTo) ?? this.#handlers.get(offer.name);
    if (!handled) {
      throw new SoormaError(
        "TASK_UNASSIGNABLE",
        `${this.name} has no handler for task "${offer.name}" assigned to "${offer.assignedTo}"; it handles: ${[...this.#handlers.keys()].join(", ") || "nothing"}`,
        { retryable: false, hint: `Register one with worker.onTask("${offer.assignedTo}", …).` },
      );
    }
    if (this.isStopping || this.#running.size >= this.concurrency) return "busy";
    const running: Running = { offer, controller: new AbortController() };
    this.#running.set(key, running);
    void this.#run(envelope, running, handled);
    return "accepted";
  }

  async #run(envelope: Envelope, running: Running, { contract, handler }: Handled): Promise<void> {
    const { offer, controller } = running;
    const { runtime } = this.services().node;
    const timer =
      offer.timeoutMs == null
        ? undefined
        : runtime.setTimer(
            () =>
              controller.abort(
                new SoormaError("TIMEOUT", `task "${offer.name}" took longer than its ${offer.timeoutMs} ms`),
              ),
            offer.timeoutMs,
          );
    let outcome: { ok: true; result: unknown } | { ok: false; failure: Failure };
    try {
      if (contract) checkData(contract.input, offer.data, `data of task "${offer.name}"`);
      const task = this.#task(envelope, offer, controller.signal);
      const result = await runWith(envelope, () => handler(task, this.context));
      if (contract) checkResult(contract.output, result, `result of task "${offer.name}" by ${this.name}`);
      outcome = { ok: true, result: result ?? null };
    } catch (error) {
      if (!isSoormaError(error))
        this.log.warn("task.failed", {
          task: offer.name,
          taskId: offer.taskId,
          attempt: offer.attempt,
          traceId: envelope.traceId,
          error,
        });
      outcome = { ok: false, failure: toFailure(error, "TASK_FAILED") };
    } finally {
      timer?.cancel();
    }
    // Handed back already: this worker gave it up.
    if (this.#running.get(keyOf(offer)) !== running) return;
    const reporting = this.#report(offer, outcome, resultPatienceMs);
    this.#reporting.add(reporting);
    this.#running.delete(keyOf(offer));
    if (this.#running.size === 0) for (const wake of this.#idleWaiters.splice(0)) wake();
    await reporting;
    this.#reporting.delete(reporting);
  }

  #task(envelope: Envelope, offer: OfferedTask, signal: AbortSignal): Task<AnyData> {
    const { taskId, attempt, replyTo } = offer;
    return {
      taskId,
      planId: offer.planId,
      goalId: envelope.goalId,
      sessionId: envelope.sessionId,
      name: offer.name,
      assignedTo: offer.assignedTo,
      data: offer.data,
      inputs: offer.inputs,
      attempt,
      deadline: envelope.deadline,
      signal,
      reportProgress: async (fraction, message) => {
        if (!Number.isFinite(fraction)) throw new TypeError(`progress must be a number from 0 to 1, not ${fraction}`);
        const note = {
          taskId,
          attempt,
          agentId: this.agentId,
          fraction: Math.min(1, Math.max(0, fraction)),
          ...(message === undefined ? {} : { message }),
        };
        await this.services()
          .node.tellAgent(replyTo, taskMethods.progress, note)
          .catch((error) => this.log.debug("progress.lost", { taskId, error }));
      },
    };
  }

  /** Sends an outcome until the planner acknowledges it. Should it never: the plan's log tells the next one to try again. */
  async #report(
    offer: OfferedTask,
    outcome: { ok: true; result: unknown } | { ok: false; failure: Failure },
    patienceMs: number,
  ): Promise<void> {
    const { node } = this.services();
    const { taskId, attempt, replyTo } = offer;
    const message: TaskOutcome = { taskId, attempt, agentId: this.agentId, ...outcome };
    const deadline = node.runtime.monotonic() + patienceMs;
    for (let round = 0; ; round++) {
      try {
        await node.callAgent(replyTo, taskMethods.result, message);
        return;
      } catch (error) {
        if (isSoormaError(error, "MESSAGE_TOO_LARGE") && outcome.ok) {
          await this.#report(offer, { ok: false, failure: { ...toFailure(error), retryable: false } }, patienceMs);
          return;
        }
        const left = deadline - node.runtime.monotonic();
        if (left <= 0 || (isSoormaError(error) && !error.retryable)) {
          this.log.warn("task.result.undelivered", { taskId, attempt, planner: replyTo.agentId, error });
          return;
        }
        await sleep(node.runtime, Math.min(left, 2_000, 50 * 2 ** Math.min(round, 6)));
      }
    }
  }
}

function keyOf({ taskId, attempt }: { readonly taskId: string; readonly attempt: number }): string {
  return `${taskId} ${attempt}`;
}
