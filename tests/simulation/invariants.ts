import type { PlanEntry, PlanState } from "@soorma/core";
import type { GoalRecord, Ledger } from "./ledger.ts";

const ends: readonly string[] = ["plan.completed", "plan.failed", "plan.cancelled"];

/** A plan as an auditor reads it, once everything has calmed down. */
export interface Audited {
  readonly planId: string;
  readonly entries: readonly PlanEntry[];
  readonly plan: PlanState;
}

/** What must be true of every plan's log and of what the ledger has, whatever went wrong. */
export function audit(ledger: Ledger, plans: readonly Audited[]): void {
  const byId = new Map(plans.map((plan) => [plan.planId, plan]));
  for (const plan of plans) auditLog(ledger, plan);
  for (const goal of ledger.goals)
    auditGoal(ledger, goal, goal.planId === undefined ? undefined : byId.get(goal.planId));
  auditRuns(ledger, byId);
}

function auditLog(ledger: Ledger, { planId, entries, plan }: Audited): void {
  const wrong = (what: string): void => ledger.violated(`plan ${planId}: ${what}`);
  entries.forEach(({ version }, i) => {
    if (version !== i + 1) wrong(`entry ${i + 1} has version ${version}`);
  });
  const ended = entries.filter(({ type }) => ends.includes(type));
  if (ended.length !== 1) wrong(`it ended ${ended.length} times; its status is ${plan.status}`);
  const succeeded = new Map<string, number>();
  const steps = new Set<string>();
  const dispatched = new Set<string>();
  let driver: string | undefined;
  let epoch = 0;
  for (const entry of entries) {
    if (entry.type === "plan.created") {
      driver = entry.driver ?? entry.by;
      epoch = 1;
    }
    if (entry.type === "plan.driven") {
      if (entry.epoch !== epoch + 1) wrong(`epoch ${entry.epoch} follows ${epoch}`);
      epoch = entry.epoch;
      driver = entry.driver;
    }
    if (entry.type === "task.dispatched") {
      const key = `${entry.taskId} ${entry.attempt}`;
      if (dispatched.has(key)) wrong(`attempt ${entry.attempt} of ${entry.taskId} was dispatched twice`);
      dispatched.add(key);
    }
    if (entry.type === "task.succeeded") succeeded.set(entry.taskId, (succeeded.get(entry.taskId) ?? 0) + 1);
    if (entry.type === "task.stepped") {
      const key = `${entry.taskId} ${entry.key}`;
      if (steps.has(key)) wrong(`step ${entry.key} of ${entry.taskId} was recorded twice`);
      steps.add(key);
    }
  }
  void driver;
  for (const [taskId, times] of succeeded) if (times > 1) wrong(`${taskId} has ${times} results`);
}

function auditGoal(ledger: Ledger, goal: GoalRecord, audited: Audited | undefined): void {
  const { script, planId, answers } = goal;
  const wrong = (what: string): void => ledger.violated(`goal ${script.id} (${planId}): ${what}`);
  if (planId === undefined) return;
  if (!audited) {
    wrong("it was accepted and its plan is not there");
    return;
  }
  const { plan } = audited;
  const expected = goal.cancelled ? [script.ends, "cancelled"] : [script.ends];
  if (!expected.includes(plan.status)) {
    wrong(`it is ${plan.status}, not ${expected.join(" or ")}: ${plan.failure?.code} ${plan.failure?.message}`);
  }
  const answer = answers[0];
  if (!answer) wrong(`it is ${plan.status} and its client was never told`);
  else if (answer.status !== plan.status) wrong(`its client was told ${answer.status} and it is ${plan.status}`);
}

/** Every result in a log is one a handler returned, and every handler was given the results in the log. */
function auditRuns(ledger: Ledger, plans: ReadonlyMap<string, Audited>): void {
  const tokens = new Map(ledger.runs.map((run) => [run.token, run]));
  for (const { planId, plan } of plans.values()) {
    for (const task of plan.tasks) {
      if (task.status !== "completed" || task.assignedTo !== "work") continue;
      const token = (task.result as { token?: string } | undefined)?.token;
      const run = token === undefined ? undefined : tokens.get(token);
      if (!run || run.taskId !== task.taskId || run.planId !== planId) {
        ledger.violated(
          `plan ${planId}: the result of ${task.name} is ${JSON.stringify(task.result)}, which no handler returned`,
        );
      }
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
      if (JSON.stringify(result) !== JSON.stringify(input)) {
        ledger.violated(
          `${run.process} ran ${run.taskId} with ${name} = ${JSON.stringify(input)}; in the log it is ${JSON.stringify(result)}`,
        );
      }
    }
  }
}
