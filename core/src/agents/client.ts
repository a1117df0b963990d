import { checkData, type GoalContract, type InputOf, type OutputOf } from "../contracts.ts";
import { isSoormaError, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { checkType } from "../events/pattern.ts";
import type { Topic } from "../events/topics.ts";
import type { Memory } from "../memory/contract.ts";
import { isDeadLetter, isTerminal } from "../plans/task-node.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Tracker } from "../tracker/contract.ts";
import { Agent, type AgentOptions } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import { type Bus, makeEnvelope } from "./bus.ts";
import { createGoalRun, type GoalRun } from "./goal-run.ts";
import { type GoalAccepted, goalMethods, retryGoalIdOf } from "./goal-wire.ts";
import type { RegistryService } from "./registry-service.ts";

export type ClientOptions = Omit<AgentOptions, "name"> & { readonly name?: string };

export interface SubmitOptions {
  /** The conversation the goal belongs to; what is sent for the goal carries it. Default: that of the message being handled. */
  readonly sessionId?: string;
  /** Event type published with the answer. Default `goal.completed`. */
  readonly responseEvent?: string;
  /** Topic the answer is published on. Default: what follows from its event type, `action-results` for `goal.completed`. */
  readonly responseTopic?: Topic;
  /** Milliseconds from now after which the goal fails. Default: none. */
  readonly deadlineMs?: number;
  /** Milliseconds to find a planner that takes the goal. Default 10_000. */
  readonly timeoutMs?: number;
  /** Gives the submitting up, with its reason. A goal that a planner has taken goes on: `GoalRun.cancel` ends it. */
  readonly signal?: AbortSignal;
}

export interface ReplayOptions {
  /**
   * Name or id of a task: it, all that depends on it, and whatever was not completed is done again. An item of a `forEach` and a
   * delegated task stand for the task they belong to, all of which is repeated. Default: everything is done again.
   */
  readonly from?: string;
  /** Milliseconds to find a planner that takes the goal. Default 10_000. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
}

const defaultSubmitTimeoutMs = 10_000;

/** An app that is no agent: submits goals, publishes, requests, reads and writes memory. */
export class Client extends Agent {
  readonly kind = "client";

  constructor(options: ClientOptions) {
    super({ ...options, name: options.name ?? "client" });
  }

  /** A client that is connected. @throws {SoormaError} what {@link Agent.run} throws. */
  static async connect(options: ClientOptions): Promise<Client> {
    const client = new Client(options);
    await client.run();
    return client;
  }

  /** Events and requests. @throws {SoormaError} `NODE_STOPPED` before `run()` and after `stop()`. */
  get bus(): Bus {
    return this.context.bus;
  }

  /** What all agents of the tenant share. @throws {SoormaError} as {@link bus}. */
  get memory(): Memory {
    return this.context.memory;
  }

  /** Who is in the mesh, and what they take and answer. @throws {SoormaError} as {@link bus}. */
  get registry(): RegistryService {
    return this.context.registry;
  }

  /** Plans, their history, and orders to them. @throws {SoormaError} as {@link bus}. */
  get tracker(): Tracker {
    return this.context.tracker;
  }

  /**
   * Submits a goal to a planner that takes its type. Resolves when the planner has it in the log: from then on it is
   * answered, whatever happens to this client.
   *
   * @throws {SoormaError} `PAYLOAD_INVALID`, `NO_RESPONDER` when no planner takes it in time, `STORE_UNAVAILABLE`.
   */
  submitGoal<C extends GoalContract>(goal: C, data: InputOf<C>, options?: SubmitOptions): Promise<GoalRun<OutputOf<C>>>;
  submitGoal(type: string, data: unknown, options?: SubmitOptions): Promise<GoalRun<AnyData>>;
  async submitGoal(goal: string | GoalContract, data: unknown, options: SubmitOptions = {}): Promise<GoalRun<AnyData>> {
    const type = typeof goal === "string" ? goal : goal.name;
    checkType(type);
    const services = this.services();
    const { node } = services;
    const { deadlineMs, sessionId, responseEvent, responseTopic } = options;
    if (typeof goal !== "string") checkData(goal.input, data, `data of goal "${type}"`);
    if (deadlineMs !== undefined && !(deadlineMs >= 0)) {
      throw new SoormaError("PAYLOAD_INVALID", `goal "${type}" cannot be submitted: its deadlineMs is ${deadlineMs}`, {
        hint: "It is the milliseconds from now that the goal may take.",
      });
    }
    const envelope = makeEnvelope(this.owner(), {
      type,
      data,
      topic: "action-requests",
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(responseEvent === undefined ? {} : { responseEvent }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
      ...(deadlineMs === undefined ? {} : { deadline: node.runtime.now() + deadlineMs }),
    });
    const planners = () => node.directory.planners(type);
    const check = async (): Promise<void> => {
      const input = planners()[0]?.goals.find((known) => known.name === type)?.input;
      if (input && typeof goal === "string") await services.check(input, data, `data of goal "${type}"`);
    };
    return await this.#submit(goalMethods.submit, envelope, planners, options, { check });
  }

  /**
   * A goal that was submitted before, by whomever.
   *
   * @throws {SoormaError} `PLAN_NOT_FOUND`, `STORE_UNAVAILABLE`
   */
  async attach(planId: string): Promise<GoalRun<AnyData>> {
    const { origin } = await this.tracker.getPlan(planId);
    return this.#run(planId, origin.goalId, origin.goalType);
  }

  /**
   * Does a plan that has ended again, as a new plan; its answer goes where the old one's went.
   *
   * @param options.from - Name or id of a task: that one, all that depend on it, and whatever was not completed is done
   * again; the results of the others are kept. Default: everything is done again.
   * @throws {SoormaError} `PLAN_NOT_FOUND`; `PLAN_REFUSED` while the plan is open, and for a task it does not have;
   * `NO_RESPONDER` when no planner takes its goal in time.
   */
  async replay(planId: string, options: ReplayOptions = {}): Promise<GoalRun<AnyData>> {
    return await this.#replay(planId, options);
  }

  async #replay(planId: string, options: ReplayOptions, goalId?: string): Promise<GoalRun<AnyData>> {
    const { from, ...waiting } = options;
    const { node } = this.services();
    const { origin } = await this.tracker.getPlan(planId);
    const { goalType: type, correlationId, sessionId } = origin;
    const envelope = makeEnvelope(this.owner(), {
      type,
      data: { planId, ...(from === undefined ? {} : { from }) },
      topic: "action-requests",
      correlationId,
      ...(sessionId === undefined ? {} : { sessionId }),
    });
    const planners = () => {
      const all = node.directory.planners(type);
      const same = all.filter((agent) => agent.name === origin.planner);
      return same.length > 0 ? same : all;
    };
    return await this.#submit(goalMethods.replay, envelope, planners, waiting, { goalId });
  }

  /**
   * Has a task tried again that failed for good. If its plan is open it goes on; if the plan has ended it is done again from
   * that task on, as a new plan, and the task is taken off the dead letters. Retried by several at the same time, or again because
   * the answer was lost, it is one new plan.
   *
   * @returns the plan in which it is tried.
   * @throws {SoormaError} `PLAN_NOT_FOUND`; `PLAN_REFUSED` for a task that has not failed; `NO_RESPONDER`.
   */
  async retryDeadLetter(planId: string, taskId: string): Promise<GoalRun<AnyData>> {
    const { tracker } = this;
    const plan = await tracker.getPlan(planId);
    const task = plan.tasks.find((one) => one.taskId === taskId);
    if (!task || !isDeadLetter(task)) {
      throw new SoormaError(
        "PLAN_REFUSED",
        `task ${taskId} of plan ${planId} cannot be retried: ${task ? `it is ${task.status}${task.handled ? " and was dealt with" : ""}` : "there is no such task"}`,
        { hint: "`soorma plans dead` lists what can be.", details: { planId, taskId } },
      );
    }
    if (!isTerminal(plan.status)) {
      try {
        await tracker.reviveTask(planId, taskId);
        return await this.attach(planId);
      } catch (error) {
        // It ended meanwhile, or is being taken back.
        if (!isSoormaError(error, "PLAN_REFUSED") || !isTerminal((await tracker.getPlan(planId)).status)) throw error;
      }
    }
    // Retried again, because somebody else does or the answer was lost, it is the same plan.
    const run = await this.#replay(planId, { from: taskId }, retryGoalIdOf(taskId));
    // Only then: a task in both lists is better than one in neither.
    await tracker.discardDeadLetter(planId, taskId, `retried in plan ${run.planId}`).catch((error) => {
      if (!isSoormaError(error, "PLAN_REFUSED")) throw error;
    });
    return run;
  }

  async #submit(
    method: string,
    made: Envelope,
    planners: () => readonly AgentRecord[],
    { timeoutMs = defaultSubmitTimeoutMs, signal }: Pick<SubmitOptions, "timeoutMs" | "signal">,
    { check, goalId }: { readonly check?: () => Promise<void>; readonly goalId?: string | undefined } = {},
  ): Promise<GoalRun<AnyData>> {
    const { node } = this.services();
    const { type } = made;
    // The message that submits a goal gives the goal its id, so that submitting it again is submitting the same one.
    const envelope = { ...made, goalId: goalId ?? made.id };
    await node.until(() => planners().length > 0, timeoutMs, signal);
    await check?.();
    if (planners().length === 0) throw this.#noPlanner(type, timeoutMs);
    const accepted = (await node.request(method, envelope, planners, {
      timeoutMs,
      ...(signal ? { signal } : {}),
    })) as GoalAccepted;
    return this.#run(accepted.planId, envelope.goalId, type);
  }

  #run(planId: string, goalId: string, goalType: string): GoalRun<AnyData> {
    return createGoalRun({ goalId, planId, goalType, services: this.services() });
  }

  #noPlanner(type: string, timeoutMs: number): SoormaError {
    const known = [
      ...new Set(
        this.services()
          .node.directory.all()
          .flatMap((agent) => agent.goals.map((g) => g.name)),
      ),
    ];
    return new SoormaError("NO_RESPONDER", `no planner in the mesh took goal "${type}" within ${timeoutMs} ms`, {
      details: { type, known },
      hint:
        known.length > 0
          ? `Planners take: ${known.sort().join(", ")}.`
          : "No planner runs; start the project with `soorma dev`.",
    });
  }
}
