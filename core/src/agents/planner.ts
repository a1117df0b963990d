import { checkData, type GoalContract, type InputOf, type TaskContract } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import { type HandlingContext, runWith } from "../events/context.ts";
import type { Envelope } from "../events/envelope.ts";
import { isTopic } from "../events/topics.ts";
import { envelopeOf } from "../mesh/node.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import type { PlanHandlers } from "../plans/driver.ts";
import { createPlanEngine, type PlanEngine } from "../plans/engine.ts";
import type { PlanOrigin, PlanState, RetryPolicy, TaskSpec } from "../plans/log.ts";
import { isTerminal } from "../plans/reducer.ts";
import type { AgentRecord } from "../registry/records.ts";
import { atMost } from "../runtime.ts";
import { Agent, type AgentOptions } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import type { PlatformContext } from "./context.ts";
import { type GoalAccepted, goalMethods } from "./goal-wire.ts";
import { checkResult } from "./request.ts";
import type { NodeServices } from "./services.ts";
import { MeshTaskDispatcher } from "./task-dispatcher.ts";
import { taskMethods } from "./task-wire.ts";

export interface PlannerOptions extends AgentOptions {
  /** For tasks that do not say. */
  readonly retry?: RetryPolicy;
}

/** A goal as its handler sees it. */
export interface Goal<T = unknown> {
  readonly goalId: string;
  readonly planId: string;
  readonly type: string;
  readonly data: T;
  readonly sessionId: string | undefined;
  readonly userId: string | undefined;
  /** Milliseconds since the epoch when it has to be answered. */
  readonly deadline: number | undefined;
  /** Aborts when the goal was cancelled or the planner stops. */
  readonly signal: AbortSignal;
}

/** What a planner makes of a goal. */
export interface Plan {
  readonly tasks: readonly TaskSpec[];
}

export type GoalHandler<T = unknown> = (goal: Goal<T>, context: PlatformContext) => Plan | Promise<Plan>;

/** A plan whose tasks are all done. */
export interface CompletedPlan {
  readonly goalId: string;
  readonly planId: string;
  readonly goalType: string;
  readonly goalData: AnyData;
  /** Each task's result by the task's name. */
  readonly results: Readonly<Record<string, AnyData>>;
  readonly plan: PlanState;
}

export type CompleteHandler = (completed: CompletedPlan, context: PlatformContext) => unknown;

interface Handled {
  readonly contract: GoalContract | undefined;
  readonly handler: GoalHandler<AnyData>;
}

/** Entries only a plan's driver appends: whose they are, drives it. */
const drivenBy: ReadonlySet<string> = new Set(["plan.created", "plan.started", "task.dispatched", "task.retried"]);

/** An agent that turns goals into tasks. */
export class Planner extends Agent {
  readonly kind = "planner";
  readonly #retry: RetryPolicy | undefined;
  readonly #handlers = new Map<string, Handled>();
  #complete: CompleteHandler | undefined;
  #dispatcher: MeshTaskDispatcher | undefined;
  #engine: PlanEngine | undefined;
  #watching: Disposable | undefined;
  #adopting: Promise<void> = Promise.resolve();

  constructor(options: PlannerOptions) {
    super({ ...options, produces: [...(options.produces ?? []), "goal.completed", "goal.failed"] });
    this.#retry = options.retry;
  }

  /** Registers what turns a goal into tasks. It may run again for one goal, when the planner was lost before they were logged. */
  onGoal<C extends GoalContract>(goal: C, handler: GoalHandler<InputOf<C>>): this;
  onGoal(type: string, handler: GoalHandler<AnyData>): this;
  onGoal(goal: string | GoalContract, handler: GoalHandler<AnyData>): this {
    const type = typeof goal === "string" ? goal : goal.name;
    const contract = typeof goal === "string" ? undefined : goal;
    if (this.#handlers.has(type)) throw new TypeError(`${this.name} has a handler for goal "${type}" already`);
    this.#handlers.set(type, { contract, handler });
    if (contract) this.keepSchemas(contract);
    return this;
  }

  /** Shapes the answer of every goal out of its tasks' results. Without it the answer is each result by its task's name. */
  onComplete(handler: CompleteHandler): this {
    this.#complete = handler;
    return this;
  }

  override record(): AgentRecord {
    return {
      ...super.record(),
      goals: [...this.#handlers].map(([type, { contract }]) => this.operation(type, contract)),
    };
  }

  override onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    switch (method) {
      case goalMethods.submit:
        return this.#submitted(envelopeOf(params));
      case goalMethods.cancel:
        return this.#cancelled(params);
      case taskMethods.result:
        return this.#dispatcher?.onResult(params);
      case taskMethods.progress:
        return this.#dispatcher?.onProgress(params);
      default:
        return super.onCall(method, params, call);
    }
  }

  protected override async onStart(services: NodeServices): Promise<void> {
    const { node, tracker } = services;
    const { agentId, log } = this;
    this.#dispatcher = new MeshTaskDispatcher({ node, agentId, log });
    this.#engine = createPlanEngine({
      log: tracker.logOf(agentId),
      dispatcher: this.#dispatcher,
      runtime: node.runtime,
      logger: log,
      agentId,
      ...(this.#retry ? { retry: this.#retry } : {}),
    });
  }

  protected override async onReady({ node }: NodeServices): Promise<void> {
    let siblings = this.#siblings();
    this.#watching = node.directory.onChange(() => {
      const before = siblings;
      siblings = this.#siblings();
      if (before.some((id) => !siblings.includes(id))) this.#adoptSoon();
    });
    await this.#adopt();
  }

  /** Live instances of this planner, this one included, in an order all of them agree on. */
  #siblings(): string[] {
    const { directory } = this.services().node;
    const all = directory.all().filter((agent) => agent.kind === "planner" && agent.name === this.name);
    return all
      .filter((agent) => agent.ready && directory.isReachable(agent.address))
      .map((agent) => agent.agentId)
      .sort();
  }

  #adoptSoon(): void {
    this.#adopting = this.#adopting
      .then(() => (this.isStopping ? undefined : this.#adopt()))
      .catch((error) => this.log.warn("adopt.failed", { error }));
  }

  /**
   * Goes on with open plans of this planner whose driver is gone: killed, or stopped. One instance does it for all. Were
   * two of them to disagree on who that is, the log's versions would let only one append.
   */
  async #adopt(): Promise<void> {
    const { tracker } = this.services();
    const siblings = this.#siblings();
    if (siblings[0] !== this.agentId) return;
    for (const status of ["pending", "running", "paused"] as const) {
      for (const { planId } of await tracker.listPlans({ planner: this.name, status, limit: 10_000 })) {
        const entries = await tracker.read(planId);
        const driver = entries.findLast(({ type }) => drivenBy.has(type))?.by;
        if (this.isStopping || (driver !== undefined && siblings.includes(driver))) continue;
        this.log.info("plan.adopted", { planId, from: driver });
        await this.#engine?.resume(planId, (origin) => this.#handlersFor(origin, planId));
      }
    }
  }

  protected override async onStop(): Promise<void> {
    this.#watching?.[Symbol.dispose]();
    // A state node that is away may have an append of ours in hand; whether it is done is in the log.
    if (this.#engine) await atMost(this.services().node.runtime, 1_000, this.#engine.stop());
    this.#dispatcher?.close();
  }

  async #submitted(envelope: Envelope): Promise<GoalAccepted> {
    const { node } = this.services();
    const { goalId } = envelope;
    if (envelope.tenantId !== node.tenantId)
      throw new SoormaError("MESSAGE_MALFORMED", "the goal is of another tenant");
    if (!goalId) throw new SoormaError("MESSAGE_MALFORMED", "the goal has no id");
    if (this.isStopping || !this.#engine) throw new SoormaError("NODE_STOPPED", `${this.name} is stopping`);
    const handled = this.#handlers.get(envelope.type);
    if (!handled) {
      throw new SoormaError("NO_RESPONDER", `${this.name} does not plan goal "${envelope.type}"`, { retryable: false });
    }
    if (handled.contract)
      checkData(handled.contract.input, envelope.data, `data of goal "${envelope.type}" from ${envelope.source}`);
    // Out of the goal's id, so that a goal submitted again after a lost answer is the same plan.
    const planId = `plan-${goalId}`;
    const origin = originOf(envelope, goalId, this.name);
    await this.#engine.accept(origin, planId, this.#handlersFor(origin, planId));
    return { planId };
  }

  async #cancelled(params: unknown): Promise<boolean> {
    const { planId, reason } = (params ?? {}) as Record<string, unknown>;
    if (typeof planId !== "string") throw new SoormaError("MESSAGE_MALFORMED", "a cancellation names no plan");
    return (await this.#engine?.cancel(planId, typeof reason === "string" ? reason : "cancelled")) ?? false;
  }

  #handlersFor(origin: PlanOrigin, planId: string): PlanHandlers {
    const handled = this.#handlers.get(origin.goalType);
    const context = contextOf(origin, planId);
    const complete = this.#complete;
    const contract = handled?.contract;
    return {
      makeTasks: async (_origin, { signal }) => {
        if (!handled) {
          throw new SoormaError("NO_RESPONDER", `${this.name} does not plan goal "${origin.goalType}" any more`, {
            retryable: false,
          });
        }
        const goal: Goal<AnyData> = {
          goalId: origin.goalId,
          planId,
          type: origin.goalType,
          data: origin.goalData,
          sessionId: origin.sessionId,
          userId: origin.userId,
          deadline: origin.deadline,
          signal,
        };
        const plan = await runWith(context, () => handled.handler(goal, this.context));
        await this.#checkTasks(plan);
        return plan;
      },
      onComplete: async (results, state) => {
        const completed: CompletedPlan = {
          goalId: origin.goalId,
          planId,
          goalType: origin.goalType,
          goalData: origin.goalData,
          results,
          plan: state,
        };
        const answer = complete ? await runWith(context, () => complete(completed, this.context)) : results;
        if (contract) checkResult(contract.output, answer, `answer of goal "${origin.goalType}" by ${this.name}`);
        return answer;
      },
      onEnd: (state) => runWith(context, () => this.#answer(origin, state)),
    };
  }

  /** Refuses a plan whose tasks' data do not match what their workers registered, before anything runs. */
  async #checkTasks(plan: Plan): Promise<void> {
    const { node, check } = this.services();
    // What is no list of tasks at all is for the engine to refuse.
    for (const [i, task] of Array.isArray(plan?.tasks) ? plan.tasks.entries() : []) {
      if (typeof task?.assignedTo !== "string") continue;
      const offered = node.directory.assignable(task.assignedTo)[0]?.tasks ?? [];
      const operation =
        offered.find(({ name }) => name === task.assignedTo) ?? offered.find(({ name }) => name === task.name);
      if (operation?.input) await check(operation.input, task.data ?? null, `tasks[${i}].data of task "${task.name}"`);
    }
  }

  async #answer(origin: PlanOrigin, { planId, status, result, failure, tasks }: PlanState): Promise<void> {
    if (!isTerminal(status)) return;
    const { responseEvent, responseTopic, goalId, goalType } = origin;
    const data = { goalId, planId, goalType, status, ...(failure ? { failure } : { result }), taskCount: tasks.length };
    const type = responseEvent ?? (status === "completed" ? "goal.completed" : "goal.failed");
    const topic = isTopic(responseTopic) ? responseTopic : "action-results";
    await this.context.bus.publish(type, data, { topic });
  }
}

/** A task typed by its contract: for a planner's list of tasks. */
export function planTask<C extends TaskContract>(
  contract: C,
  data: InputOf<C>,
  options: Omit<TaskSpec, "assignedTo" | "data" | "name"> & {
    readonly name?: string;
    readonly assignedTo?: string;
  } = {},
): TaskSpec {
  checkData(contract.input, data, `data of task "${options.name ?? contract.name}"`);
  const { retry, timeoutMs, priority } = contract;
  return {
    ...(retry ? { retry } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(priority === undefined ? {} : { priority }),
    ...options,
    name: options.name ?? contract.name,
    assignedTo: options.assignedTo ?? contract.name,
    data,
  };
}

function originOf(envelope: Envelope, goalId: string, planner: string): PlanOrigin {
  const {
    type,
    data,
    traceId,
    correlationId,
    tenantId,
    parentId,
    sessionId,
    userId,
    responseEvent,
    responseTopic,
    deadline,
    planId,
    hops,
  } = envelope;
  return {
    goalId,
    goalType: type,
    goalData: data ?? null,
    traceId,
    correlationId,
    tenantId,
    planner,
    hops,
    ...(parentId === undefined ? {} : { parentId }),
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(responseEvent === undefined ? {} : { responseEvent }),
    ...(responseTopic === undefined ? {} : { responseTopic }),
    ...(deadline === undefined ? {} : { deadline }),
    // A goal submitted inside a task belongs to that task's plan.
    ...(planId === undefined ? {} : { parentPlanId: planId }),
  };
}

function contextOf(origin: PlanOrigin, planId: string): HandlingContext {
  const { goalId, traceId, correlationId, tenantId, sessionId, userId, deadline, hops = 0 } = origin;
  return {
    id: goalId,
    traceId,
    correlationId,
    tenantId,
    goalId,
    planId,
    hops,
    ...(sessionId === undefined ? {} : { sessionId }),
    ...(userId === undefined ? {} : { userId }),
    ...(deadline === undefined ? {} : { deadline }),
  };
}
