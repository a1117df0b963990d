import type { Client } from "../agents/client.ts";
import type { GoalRun } from "../agents/goal-run.ts";
import { isSoormaError } from "../errors.ts";
import { isTopic } from "../events/topics.ts";
import { isTerminal } from "../plans/task-node.ts";
import { type Runtime, sleep } from "../runtime.ts";
import type { RecordedEvent, RecordedOrder, RecordedRequest } from "./format.ts";
import type { InputMessage } from "./inputs.ts";

export interface InputSenderOptions {
  readonly client: Client;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const defaultTimeoutMs = 60_000;
/** Milliseconds a planner has to take a goal; one that is not there is a difference, not something to wait long for. */
const submitMs = 10_000;
/** Milliseconds until it is looked again whether a plan asks what was answered. */
const pauseMs = 50;

/** Sends recorded messages again. */
export class InputSender {
  readonly #o: InputSenderOptions;
  readonly #runtime: Runtime;
  /** Plans of this mesh by the ids of the recorded goals. */
  readonly #runs = new Map<string, Promise<GoalRun>>();

  constructor(options: InputSenderOptions, runtime: Runtime) {
    this.#o = options;
    this.#runtime = runtime;
  }

  /** Why an order cannot be given, if it cannot. */
  obstacleOf({ goalId }: RecordedOrder): string | undefined {
    return goalId !== undefined && this.#runs.has(goalId) ? undefined : "its plan is none of those sent here";
  }

  /** Resolves with the answer, if that is to be waited for. */
  async send(message: InputMessage, isAwaited: boolean): Promise<unknown> {
    switch (message.kind) {
      case "event":
        return await this.#publish(message);
      case "order":
        return await this.#order(message);
      case "goal": {
        const { timeoutMs = defaultTimeoutMs } = this.#o;
        const run = this.#submit(message);
        // Its orders wait for it.
        this.#runs.set(message.id, run);
        run.catch(() => {});
        return isAwaited ? await (await run).result({ timeoutMs, ...this.#stopping() }) : void (await run);
      }
      default: {
        const { client, timeoutMs = defaultTimeoutMs } = this.#o;
        const answer = client.bus.request(message.type, message.data, { timeoutMs, ...this.#stopping() });
        if (isAwaited) return await answer;
        // How it ends was not recorded.
        answer.catch(() => {});
        return undefined;
      }
    }
  }

  #stopping(): { readonly signal?: AbortSignal } {
    return this.#o.signal ? { signal: this.#o.signal } : {};
  }

  async #publish(event: RecordedEvent): Promise<void> {
    const { type, data, topic, subject } = event;
    await this.#o.client.bus.publish(type, data, {
      ...answeringOf(event),
      ...(isTopic(topic) ? { topic } : {}),
      ...(subject === undefined ? {} : { subject }),
    });
  }

  #submit(goal: RecordedRequest): Promise<GoalRun> {
    const { client, timeoutMs = defaultTimeoutMs } = this.#o;
    const options = { ...answeringOf(goal), ...this.#stopping(), timeoutMs: Math.min(timeoutMs, submitMs) };
    return client.submitGoal(goal.type, goal.data, options);
  }

  async #order({
    type,
    goalId = "",
    planId: recordedPlan,
    taskId: recordedTask,
    key,
    data,
  }: RecordedOrder): Promise<void> {
    const { tracker } = this.#o.client;
    const run = await this.#runs.get(goalId);
    if (!run) return;
    const { planId } = run;
    const reason = typeof data === "string" ? data : undefined;
    // A task's id begins with its plan's.
    const taskId = recordedTask?.replace(recordedPlan, () => planId);
    switch (type) {
      case "answer": {
        const which = { ...(taskId === undefined ? {} : { taskId }), ...(key === undefined ? {} : { key }) };
        return await this.#whenItMay(run, () => tracker.answer(planId, data, which));
      }
      case "cancel":
        await tracker.cancelPlan(planId, reason);
        return;
      case "pause":
        await tracker.pausePlan(planId, reason);
        return;
      case "resume":
        await tracker.resumePlan(planId);
        return;
      case "retry":
        return await this.#whenItMay(run, () => tracker.reviveTask(planId, taskId ?? ""));
      default:
        return await this.#whenItMay(run, () => tracker.discardDeadLetter(planId, taskId ?? "", reason));
    }
  }

  /** The plan may not be so far yet. @throws {SoormaError} `PLAN_REFUSED` when it has ended without. */
  async #whenItMay(run: GoalRun, order: () => Promise<void>): Promise<void> {
    const { timeoutMs = defaultTimeoutMs, signal } = this.#o;
    const deadline = this.#runtime.monotonic() + timeoutMs;
    for (;;) {
      try {
        return await order();
      } catch (error) {
        if (!isSoormaError(error, "PLAN_REFUSED") || this.#runtime.monotonic() >= deadline) throw error;
        if (isTerminal((await run.plan()).status)) throw error;
      }
      await sleep(this.#runtime, pauseMs, signal);
    }
  }
}

function answeringOf({ sessionId, responseEvent, responseTopic }: RecordedRequest | RecordedEvent) {
  return {
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(responseEvent === undefined ? {} : { responseEvent }),
    ...(responseTopic !== undefined && isTopic(responseTopic) ? { responseTopic } : {}),
  };
}
