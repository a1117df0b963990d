import { checkData, type GoalContract, type InputOf, type OutputOf } from "../contracts.ts";
import { SoormaError } from "../errors.ts";
import { checkType } from "../events/pattern.ts";
import type { Topic } from "../events/topics.ts";
import type { Memory } from "../memory/contract.ts";
import type { Tracker } from "../tracker/contract.ts";
import { Agent, type AgentOptions } from "./agent.ts";
import type { AnyData } from "./any-data.ts";
import { type Bus, makeEnvelope } from "./bus.ts";
import { createGoalRun, type GoalRun } from "./goal-run.ts";
import { type GoalAccepted, goalMethods } from "./goal-wire.ts";
import type { RegistryService } from "./registry-service.ts";

export type ClientOptions = Omit<AgentOptions, "name"> & { readonly name?: string };

export interface SubmitOptions {
  readonly sessionId?: string;
  /** Event type published with the answer. Default `goal.completed`. */
  readonly responseEvent?: string;
  readonly responseTopic?: Topic;
  /** Milliseconds from now after which the goal fails. Default: none. */
  readonly deadlineMs?: number;
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

  get bus(): Bus {
    return this.context.bus;
  }

  get memory(): Memory {
    return this.context.memory;
  }

  get registry(): RegistryService {
    return this.context.registry;
  }

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
    const { timeoutMs = defaultSubmitTimeoutMs, deadlineMs, sessionId, responseEvent, responseTopic, signal } = options;
    if (typeof goal !== "string") checkData(goal.input, data, `data of goal "${type}"`);
    const made = makeEnvelope(this.owner(), {
      type,
      data,
      topic: "action-requests",
      ...(sessionId === undefined ? {} : { sessionId }),
      ...(responseEvent === undefined ? {} : { responseEvent }),
      ...(responseTopic === undefined ? {} : { responseTopic }),
      ...(deadlineMs === undefined ? {} : { deadline: node.runtime.now() + deadlineMs }),
    });
    // The message that submits a goal gives the goal its id, so that submitting it again is submitting the same one.
    const envelope = { ...made, goalId: made.id };
    const planners = () => node.directory.planners(type);
    await node.until(() => planners().length > 0, timeoutMs, signal);
    if (typeof goal === "string") {
      const input = planners()[0]?.goals.find((known) => known.name === type)?.input;
      if (input) await services.check(input, data, `data of goal "${type}"`);
    }
    if (planners().length === 0) throw this.#noPlanner(type, timeoutMs);
    const accepted = (await node.request(goalMethods.submit, envelope, planners, {
      timeoutMs,
      ...(signal ? { signal } : {}),
    })) as GoalAccepted;
    return createGoalRun({
      goalId: envelope.goalId,
      planId: accepted.planId,
      goalType: type,
      services,
      cancel: (reason) => this.#cancel(accepted.planId, reason),
    });
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

  async #cancel(planId: string, reason: string): Promise<void> {
    const { node, tracker } = this.services();
    const { origin } = await tracker.getPlan(planId);
    const planners = node.directory.all().filter((agent) => agent.kind === "planner" && agent.name === origin.planner);
    let last: unknown = new SoormaError(
      "PLAN_NOT_FOUND",
      `no planner "${origin.planner}" is there to cancel plan ${planId}`,
    );
    for (const planner of planners) {
      try {
        await node.callAgent(planner, goalMethods.cancel, { planId, reason });
        return;
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }
}
