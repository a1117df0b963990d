import type { PlanEntry } from "@soorma/core";
import type { LedgerLine, Outcome } from "./ledger.ts";
import { shapeOf } from "./shapes/index.ts";

/** What was done to whom, and when. */
export interface FaultRecord {
  readonly t: number;
  readonly who: string;
  readonly what: string;
}

export interface Evidence {
  readonly ledger: readonly LedgerLine[];
  /** The log of every plan anybody knows of. */
  readonly logs: ReadonlyMap<string, readonly PlanEntry[]>;
  readonly faults: readonly FaultRecord[];
}

export interface Violation {
  readonly rule: string;
  readonly planId?: string;
  readonly what: string;
}

type Of<K extends LedgerLine["kind"]> = Extract<LedgerLine, { readonly kind: K }>;

/** What the log says of one task. */
interface TaskInLog {
  readonly name: string;
  readonly dependsOn: readonly string[];
  readonly parentTaskId: string | undefined;
  result: unknown;
  results: number;
  /** When each step was recorded, and with what. */
  readonly steps: Map<string, { readonly t: number; readonly value: unknown }>;
}

/** Clocks of one machine, read by several processes. */
const clockMs = 25;
/** An effect on peers that a fault still has after it is over. */
const aftermathMs = 3_000;

const ends = new Set<string>(["plan.completed", "plan.failed", "plan.cancelled"]);
/** What only the driver of a plan appends. */
const driven = new Set<string>([
  "plan.started",
  "plan.transitioned",
  "task.expanded",
  "task.dispatched",
  "task.succeeded",
  "task.retried",
  "plan.completed",
]);

/** What the ledger has that the guarantees do not allow. */
export function audit(evidence: Evidence): Violation[] {
  const violations: Violation[] = [];
  const byKind = <K extends LedgerLine["kind"]>(kind: K): Of<K>[] =>
    evidence.ledger.filter((line): line is Of<K> => line.kind === kind);
  const lines = {
    accepted: byKind("accepted"),
    answered: group(byKind("answered"), ({ planId }) => planId),
    heard: group(byKind("heard"), ({ planId }) => planId),
    begun: group(byKind("begun"), ({ taskId }) => taskId),
    returned: group(byKind("returned"), ({ taskId }) => taskId),
    effects: group(byKind("effect"), ({ planId }) => planId),
  };
  for (const [planId, entries] of evidence.logs) {
    const report = (rule: string, what: string): void => void violations.push({ rule, planId, what });
    auditVersions(entries, report);
    auditDrivers(entries, report);
    auditUndo(entries, report);
    const tasks = tasksOf(entries);
    for (const [taskId, task] of tasks) {
      const returned = lines.returned.get(taskId) ?? [];
      const begun = lines.begun.get(taskId) ?? [];
      auditResult(taskId, task, returned, report);
      auditInputs(taskId, task, tasks, begun, report);
      auditRepetition(taskId, begun, returned, evidence.faults, report);
    }
    auditEffects(tasks, lines.effects.get(planId) ?? [], report);
    auditEnd(entries, tasks, lines.heard.get(planId) ?? [], report);
  }
  for (const { planId, shape, data } of lines.accepted) {
    const report = (rule: string, what: string): void =>
      void violations.push({ rule, planId, what: `${shape}: ${what}` });
    const entries = evidence.logs.get(planId);
    if (!entries) {
      report("answer", "it was accepted, and there is no log of it");
      continue;
    }
    const answers = lines.answered.get(planId) ?? [];
    const [answer] = answers;
    if (!answer) report("answer", `it was accepted and never answered; its log ends with ${entries.at(-1)?.type}`);
    else {
      const problem = shapeOf(shape).judge(data, answer.outcome);
      if (problem !== undefined) report("answer", problem);
      if (answers.some(({ outcome }) => !sameOutcome(outcome, answer.outcome)))
        report("answer", `its client was told different things: ${JSON.stringify(answers)}`);
      const inLog = outcomeOf(entries);
      if (inLog && !sameOutcome(inLog, answer.outcome))
        report(
          "answer",
          `its client was told ${JSON.stringify(answer.outcome)}, its log says ${JSON.stringify(inLog)}`,
        );
    }
  }
  return violations;
}

type Report = (rule: string, what: string) => void;

function auditVersions(entries: readonly PlanEntry[], report: Report): void {
  for (const [i, { version }] of entries.entries()) {
    if (version !== i + 1) {
      report("versions", `entry ${i + 1} of its log has version ${version}`);
      return;
    }
  }
}

function auditDrivers(entries: readonly PlanEntry[], report: Report): void {
  let driver: string | undefined;
  let epoch = 0;
  for (const entry of entries) {
    if (entry.type === "plan.created") {
      driver = entry.driver ?? entry.by;
      epoch = 1;
    } else if (entry.type === "plan.driven") {
      if (entry.epoch !== epoch + 1) report("drivers", `epoch ${entry.epoch} follows epoch ${epoch}`);
      driver = entry.driver;
      epoch = entry.epoch;
    } else if (driven.has(entry.type) && entry.by !== driver) {
      report(
        "drivers",
        `${entry.by} appended ${entry.type} (${entry.version}) in epoch ${epoch}, which is ${driver}'s`,
      );
      return;
    }
  }
}

function tasksOf(entries: readonly PlanEntry[]): Map<string, TaskInLog> {
  const tasks = new Map<string, TaskInLog>();
  for (const entry of entries) {
    if ("tasks" in entry) {
      for (const { taskId, name, dependsOn = [], parentTaskId, undo } of entry.tasks ?? []) {
        tasks.set(taskId, { ...nothingYet(), name, dependsOn, parentTaskId });
        if (undo) tasks.set(`${taskId}.undo`, { name: `undo:${name}`, ...nothingYet() });
      }
    }
    const task = "taskId" in entry ? tasks.get(entry.taskId) : undefined;
    if (task && entry.type === "task.succeeded") {
      task.results++;
      task.result = entry.result;
    }
    if (task && entry.type === "task.stepped") {
      if (!task.steps.has(entry.key)) task.steps.set(entry.key, { t: entry.timeMs, value: entry.value });
    }
  }
  return tasks;
}

function nothingYet(): Omit<TaskInLog, "name"> {
  return { dependsOn: [], parentTaskId: undefined, result: undefined, results: 0, steps: new Map() };
}

/** What was done and has an undo is taken back once the plan has failed or was cancelled, the latest first. */
function auditUndo(entries: readonly PlanEntry[], report: Report): void {
  const end = entries.findIndex(({ type }) => ends.has(type));
  if (end < 0 || entries[end]?.type === "plan.completed") return;
  const undoable = new Set(
    entries
      .flatMap((entry) => ("tasks" in entry ? (entry.tasks ?? []) : []))
      .flatMap(({ taskId, undo }) => (undo ? [taskId] : [])),
  );
  const wanted = entries
    .slice(0, end)
    .flatMap((entry) => (entry.type === "task.succeeded" && undoable.has(entry.taskId) ? [`${entry.taskId}.undo`] : []))
    .reverse();
  const undone = entries
    .slice(end)
    .flatMap((entry) => (entry.type === "task.succeeded" || entry.type === "task.failed" ? [entry.taskId] : []));
  if (wanted.length === 0) return;
  if (!same(undone, wanted))
    report("undo", `it took back ${undone.join(", ") || "nothing"} instead of ${wanted.join(", ")}`);
  if (!entries.some(({ type }) => type === "plan.undone"))
    report("end", "it did not end: it still takes back what it did");
}

/** One result a task, and that of an attempt which really returned it. */
function auditResult(taskId: string, task: TaskInLog, returned: readonly Of<"returned">[], report: Report): void {
  if (task.results > 1) report("result", `task ${task.name} (${taskId}) has ${task.results} results`);
  if (task.results === 0 || !hasMark(task.result)) return;
  if (!returned.some(({ result }) => same(result, task.result)))
    report("result", `task ${task.name} has a result nobody returned: ${JSON.stringify(task.result)}`);
}

/** Whoever depends on a task was given the result that is recorded of it. */
function auditInputs(
  taskId: string,
  task: TaskInLog,
  tasks: ReadonlyMap<string, TaskInLog>,
  begun: readonly Of<"begun">[],
  report: Report,
): void {
  const byName = new Map([...tasks.values()].map((one) => [one.name, one]));
  for (const { inputs, attempt } of begun) {
    for (const name of task.dependsOn) {
      const dependency = byName.get(name);
      if (dependency && dependency.results > 0 && !same(inputs[name], dependency.result)) {
        report(
          "result",
          `attempt ${attempt} of ${task.name} (${taskId}) was given ${JSON.stringify(inputs[name])} of ${name}, whose result is ${JSON.stringify(dependency.result)}`,
        );
      }
    }
  }
}

/** What a worker finished is not done again, unless something befell that worker or the network. */
function auditRepetition(
  taskId: string,
  begun: readonly Of<"begun">[],
  returned: readonly Of<"returned">[],
  faults: readonly FaultRecord[],
  report: Report,
): void {
  for (const done of returned) {
    const again = begun.find(({ attempt, t }) => attempt > done.attempt && t > done.t);
    if (!again) continue;
    const began = begun.find(({ attempt }) => attempt === done.attempt)?.t ?? done.t;
    const excused = faults.some(
      ({ who, t }) => (who === done.who || who === "network") && t > began - aftermathMs * 2 && t < again.t + clockMs,
    );
    if (excused) continue;
    report(
      "repetition",
      `${done.who} returned the result of attempt ${done.attempt} of ${taskId}, nothing befell it, and ${again.t - done.t} ms later attempt ${again.attempt} began at ${again.who}`,
    );
  }
}

/** What a recorded step did is not done again. */
function auditEffects(tasks: ReadonlyMap<string, TaskInLog>, effects: readonly Of<"effect">[], report: Report): void {
  for (const { taskId, key, value, t, attempt, who } of effects) {
    const recorded = tasks.get(taskId)?.steps.get(key);
    if (!recorded || recorded.value === value) continue;
    if (t > recorded.t + clockMs) {
      report(
        "effect",
        `step ${key} of ${taskId} was recorded, and ${t - recorded.t} ms later ${who} did it again in attempt ${attempt}`,
      );
    }
  }
  for (const [taskId, { steps }] of tasks) {
    for (const [key, { value }] of steps) {
      if (typeof value !== "string" || !key.startsWith("effect")) continue;
      if (!effects.some((effect) => effect.taskId === taskId && effect.value === value))
        report("effect", `step ${key} of ${taskId} is recorded with ${value}, which nobody did`);
    }
  }
}

/** The plan ended, once, and was answered, once, out of the results that are recorded. */
function auditEnd(
  entries: readonly PlanEntry[],
  tasks: ReadonlyMap<string, TaskInLog>,
  heard: readonly Of<"heard">[],
  report: Report,
): void {
  const outcome = outcomeOf(entries);
  if (!outcome) {
    report("end", `it did not end; the last it did was ${entries.at(-1)?.type} (${entries.length})`);
    return;
  }
  const completed = entries.filter(({ type }) => type === "plan.completed").length;
  if (completed > 1) report("end", `it was completed ${completed} times`);
  const origin = entries[0]?.type === "plan.created" ? entries[0].origin : undefined;
  if (origin?.responseEvent !== undefined) {
    if (heard.length !== 1) report("event", `its answer was heard ${heard.length} times`);
    for (const one of heard) {
      if (!sameOutcome(one.outcome, outcome))
        report("event", `its answer was ${JSON.stringify(one.outcome)}, its log says ${JSON.stringify(outcome)}`);
    }
  }
  if (outcome.status !== "completed" || typeof outcome.result !== "object" || outcome.result === null) return;
  for (const { name, results, result, parentTaskId } of tasks.values()) {
    const used = (outcome.result as Record<string, unknown>)[name];
    if (parentTaskId === undefined && results > 0 && used !== undefined && !same(used, result))
      report("result", `its answer has ${JSON.stringify(used)} of ${name}, whose result is ${JSON.stringify(result)}`);
  }
}

/** How the log says that the plan ended: what was first. */
function outcomeOf(entries: readonly PlanEntry[]): Outcome | undefined {
  const end = entries.find(({ type }) => ends.has(type));
  if (end?.type === "plan.completed") return { status: "completed", result: end.result };
  if (end?.type === "plan.failed") return { status: "failed", code: end.failure.code, message: end.failure.message };
  if (end?.type === "plan.cancelled") return { status: "cancelled", code: "CANCELLED", message: end.reason };
  return undefined;
}

/** Messages are for people: the client's says more than the log's. */
function sameOutcome(a: Outcome, b: Outcome): boolean {
  if (a.status === "completed" && b.status === "completed") return same(a.result, b.result);
  return a.status === b.status && a.status !== "completed" && b.status !== "completed" && a.code === b.code;
}

function hasMark(result: unknown): boolean {
  return typeof result === "object" && result !== null && "mark" in result;
}

function same(a: unknown, b: unknown): boolean {
  return Bun.deepEquals(a, b, true);
}

function group<T>(all: readonly T[], key: (one: T) => string): Map<string, T[]> {
  return Map.groupBy(all, key);
}
