import { fromFailure, isSoormaError, SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import type { Logger } from "../log.ts";
import {
  type DispatchOptions,
  isHandOver,
  passedOn,
  type TaskAssignment,
  type TaskDispatcher,
} from "../plans/dispatcher.ts";
import type { PlanState } from "../plans/log.ts";
import { isPassing } from "../plans/log-access.ts";
import { isTerminal } from "../plans/task-node.ts";
import { sleep } from "../runtime.ts";
import { createGoalRun, planEndings } from "./goal-run.ts";
import { type GoalAccepted, goalMethods, planIdOf, subGoalIdOf } from "./goal-wire.ts";
import type { NodeServices } from "./services.ts";

/** Milliseconds a planner has to take a sub-plan before another is asked. */
const submitTimeoutMs = 30_000;
const pauseMs = 500;
/** How often a sub-plan that is not in the log is looked for, to be cancelled. */
const cancelRounds = 10;

/** A sub-plan that is in the log. */
interface Begun {
  /** Monotonic milliseconds, in the past of this process or before it. */
  readonly at: number;
  /** Up to which its changes are known. */
  readonly version: number;
  readonly isOver: boolean;
}

export interface SubPlanDispatcherOptions {
  readonly services: NodeServices;
  readonly agentId: string;
  readonly log: Logger;
  /** For tasks that agents do. */
  readonly tasks: TaskDispatcher;
}

/**
 * Tasks that are goals: submitted to a planner that takes such goals, whose answer becomes the task's result.
 *
 * The sub-plan's id follows from the task and how often it failed. So whoever drives the plan after this one finds the
 * same sub-plan, and it is never begun twice.
 */
export class SubPlanDispatcher implements TaskDispatcher {
  readonly #o: SubPlanDispatcherOptions;

  constructor(options: SubPlanDispatcherOptions) {
    this.#o = options;
  }

  dispatch(assignment: TaskAssignment, options: DispatchOptions): Promise<unknown> {
    const { goal } = assignment;
    return goal === undefined ? this.#o.tasks.dispatch(assignment, options) : this.#run(goal, assignment, options);
  }

  recorded(taskId: string, attempt: number): void {
    this.#o.tasks.recorded?.(taskId, attempt);
  }

  async #run(goal: string, assignment: TaskAssignment, options: DispatchOptions): Promise<unknown> {
    const { services } = this.#o;
    const { runtime } = services.node;
    const { signal } = options;
    const goalId = subGoalIdOf(assignment.taskId, assignment.failures);
    const planId = planIdOf(goalId);
    try {
      signal.throwIfAborted();
      const begun = await this.#submit(goal, goalId, assignment, options);
      const run = createGoalRun({ goalId, planId, goalType: goal, services });
      let { version } = begun;
      const end = await this.#patiently(signal, async () => {
        for await (const { fraction, message, entry, plan } of run.progress({ signal })) {
          const isNew = entry.version > version;
          version = Math.max(version, entry.version);
          if (entry.type === "plan.driven" && isNew) {
            const age = { ms: runtime.monotonic() - begun.at, isOver: begun.isOver };
            options.onAssigned(entry.driver, plan().origin.planner, age);
          }
          options.onProgress(fraction, message);
          if (planEndings.has(entry.type)) {
            const state = plan();
            if (isTerminal(state.status)) return state;
          }
        }
        signal.throwIfAborted();
        throw new SoormaError("STORE_UNAVAILABLE", `the log of sub-plan ${planId} ended before its goal was answered`);
      });
      return answerOf(end);
    } catch (error) {
      // Whoever drives the plan from now on waits for the same sub-plan.
      if (signal.aborted && !isHandOver(signal.reason)) {
        const why = signal.reason instanceof Error ? signal.reason.message : "its parent task is not wanted any more";
        void this.#cancel(planId, why);
      }
      throw error;
    }
  }

  /** Resolves when the sub-plan is in the log. Waits for a planner as long as the attempt is wanted. */
  async #submit(
    goal: string,
    goalId: string,
    assignment: TaskAssignment,
    { signal, onAssigned }: DispatchOptions,
  ): Promise<Begun> {
    const { services, log } = this.#o;
    const { node } = services;
    const known = assignment.resume ? await this.#existing(goalId, signal) : undefined;
    if (known) {
      const isOver = isTerminal(known.status);
      // No process was there all the time: the clocks of those who were say how long it has been.
      const ms = Math.max(0, (isOver ? known.updatedAtMs : node.runtime.now()) - known.createdAtMs);
      onAssigned(known.driver ?? known.origin.planner, known.origin.planner, { ms, isOver });
      return { at: node.runtime.monotonic() - ms, version: known.version, isOver };
    }
    const envelope = this.#envelope(goal, goalId, assignment);
    const planners = () => node.directory.planners(goal);
    for (;;) {
      await node.until(() => planners().length > 0, submitTimeoutMs, signal);
      signal.throwIfAborted();
      if (node.isClosing) throw new SoormaError("NODE_STOPPED", "the planner has stopped");
      if (planners().length === 0) {
        log.warn("subplan.waits", { goal, planId: planIdOf(goalId), why: "no planner takes the goal" });
        continue;
      }
      try {
        const accepted = (await node.request(goalMethods.submit, envelope, planners, {
          timeoutMs: submitTimeoutMs,
          signal,
        })) as GoalAccepted;
        onAssigned(accepted.agentId, accepted.agentName);
        return { at: node.runtime.monotonic(), version: 0, isOver: false };
      } catch (error) {
        if (signal.aborted || !isPassing(error)) throw error;
        log.debug("subplan.unsubmitted", { goal, error });
        await sleep(node.runtime, pauseMs, signal);
      }
    }
  }

  /** A planner that was just asked may have it in the log only in a moment. */
  async #cancel(planId: string, reason: string): Promise<void> {
    const { services, log } = this.#o;
    for (let round = 1; ; round++) {
      try {
        await services.tracker.cancelPlan(planId, reason);
        return;
      } catch (error) {
        const isAway = isPassing(error) && !services.node.isClosing;
        if (!isAway && (round > cancelRounds || !isSoormaError(error, "PLAN_NOT_FOUND"))) {
          log.debug("subplan.uncancelled", { planId, error });
          return;
        }
        if (isAway) round--;
        await sleep(services.node.runtime, pauseMs);
      }
    }
  }

  /** A log that is away says nothing of the sub-plan: the attempt goes on, or another sub-plan would be begun beside it. */
  async #patiently<T>(signal: AbortSignal, action: () => Promise<T>): Promise<T> {
    const { services, log } = this.#o;
    for (;;) {
      try {
        return await action();
      } catch (error) {
        if (signal.aborted || services.node.isClosing || !isPassing(error)) throw error;
        log.debug("subplan.unwatched", { error });
        await sleep(services.node.runtime, pauseMs, signal);
      }
    }
  }

  async #existing(goalId: string, signal: AbortSignal): Promise<PlanState | undefined> {
    try {
      return await this.#patiently(signal, () => this.#o.services.tracker.getPlan(planIdOf(goalId)));
    } catch (error) {
      if (isSoormaError(error, "PLAN_NOT_FOUND")) return undefined;
      throw error;
    }
  }

  #envelope(
    goal: string,
    goalId: string,
    { origin, data, planId, taskId, attempt, deadline }: TaskAssignment,
  ): Envelope {
    return {
      id: goalId,
      source: this.#o.agentId,
      specversion: "1.0",
      type: goal,
      time: this.#o.services.node.runtime.now(),
      topic: "action-requests",
      data,
      traceId: origin.traceId,
      correlationId: origin.correlationId,
      parentId: origin.goalId,
      tenantId: origin.tenantId,
      goalId,
      planId,
      taskId,
      attempt,
      hops: (origin.hops ?? 0) + 1,
      ...(origin.sessionId === undefined ? {} : { sessionId: origin.sessionId }),
      ...(origin.userId === undefined ? {} : { userId: origin.userId }),
      ...(deadline === undefined ? {} : { deadline }),
    };
  }
}

function answerOf({ planId, status, result, failure, origin }: PlanState): unknown {
  if (status === "completed") return result;
  throw fromFailure(
    passedOn(
      failure ?? {
        code: "GOAL_FAILED",
        message: `goal "${origin.goalType}" (plan ${planId}) ${status}`,
        retryable: false,
      },
    ),
  );
}
