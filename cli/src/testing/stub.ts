import {
  type Agent,
  type AnyData,
  type GoalContract,
  type GoalHandler,
  Planner,
  type PlatformContext,
  type RequestHandler,
  sleep,
  type Task,
  type TaskContract,
  type TaskHandler,
  Tool,
  type ToolContract,
  Worker,
} from "@soorma/core";
import type { ActivityLog, MeshCall } from "./activity.ts";
import { type Answer, type AnyAnswer, play, type StubCall } from "./answers.ts";
import type { SimulatedHost } from "./simulated-host.ts";
import type { Start } from "./world.ts";

/** What a stub does. */
export type StubPart =
  | { readonly kind: "task"; readonly task: string | TaskContract; readonly answer: unknown }
  | { readonly kind: "operation"; readonly operation: string | ToolContract; readonly answer: unknown }
  | { readonly kind: "goal"; readonly goal: string | GoalContract; readonly answer: unknown };

/** A stand-in for an agent. */
export interface Stub<I = AnyData, O = AnyAnswer> {
  readonly name: string;
  /** What went to it so far. */
  readonly calls: readonly MeshCall[];
  /** Answers like this from now on. */
  answer(answer: Answer<I, O>): void;
}

/** A stub is never busy. */
const mostAtOnce = 10_000;

/** The agent of a stub, in a process of its own. */
export class StubAgent {
  readonly name: string;
  readonly capabilities: readonly string[];
  readonly parts: StubPart[];
  readonly #activity: ActivityLog;
  readonly #answers = new Map<string, { answer: unknown; count: number }>();

  constructor(name: string, capabilities: readonly string[], parts: StubPart[], activity: ActivityLog) {
    this.name = name;
    this.capabilities = capabilities;
    this.parts = parts;
    this.#activity = activity;
    for (const part of parts) this.#answers.set(nameOf(part), { answer: part.answer, count: 0 });
  }

  readonly start: Start = async (host) => {
    const agent = this.#agent(host);
    await host.run(agent, () => agent.run());
    return undefined;
  };

  get calls(): MeshCall[] {
    return this.#activity.calls.filter(({ agent }) => agent === this.name);
  }

  answer(name: string, answer: unknown): void {
    const known = this.#answers.get(name);
    if (!known) throw new TypeError(`stub "${this.name}" has no "${name}"`);
    known.answer = answer;
  }

  #agent(host: SimulatedHost): Agent {
    const { name, capabilities, parts } = this;
    const options = {
      ...host.defaults,
      name,
      description: "a stub",
      capabilities,
      mesh: host.mesh(),
      concurrency: mostAtOnce,
    };
    const has = (kind: StubPart["kind"]): boolean => parts.some((part) => part.kind === kind);
    if (has("goal")) return this.#addOperations(this.#planner(new Planner(options), host), host);
    if (has("task")) return this.#addOperations(this.#worker(new Worker(options), host), host);
    return this.#addOperations(new Tool(options), host);
  }

  #addOperations(agent: Agent, host: SimulatedHost): Agent {
    for (const part of this.parts) {
      if (part.kind !== "operation") continue;
      const { operation } = part;
      const handler: RequestHandler<AnyData> = ({ data }, context) =>
        this.#play(nameOf(part), data, context, host, undefined);
      if (typeof operation === "string") agent.onRequest(operation, handler);
      else agent.onRequest(operation, handler);
    }
    return agent;
  }

  #worker(worker: Worker, host: SimulatedHost): Worker {
    for (const part of this.parts) {
      if (part.kind !== "task") continue;
      const { task } = part;
      const handler: TaskHandler<AnyData> = (given, context) =>
        this.#play(nameOf(part), given.data, context, host, given);
      if (typeof task === "string") worker.onTask(task, handler);
      else worker.onTask(task, handler);
    }
    return worker;
  }

  /** Its plans have no tasks: what the stub says is the answer. */
  #planner(planner: Planner, host: SimulatedHost): Planner {
    const said = new Map<string, unknown>();
    for (const part of this.parts) {
      if (part.kind !== "goal") continue;
      const { goal } = part;
      const handler: GoalHandler<AnyData> = async ({ planId, data }, context) => {
        said.set(planId, await this.#play(nameOf(part), data, context, host, undefined));
        return { tasks: [] };
      };
      if (typeof goal === "string") planner.onGoal(goal, handler);
      else planner.onGoal(goal, handler);
    }
    return planner.onComplete(({ planId }) => said.get(planId));
  }

  async #play(
    name: string,
    data: unknown,
    context: PlatformContext,
    { process }: SimulatedHost,
    task: Task<AnyData> | undefined,
  ): Promise<AnyData> {
    const entry = this.#answers.get(name);
    if (!entry) throw new TypeError(`stub "${this.name}" has no "${name}"`);
    const call: StubCall = {
      number: ++entry.count,
      task,
      context,
      sleep: (ms) =>
        this.#activity.waiting(
          ms === Number.POSITIVE_INFINITY ? new Promise(() => {}) : sleep(process.runtime, ms, task?.signal),
        ),
    };
    return await play(entry.answer, data, call);
  }
}

function nameOf(part: StubPart): string {
  const named = part.kind === "task" ? part.task : part.kind === "goal" ? part.goal : part.operation;
  return typeof named === "string" ? named : named.name;
}
