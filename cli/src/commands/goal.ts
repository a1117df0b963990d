import type { Client, GoalProgress, GoalRun, SchemaRef, SubmitOptions } from "@soorma/core";
import { isSoormaError } from "@soorma/core/errors";
import { printAnswer } from "../ui/answer.ts";
import type { Colors } from "../ui/colors.ts";
import { colorsFor } from "../ui/colors.ts";
import { CommandError, Interrupted } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { readJsonArgument } from "../ui/json-source.ts";
import { bar, createLive, type Live } from "../ui/live.ts";
import { suggest } from "../ui/suggest.ts";
import { oneLine } from "../ui/text.ts";
import { connect } from "./connect.ts";
import { withType } from "./payload.ts";
import type { RunCommand } from "./spec.ts";

interface GoalOptions {
  readonly timeout?: number;
  /** Absent means yes. */
  readonly wait?: boolean;
  readonly json?: boolean;
}

const defaultTimeoutSeconds = 300;
/** At the deadline the planner fails the goal, and says more about it than a timeout here could. */
const graceMs = 1_000;

/** Milliseconds to find a planner: a mistyped goal shall not take long, a planner that is being reloaded be found. */
const findPlannerMs = 3_000;

export const runGoal: RunCommand = async ({ args: [type = "", data = "{}"], options: given, io }) => {
  const { timeout = defaultTimeoutSeconds, wait = true, json = false } = given as GoalOptions;
  const parsed = await readJsonArgument(data, "the goal's data", io);
  const timeoutMs = timeout * 1000;
  const startedMs = performance.now();

  await using client = await connect(io);
  const run = await submitted(client, type, parsed, timeoutMs, io);

  if (!wait) {
    const { goalId, planId } = run;
    io.out(json ? JSON.stringify({ goalId, planId }) : planId);
    return undefined;
  }

  const shown = new AbortController();
  using live = createLive(io);
  const showing = json ? undefined : show(run.progress({ signal: shown.signal }), live, io);
  try {
    const result = await run.result({ signal: io.signal, timeoutMs: timeoutMs + graceMs });
    await showing;
    live.clear();
    if (json) {
      const { goalId, planId } = run;
      io.out(JSON.stringify({ goalId, planId, result, tookMs: Math.round(performance.now() - startedMs) }));
    } else {
      printAnswer(result, io);
    }
    return undefined;
  } catch (error) {
    shown.abort();
    await showing;
    live.clear();
    if (io.signal.aborted) throw await cancelled(run, io);
    throw error;
  }
};

/** Milliseconds to get the cancellation into the log. */
const cancelMs = 5_000;

/** Nobody waits for the goal any more: what works at it shall stop, too. A second Ctrl-C waits for nothing. */
async function cancelled(run: GoalRun, io: Io): Promise<Interrupted> {
  const { planId } = run;
  const over = Promise.withResolvers<Interrupted>();
  const unsure = (why: string): void =>
    over.resolve(new Interrupted(`interrupted; ${why}: \`soorma plans cancel ${planId}\` cancels the goal`));
  const timer = setTimeout(() => unsure(`the state node did not answer in ${cancelMs / 1000} s`), cancelMs);
  using _again = io.onStopSignal((_signal, count) => {
    if (count > 1) unsure("it is not certain that the goal was cancelled");
  });
  run.cancel("interrupted at the command line").then(
    () => over.resolve(new Interrupted(`interrupted; the goal is cancelled (plan ${planId})`)),
    (error) => unsure(error instanceof Error ? error.message : String(error)),
  );
  try {
    return await over.promise;
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Submits the goal. What is on its way to a planner cannot be called back: Ctrl-C then waits for the planner's answer, and cancels
 * what was begun. A second one waits for nothing.
 */
async function submitted(client: Client, type: string, data: unknown, deadlineMs: number, io: Io): Promise<GoalRun> {
  const finding = new AbortController();
  const submitting = submit(client, type, data, { signal: finding.signal, deadlineMs, timeoutMs: findPlannerMs });
  submitting.catch(() => {});
  const interrupted = Promise.withResolvers<undefined>();
  const onAbort = (): void => interrupted.resolve(undefined);
  io.signal.addEventListener("abort", onAbort, { once: true });
  if (io.signal.aborted) onAbort();
  const run = await Promise.race([submitting, interrupted.promise]);
  io.signal.removeEventListener("abort", onAbort);
  if (run) return run;
  const again = Promise.withResolvers<never>();
  using _again = io.onStopSignal((_signal, count) => {
    if (count < 2) return;
    again.reject(new Interrupted("interrupted; it is not certain that no goal was begun: `soorma plans` lists them"));
  });
  const answered = async (): Promise<GoalRun> => {
    const agents = await client.registry.query({});
    // Nobody was sent anything.
    if (!agents.some(({ record }) => record.goals.some(({ name }) => name === type))) finding.abort(new Interrupted());
    return await submitting;
  };
  throw await cancelled(await Promise.race([answered(), again.promise]), io);
}

async function submit(client: Client, type: string, data: unknown, options: SubmitOptions): Promise<GoalRun> {
  try {
    return await client.submitGoal(type, data, options);
  } catch (error) {
    if (isSoormaError(error, "PAYLOAD_INVALID")) throw await withType(error, client, type, await inputOf(client, type));
    if (!isSoormaError(error, "NO_RESPONDER")) throw error;
    const known = Array.isArray(error.details?.known) ? (error.details.known as string[]) : [];
    const hint = suggest(type, known, error.hint ?? "");
    throw new CommandError(error.code, error.message, { ...(hint === "" ? {} : { hint }), cause: error });
  }
}

async function inputOf(client: Client, type: string): Promise<SchemaRef | undefined> {
  const agents = await client.registry.query({});
  return agents.flatMap(({ record }) => record.goals).find(({ name }) => name === type)?.input;
}

async function show(progress: AsyncIterable<GoalProgress>, live: Live, io: Io): Promise<void> {
  const colors = colorsFor(io);
  try {
    for await (const step of progress) {
      if (live.enabled) live.set(barsOf(step, colors));
      const line = lineOf(step, live.enabled, colors);
      if (line !== undefined) live.print(line);
    }
  } catch {
    // Watching is for the eyes only, and ends when nobody waits any more: the result says what came of the goal.
  }
}

/** What is worth a line of its own. On a terminal the bars show the rest. */
function lineOf({ entry, task }: GoalProgress, bars: boolean, colors: Colors): string | undefined {
  const name = oneLine(task?.name ?? "");
  switch (entry.type) {
    case "task.assigned":
      return bars
        ? undefined
        : `${name}: taken by ${entry.agentName}${entry.attempt > 1 ? `, attempt ${entry.attempt}` : ""}`;
    case "task.progress":
      return bars
        ? undefined
        : `${name}: ${Math.floor(entry.fraction * 100)} %${entry.message ? ` ${oneLine(entry.message)}` : ""}`;
    case "task.succeeded":
      return `${colors.green("✓")} ${name}${task?.agentName ? colors.dim(` by ${task.agentName}`) : ""}${tookOf(task, colors)}`;
    case "task.retried":
      return `${colors.yellow("↻")} ${name}: ${oneLine(entry.failure.message)}; again in ${entry.delayMs} ms`;
    case "task.failed":
      return `${colors.red("✗")} ${name}: ${oneLine(entry.failure.message)}`;
    case "task.cancelled":
      return `${colors.yellow("–")} ${name}: ${oneLine(entry.reason)}`;
    case "plan.paused":
      return `${colors.yellow("paused")}${entry.reason ? `: ${oneLine(entry.reason)}` : ""}`;
    default:
      return undefined;
  }
}

function tookOf(task: GoalProgress["task"], colors: Colors): string {
  if (task?.startedAtMs === undefined || task.endedAtMs === undefined) return "";
  return colors.dim(` in ${Math.round(task.endedAtMs - task.startedAtMs)} ms`);
}

const mostTasks = 8;

/** The whole, and the tasks that run now. */
function barsOf(step: GoalProgress, colors: Colors): string[] {
  const running = step.plan().tasks.filter((task) => task.status === "running");
  const lines = running.slice(0, mostTasks).map((task) => {
    return `  ${bar(task.fraction, 16)} ${oneLine(task.name)}${task.message ? colors.dim(` ${oneLine(task.message)}`) : ""}`;
  });
  if (running.length > mostTasks) lines.push(colors.dim(`  … and ${running.length - mostTasks} more`));
  return [`${colors.cyan(bar(step.fraction))} ${step.doneCount} of ${step.taskCount} tasks`, ...lines];
}
