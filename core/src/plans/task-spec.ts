import { isSoormaError, SoormaError } from "../errors.ts";
import { compilePattern } from "../events/pattern.ts";
import { isTopic, topics } from "../events/topics.ts";
import { findWhereProblem } from "../events/where.ts";
import { nearest } from "../nearest.ts";
import type { ForEachSpec, RetryPolicy, TaskSpec, UndoSpec, WaitSpec } from "./log.ts";
import { findUnpackable } from "./packable.ts";
import { type FoundTemplate, findTemplates, parseTemplate, type TemplateRoot } from "./template.ts";

/** Every field there is: the types make the lists complete. */
const taskFields: Record<keyof TaskSpec, true> = {
  name: true,
  assignedTo: true,
  goal: true,
  wait: true,
  data: true,
  templated: true,
  dependsOn: true,
  forEach: true,
  retry: true,
  timeoutMs: true,
  priority: true,
  undo: true,
};
const retryFields: Record<keyof RetryPolicy, true> = { maxAttempts: true, backoffMs: true, maxBackoffMs: true };
const forEachFields: Record<keyof ForEachSpec, true> = { over: true, concurrency: true };
const undoFields: Record<keyof UndoSpec, true> = { assignedTo: true, data: true, retry: true, timeoutMs: true };
const waitFields: { [K in WaitSpec["kind"]]: Record<keyof Extract<WaitSpec, { kind: K }>, true> } = {
  input: { kind: true, prompt: true },
  event: { kind: true, pattern: true, topic: true, where: true },
  sleep: { kind: true, ms: true },
};

const maxNameLength = 200;
const goalFields = ["data", "id", "type"];

/**
 * Checks one task by itself. Its dependencies are for the caller to find.
 *
 * @param options.delegated - A handler delegated it: it may hold no templates.
 * @throws {SoormaError} `PLAN_INVALID`; `details.path` is where.
 */
export function checkTask(task: unknown, path: string, options: { readonly delegated?: boolean } = {}): TaskSpec {
  if (!isRecord(task)) throw invalid(path, `is ${describe(task)}`, "a task is { name, assignedTo, … }");
  checkFields(task, taskFields, path, "a task");
  const name = checkText(task.name, `${path}.name`);
  if (name.length > maxNameLength) {
    throw invalid(`${path}.name`, `has ${name.length} characters; the limit is ${maxNameLength}`);
  }
  if (name.startsWith("undo:")) {
    throw invalid(`${path}.name`, `is "${name}"; names with "undo:" are those of tasks that take others back`);
  }
  checkTemplated(task.templated, `${path}.templated`, options.delegated === true);
  checkDoer(task, path);
  if (task.dependsOn !== undefined) {
    if (!Array.isArray(task.dependsOn)) {
      throw invalid(`${path}.dependsOn`, `is ${describe(task.dependsOn)}`, "it is a list of names of tasks");
    }
    task.dependsOn.forEach((other, at) => {
      checkText(other, `${path}.dependsOn[${at}]`);
    });
  }
  if (task.retry !== undefined) checkRetry(task.retry, `${path}.retry`);
  checkNumber(task.timeoutMs, `${path}.timeoutMs`, 1);
  checkNumber(task.priority, `${path}.priority`, Number.NEGATIVE_INFINITY);
  checkPackable(task.data, `${path}.data`);
  if (task.forEach !== undefined) checkForEach(task.forEach, `${path}.forEach`);
  if (task.undo !== undefined) checkUndo(task.undo, `${path}.undo`);
  // Fields given as undefined are left out, so that what is logged is what is meant.
  const spec = defined(task) as unknown as TaskSpec;
  checkTemplates(spec, path);
  return spec;
}

function checkTemplated(templated: unknown, path: string, delegated: boolean): void {
  if (templated === undefined) return;
  if (typeof templated !== "boolean") throw invalid(path, `is ${describe(templated)}, not true or false`);
  if (templated && delegated) {
    throw invalid(path, "is not for a delegated task to say", "its data is taken as it is: fill it in before");
  }
}

function checkDoer(task: Record<string, unknown>, path: string): void {
  const given = (["assignedTo", "goal", "wait"] as const).filter((field) => task[field] !== undefined);
  if (given.length > 1) {
    throw invalid(path, `has ${given.join(" and ")}`, "exactly one of assignedTo, goal and wait says who does it");
  }
  if (task.goal !== undefined) checkText(task.goal, `${path}.goal`, "it is the type of a goal that some planner takes");
  else if (task.wait !== undefined) checkWait(task.wait, `${path}.wait`, task.templated === true);
  else {
    const hint = "say which agent shall do it: its name, id or capability; or give a goal, or what to wait for";
    checkText(task.assignedTo, `${path}.assignedTo`, hint);
  }
}

/**
 * Checks what a task waits for.
 *
 * @throws {SoormaError} `PLAN_INVALID`; `details.path` is where.
 */
export function checkWait(wait: unknown, path: string, templated: boolean): void {
  const hint = 'it is { kind: "input", prompt }, { kind: "event", pattern, topic?, where? } or { kind: "sleep", ms }';
  if (!isRecord(wait)) throw invalid(path, `is ${describe(wait)}`, hint);
  switch (wait.kind) {
    case "input":
      checkFields(wait, waitFields.input, path, "a wait for input");
      checkText(wait.prompt, `${path}.prompt`, "say what the person is asked");
      return;
    case "event":
      checkFields(wait, waitFields.event, path, "a wait for an event");
      checkPattern(checkText(wait.pattern, `${path}.pattern`), `${path}.pattern`, templated);
      if (wait.topic !== undefined && !isTopic(wait.topic)) {
        throw invalid(`${path}.topic`, `is ${describe(wait.topic)}`, `topics are ${topics.join(", ")}`);
      }
      if (wait.where !== undefined) checkWhere(wait.where, `${path}.where`);
      return;
    case "sleep":
      checkFields(wait, waitFields.sleep, path, "a sleep");
      if (wait.ms === undefined) throw invalid(`${path}.ms`, "is missing", hint);
      checkNumber(wait.ms, `${path}.ms`, 0);
      return;
    default:
      throw invalid(`${path}.kind`, `is ${describe(wait.kind)}`, hint);
  }
}

function checkPattern(pattern: string, path: string, templated: boolean): void {
  // What a template will become is not known yet.
  if (templated && pattern.includes("{{")) return;
  try {
    compilePattern(pattern);
  } catch (error) {
    if (!isSoormaError(error, "PAYLOAD_INVALID")) throw error;
    const hint = pattern.includes("{{") ? "templates are filled in only where a task says templated: true" : error.hint;
    throw invalid(path, `is ${describe(pattern)}, which is no event pattern`, hint);
  }
}

function checkWhere(where: unknown, at: string): void {
  const found = findWhereProblem(where);
  if (!found) return;
  throw invalid(found.path === undefined ? at : `${at}[${JSON.stringify(found.path)}]`, found.problem, found.hint);
}

function checkForEach(forEach: unknown, path: string): void {
  const hint = 'it is { over: "{{results.search.papers}}", concurrency? }';
  if (!isRecord(forEach)) throw invalid(path, `is ${describe(forEach)}`, hint);
  checkFields(forEach, forEachFields, path, "a forEach");
  const over = checkText(forEach.over, `${path}.over`, hint);
  findTemplates(over, `${path}.over`);
  if (!parseTemplate(over)) throw invalid(`${path}.over`, `is ${describe(over)}, not one template`, hint);
  checkWhole(forEach.concurrency, `${path}.concurrency`, 1);
}

function checkUndo(undo: unknown, path: string): void {
  if (!isRecord(undo)) throw invalid(path, `is ${describe(undo)}`, "it is { assignedTo, data?, retry?, timeoutMs? }");
  checkFields(undo, undoFields, path, "an undo");
  checkText(undo.assignedTo, `${path}.assignedTo`, "say which agent shall take the task back");
  checkPackable(undo.data, `${path}.data`);
  if (undo.retry !== undefined) checkRetry(undo.retry, `${path}.retry`);
  checkNumber(undo.timeoutMs, `${path}.timeoutMs`, 1);
}

function checkTemplates(task: TaskSpec, path: string): void {
  const own: readonly TemplateRoot[] = task.forEach ? ["goal", "results", "item", "index"] : ["goal", "results"];
  const found = (value: unknown, at: string, roots: readonly TemplateRoot[]): void => {
    for (const template of findTemplates(value, at)) checkTemplate(template, roots, task.dependsOn ?? []);
  };
  found(task.forEach?.over, `${path}.forEach.over`, ["goal", "results"]);
  if (!task.templated) return;
  found(task.data, `${path}.data`, own);
  found(task.wait, `${path}.wait`, own);
  found(task.undo?.data, `${path}.undo.data`, [...own, "result"]);
}

function checkTemplate(
  { at, text, root, path }: FoundTemplate,
  roots: readonly TemplateRoot[],
  dependsOn: readonly string[],
): void {
  if (!roots.includes(root)) {
    const where = root === "result" ? "in the data of an undo" : "in the data of a task with forEach";
    throw invalid(
      at,
      `holds ${text}, which means something only ${where}`,
      'text that shall stay as it is has to be filled in, as from "{{goal.data.prompt}}": that is not looked at again',
    );
  }
  const [first] = path;
  if (first === undefined) return;
  if (root === "goal" && !goalFields.includes(String(first))) {
    throw invalid(at, `holds ${text}: a goal has ${goalFields.join(", ")}`, `did you mean {{goal.data.${first}}}?`);
  }
  if (root === "results" && !dependsOn.includes(String(first))) {
    const meant = nearest(String(first), dependsOn);
    const hint = meant
      ? `did you mean "${meant}"?`
      : `add "${first}" to dependsOn: a task sees the results it waits for`;
    throw invalid(at, `holds ${text}, but the task does not depend on "${first}"`, hint);
  }
}

function checkRetry(retry: unknown, path: string): void {
  if (!isRecord(retry)) throw invalid(path, `is ${describe(retry)}`, "it is { maxAttempts, backoffMs, maxBackoffMs }");
  checkFields(retry, retryFields, path, "a retry policy");
  checkWhole(retry.maxAttempts, `${path}.maxAttempts`, 1);
  checkNumber(retry.backoffMs, `${path}.backoffMs`, 0);
  checkNumber(retry.maxBackoffMs, `${path}.maxBackoffMs`, 0);
}

function checkPackable(value: unknown, path: string): void {
  const unpackable = findUnpackable(value, path);
  if (unpackable) throw invalid(unpackable.path, `is ${unpackable.what}, which cannot be sent`);
}

export function checkFields(value: object, known: Record<string, true>, path: string, what: string): void {
  for (const field of Object.keys(value)) {
    if (Object.hasOwn(known, field)) continue;
    const meant = nearest(field, Object.keys(known));
    throw invalid(
      path === "" ? field : `${path}.${field}`,
      `is no field of ${what}`,
      meant ? `did you mean "${meant}"?` : `the fields are ${Object.keys(known).join(", ")}`,
    );
  }
}

export function checkText(value: unknown, path: string, hint?: string): string {
  if (typeof value !== "string") throw invalid(path, `is ${describe(value)}, not text`, hint);
  if (value.trim() === "") throw invalid(path, "is empty", hint);
  return value;
}

export function checkNumber(value: unknown, path: string, least: number): void {
  if (value === undefined) return;
  if (typeof value !== "number" || !Number.isFinite(value)) throw invalid(path, `is ${describe(value)}, not a number`);
  if (value < least) throw invalid(path, `is ${value}; the least is ${least}`);
}

export function checkWhole(value: unknown, path: string, least: number): void {
  checkNumber(value, path, least);
  if (value !== undefined && !Number.isInteger(value)) throw invalid(path, `is ${String(value)}, not a whole number`);
}

export function invalid(path: string, problem: string, hint?: string): SoormaError {
  return new SoormaError("PLAN_INVALID", path === "tasks" ? problem : `${path} ${problem}`, {
    details: { path },
    ...(hint === undefined ? {} : { hint }),
  });
}

function defined(value: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(value).filter(([, part]) => part !== undefined));
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

export function describe(value: unknown): string {
  if (value === undefined) return "missing";
  if (value === null) return "null";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object") return "an object";
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value).slice(0, 100);
}
