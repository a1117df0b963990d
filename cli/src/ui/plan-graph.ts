import type { EventWhere, PlanState, Status, TaskState, WaitState } from "@soorma/core";
import type { Colors } from "./colors.ts";
import { clip, count, cut, oneLine } from "./text.ts";
import { formatDuration } from "./time.ts";

export interface DrawOptions {
  readonly colors: Colors;
  /** Width of the terminal; lines are cut there. */
  readonly columns: number;
  readonly nowMs: number;
}

/** Items of a `forEach`, and tasks delegated by one task, that are drawn; the rest is counted. */
const mostChildren = 10;
/** Terminals of so many columns, or fewer, have no room for names and facts beside each other as they are. */
const narrowColumns = 60;

/** A plan as lines: what it is and how it stands, then its tasks as a graph. */
export function drawPlan(plan: PlanState, options: DrawOptions): string[] {
  return [...headOf(plan, options), ...drawTasks(plan, options)].map((line) =>
    clip(line, Math.max(20, options.columns)),
  );
}

function headOf(plan: PlanState, { colors, nowMs }: DrawOptions): string[] {
  const { origin, status, createdAtMs, updatedAtMs, endedAtMs = updatedAtMs } = plan;
  const ended = isOver(status);
  const tookMs = (ended ? endedAtMs : nowMs) - createdAtMs;
  const word = plan.ending ? `taking back, then ${plan.ending}` : status;
  const facts = [
    `planner ${origin.planner}`,
    ...(plan.state === undefined ? [] : [`state ${plan.state}`]),
    ...(origin.parentPlanId === undefined ? [] : [`part of ${origin.parentPlanId}`]),
    ...(origin.replayOf === undefined ? [] : [`again ${origin.replayOf}`]),
  ];
  const lines = [
    `${colors.bold(plan.planId)}  ${oneLine(origin.goalType)}  ${colorOf(status, colors)(word)} ${ended ? "after" : "since"} ${formatDuration(tookMs)}`,
    colors.dim(facts.join(", ")),
  ];
  if (plan.failure) lines.push(colors.red(oneLine(plan.failure.message)));
  return lines;
}

function drawTasks(plan: PlanState, options: DrawOptions): string[] {
  const { colors } = options;
  if (plan.tasks.length === 0) return [colors.dim("no tasks yet")];
  const tree = treeOf(plan.tasks);
  const rows: { text: string; facts: string }[] = [];
  // Not recursive: a chain of thousands of tasks is a legal plan.
  const waiting = tree.roots.map((node) => ({ node, lead: "", indent: "" })).reverse();
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const { node, lead, indent } = next;
    rows.push(rowOf(node, lead, options));
    const below = tree.below(node);
    for (const [at, child] of [...below.entries()].reverse()) {
      const isLast = at === below.length - 1;
      waiting.push({
        node: child,
        lead: `${indent}${isLast ? "└─ " : "├─ "}`,
        indent: shortened(`${indent}${isLast ? "   " : "│  "}`),
      });
    }
  }
  // In a narrow terminal names give way: what a task's line says of it is worth more than the end of its name.
  const most = Math.max(16, Math.floor(options.columns * 0.4));
  const isNarrow = options.columns <= narrowColumns;
  const fitting = rows.map(({ text, facts }) => {
    const room = Math.max(most, options.columns - Bun.stringWidth(facts) - 2);
    const isCut = isNarrow && facts !== "" && Bun.stringWidth(text) > room;
    return { text: isCut ? cut(text, room) : text, facts };
  });
  const widest = Math.max(...fitting.map(({ text }) => Bun.stringWidth(text)));
  const width = Math.min(48, isNarrow ? Math.min(most, widest) : widest);
  return fitting.map(({ text, facts }) =>
    facts === "" ? text : `${text}${" ".repeat(Math.max(1, width - Bun.stringWidth(text) + 2))}${facts}`,
  );
}

/** Of a chain of thousands of tasks only so much of the way down is of use. */
function shortened(indent: string): string {
  return indent.length > 120 ? `⋯ ${indent.slice(-59)}` : indent;
}

interface Row {
  readonly task?: TaskState;
  /** Instead of a task: what was left out. */
  readonly note?: string;
  /** Dependencies that the place in the tree does not show. */
  readonly also: readonly string[];
}

interface Tree {
  readonly roots: readonly Row[];
  below(row: Row): readonly Row[];
}

/** Each task once: under the dependency that comes latest in the graph, or under the task it is a part of. */
function treeOf(tasks: readonly TaskState[]): Tree {
  const byName = new Map(tasks.map((task) => [task.name, task]));
  const byId = new Map(tasks.map((task) => [task.taskId, task]));
  const depths = depthsOf(tasks, byName);
  const under = new Map<TaskState | undefined, TaskState[]>();
  for (const task of tasks) {
    const parent = byId.get(task.parentTaskId ?? task.undoes ?? "") ?? latest(task, byName, depths);
    const list = under.get(parent);
    if (list) list.push(task);
    else under.set(parent, [task]);
  }
  const row = (task: TaskState): Row => {
    if (task.undoes !== undefined) return { task, also: [] };
    const parent = task.parentTaskId === undefined ? latest(task, byName, depths)?.name : undefined;
    return { task, also: (task.dependsOn ?? []).filter((name) => name !== parent) };
  };
  return {
    roots: (under.get(undefined) ?? []).map(row),
    below({ task }) {
      const all = task ? (under.get(task) ?? []) : [];
      const parts = all.filter((other) => other.parentTaskId === task?.taskId);
      const shown = parts.length > mostChildren ? interesting(parts) : parts;
      const rest = all.filter((other) => other.parentTaskId !== task?.taskId);
      const note = shown.length < parts.length ? [{ note: summaryOf(parts, shown), also: [] }] : [];
      return [...shown.map(row), ...note, ...rest.map(row)];
    },
  };
}

function depthsOf(tasks: readonly TaskState[], byName: ReadonlyMap<string, TaskState>): Map<TaskState, number> {
  const depths = new Map<TaskState, number>();
  // Not recursive: a chain of thousands of tasks is a legal plan.
  for (const root of tasks) {
    const stack = [root];
    for (let task = stack.at(-1); task; task = stack.at(-1)) {
      if (depths.has(task)) {
        stack.pop();
        continue;
      }
      const needs = (task.dependsOn ?? []).flatMap((name) => byName.get(name) ?? []);
      const open = needs.filter((need) => !depths.has(need));
      if (open.length > 0) stack.push(...open);
      else {
        depths.set(task, Math.max(-1, ...needs.map((need) => depths.get(need) ?? 0)) + 1);
        stack.pop();
      }
    }
  }
  return depths;
}

function latest(
  task: TaskState,
  byName: ReadonlyMap<string, TaskState>,
  depths: ReadonlyMap<TaskState, number>,
): TaskState | undefined {
  let found: TaskState | undefined;
  for (const name of task.dependsOn ?? []) {
    const need = byName.get(name);
    if (need && (!found || (depths.get(need) ?? 0) > (depths.get(found) ?? 0))) found = need;
  }
  return found;
}

/** Of many: those that failed or run. */
function interesting(tasks: readonly TaskState[]): TaskState[] {
  const weight = ({ status }: TaskState): number =>
    status === "failed" ? 0 : isOver(status) ? 3 : status === "pending" ? 2 : 1;
  const chosen = new Set([...tasks].sort((a, b) => weight(a) - weight(b)).slice(0, mostChildren));
  return tasks.filter((task) => chosen.has(task));
}

function summaryOf(all: readonly TaskState[], shown: readonly TaskState[]): string {
  const counts = new Map<Status, number>();
  for (const task of all) if (!shown.includes(task)) counts.set(task.status, (counts.get(task.status) ?? 0) + 1);
  return `… and ${all.length - shown.length} more: ${[...counts].map(([status, count]) => `${count} ${status}`).join(", ")}`;
}

function rowOf({ task, note, also }: Row, lead: string, options: DrawOptions): { text: string; facts: string } {
  const { colors, nowMs } = options;
  if (!task) return { text: `${colors.dim(lead)}${colors.dim(note ?? "")}`, facts: "" };
  const after = also.length > 0 ? colors.dim(` ← ${oneLine(also.join(", "))}`) : "";
  const text = `${colors.dim(lead)}${colorOf(task.status, colors)(markOf(task))} ${oneLine(task.name)}${after}`;
  const waiting = openWaits(task, nowMs)[0];
  const facts = [
    isOver(task.status) || task.status === "pending" ? "" : task.status,
    durationOf(task, nowMs),
    task.agentName ?? (task.goal === undefined ? "" : `sub-plan of ${task.goal}`),
    task.attempt > 1 ? `attempt ${task.attempt}` : "",
    task.reused ? "taken over" : "",
    task.status === "running" && task.fraction > 0 ? `${Math.floor(task.fraction * 100)} %` : "",
    waiting ? waitText(waiting.on, waiting.untilMs, nowMs) : "",
    task.steps && task.steps.length > 0 ? count(task.steps.length, "step") : "",
    task.status === "running" && task.message ? oneLine(task.message) : "",
  ].filter((fact) => fact !== "");
  const failure = task.failure && task.status !== "completed" ? colors.red(oneLine(task.failure.message)) : "";
  return { text, facts: [colors.dim(facts.join(" · ")), failure].filter((part) => part !== "").join("  ") };
}

/** What an open task waits for now: neither there nor over. */
export function openWaits({ status, waits = [] }: TaskState, nowMs: number): readonly WaitState[] {
  if (isOver(status)) return [];
  return waits.filter(
    ({ on, untilMs = 0, signalled, timedOut }) => !signalled && !timedOut && (on.kind !== "sleep" || untilMs > nowMs),
  );
}

/** The events that are waited for, as a person reads it. */
export function eventText({ pattern, where = {} }: { readonly pattern: string; readonly where?: EventWhere }): string {
  const parts = Object.entries(where).map(([path, value]) => `${path} ${JSON.stringify(value)}`);
  return oneLine(parts.length === 0 ? pattern : `${pattern} with ${parts.join(", ")}`);
}

function waitText(on: NonNullable<TaskState["wait"]>, untilMs: number | undefined, nowMs: number): string {
  const left = untilMs === undefined ? "" : `, ${formatDuration(untilMs - nowMs)} left`;
  switch (on.kind) {
    case "input":
      return `asks “${oneLine(on.prompt)}”${left}`;
    case "event":
      return `waits for ${eventText(on)}${left}`;
    case "sleep":
      return `sleeps${left}`;
  }
}

function durationOf({ durationMs, startedAtMs, endedAtMs, status }: TaskState, nowMs: number): string {
  if (isOver(status)) {
    const tookMs = durationMs ?? (startedAtMs === undefined ? undefined : (endedAtMs ?? nowMs) - startedAtMs);
    return tookMs === undefined ? "" : formatDuration(tookMs);
  }
  return startedAtMs === undefined || status === "pending" ? "" : formatDuration(nowMs - startedAtMs);
}

/** A task's state as one character. */
function markOf({ status, handled }: TaskState): string {
  switch (status) {
    case "completed":
      return "✓";
    case "failed":
      return handled ? "!" : "✗";
    case "cancelled":
      return "–";
    case "running":
      return "●";
    case "paused":
      return "‖";
    case "pending":
      return "○";
  }
}

export function colorOf(status: Status, colors: Colors): (text: string) => string {
  switch (status) {
    case "completed":
      return colors.green;
    case "failed":
      return colors.red;
    case "running":
      return colors.cyan;
    case "paused":
    case "cancelled":
      return colors.yellow;
    case "pending":
      return colors.dim;
  }
}

function isOver(status: Status): boolean {
  return status === "completed" || status === "failed" || status === "cancelled";
}
