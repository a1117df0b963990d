import { checkData, type GoalContract, type InputOf } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { envelopeOf } from "../mesh/node.ts";
import type { AgentStats } from "../mesh/node-stats.ts";
import type { RpcCall } from "../mesh/rpc.ts";
import { createPlanEngine, type PlanEngine } from "../plans/engine.ts";
import type { PlanOrigin } from "../plans/log.ts";
import { isMachine, type MachineDefinition } from "../plans/machine.ts";
import { PlanFold } from "../plans/reducer.ts";
import { replayDraft } from "../plans/replay.ts";
import type { AgentRecord } from "../registry/records.ts";
import { atMost } from "../runtime.ts";
import { Agent } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import { ConfirmedLog } from "./confirmed-log.ts";
import { type GoalAccepted, goalMethods, originOf, planIdOf, type ReplayRequest } from "./goal-wire.ts";
import { type HandledGoal, PlannerHandlers } from "./planner-handlers.ts";
import { PlannerLease } from "./planner-lease.ts";
import type { CompleteHandler, GoalHandler, PlannerOptions, TransitionHandler } from "./planner-types.ts";
import type { NodeServices } from "./services.ts";
import { SubPlanDispatcher } from "./sub-plans.ts";
import { MeshTaskDispatcher } from "./task-dispatcher.ts";

const defaultLeaseMs = 10_000;

/** An agent that turns goals into tasks. */
export class Planner extends Agent {
  readonly kind = "planner";
  readonly #options: PlannerOptions;
  readonly #goals = new Map<string, HandledGoal>();
  readonly #transitions = new Map<string, TransitionHandler<AnyData>>();
  #complete: CompleteHandler | undefined;
  #handlers: PlannerHandlers | undefined;
  #dispatcher: MeshTaskDispatcher | undefined;
  #engine: PlanEngine | undefined;
  #lease: PlannerLease | undefined;
  #watching: Disposable[] = [];

  constructor(options: PlannerOptions) {
    super({ ...options, produces: [...(options.produces ?? []), "goal.completed", "goal.failed"] });
    const { leaseMs = defaultLeaseMs, renewMs = leaseMs * 0.3 } = options;
    if (!(leaseMs > 0 && renewMs > 0 && renewMs < leaseMs)) {
      throw new TypeError(`renewMs (${renewMs}) must be above 0 and below leaseMs (${leaseMs})`);
    }
    this.#options = { ...options, leaseMs, renewMs };
  }

  /**
   * Registers what turns a goal into tasks: a handler, or a state machine. A handler may run again for one goal, when the
   * planner was lost before its tasks were logged.
   */
  onGoal(machine: MachineDefinition): this;
  onGoal<C extends GoalContract>(goal: C, handler: GoalHandler<InputOf<C>>): this;
  onGoal(type: string, handler: GoalHandler<AnyData>): this;
  onGoal(goal: string | GoalContract | MachineDefinition, handler?: GoalHandler<AnyData>): this {
    const machine = isMachine(goal) ? goal : undefined;
    const named = isMachine(goal) ? goal.goal : goal;
    const type = typeof named === "string" ? named : named.name;
    const contract = typeof named === "string" ? undefined : named;
    if (this.#goals.has(type)) throw new TypeError(`${this.name} has a handler for goal "${type}" already`);
    if (!machine && typeof handler !== "function") throw new TypeError(`goal "${type}" of ${this.name} has no handler`);
    if (machine && this.#transitions.has(type)) throw new TypeError(bothWays(type));
    this.#goals.set(type, { contract, handler, machine });
    if (contract) this.keepSchemas(contract);
    return this;
  }

  /**
   * Registers who is asked after the end of each task of such a goal's plans, one at a time, and may add tasks: for plans
   * that are not known from the start. The plan is complete when no task is open and none was added.
   */
  onTransition<C extends GoalContract>(goal: C, handler: TransitionHandler<InputOf<C>>): this;
  onTransition(type: string, handler: TransitionHandler<AnyData>): this;
  onTransition(goal: string | GoalContract, handler: TransitionHandler<AnyData>): this {
    const type = typeof goal === "string" ? goal : goal.name;
    if (this.#transitions.has(type)) throw new TypeError(`${this.name} has an onTransition for goal "${type}" already`);
    if (this.#goals.get(type)?.machine) throw new TypeError(bothWays(type));
    this.#transitions.set(type, handler);
    return this;
  }

  /**
   * Shapes the answer of every goal out of its tasks' results. Without it the answer is each result by its task's name.
   * Not asked where a state machine or `onTransition` gives the answer.
   */
  onComplete(handler: CompleteHandler): this {
    this.#complete = handler;
    return this;
  }

  override record(): AgentRecord {
    return {
      ...super.record(),
      goals: [...this.#goals].map(([type, { contract }]) => this.operation(type, contract)),
    };
  }

  override stats(): AgentStats {
    const { tasks, queued } = this.#dispatcher?.stats() ?? { tasks: 0, queued: 0 };
    return { ...super.stats(), plans: { driving: this.#engine?.driving().length ?? 0, tasks, queued } };
  }

  override onCall(method: string, params: unknown, call: Pick<RpcCall, "peer" | "signal">): unknown {
    switch (method) {
      case goalMethods.submit:
        return this.#submitted(envelopeOf(params));
      case goalMethods.replay:
        return this.#replayed(envelopeOf(params));
      default:
        if (this.#dispatcher?.takes(method)) return this.#dispatcher.onCall(method, params);
        return super.onCall(method, params, call);
    }
  }

  protected override async onStart(services: NodeServices): Promise<void> {
    const { node, tracker } = services;
    const { agentId, log, name } = this;
    const confirmed = new ConfirmedLog(tracker.logOf(agentId), node.runtime);
    const planLog = confirmed.log;
    const { retry, leaseMs = defaultLeaseMs, renewMs = leaseMs } = this.#options;
    const unconfirmedMs = (planId: string): number => confirmed.unconfirmedMs(planId);
    const dispatcher = new MeshTaskDispatcher({ node, agentId, log, unconfirmedMs });
    this.#dispatcher = dispatcher;
    const engine = createPlanEngine({
      log: planLog,
      dispatcher: new SubPlanDispatcher({ services, agentId, log, tasks: dispatcher }),
      runtime: node.runtime,
      logger: log,
      agentId,
      answeredIntervalMs: 20,
      ...(retry ? { retry } : {}),
    });
    this.#engine = engine;
    const handlers = new PlannerHandlers({
      planner: name,
      options: this.#options,
      goal: (type) => this.#goals.get(type),
      transition: (type) => this.#transitions.get(type),
      complete: () => this.#complete,
      context: () => this.context,
      handle: (run, context, body) => this.handle(run, context, body),
      owner: this.owner(),
    });
    this.#handlers = handlers;
    this.#lease = new PlannerLease({
      log: planLog,
      planner: name,
      driver: agentId,
      runtime: node.runtime,
      logger: log,
      leaseMs,
      renewMs,
      onClaimed: (plan) => engine.take(plan, (origin) => handlers.of(origin, plan.planId)),
    });
  }

  protected override async onReady({ node }: NodeServices): Promise<void> {
    let siblings = this.#siblings();
    this.#watching = [
      node.directory.onChange(() => {
        const before = siblings;
        siblings = this.#siblings();
        if (before.some((id) => !siblings.includes(id))) this.#lease?.askSoon();
      }),
      node.state.onReconnect(() => {
        this.#lease?.askSoon();
        this.#engine?.refresh();
      }),
    ];
    this.#lease?.start();
  }

  /** Live instances of this planner, this one included. */
  #siblings(): string[] {
    const { directory } = this.services().node;
    return directory
      .all()
      .filter((agent) => agent.kind === "planner" && agent.name === this.name && directory.isReachable(agent.address))
      .map((agent) => agent.agentId);
  }

  protected override async onStop(): Promise<void> {
    for (const watching of this.#watching) watching[Symbol.dispose]();
    // A state node that is away may have an append of ours in hand; whether it is done is in the log.
    if (this.#engine) await atMost(this.services().node.runtime, 1_000, this.#engine.stop());
    this.#dispatcher?.close();
    await this.#lease?.stop();
  }

  async #submitted(envelope: Envelope): Promise<GoalAccepted> {
    const { goalId, handled } = this.#checkGoal(envelope);
    if (handled.contract)
      checkData(handled.contract.input, envelope.data, `data of goal "${envelope.type}" from ${envelope.source}`);
    return await this.#accept(originOf(envelope, goalId, this.name));
  }

  async #replayed(envelope: Envelope): Promise<GoalAccepted> {
    const { goalId } = this.#checkGoal(envelope);
    const { planId: replayOf, from } = readReplay(envelope.data);
    const entries = await this.services().tracker.read(replayOf);
    // Refused here, where somebody waits for the answer; what comes of it is read again when the plan is made.
    replayDraft(replayOf, entries, from);
    const { goalData, responseEvent, responseTopic } = PlanFold.of(replayOf, entries.slice(0, 1)).origin;
    return await this.#accept({
      ...originOf(envelope, goalId, this.name),
      goalData,
      replayOf,
      ...(from === undefined ? {} : { replayFrom: from }),
      // Whoever waits for the goal's answer waits for this one.
      ...(responseEvent === undefined ? {} : { responseEvent }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
    });
  }

  #checkGoal(envelope: Envelope): { goalId: string; handled: HandledGoal } {
    const { goalId, tenantId, type } = envelope;
    if (tenantId !== this.services().node.tenantId)
      throw new SoormaError("MESSAGE_MALFORMED", "the goal is of another tenant");
    if (!goalId) throw new SoormaError("MESSAGE_MALFORMED", "the goal has no id");
    if (this.isStopping || !this.#engine) throw new SoormaError("NODE_STOPPED", `${this.name} is stopping`);
    const handled = this.#goals.get(type);
    if (!handled) {
      throw new SoormaError("NO_RESPONDER", `${this.name} does not plan goal "${type}"`, { retryable: false });
    }
    return { goalId, handled };
  }

  async #accept(origin: PlanOrigin): Promise<GoalAccepted> {
    const planId = planIdOf(origin.goalId);
    const { agentId, name } = this;
    if (!this.#engine || !this.#handlers) throw new SoormaError("NODE_STOPPED", `${name} is stopping`);
    // Without a lease a sibling would take the plan at once.
    await this.#lease?.held();
    await this.#engine.accept(origin, planId, this.#handlers.of(origin, planId));
    return { planId, agentId, agentName: name };
  }
}

function bothWays(type: string): string {
  return `goal "${type}" has a state machine, whose transitions say what follows: onTransition is for other plans`;
}

function readReplay(data: unknown): ReplayRequest {
  const { planId, from } = (data ?? {}) as Record<string, unknown>;
  if (typeof planId !== "string" || (from !== undefined && typeof from !== "string")) {
    throw new SoormaError("MESSAGE_MALFORMED", "a replay names no plan, or a task that is no text");
  }
  return { planId, ...(from === undefined ? {} : { from }) };
}
