import { isSoormaError, SoormaError } from "../errors.ts";
import { checkType } from "../events/pattern.ts";
import { nearest } from "../nearest.ts";
import { checkComparison } from "./conditions.ts";
import type { PlanBudget } from "./log.ts";
import { type MachineDefinition, type StateDefinition, taskOfState, transitionsOf } from "./machine.ts";
import { checkFields, checkNumber, checkTask, checkWhole } from "./task-spec.ts";
import { type FoundTemplate, findTemplates, type TemplateRoot } from "./template.ts";

const kinds = ["task", "goal", "input", "event", "sleep", "final", "fail"] as const;
type Kind = (typeof kinds)[number];

const active = { on: true, onFailure: true, onTimeout: true, timeoutMs: true } as const;
const stateFields: Record<Kind, Record<string, true>> = {
  task: { task: true, on: true, onFailure: true, onTimeout: true },
  goal: { goal: true, data: true, retry: true, priority: true, ...active },
  input: { input: true, ...active },
  event: { event: true, ...active },
  sleep: { sleep: true, on: true },
  final: { final: true, result: true },
  fail: { fail: true },
};
const machineFields = { kind: true, goal: true, initial: true, states: true, budget: true } as const;
const transitionFields = { to: true, when: true, pause: true } as const;
const budgetFields: Record<keyof PlanBudget, true> = { maxTasks: true, maxDurationMs: true };

/** Names that `results.<state>` and `<state>#2` can be made of. */
const statePattern = /^[A-Za-z_][\w-]{0,99}$/;

/** @throws {TypeError} what {@link definePlan} says. */
export function checkMachine(machine: MachineDefinition): void {
  const type = typeof machine.goal === "string" ? machine.goal : machine.goal?.name;
  const what = `the plan of goal ${JSON.stringify(type)}`;
  asTypeError(what, () => {
    checkFields(machine, machineFields, "", "a state machine");
    if (typeof type !== "string") throw new TypeError("goal must be a goal's type or its contract");
    checkType(type);
    checkBudget(machine.budget);
    if (typeof machine.states !== "object" || machine.states === null) throw new TypeError("states is missing");
    const names = Object.keys(machine.states);
    for (const [name, state] of Object.entries(machine.states)) {
      if (!statePattern.test(name)) {
        throw new TypeError(`states has ${JSON.stringify(name)}; a state's name must match ${statePattern}`);
      }
      checkState(state, `states.${name}`, name, names);
    }
    if (typeof machine.initial !== "string") throw new TypeError(`initial is missing; it names the first state`);
    checkTarget(machine.initial, "initial", names);
    const initial = machine.states[machine.initial];
    if (initial && targetsOf(initial).length === 0) {
      throw new TypeError(`initial is "${machine.initial}", where the plan would end before it began`);
    }
    checkReach(machine);
  });
}

function checkState(state: StateDefinition, at: string, name: string, names: readonly string[]): void {
  if (typeof state !== "object" || state === null || Array.isArray(state)) throw new TypeError(`${at} is no state`);
  const found = kinds.filter((kind) => Object.hasOwn(state, kind));
  const [kind] = found;
  if (!kind || found.length > 1) {
    throw new TypeError(
      `${at} has ${found.length === 0 ? "nothing to do" : found.join(" and ")}; a state has one of ${kinds.join(", ")}`,
    );
  }
  checkFields(state, stateFields[kind], at, `a state with "${kind}"`);
  if ("final" in state) {
    if (state.final !== true) throw new TypeError(`${at}.final must be true`);
    checkEndTemplates(state.result, `${at}.result`, names);
    return;
  }
  if ("fail" in state) {
    if (typeof state.fail !== "string" || state.fail.trim() === "") {
      throw new TypeError(`${at}.fail must say why the goal fails`);
    }
    checkEndTemplates(state.fail, `${at}.fail`, names);
    return;
  }
  if ("task" in state) {
    checkTaskField(state.task, `${at}.task`);
    checkTask(withDependencies(state, name, at, names), `${at}.task`);
    if (state.onTimeout !== undefined && taskOfState(state, name)?.timeoutMs === undefined) {
      throw new TypeError(`${at}.onTimeout can never apply: the task has no timeoutMs`);
    }
  } else {
    asWritten(state, at, () => checkTask(withDependencies(state, name, at, names), at));
    if (!("sleep" in state) && state.onTimeout !== undefined && state.timeoutMs === undefined) {
      throw new TypeError(`${at}.onTimeout can never apply: the state has no timeoutMs`);
    }
  }
  if (state.on === undefined) {
    throw new TypeError(`${at}.on is missing: nothing says what comes after it, and it is no end ("final" or "fail")`);
  }
  checkTransitions(state.on, `${at}.on`, names);
  if ("sleep" in state) return;
  if (state.onFailure !== undefined) checkTransitions(state.onFailure, `${at}.onFailure`, names);
  if (state.onTimeout !== undefined) checkTransitions(state.onTimeout, `${at}.onTimeout`, names);
}

/** Names fields as the state has them, not as the task that is made of it. */
function asWritten(state: StateDefinition, at: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const { message } = error;
    const found = message.startsWith(`${at}.wait`) ? /^\.wait(?:\.(\w+))?/.exec(message.slice(at.length)) : null;
    if (!found) throw error;
    const [text, field] = found;
    const own =
      "event" in state
        ? typeof state.event === "string" || field === undefined
          ? "event"
          : `event.${field}`
        : "sleep" in state
          ? "sleep"
          : "input";
    const renamed = `${at}.${own}${message.slice(at.length + text.length)}`;
    if (!isSoormaError(error)) throw new TypeError(renamed, { cause: error });
    throw new SoormaError(error.code, renamed, {
      cause: error,
      ...(error.hint === undefined || own === "sleep" ? {} : { hint: error.hint }),
    });
  }
}

function checkTaskField(task: unknown, at: string): void {
  if (typeof task !== "object" || task === null || Array.isArray(task)) {
    throw new TypeError(`${at} must be { assignedTo, data?, … }`);
  }
  for (const field of ["name", "dependsOn", "goal", "wait", "templated"]) {
    if (Object.hasOwn(task, field)) throw new TypeError(`${at}.${field} is not for a state's task to say`);
  }
}

/** The state's task as if it depended on every state that its templates name. */
function withDependencies(state: StateDefinition, name: string, at: string, names: readonly string[]): unknown {
  const task = taskOfState(state, name);
  const { data, wait, forEach, undo } = task ?? {};
  const dependsOn = new Set<string>();
  for (const template of findTemplates({ data, wait, forEach, undo: undo?.data }, at)) {
    if (template.root === "results") dependsOn.add(checkResultsTemplate(template, names));
  }
  return { ...task, templated: true, dependsOn: [...dependsOn] };
}

function checkResultsTemplate({ at, text, path }: FoundTemplate, names: readonly string[]): string {
  const [state] = path;
  if (typeof state === "string" && names.includes(state)) return state;
  const meant = typeof state === "string" ? nearest(state, names) : undefined;
  throw new TypeError(
    `${at} holds ${text}, which names no state${meant ? `; did you mean "${meant}"?` : `; there are ${names.join(", ")}`}`,
  );
}

const endRoots: readonly TemplateRoot[] = ["goal", "results", "result", "failure"];

function checkEndTemplates(value: unknown, at: string, names: readonly string[]): void {
  for (const template of findTemplates(value, at)) {
    if (!endRoots.includes(template.root)) {
      throw new TypeError(`${at} holds ${template.text}; where a plan ends there are ${endRoots.join(", ")}`);
    }
    if (template.root === "results" && template.path.length > 0) checkResultsTemplate(template, names);
  }
}

function checkTransitions(given: unknown, at: string, names: readonly string[]): void {
  if (typeof given === "string") {
    checkTarget(given, at, names);
    return;
  }
  const isList = Array.isArray(given);
  const list: readonly unknown[] = isList ? given : [given];
  if (list.length === 0) throw new TypeError(`${at} is an empty list: nothing says what comes next`);
  list.forEach((transition, index) => {
    const here = isList ? `${at}[${index}]` : at;
    if (typeof transition !== "object" || transition === null) {
      throw new TypeError(`${here} must be a state's name or { to, when?, pause? }`);
    }
    checkFields(transition, transitionFields, here, "a transition");
    const { to, when, pause } = transition as Record<string, unknown>;
    checkTarget(to, `${here}.to`, names);
    if (when !== undefined && typeof when !== "function") checkComparison(when, `${here}.when`, names);
    if (pause !== undefined && (typeof pause !== "string" || pause.trim() === "")) {
      throw new TypeError(`${here}.pause must say why the plan is paused`);
    }
    if (when === undefined && index < list.length - 1) {
      throw new TypeError(`${at}[${index + 1}] can never apply: ${here} has no condition`);
    }
  });
}

function checkTarget(target: unknown, at: string, names: readonly string[]): void {
  if (typeof target === "string" && names.includes(target)) return;
  const meant = typeof target === "string" ? nearest(target, names) : undefined;
  throw new TypeError(
    `${at} is ${JSON.stringify(target)}, which is no state${meant ? `; did you mean "${meant}"?` : `; there are ${names.join(", ")}`}`,
  );
}

function checkBudget(budget: PlanBudget | undefined): void {
  if (budget === undefined) return;
  if (typeof budget !== "object" || budget === null)
    throw new TypeError("budget must be { maxTasks?, maxDurationMs? }");
  checkFields(budget, budgetFields, "budget", "a budget");
  checkWhole(budget.maxTasks, "budget.maxTasks", 1);
  checkNumber(budget.maxDurationMs, "budget.maxDurationMs", 1);
}

function targetsOf(state: StateDefinition): string[] {
  if (!("on" in state)) return [];
  const failures = "sleep" in state ? [] : [...transitionsOf(state.onFailure), ...transitionsOf(state.onTimeout)];
  return [...transitionsOf(state.on), ...failures].map(({ to }) => to);
}

/** Every state can be reached, and from every state an end can. */
function checkReach({ initial, states }: MachineDefinition): void {
  const reached = new Set([initial]);
  for (const name of reached) {
    const state = states[name];
    for (const target of state ? targetsOf(state) : []) reached.add(target);
  }
  for (const name of Object.keys(states)) {
    if (!reached.has(name))
      throw new TypeError(`states.${name} cannot be reached: no transition leads there from "${initial}"`);
  }
  const ending = new Set(Object.keys(states).filter((name) => !("on" in (states[name] as StateDefinition))));
  for (let before = -1; before !== ending.size; ) {
    before = ending.size;
    for (const [name, state] of Object.entries(states)) {
      if (targetsOf(state).some((target) => ending.has(target))) ending.add(name);
    }
  }
  for (const name of Object.keys(states)) {
    if (!ending.has(name))
      throw new TypeError(`states.${name} is a dead end: no way leads from it to a "final" or "fail" state`);
  }
}

/** Says of which plan it is, and that it is a mistake in the code, whichever check found it. */
function asTypeError(what: string, check: () => void): void {
  try {
    check();
  } catch (error) {
    if (!(error instanceof TypeError) && !isSoormaError(error)) throw error;
    const hint = isSoormaError(error) && error.hint ? ` (${error.hint})` : "";
    throw new TypeError(`${what}: ${error.message}${hint}`, { cause: error });
  }
}
