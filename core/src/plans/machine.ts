import type { AnyData } from "../agents/any-data.ts";
import type { GoalContract, InputOf, TaskContract } from "../contracts.ts";
import type { Failure } from "../errors.ts";
import type { Topic } from "../events/topics.ts";
import type { EventWhere } from "../events/where.ts";
import type { Comparison } from "./conditions.ts";
import type { PlanBudget, PlanState, RetryPolicy, TaskSpec } from "./log.ts";
import { checkMachine } from "./machine-check.ts";

/** What a transition is decided by. */
export interface MachineScope<S extends string = string, D = AnyData> {
  readonly goal: { readonly id: string; readonly type: string; readonly data: D };
  /** Of each state that was completed, the latest result. */
  readonly results: Readonly<Record<S, AnyData>>;
  /** Of the state that just ended; undefined if it failed. */
  readonly result: AnyData;
  /** What the state that just ended failed with. */
  readonly failure: Failure | undefined;
  /** How often each state was entered. */
  readonly visits: Readonly<Record<S, number>>;
  readonly plan: PlanState;
}

/** A condition: as data, or as a function, which may run again after a crash and has to say the same then. */
export type When<S extends string = string, D = AnyData> = Comparison | ((scope: MachineScope<S, D>) => boolean);

export interface Transition<S extends string = string, D = AnyData> {
  readonly to: S;
  /** Default: always. */
  readonly when?: When<S, D>;
  /** Pauses the plan as the state is entered, until somebody resumes it: why. */
  readonly pause?: string;
}

/** The first whose condition holds is taken; a name alone is always taken. */
export type Transitions<S extends string = string, D = AnyData> =
  | S
  | Transition<S, D>
  | readonly [Transition<S, D>, ...Transition<S, D>[]];

interface Active<S extends string, D> {
  /** Where to go when the state is completed. None of several applies: the plan fails. */
  readonly on: Transitions<S, D>;
  /** Where to go when its task has failed for good. Default, also if none applies: the plan fails. */
  readonly onFailure?: Transitions<S, D>;
}

interface Timed<S extends string, D> extends Active<S, D> {
  /** Milliseconds the state may take; of a task and a goal, each attempt. */
  readonly timeoutMs?: number;
  /** Where to go when that is over. Default: as `onFailure` says. */
  readonly onTimeout?: Transitions<S, D>;
}

/** What an agent does in a state. `{{results.search.papers}}` is the latest result of the state `search`. */
export interface MachineTask
  extends Omit<TaskSpec, "name" | "assignedTo" | "goal" | "wait" | "templated" | "dependsOn" | "timeoutMs"> {
  /** Name, id or capability of an agent, or the task's contract, whose `retry`, `timeoutMs` and `priority` then are the defaults. */
  readonly assignedTo: string | TaskContract;
  readonly timeoutMs?: number;
}

/** An agent does something. */
interface TaskStateDefinition<S extends string = string, D = AnyData> extends Active<S, D> {
  readonly task: MachineTask;
  /** Where to go when the last attempt took longer than `task.timeoutMs`. Default: as `onFailure` says. */
  readonly onTimeout?: Transitions<S, D>;
}

/** A goal of its own: its answer is the state's result. */
interface GoalStateDefinition<S extends string = string, D = AnyData> extends Timed<S, D> {
  readonly goal: string;
  readonly data?: unknown;
  readonly retry?: RetryPolicy;
  readonly priority?: number;
}

/** A person is asked: the answer is the state's result. */
interface InputStateDefinition<S extends string = string, D = AnyData> extends Timed<S, D> {
  readonly input: string;
}

/** The first event that matches is the state's result. */
interface EventStateDefinition<S extends string = string, D = AnyData> extends Timed<S, D> {
  readonly event: string | { readonly pattern: string; readonly topic?: Topic; readonly where?: EventWhere };
}

/** Milliseconds to wait. */
interface SleepStateDefinition<S extends string = string, D = AnyData> {
  readonly sleep: number;
  readonly on: Transitions<S, D>;
}

/** The goal is answered. */
interface FinalStateDefinition {
  readonly final: true;
  /** The answer, as a template. Default: the latest result of each state by its name. */
  readonly result?: unknown;
}

/** The goal fails, with this message. */
interface FailStateDefinition {
  readonly fail: string;
}

export type StateDefinition<S extends string = string, D = AnyData> =
  | TaskStateDefinition<S, D>
  | GoalStateDefinition<S, D>
  | InputStateDefinition<S, D>
  | EventStateDefinition<S, D>
  | SleepStateDefinition<S, D>
  | FinalStateDefinition
  | FailStateDefinition;

export interface MachineSpec<G extends string | GoalContract, S extends string> {
  readonly goal: G;
  readonly initial: NoInfer<S>;
  readonly states: Readonly<Record<S, StateDefinition<NoInfer<S>, G extends GoalContract ? InputOf<G> : AnyData>>>;
  readonly budget?: PlanBudget;
}

/** A checked state machine: pass it to `planner.onGoal`. */
export interface MachineDefinition {
  readonly kind: "machine";
  readonly goal: string | GoalContract;
  readonly initial: string;
  readonly states: Readonly<Record<string, StateDefinition>>;
  readonly budget?: PlanBudget;
}

/**
 * A plan as a state machine: each state has one task, and how that ended decides which state comes next.
 *
 * States may be entered again. Their tasks are named `search`, `search#2`, `search#3`, … in the plan. Text in `data`,
 * prompts, patterns, `result` and `fail` may hold templates: `{{goal.data.topic}}`, `{{results.search.papers}}`; text that is
 * nothing but a template becomes the value itself. In `result` and `fail` also `{{result}}` and `{{failure.message}}`.
 *
 * Without functions in its conditions a definition is data: it may come from a file.
 *
 * @throws {TypeError} for what can never work: states that do not exist, cannot be reached or have no way to an end,
 * transitions after one that always applies, templates of unknown states, and whatever is no task.
 */
export function definePlan<const G extends string | GoalContract, S extends string>(
  spec: MachineSpec<G, S>,
): MachineDefinition {
  const definition = { ...spec, kind: "machine" } as unknown as MachineDefinition;
  checkMachine(definition);
  return definition;
}

/** Whether something is what {@link definePlan} returns. */
export function isMachine(value: unknown): value is MachineDefinition {
  return typeof value === "object" && value !== null && (value as { kind?: unknown }).kind === "machine";
}

export function transitionsOf(given: Transitions | undefined): readonly Transition[] {
  if (given === undefined) return [];
  if (typeof given === "string") return [{ to: given }];
  return "to" in given ? [given] : given;
}

/** The state's task as a planner would return it, without dependencies; undefined where the machine ends. */
export function taskOfState(state: StateDefinition, name: string): TaskSpec | undefined {
  if ("task" in state) {
    const { assignedTo, ...rest } = state.task;
    if (typeof assignedTo === "string") return { ...rest, name, assignedTo };
    const { retry, timeoutMs, priority } = assignedTo;
    return { ...given({ retry, timeoutMs, priority }), ...rest, name, assignedTo: assignedTo.name };
  }
  if ("goal" in state) {
    const { goal, data, retry, priority, timeoutMs } = state;
    return { name, goal, ...given({ data, retry, priority, timeoutMs }) };
  }
  if ("input" in state) {
    return { name, wait: { kind: "input", prompt: state.input }, ...given({ timeoutMs: state.timeoutMs }) };
  }
  if ("event" in state) {
    const on = typeof state.event === "string" ? { pattern: state.event } : state.event;
    return { name, wait: { kind: "event", ...on }, ...given({ timeoutMs: state.timeoutMs }) };
  }
  return "sleep" in state ? { name, wait: { kind: "sleep", ms: state.sleep } } : undefined;
}

/** The object without its undefined fields. */
function given<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
