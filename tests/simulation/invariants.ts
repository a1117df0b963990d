import type { PlanEntry, PlanState, TaskState } from "@soorma/core";
import type { GoalRecord, Ledger, Returned, Run } from "./ledger.ts";

const ends: readonly string[] = ["completed", "failed", "cancelled"];

/** A plan as an auditor reads it, once everything has calmed down. */
export interface Audited {
  readonly planId: string;
  readonly entries: readonly PlanEntry[];
  readonly plan: PlanState;
}

/** What must be true of every plan's log and of what the ledger has, whatever went wrong. */
export function audit(ledger: Ledger, plans: readonly Audited[]): void {
  const byId = new Map(plans.map((plan) => [plan.planId, plan]));
  for (const plan of plans) {
    auditLog(ledger, plan);
    auditUndo(ledger, plan);
    auditWaits(ledger, plan);
  }
  for (const goal of ledger.goals) {
    if (goal.planId !== undefined) auditGoal(ledger, goal, goal.planId, byId.get(goal.planId));
  }
  auditRuns(ledger, byId);
  auditSteps(ledger, plans);
}

/** Where nothing goes wrong nothing is refused, done twice or unheard. */
export function auditCalm(ledger: Ledger, plans: readonly Audited[]): void {
  for (const { script, refused } of ledger.goals) {
    if (refused !== undefined) ledger.violated(`goal ${script.id} was refused with ${refused}, and nothing was wrong`);
  }
  if (ledger.requests.failed > 0) ledger.violated(`${ledger.requests.failed} requests failed, and nothing was wrong`);
  for (const goal of ledger.goals) {
    if (goal.planId === undefined || (goal.acceptedMs ?? 0) < ledger.listeningMs) continue;
    const times = [...ledger.heard].filter(([key]) => key.endsWith(` ${goal.planId}`)).map(([, count]) => count);
    if (times[0] !== 1 && !goal.cancelled) {
      ledger.violated(`the answer of goal ${goal.script.id} was heard ${times[0] ?? 0} times, and nothing was wrong`);
    }
  }
  const runs = new Map<string, number>();
  for (const { taskId, attempt } of ledger.runs) {
    const key = `${taskId} ${attempt}`;
    runs.set(key, (runs.get(key) ?? 0) + 1);
  }
  for (const [key, times] of runs) if (times > 1) ledger.violated(`${key} ran ${times} times, and nothing was wrong`);
  for (const { planId, plan } of plans) {
    if (plan.epoch > 1) ledger.violated(`plan ${planId} changed its driver, and nothing was wrong`);
  }
}

/** The log itself: no gap, one end, one result a task, one driver an epoch. */
function auditLog(ledger: Ledger, { planId, entries, plan }: Audited): void {
  const wrong = (what: string): void => ledger.violated(`plan ${planId}: ${what}`);
  entries.forEach(({ version }, i) => {
    if (version !== i + 1) wrong(`entry ${i + 1} has version ${version}`);
  });
  if (!ends.includes(plan.status)) wrong(`it never ended: it is ${plan.status}`);
  else if (!plan.answered) wrong(`it is ${plan.status} and was never answered`);
  const once = new Set<string>();
  const only = (key: string, what: string): void => {
    if (once.has(key)) wrong(`${what} twice`);
    once.add(key);
  };
  let epoch = 0;
  let driver: string | undefined;
  for (const entry of entries) {
    switch (entry.type) {
      case "plan.created":
        [epoch, driver] = [1, entry.driver];
        break;
      case "plan.driven":
        if (entry.epoch !== epoch + 1) wrong(`epoch ${entry.epoch} follows ${epoch}`);
        [epoch, driver] = [entry.epoch, entry.driver];
        break;
      case "task.dispatched":
        only(`dispatched ${entry.taskId} ${entry.attempt}`, `attempt ${entry.attempt} of ${entry.taskId} began`);
        break;
      case "task.succeeded":
        only(`succeeded ${entry.taskId}`, `${entry.taskId} has a result`);
        break;
      case "task.stepped":
        only(`stepped ${entry.taskId} ${entry.key}`, `step ${entry.key} of ${entry.taskId} was recorded`);
        break;
      case "task.signalled":
        only(`signalled ${entry.taskId} ${entry.key}`, `wait ${entry.key} of ${entry.taskId} was ended`);
        break;
      case "plan.completed":
      case "plan.answered":
        only(entry.type, `there is ${entry.type}`);
        break;
    }
    if (drivers.has(entry.type) && driver !== undefined && entry.by !== driver) {
      wrong(`${entry.type} of version ${entry.version} is by ${entry.by}, while ${driver} drives in epoch ${epoch}`);
    }
  }
}

/** What only a plan's driver appends. */
const drivers: ReadonlySet<string> = new Set([
  "plan.started",
  "plan.completed",
  "plan.undone",
  "plan.transitioned",
  "task.dispatched",
  "task.succeeded",
  "task.retried",
  "task.delegated",
  "task.expanded",
]);

function auditGoal(ledger: Ledger, goal: GoalRecord, planId: string, audited: Audited | undefined): void {
  const { script, answers } = goal;
  const wrong = (what: string): void => ledger.violated(`goal ${script.id} (${planId}): ${what}`);
  if (!audited) {
    wrong("it was accepted and its plan is not there");
    return;
  }
  const { status, failure } = audited.plan;
  const expected = goal.cancelled ? [script.ends, "cancelled"] : [script.ends];
  if (!expected.includes(status)) {
    wrong(`it is ${status}, not ${expected.join(" or ")}: ${failure?.code} ${failure?.message}`);
  } else if (status === "failed" && script.code !== undefined && failure?.code !== script.code) {
    wrong(`it failed with ${failure?.code}, not ${script.code}: ${failure?.message}`);
  }
  const answer = answers[0];
  if (!answer) wrong(`it is ${status} and its client was never told`);
  else if (answer.status !== status) wrong(`its client was told ${answer.status} and it is ${status}`);
}

/** Every result in a log is one a handler returned, and every handler was given the results in the log. */
function auditRuns(ledger: Ledger, plans: ReadonlyMap<string, Audited>): void {
  const runs = new Map(ledger.runs.map((run) => [run.token, run]));
  for (const { planId, plan } of plans.values()) {
    for (const task of plan.tasks) {
      if (task.status !== "completed" || task.reused) continue;
      if (task.assignedTo === "work") auditResult(ledger, planId, plan, task, runs);
    }
  }
  for (const run of ledger.runs) {
    const plan = plans.get(run.planId)?.plan;
    if (!plan) {
      ledger.violated(`${run.process} ran ${run.taskId} of a plan that is not there`);
      continue;
    }
    for (const [name, input] of Object.entries(run.inputs)) {
      const result = plan.tasks.find((task) => task.name === name)?.result;
      if (!same(result, input)) {
        ledger.violated(
          `${run.process} ran ${run.taskId} with ${name} = ${JSON.stringify(input)}; in the log it is ${JSON.stringify(result)}`,
        );
      }
    }
  }
}

function auditResult(
  ledger: Ledger,
  planId: string,
  plan: PlanState,
  task: TaskState,
  runs: ReadonlyMap<string, Run>,
): void {
  const wrong = (what: string): void => ledger.violated(`plan ${planId}: ${task.name} ${what}`);
  if (task.forEach) {
    const children = plan.tasks
      .filter(({ parentTaskId }) => parentTaskId === task.taskId)
      .sort((a, b) => (a.item?.index ?? 0) - (b.item?.index ?? 0));
    if (
      !same(
        task.result,
        children.map(({ result }) => result),
      )
    )
      wrong("is not the list of what it was done for");
    const items = children.map(({ result }) => (result as Returned).returns);
    const given = children.map(({ item }) => item?.value);
    if (!same(items, given)) wrong(`was done for ${JSON.stringify(given)} and returned ${JSON.stringify(items)}`);
    return;
  }
  const returned = task.result as Returned | undefined;
  const run = returned && runs.get(returned.token);
  if (!run || run.taskId !== task.taskId || run.planId !== planId) {
    wrong(`has the result ${JSON.stringify(task.result)}, which no handler returned`);
    return;
  }
  if (run.attempt !== task.attempt) wrong(`has the result of attempt ${run.attempt}, and ${task.attempt} is the last`);
  // What a task was given by tasks of its own is what these have in the log.
  const children = new Map(
    plan.tasks
      .filter(({ parentTaskId }) => parentTaskId === task.taskId)
      .map((child) => [(child.result as Returned | undefined)?.token, child]),
  );
  const lists = returned.values.filter((value): value is Returned[] => Array.isArray(value));
  for (const child of lists.flat()) {
    if (!same(children.get(child.token)?.result, child))
      wrong(`was given ${JSON.stringify(child)} by a task of its own`);
  }
}

/** A step's value is what its effect made, the same in the log and to every attempt, and it is not done again. */
function auditSteps(ledger: Ledger, plans: readonly Audited[]): void {
  const effects = new Map<string, typeof ledger.effects>();
  for (const effect of ledger.effects) {
    const key = `${effect.taskId} ${effect.key}`;
    effects.set(key, [...(effects.get(key) ?? []), effect]);
  }
  const recorded = new Set<string>();
  for (const { entries } of plans) {
    const begun = new Map<string, number>();
    const stepped = new Map<string, number>();
    for (const entry of entries) {
      if (entry.type === "task.dispatched") begun.set(`${entry.taskId} ${entry.attempt}`, entry.version);
      if (entry.type !== "task.stepped") continue;
      const key = `${entry.taskId} ${entry.key}`;
      recorded.add(key);
      stepped.set(key, entry.version);
      const seen = ledger.steps.get(key);
      if (seen && seen.value !== entry.value) {
        ledger.violated(
          `step ${key} is ${String(entry.value)} in the log and was ${String(seen.value)} to its handler`,
        );
      }
      if (!effects.get(key)?.some(({ value }) => value === entry.value)) {
        ledger.violated(`step ${key} is ${String(entry.value)} in the log, which no effect made`);
      }
    }
    for (const [key, version] of stepped) {
      for (const { taskId, attempt, process } of effects.get(key) ?? []) {
        if ((begun.get(`${taskId} ${attempt}`) ?? 0) > version) {
          ledger.violated(
            `step ${key} had its effect in attempt ${attempt} (${process}), which began after it was recorded`,
          );
        }
      }
    }
  }
  for (const key of ledger.steps.keys()) {
    if (!recorded.has(key)) ledger.violated(`step ${key} was acknowledged and is not in the log`);
  }
}

/** What a task waited for is what somebody told it. */
function auditWaits(ledger: Ledger, { planId, entries }: Audited): void {
  const kinds = new Map<string, string>();
  for (const entry of entries) {
    if (entry.type === "task.waiting") kinds.set(`${entry.taskId} ${entry.key}`, entry.on.kind);
    if (entry.type !== "task.signalled") continue;
    const kind = kinds.get(`${entry.taskId} ${entry.key}`);
    if (kind === undefined) ledger.violated(`plan ${planId}: ${entry.taskId} was told ${entry.key} before it waited`);
    if (kind === "sleep") continue;
    const value = kind === "event" ? (entry.value as { data: { value: string } }).data.value : entry.value;
    // What an event says to one plan it may say to another, whose client never knew that it was there.
    const said = kind === "event" ? [...ledger.told.values()] : [ledger.told.get(planId)];
    if (!said.some((values) => values?.has(value as string))) {
      ledger.violated(`plan ${planId}: ${entry.taskId} was told ${JSON.stringify(entry.value)}, which nobody said`);
    }
  }
}

/** What was completed is taken back in reverse order, one at a time. */
function auditUndo(ledger: Ledger, { planId, entries, plan }: Audited): void {
  const wrong = (what: string): void => ledger.violated(`plan ${planId}: ${what}`);
  const undone = plan.tasks.filter(({ undoes }) => undoes !== undefined);
  const failedAt = entries.find(({ type }) => type === "plan.failed" || type === "plan.cancelled")?.version;
  if (failedAt === undefined) {
    if (undone.length > 0) wrong("it did not fail, and something was taken back");
    return;
  }
  const endedAt = new Map<string, number>();
  for (const entry of entries) if (entry.type === "task.succeeded") endedAt.set(entry.taskId, entry.version);
  const done = plan.tasks
    .filter((task) => task.undo && task.status === "completed" && (endedAt.get(task.taskId) ?? Infinity) < failedAt)
    .sort((a, b) => (endedAt.get(b.taskId) ?? 0) - (endedAt.get(a.taskId) ?? 0));
  if (!same(new Set(done.map(({ taskId }) => taskId)), new Set(undone.map(({ undoes }) => undoes)))) {
    wrong(`${done.length} tasks were to be taken back, and ${undone.length} were`);
    return;
  }
  const order = undone
    .toSorted((a, b) => (endedAt.get(a.taskId) ?? 0) - (endedAt.get(b.taskId) ?? 0))
    .map(({ undoes }) => undoes);
  if (
    !same(
      order,
      done.map(({ taskId }) => taskId),
    )
  )
    wrong(`it was taken back in the order ${order.join(", ")}`);
  for (const task of undone) if (task.status !== "completed") wrong(`${task.name} is ${task.status}`);
  for (const { name } of done) {
    if (!ledger.undone.some((one) => one.planId === planId && one.of === name)) wrong(`nobody took ${name} back`);
  }
}

function same(a: unknown, b: unknown): boolean {
  return Bun.deepEquals(a, b);
}
