import type { Agent, AgentOptions } from "../agents/agent.ts";
import type { AnyData } from "../agents/any-data.ts";
import type { PlatformContext } from "../agents/context.ts";
import { Planner } from "../agents/planner.ts";
import type { Task } from "../agents/task.ts";
import { Tool } from "../agents/tool.ts";
import { Worker } from "../agents/worker.ts";
import { fromFailure, SoormaError } from "../errors.ts";
import { isTopic } from "../events/topics.ts";
import type { Mesh } from "../mesh/mesh.ts";
import type { EventRef } from "../registry/records.ts";
import { createComparison, type Difference, showValue } from "./difference.ts";
import type { RecordedAgent, RecordedEvent, RecordedOutcome, RecordedRequest, RecordedTask } from "./format.ts";
import { endOf, endsOf, outcomeOf } from "./inputs.ts";
import type { Recording } from "./lines.ts";

export interface StubOptions {
  /** Names of the agents that are real, because they are what is tested. */
  readonly except?: readonly string[];
  /** Paths in what a stub is asked that may differ from the recording: `data.requestId`, or `id` wherever it is. */
  readonly ignore?: readonly string[];
}

/** A recorded agent, played by its recording. */
export interface RecordedStub {
  /** Name of the agent. */
  readonly name: string;
  readonly kind: "planner" | "worker" | "tool";
  /** Makes the agent that answers as was recorded. */
  create(options: Partial<AgentOptions> & { readonly mesh: Mesh }): Agent;
}

/**
 * Stubs of the agents in a recording: workers, tools and planners with their names and capabilities, that answer what they
 * are asked as was recorded, publish what was published meanwhile, and react to events as was recorded.
 *
 * A call is looked for by what it is (the task with what it was assigned to, the operation, the goal) and what it was asked:
 * its data, of a task also its inputs. Recorded several times, it is answered in that order, and then as the last time.
 * What the recording does not hold fails with `CALL_NOT_RECORDED`, which names it and what comes closest.
 */
export function recordedStubs(recording: Recording, options: StubOptions = {}): readonly RecordedStub[] {
  const { except = [], ignore } = options;
  const answers = new RecordedAnswers(recording, ignore);
  const agents = new Map<string, RecordedAgent>();
  for (const line of recording.lines)
    if (line.kind === "agent") agents.set(line.agent.name, merge(agents.get(line.agent.name), line.agent));
  const unknown = except.filter((name) => !agents.has(name));
  if (unknown.length > 0) {
    throw new TypeError(
      `the recording has no agent ${unknown.map((name) => `"${name}"`).join(", ")}; it has: ${[...agents.keys()].join(", ")}`,
    );
  }
  return [...agents.values()].flatMap((agent): RecordedStub[] => {
    const { name, kind } = agent;
    if (except.includes(name) || kind === "client" || kind === "service") return [];
    return [{ name, kind, create: (given) => createStub(agent, answers, given) }];
  });
}

/** All that instances of an agent announced in the course of time. */
function merge(before: RecordedAgent | undefined, agent: RecordedAgent): RecordedAgent {
  if (!before) return agent;
  const byName = <T extends { readonly name: string }>(a: readonly T[], b: readonly T[]): T[] => [
    ...new Map([...a, ...b].map((one) => [one.name, one])).values(),
  ];
  const events = (a: readonly EventRef[], b: readonly EventRef[]): EventRef[] => [
    ...new Map([...a, ...b].map((one) => [`${one.type} ${one.topic} ${one.group}`, one])).values(),
  ];
  return {
    ...agent,
    capabilities: [...new Set([...before.capabilities, ...agent.capabilities])],
    goals: byName(before.goals, agent.goals),
    tasks: byName(before.tasks, agent.tasks),
    operations: byName(before.operations, agent.operations),
    consumes: events(before.consumes, agent.consumes),
    produces: events(before.produces, agent.produces),
  };
}

/** A stub is never what limits how much goes on at the same time. */
const stubConcurrency = 1_000;

function createStub(
  recorded: RecordedAgent,
  answers: RecordedAnswers,
  given: Partial<AgentOptions> & { readonly mesh: Mesh },
): Agent {
  const { name, kind, description, version, capabilities, tasks, operations, goals, consumes, produces } = recorded;
  const options: AgentOptions = {
    concurrency: stubConcurrency,
    description,
    version,
    ...given,
    name,
    capabilities: capabilities.filter((capability) => !tasks.some((task) => task.name === capability)),
    produces: produces
      .map(({ type }) => type)
      .filter((type) => !type.startsWith("system.") && !type.startsWith("goal.")),
  };
  let agent: Agent;
  if (kind === "planner") {
    const planner = new Planner(options);
    const results = new Map<string, unknown>();
    for (const goal of goals) {
      planner.onGoal(goal.name, async (asked, context) => {
        const call = answers.goal(goal.name, asked.data);
        await publishAll(call.meanwhile, context);
        results.set(asked.planId, resultOf(call.outcome));
        return { tasks: [] };
      });
    }
    planner.onComplete(({ planId }) => results.get(planId));
    agent = planner;
  } else if (kind === "worker") {
    const worker = new Worker(options);
    for (const task of tasks) {
      worker.onTask(task.name, async (asked: Task<AnyData>, context) => {
        const call = answers.task(asked);
        await publishAll(call.meanwhile, context);
        // It ran until nobody wanted it any more.
        if (call.isCancelled) {
          // It may have been cancelled while the events were published.
          asked.signal.throwIfAborted();
          await new Promise((_, reject) => asked.signal.addEventListener("abort", () => reject(asked.signal.reason)));
        }
        return resultOf(call.outcome);
      });
    }
    agent = worker;
  } else agent = new Tool(options);
  for (const operation of operations) {
    agent.onRequest(operation.name, async (asked, context) => {
      const call = answers.request(operation.name, asked.data);
      await publishAll(call.meanwhile, context);
      return resultOf(call.outcome);
    });
  }
  for (const { type, topic, group } of consumes) {
    if (type.startsWith("system.")) continue;
    const taking = { group: group ?? null, ...(topic !== undefined && isTopic(topic) ? { topic } : {}) };
    agent.onEvent(
      type,
      (event, context) => publishAll(answers.reaction(name, event.type, event.data), context),
      taking,
    );
  }
  return agent;
}

function resultOf(outcome: RecordedOutcome): unknown {
  if (outcome.ok) return outcome.result;
  throw fromFailure(outcome.error);
}

async function publishAll(events: readonly RecordedEvent[], { bus }: PlatformContext): Promise<void> {
  for (const { type, topic, data, subject, responseEvent, responseTopic } of events) {
    await bus.publish(type, data, {
      ...(isTopic(topic) ? { topic } : {}),
      ...(subject === undefined ? {} : { subject }),
      ...(responseEvent === undefined ? {} : { responseEvent }),
      ...(responseTopic !== undefined && isTopic(responseTopic) ? { responseTopic } : {}),
    });
  }
}

interface RecordedCall {
  readonly outcome: RecordedOutcome;
  /** What its handler published. */
  readonly meanwhile: readonly RecordedEvent[];
  readonly isCancelled: boolean;
}

type Asked = RecordedTask | RecordedRequest;

/** Looks up what was answered. Shared by the stubs, so that it counts however many of them are asked. */
class RecordedAnswers {
  readonly #recording: Recording;
  readonly #asked: readonly Asked[];
  readonly #ends: ReturnType<typeof endsOf>;
  readonly #results = new Map<string, RecordedOutcome>();
  readonly #cancelled = new Set<string>();
  readonly #published = new Map<string, RecordedEvent[]>();
  readonly #names = new Map<string, string>();
  readonly #uses = new Map<string, number>();
  readonly #differences: ReturnType<typeof createComparison>;

  constructor(recording: Recording, ignore: readonly string[] | undefined) {
    this.#recording = recording;
    this.#differences = createComparison(ignore);
    this.#ends = endsOf(recording);
    /** Sent to another agent because the first one was lost, a request has the same id. */
    const asked = new Map<string, Asked>();
    for (const line of recording.lines) {
      if (line.kind === "agent") this.#names.set(line.agent.agentId, line.agent.name);
      else if (line.kind === "task" || line.kind === "request" || line.kind === "goal") asked.set(line.id, line);
      else if (line.kind === "result" && line.parentId !== undefined) this.#results.set(line.parentId, outcomeOf(line));
      else if (line.kind === "cancel" && line.parentId !== undefined) this.#cancelled.add(line.parentId);
      else if (line.kind === "event" && line.parentId !== undefined) {
        const others = this.#published.get(line.parentId);
        if (others) others.push(line);
        else this.#published.set(line.parentId, [line]);
      }
    }
    this.#asked = [...asked.values()].filter((one) => !this.#isDeclined(one)).sort((a, b) => a.time - b.time);
  }

  task({ name, assignedTo, data, inputs, attempt }: Task<AnyData>): RecordedCall {
    const known = this.#asked.filter(
      (one): one is RecordedTask => one.kind === "task" && one.type === name && one.assignedTo === assignedTo,
    );
    const what = `task "${name}" for "${assignedTo}"`;
    const matching = this.#matching(what, known, data, inputs);
    // An attempt that failed is answered by what its next attempt came to.
    const sameAttempt = matching.filter((one) => one.attempt === attempt);
    const call = this.#next(`${what} ${attempt}`, sameAttempt.length > 0 ? sameAttempt : matching);
    return this.#answerOf(what, call, this.#results.get(call.id));
  }

  request(type: string, data: unknown): RecordedCall {
    return this.#call("request", `request "${type}"`, type, data);
  }

  goal(type: string, data: unknown): RecordedCall {
    return this.#call("goal", `goal "${type}"`, type, data);
  }

  /** What an agent published because of an event. An event that was not recorded changes nothing. */
  reaction(agent: string, type: string, data: unknown): readonly RecordedEvent[] {
    const known = this.#recording.lines.filter(
      (line): line is RecordedEvent => line.kind === "event" && line.type === type,
    );
    const matching = known.filter((one) => this.#differences("data", one.data ?? null, data ?? null).length === 0);
    const event = matching.length > 0 ? this.#next(`event ${agent} ${type}`, matching) : undefined;
    const published = event ? (this.#published.get(event.id) ?? []) : [];
    return published.filter(({ from }) => this.#names.get(from) === agent);
  }

  /** Offered to a worker that did not take it. */
  #isDeclined({ kind, id }: Asked): boolean {
    if (kind !== "task" || this.#results.has(id)) return false;
    const reply = this.#ends.replies.get(id);
    return reply !== undefined && (!reply.ok || reply.result !== "accepted");
  }

  #call(kind: "request" | "goal", what: string, type: string, data: unknown): RecordedCall {
    const known = this.#asked.filter((one): one is RecordedRequest => one.kind === kind && one.type === type);
    const call = this.#next(what, this.#matching(what, known, data));
    return this.#answerOf(what, call, endOf(call, this.#ends.replies, this.#ends.answers)?.outcome);
  }

  #answerOf(what: string, call: Asked, outcome: RecordedOutcome | undefined): RecordedCall {
    const isCancelled = this.#cancelled.has(call.id);
    if (!outcome && !isCancelled) {
      throw notRecorded(`${what} has no answer in the recording: it ended before that, or lost it`, { what });
    }
    const meanwhile = (this.#published.get(call.id) ?? []).filter(
      ({ from, id, planId }) => from === call.to && id !== `${planId}.answer`,
    );
    return { outcome: outcome ?? { ok: true, result: null }, meanwhile, isCancelled: !outcome && isCancelled };
  }

  /** Those that were asked the same. @throws {SoormaError} `CALL_NOT_RECORDED` */
  #matching<T extends Asked>(what: string, known: readonly T[], data: unknown, inputs?: unknown): readonly T[] {
    let closest: readonly Difference[] | undefined;
    const matching = known.filter((one) => {
      const differences = [
        ...this.#differences("data", one.data ?? null, data ?? null),
        ...(inputs !== undefined && "inputs" in one ? this.#differences("inputs", one.inputs, inputs) : []),
      ];
      if (!closest || differences.length < closest.length) closest = differences;
      return differences.length === 0;
    });
    if (matching.length > 0) return matching;
    const asked = `with data ${showValue(data)}`;
    if (known.length === 0 || !closest) throw notRecorded(`the recording holds no ${what} (asked ${asked})`, { what });
    const [first] = closest;
    const others = closest.length > 1 ? `, and ${closest.length - 1} more differences` : "";
    throw notRecorded(
      `the recording holds no ${what} ${asked}; of the ${known.length} it holds the closest has ${showValue(first?.recorded)} at ${first?.path} instead of ${showValue(first?.actual)}${others}`,
      { what, path: first?.path ?? "" },
    );
  }

  /** Each its turn, and then the last one again. */
  #next<T extends { readonly id: string }>(what: string, matching: readonly T[]): T {
    const key = `${what} ${matching[0]?.id}`;
    const count = this.#uses.get(key) ?? 0;
    this.#uses.set(key, count + 1);
    return matching[Math.min(count, matching.length - 1)] as T;
  }
}

function notRecorded(message: string, details: Record<string, unknown>): SoormaError {
  return new SoormaError("CALL_NOT_RECORDED", message, {
    retryable: false,
    details,
    hint: "Record the mesh again, or name in `ignore` what differs from one run to the next.",
  });
}
