import { SoormaError } from "../errors.ts";
import { holds } from "./conditions.ts";
import type { TransitionDraft } from "./driver.ts";
import type { PlanDraft } from "./graph.ts";
import type { PlanOrigin, PlanState, TaskSpec, TaskState } from "./log.ts";
import {
  type MachineDefinition,
  type MachineScope,
  type StateDefinition,
  type Transition,
  taskOfState,
  transitionsOf,
} from "./machine.ts";
import { isTopLevel } from "./task-node.ts";
import { findTemplates, resolveTemplates } from "./template.ts";

/** The machine's first state, as what a planner makes of a goal. */
export function beginMachine(machine: MachineDefinition): PlanDraft {
  const { initial, budget } = machine;
  return {
    tasks: [enter(machine, initial, new Map())],
    grows: true,
    state: initial,
    ...(budget === undefined ? {} : { budget }),
  };
}

/**
 * What follows from the end of a state's task; undefined if it means nothing to the machine.
 *
 * @throws {SoormaError} `PLAN_INVALID` when no transition applies, `TEMPLATE_UNRESOLVED` for results that are not there.
 */
export function stepMachine(machine: MachineDefinition, task: TaskState, plan: PlanState): TransitionDraft | undefined {
  const name = stateOf(task.name);
  const state = machine.states[name];
  // Its task is not the one the machine waits for, or a plan of an earlier version of the definition.
  if (!state || !("on" in state) || plan.state !== name) {
    if (plan.state !== undefined && machine.states[plan.state]) return undefined;
    throw new SoormaError("PLAN_INVALID", `the plan is in state "${plan.state ?? name}", which there is no more`, {
      hint: "Cancel the plan, or bring the state back until its plans have ended.",
    });
  }
  const latest = latestResults(plan);
  const scope = scopeOf(machine, task, plan, latest);
  const failed = task.status === "failed";
  const given = failed ? failureTransitions(state, task) : transitionsOf(state.on);
  const transition = given.find((one) => applies(one, scope));
  if (!transition) {
    // A failure that nothing catches is the plan's.
    if (failed) return undefined;
    throw new SoormaError("PLAN_INVALID", `no transition of state "${name}" applies to its result`, {
      hint: "Add one without a condition at the end of its list.",
      details: { state: name, conditions: given.length },
    });
  }
  const { to, pause } = transition;
  const draft: TransitionDraft = {
    to,
    ...(failed ? { handled: true } : {}),
    ...(pause === undefined ? {} : { pause }),
  };
  const target = machine.states[to];
  if (target && "final" in target) return { ...draft, complete: { result: answerOf(target.result, to, scope) } };
  if (target && "fail" in target) {
    const message = String(resolveTemplates(target.fail, endScope(scope), `fail of state "${to}"`));
    const failure = { code: "GOAL_FAILED", message, retryable: false, details: { state: to, from: name } };
    return { ...draft, fail: failure };
  }
  return { ...draft, tasks: [enter(machine, to, latest, (scope.visits[to] ?? 0) + 1)] };
}

/** `search#2` is a task of state `search`. */
export function stateOf(taskName: string): string {
  return taskName.replace(/#\d+$/, "");
}

function failureTransitions(state: StateDefinition, task: TaskState): readonly Transition[] {
  if (!("on" in state) || "sleep" in state) return [];
  if (task.failure?.code === "TIMEOUT" && state.onTimeout !== undefined) return transitionsOf(state.onTimeout);
  return transitionsOf(state.onFailure);
}

function applies({ when }: Transition, scope: MachineScope): boolean {
  if (when === undefined) return true;
  if (typeof when !== "function") return holds(when, scope);
  return when(scope);
}

/** By state, the task that completed it last. */
function latestResults(plan: PlanState): Map<string, TaskState> {
  const latest = new Map<string, TaskState>();
  for (const task of plan.tasks) {
    if (isTopLevel(task) && task.status === "completed") latest.set(stateOf(task.name), task);
  }
  return latest;
}

function scopeOf(
  machine: MachineDefinition,
  task: TaskState,
  plan: PlanState,
  latest: ReadonlyMap<string, TaskState>,
): MachineScope {
  const { goalId, goalType, goalData }: PlanOrigin = plan.origin;
  const visits: Record<string, number> = Object.fromEntries(Object.keys(machine.states).map((name) => [name, 0]));
  for (const one of plan.tasks) {
    if (!isTopLevel(one)) continue;
    // By its name: of a plan that is done again, visits whose failure was dealt with are left out.
    const name = stateOf(one.name);
    visits[name] = Math.max(visits[name] ?? 0, Number(/#(\d+)$/.exec(one.name)?.[1] ?? 1));
  }
  return {
    goal: { id: goalId, type: goalType, data: goalData },
    results: Object.fromEntries(Array.from(latest, ([name, { result }]) => [name, result])),
    result: task.status === "completed" ? task.result : undefined,
    failure: task.failure,
    visits,
    plan,
  };
}

function endScope({ goal, results, result, failure }: MachineScope) {
  return {
    goal,
    results,
    ...(failure === undefined ? { result } : { failure: { ...failure } }),
  };
}

function answerOf(template: unknown, state: string, scope: MachineScope): unknown {
  if (template === undefined) return scope.results;
  return resolveTemplates(template, endScope(scope), `result of state "${state}"`);
}

/** The state's task, depending on the tasks whose results its templates name: these are filled in when it begins. */
function enter(machine: MachineDefinition, state: string, latest: ReadonlyMap<string, TaskState>, visit = 1): TaskSpec {
  const definition = machine.states[state];
  const task = definition && taskOfState(definition, visit === 1 ? state : `${state}#${visit}`);
  if (!task) throw new SoormaError("PLAN_INVALID", `state "${state}" has no task`);
  const dependsOn = new Set<string>();
  const renamed = (text: string): string => {
    let result = text;
    for (const template of findTemplates(text, `states.${state}`)) {
      if (template.root !== "results") continue;
      const [named, ...rest] = template.path;
      const source = latest.get(String(named));
      if (!source) {
        throw new SoormaError(
          "TEMPLATE_UNRESOLVED",
          `state "${state}" wants ${template.text}, but state "${named}" was not completed before`,
          { details: { state, path: `results.${named}` } },
        );
      }
      dependsOn.add(source.name);
      if (source.name === named) continue;
      const path = [source.name, ...rest].map((key) => `[${JSON.stringify(key)}]`).join("");
      result = result.replaceAll(template.text, () => `{{results${path}}}`);
    }
    return result;
  };
  const { data, wait, forEach, undo } = task;
  // All of it is its author's text; what goals and results fill in is not looked at again.
  const changed = {
    ...task,
    templated: true,
    ...(data === undefined ? {} : { data: mapText(data, renamed) }),
    ...(wait === undefined ? {} : { wait: mapText(wait, renamed) as NonNullable<TaskSpec["wait"]> }),
    ...(forEach === undefined ? {} : { forEach: { ...forEach, over: renamed(forEach.over) } }),
    ...(undo?.data === undefined ? {} : { undo: { ...undo, data: mapText(undo.data, renamed) } }),
  };
  return dependsOn.size === 0 ? changed : { ...changed, dependsOn: [...dependsOn] };
}

function mapText(value: unknown, change: (text: string) => string): unknown {
  if (typeof value === "string") return value.includes("{{") ? change(value) : value;
  if (Array.isArray(value)) return value.map((part: unknown) => mapText(part, change));
  if (typeof value !== "object" || value === null) return value;
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== null && prototype !== Object.prototype) return value;
  return Object.fromEntries(Object.entries(value).map(([key, part]) => [key, mapText(part, change)]));
}
