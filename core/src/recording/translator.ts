import { goalMethods } from "../agents/goal-wire.ts";
import {
  keyOf,
  type Outcome,
  readCancel,
  readDelegate,
  readOffer,
  readOfferAnswer,
  readOutcome,
  readProgress,
  type TaskKey,
  taskMethods,
} from "../agents/task-wire.ts";
import { type Envelope, unpackEnvelope } from "../events/envelope.ts";
import { RecentIds } from "../mesh/recent-ids.ts";
import type { CopiedOrder, Copy } from "../mesh/tap.ts";
import type { RecordedMessage, RecordedOrder, RecordedOutcome, RecordedRequest, RecordedTask } from "./format.ts";

/** Calls and attempts without an end that are remembered. */
const mostOpen = 100_000;

const orderTypes: Readonly<Record<string, RecordedOrder["type"]>> = {
  "plan.cancelled": "cancel",
  "plan.paused": "pause",
  "plan.resumed": "resume",
  "task.signalled": "answer",
  "task.revived": "retry",
  "task.discarded": "discard",
};

export interface TranslatorOptions {
  /** Agents that have a subscription of their own for such an event now. */
  readonly subscribersOf: (type: string, topic: string) => readonly string[];
  /** The agent of a node, if it has only one: orders do not say whose they are. */
  readonly agentOn: (nodeId: string) => string | undefined;
}

/** Instead of a call whose answer says no more than that it arrived. */
const unanswered = Symbol("unanswered");

const aboutTasks: ReadonlySet<string> = new Set([taskMethods.result, taskMethods.delegate]);

/** Makes recorded messages of what nodes copy. What it cannot read it leaves out. */
export class CopyTranslator {
  readonly #o: TranslatorOptions;
  /** Traces of goals by the goals' ids. */
  readonly #traces = new Map<string, string>();
  #orders = 0;
  readonly #calls = new Map<string, RecordedRequest | RecordedTask | typeof unanswered>();
  readonly #tasks = new Map<string, RecordedTask>();
  /** A worker tells how an attempt ended until that is acknowledged, and copies of a task are many. */
  readonly #ended = new RecentIds(mostOpen);

  constructor(options: TranslatorOptions) {
    this.#o = options;
  }

  /** True for what is said of a task whose offer has not come yet. */
  isEarly(copy: Copy): boolean {
    const params = copy[0] === "call" ? copy[5] : copy[0] === "note" ? copy[4] : undefined;
    const isAbout = copy[0] === "note" || (copy[0] === "call" && aboutTasks.has(copy[3]));
    const { taskId, attempt } = (params ?? {}) as Partial<TaskKey>;
    if (!isAbout || typeof taskId !== "string" || typeof attempt !== "number") return false;
    const key = keyOf({ taskId, attempt });
    return !this.#tasks.has(key) && !this.#ended.has(key);
  }

  /**
   * @returns nothing for an answer to what was lost.
   * @throws what reading a malformed message throws.
   */
  translate(nodeId: string, copy: Copy): readonly RecordedMessage[] | undefined {
    switch (copy[0]) {
      case "event":
        return [this.#event(copy[1], unpackEnvelope(copy[2]))];
      case "order":
        return [this.#order(nodeId, copy[1], copy[2])];
      case "delivery": {
        const [, time, [event, type, from, traceId], group, to] = copy;
        return [{ kind: "delivery", time, id: `${event}.to.${to}`, type, from, to, group, traceId, parentId: event }];
      }
      case "call": {
        const [, time, callId, method, to, params] = copy;
        const line = this.#call(time, method, to, params, callId);
        const isAsked = line?.kind === "request" || line?.kind === "goal" || line?.kind === "task";
        remember(this.#calls, `${nodeId} ${callId}`, isAsked ? line : unanswered);
        return line ? [line] : [];
      }
      case "answer": {
        const key = `${nodeId} ${copy[2]}`;
        const call = this.#calls.get(key);
        this.#calls.delete(key);
        if (call === undefined) return undefined;
        if (call === unanswered) return [];
        return this.#answer(call, copy[1], copy[3] ? { ok: true, result: copy[4] } : { ok: false, error: copy[4] });
      }
      case "note": {
        const [, time, method, to, params] = copy;
        const line = this.#note(time, method, to, params);
        return line ? [line] : [];
      }
      default:
        return [];
    }
  }

  #event(time: number, envelope: Envelope): RecordedMessage {
    const { type, topic, data, subject, responseEvent, responseTopic } = envelope;
    return {
      kind: "event",
      time,
      ...idsOf(envelope),
      type,
      topic,
      to: this.#o.subscribersOf(type, topic),
      data,
      ...(subject === undefined ? {} : { subject }),
      ...(responseEvent === undefined ? {} : { responseEvent }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
    };
  }

  #order(nodeId: string, time: number, { planId, change, parentId }: CopiedOrder): RecordedMessage {
    const { type, taskId, key, value, reason } = change;
    // A plan's id is made of its goal's, which is that of the message that submitted it.
    const goalId = planId.replace(/^plan-/, "");
    const traceId = this.#traces.get(goalId);
    return {
      kind: "order",
      time,
      id: `${planId}.order-${++this.#orders}`,
      type: orderTypes[type] ?? "cancel",
      from: this.#o.agentOn(nodeId) ?? "",
      planId,
      goalId,
      ...(traceId === undefined ? {} : { traceId }),
      ...(parentId === undefined ? {} : { parentId }),
      ...(typeof taskId === "string" ? { taskId } : {}),
      ...(typeof key === "string" ? { key } : {}),
      data: (type === "task.signalled" ? value : reason) ?? null,
    };
  }

  #call(time: number, method: string, to: string, params: unknown, callId: number): RecordedMessage | undefined {
    switch (method) {
      case taskMethods.offer: {
        const envelope = unpackEnvelope(params);
        const { name, assignedTo, planId, taskId, attempt, data, inputs } = readOffer(envelope);
        const ids = { ...idsOf(envelope), planId, taskId, attempt };
        const task: RecordedTask = { kind: "task", time, ...ids, type: name, assignedTo, to, data, inputs };
        remember(this.#tasks, keyOf(task), task);
        return task;
      }
      case taskMethods.result: {
        const outcome = readOutcome(params);
        return this.#result(time, outcome, outcome.agentId, to, outcome);
      }
      case taskMethods.delegate: {
        const { agentId, tasks, ...of } = readDelegate(params);
        return { kind: "delegate", time, ...this.#ofTask(of, `delegate-${callId}`), from: agentId, to, tasks };
      }
      case goalMethods.submit:
      case goalMethods.replay:
      case "request": {
        const envelope = unpackEnvelope(params);
        const { type, data, responseEvent, responseTopic } = envelope;
        const isReplay = method === goalMethods.replay;
        if (method !== "request") remember(this.#traces, envelope.goalId ?? envelope.id, envelope.traceId);
        return {
          kind: method === "request" ? "request" : "goal",
          time,
          ...idsOf(envelope),
          type,
          to,
          data,
          ...(responseEvent === undefined ? {} : { responseEvent }),
          ...(responseTopic === undefined ? {} : { responseTopic }),
          ...(isReplay ? { replayOf: String((data as { planId?: unknown } | null)?.planId) } : {}),
        };
      }
      default:
        return undefined;
    }
  }

  #answer(call: RecordedRequest | RecordedTask, time: number, outcome: RecordedOutcome): readonly RecordedMessage[] {
    if (call.kind === "task" && outcome.ok && typeof outcome.result === "object") {
      const answer = readOfferAnswer(outcome.result);
      const result = this.#result(time, call, call.to, call.from, answer as Outcome);
      return result ? [result] : [];
    }
    const { id, type, from, to, time: sentAt, ...rest } = call;
    return [
      {
        kind: "reply",
        time,
        ...correlationOf(rest),
        id: `${id}.reply`,
        parentId: id,
        type,
        from: to,
        to: from,
        ...outcome,
        tookMs: time - sentAt,
      },
    ];
  }

  #result(time: number, key: TaskKey, from: string, to: string, outcome: Outcome): RecordedMessage | undefined {
    if (!this.#ended.add(keyOf(key))) return undefined;
    const task = this.#tasks.get(keyOf(key));
    const ids = this.#ofTask(key, "result");
    this.#tasks.delete(keyOf(key));
    return {
      kind: "result",
      time,
      ...ids,
      from,
      to,
      ...(outcome.ok ? { ok: true, result: outcome.result ?? null } : { ok: false, error: outcome.failure }),
      ...(task ? { tookMs: time - task.time } : {}),
    };
  }

  #note(time: number, method: string, to: string, params: unknown): RecordedMessage | undefined {
    if (method === taskMethods.progress) {
      const { agentId, fraction, message, ...of } = readProgress(params);
      const ids = this.#ofTask(of, `progress-${time}`);
      return { kind: "progress", time, ...ids, from: agentId, to, fraction, ...(message == null ? {} : { message }) };
    }
    if (method === taskMethods.cancel) {
      const { failure, epoch: _epoch, ...of } = readCancel(params);
      const from = this.#tasks.get(keyOf(of))?.from ?? "";
      return { kind: "cancel", time, ...this.#ofTask(of, "cancel"), from, to, error: failure };
    }
    return undefined;
  }

  /** The ids of a message about an attempt. Its offer may have been sent before the recording began. */
  #ofTask({ taskId, attempt }: TaskKey, what: string) {
    const task = this.#tasks.get(keyOf({ taskId, attempt }));
    if (!task) return { id: `${taskId}.${attempt}.${what}`, type: taskId, taskId, attempt };
    return { ...correlationOf(task), id: `${task.id}.${what}`, parentId: task.id, type: task.type, taskId, attempt };
  }
}

function remember<T>(map: Map<string, T>, key: string, value: T): void {
  map.set(key, value);
  const oldest = map.keys().next().value;
  if (map.size > mostOpen && oldest !== undefined) map.delete(oldest);
}

type Correlated = Pick<
  Envelope,
  "correlationId" | "sessionId" | "userId" | "goalId" | "planId" | "taskId" | "attempt" | "traceId"
>;

function correlationOf(of: Partial<Correlated>): Partial<Correlated> {
  const { traceId, correlationId, sessionId, userId, goalId, planId, taskId, attempt } = of;
  return {
    ...(traceId === undefined ? {} : { traceId }),
    ...(correlationId === undefined ? {} : { correlationId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(goalId === undefined ? {} : { goalId }),
    ...(planId === undefined ? {} : { planId }),
    ...(taskId === undefined ? {} : { taskId }),
    ...(attempt === undefined ? {} : { attempt }),
  };
}

function idsOf(envelope: Envelope) {
  const { id, source, parentId } = envelope;
  return { id, from: source, ...(parentId === undefined ? {} : { parentId }), ...correlationOf(envelope) };
}
