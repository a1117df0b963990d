import type { GoalContract } from "../contracts.ts";
import { type Failure, SoormaError } from "../errors.ts";
import { answerIdOf } from "../events/answers.ts";
import { type HandlingContext, runWith } from "../events/context.ts";
import { isTopic } from "../events/topics.ts";
import type { HandlerRun } from "../mesh/observer.ts";
import type { PlanHandlers, TransitionDraft } from "../plans/driver.ts";
import type { PlanDraft } from "../plans/graph.ts";
import type { PlanOrigin, PlanState, TaskSpec, TaskState } from "../plans/log.ts";
import type { MachineDefinition } from "../plans/machine.ts";
import { beginMachine, stepMachine } from "../plans/machine-run.ts";
import { resultsByName } from "../plans/outcome.ts";
import { replayDraft } from "../plans/replay.ts";
import { isTerminal, isTopLevel } from "../plans/task-node.ts";
import type { AnyData } from "./any-data.ts";
import { type BusOwner, makeEnvelope } from "./bus.ts";
import type { PlatformContext } from "./context.ts";
import { contextOf } from "./goal-wire.ts";
import type {
  CompleteHandler,
  Goal,
  GoalHandler,
  NextTasks,
  PlannerOptions,
  TaskEnd,
  TransitionHandler,
} from "./planner-types.ts";
import { checkResult } from "./request.ts";
import { handlerOf, withDefaults } from "./task-defaults.ts";

/** What a planner has for a goal's type: a handler, or a machine. */
export interface HandledGoal {
  readonly contract: GoalContract | undefined;
  readonly handler: GoalHandler<AnyData> | undefined;
  readonly machine: MachineDefinition | undefined;
}

export interface PlannerHandlersOptions {
  readonly planner: string;
  readonly options: Pick<PlannerOptions, "timeoutMs" | "priority" | "budget">;
  readonly goal: (type: string) => HandledGoal | undefined;
  readonly transition: (type: string) => TransitionHandler<AnyData> | undefined;
  readonly complete: () => CompleteHandler | undefined;
  readonly context: () => PlatformContext;
  /** Runs what its author registered. */
  readonly handle: <R>(run: Pick<HandlerRun, "kind" | "name" | "data">, context: HandlingContext, body: () => R) => R;
  readonly owner: BusOwner;
}

/** What the plan engine asks of a planner, answered by what its author registered. */
export class PlannerHandlers {
  readonly #o: PlannerHandlersOptions;

  constructor(options: PlannerHandlersOptions) {
    this.#o = options;
  }

  of(origin: PlanOrigin, planId: string): PlanHandlers {
    const handled = this.#o.goal(origin.goalType);
    const transition = this.#o.transition(origin.goalType);
    const context = contextOf(origin, planId);
    const { machine, contract } = handled ?? {};
    const complete = this.#o.complete();
    const answered = (answer: unknown): unknown => {
      if (contract) checkResult(contract.output, answer, `answer of goal "${origin.goalType}" by ${this.#o.planner}`);
      return answer;
    };
    return {
      makeTasks: (_origin, options) => this.#draft(origin, handled, { ...options, planId }),
      ...(machine || transition
        ? {
            onTransition: async (task: TaskState, plan: PlanState) => {
              const next = machine
                ? stepMachine(machine, task, plan)
                : await this.#run("transition", origin, context, () =>
                    transition?.(endOf(origin, task, plan), this.#o.context()),
                  );
              return next && (await this.#next(next, origin, answered));
            },
          }
        : {}),
      // Only where there is something to ask: it takes the log another append.
      ...(complete
        ? {
            onComplete: async (results: Record<string, unknown>, plan: PlanState) => {
              const { goalId, goalType, goalData } = origin;
              const completed = { goalId, planId, goalType, goalData, results, plan };
              return answered(
                await this.#run("complete", origin, context, () => complete(completed, this.#o.context())),
              );
            },
          }
        : { checkAnswer: answered }),
      onEnd: (state) => runWith(context, () => this.#answer(origin, state)),
    };
  }

  /** Not `async` throughout: tasks that are known at once go into the log together with the goal. */
  #draft(
    origin: PlanOrigin,
    handled: HandledGoal | undefined,
    options: { readonly planId: string; readonly signal: AbortSignal },
  ): Promise<PlanDraft> | PlanDraft {
    const { goalId, goalType, goalData, sessionId, userId, deadline, replayOf } = origin;
    if (!handled) {
      throw new SoormaError("NO_RESPONDER", `${this.#o.planner} does not plan goal "${goalType}" any more`, {
        retryable: false,
      });
    }
    if (replayOf !== undefined) return this.#replay(origin, replayOf, handled, options);
    const { handler, machine } = handled;
    if (machine) return this.#complement(beginMachine(machine));
    const goal: Goal<AnyData> = {
      goalId,
      planId: options.planId,
      type: goalType,
      data: goalData,
      sessionId,
      userId,
      deadline,
      get signal() {
        return options.signal;
      },
    };
    const context = contextOf(origin, options.planId);
    const grows = this.#o.transition(goalType) !== undefined;
    const complement = (plan: PlanDraft): Promise<PlanDraft> | PlanDraft =>
      // What is no list of tasks at all is for the engine to refuse.
      Array.isArray(plan?.tasks) ? this.#complement(grows ? { ...plan, grows } : plan) : plan;
    const plan = this.#run("goal", origin, context, () => handler?.(goal, this.#o.context()));
    return plan instanceof Promise ? plan.then(complement) : complement(plan as PlanDraft);
  }

  #run<R>(kind: HandlerRun["kind"], origin: PlanOrigin, context: HandlingContext, body: () => R): R {
    return this.#o.handle({ kind, name: origin.goalType, data: origin.goalData }, context, body);
  }

  async #replay(
    origin: PlanOrigin,
    replayOf: string,
    handled: HandledGoal,
    options: { readonly planId: string; readonly signal: AbortSignal },
  ): Promise<PlanDraft> {
    const entries = await this.#o.owner.services().tracker.read(replayOf);
    const draft = replayDraft(replayOf, entries, origin.replayFrom);
    // Which state comes first is the machine's to say.
    if (draft && handled.machine && origin.replayFrom === undefined)
      return this.#complement(beginMachine(handled.machine));
    if (draft) return draft;
    // It was never planned.
    const { replayOf: _of, replayFrom: _from, ...anew } = origin;
    return this.#draft(anew, handled, options);
  }

  async #next(next: NextTasks, origin: PlanOrigin, answered: (answer: unknown) => unknown): Promise<TransitionDraft> {
    const { tasks, complete, fail, ...rest } = next;
    return {
      ...rest,
      ...(tasks ? { tasks: await this.#complementTasks(tasks) } : {}),
      ...(complete ? { complete: { result: answered(complete.result) } } : {}),
      ...(fail === undefined ? {} : { fail: typeof fail === "string" ? goalFailed(fail, origin) : fail }),
    };
  }

  #complement(plan: PlanDraft): Promise<PlanDraft> | PlanDraft {
    const { budget } = this.#o.options;
    const complete = (tasks: readonly TaskSpec[]): PlanDraft => ({
      ...plan,
      tasks,
      ...(budget ? { budget: { ...budget, ...plan.budget } } : {}),
    });
    const tasks = this.#complementTasks(plan.tasks);
    return tasks instanceof Promise ? tasks.then(complete) : complete(tasks);
  }

  /** The planner's defaults, and a check of what can be checked before anything runs. */
  #complementTasks(tasks: readonly TaskSpec[]): Promise<readonly TaskSpec[]> | readonly TaskSpec[] {
    const { timeoutMs, priority } = this.#o.options;
    const complete = (task: TaskSpec): TaskSpec => ({
      ...(priority === undefined ? {} : { priority }),
      ...(timeoutMs === undefined || typeof task?.assignedTo !== "string" ? {} : { timeoutMs }),
      ...task,
    });
    const { directory } = this.#o.owner.services().node;
    // What a task's contract says goes before what the planner says.
    const filled = tasks.map((task) => (typeof task === "object" && task ? withDefaults(directory, task) : task));
    const all = priority === undefined && timeoutMs === undefined ? filled : filled.map(complete);
    const checking = this.#checkTasks(all);
    return checking ? checking.then(() => all) : all;
  }

  /** Refuses tasks whose data do not match what their workers registered. */
  #checkTasks(tasks: readonly TaskSpec[]): Promise<unknown> | undefined {
    const { node, check } = this.#o.owner.services();
    const waits: Promise<void>[] = [];
    for (const [i, task] of tasks.entries()) {
      if (typeof task?.assignedTo !== "string") continue;
      const operation = handlerOf(node.directory, { assignedTo: task.assignedTo, name: task.name });
      // What templates become is not known yet, nor are the items of a list.
      if (!operation?.input || task.templated || (task.forEach && task.data === undefined)) continue;
      const wait = check(operation.input, task.data ?? null, `tasks[${i}].data of task "${task.name}"`);
      if (wait) waits.push(wait);
    }
    return waits.length > 0 ? Promise.all(waits) : undefined;
  }

  async #answer(origin: PlanOrigin, { planId, status, result, failure, tasks }: PlanState): Promise<void> {
    if (!isTerminal(status)) return;
    const { owner } = this.#o;
    const { responseEvent, responseTopic, goalId, goalType } = origin;
    const data = { goalId, planId, goalType, status, ...(failure ? { failure } : { result }), taskCount: tasks.length };
    const type = responseEvent ?? (status === "completed" ? "goal.completed" : "goal.failed");
    const topic = isTopic(responseTopic) ? responseTopic : "action-results";
    // An answer is passed on by nobody: also that of a goal at the limit of hops arrives.
    const { hops = 0 } = origin;
    const envelope = { ...makeEnvelope(owner, { type, data, topic }), id: answerIdOf(planId), hops };
    await owner.announce({ type, topic });
    await owner.services().node.events.publish(envelope);
  }
}

function endOf({ goalId, goalType, goalData }: PlanOrigin, task: TaskState, plan: PlanState): TaskEnd<AnyData> {
  let results: Record<string, unknown> | undefined;
  return {
    goalId,
    planId: plan.planId,
    goalType,
    goalData,
    task,
    plan,
    get results() {
      results ??= resultsByName(plan.tasks.filter((one) => isTopLevel(one) && one.status === "completed"));
      return results;
    },
  };
}

function goalFailed(message: string, { goalType }: PlanOrigin): Failure {
  return { code: "GOAL_FAILED", message: `goal "${goalType}" failed: ${message}`, retryable: false };
}
