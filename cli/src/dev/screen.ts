import { readFileSync } from "node:fs";
import type { PlanState, PlanSummary } from "@soorma/core";
import type { Colors } from "../ui/colors.ts";
import type { Io } from "../ui/io.ts";
import { type Key, readKeys } from "../ui/keys.ts";
import { createLive } from "../ui/live.ts";
import { cut, oneLine } from "../ui/text.ts";
import type { Errands } from "./errands.ts";
import { filterOfWords, isShown, type LogFilter } from "./log-filter.ts";
import type { MeshLogLine } from "./log-line.ts";
import { createLinePainter } from "./log-painter.ts";
import { createRateMeter } from "./rates.ts";
import { type DevStatus, drawHelp, drawStatus } from "./status-line.ts";
import type { Supervisor } from "./supervisor.ts";

export type Tone = "plain" | "good" | "bad";

export interface ScreenOptions {
  readonly io: Io;
  readonly colors: Colors;
  readonly root: string;
  /** Of the agents, as far as they are known: the log's columns are as wide as they are. */
  readonly names: readonly string[];
}

/** What `soorma dev` shows on a terminal: the log, below it a line of status, and keys. */
export interface Screen extends Disposable {
  print(line: MeshLogLine, tone: Tone): void;
  /** A line that is no line of the log. */
  note(text: string): void;
  /** From now on there is something to show the status of, and keys do something. */
  attach(supervisor: Supervisor, errands: Errands): void;
  /** The status as it is now. */
  refresh(): void;
}

const tickMs = 1_000;
/** Lines kept, to show what a new filter lets through. */
const keptLines = 1_000;
/** Of them at most so many are shown again. */
const shownAgain = 20;
/** Columns of a goal's data that are shown when it is sent again. */
const mostData = 400;

export function createScreen({ io, colors, root, names }: ScreenOptions): Screen {
  const live = createLive(io);
  const paint = createLinePainter({ colors, root, names });
  const meter = createRateMeter();
  const kept: [MeshLogLine, Tone][] = [];
  let filter: LogFilter = {};
  let filterWords = "";
  /** What is being typed, while a filter is. */
  let typed: string | undefined;
  let isHelpShown = false;
  let supervisor: Supervisor | undefined;
  let errands: Errands | undefined;
  let keys: Disposable | undefined;
  let ticker: ReturnType<typeof setInterval> | undefined;
  let load = { tasks: 0, eventsPerSecond: 0 };

  const show = (line: MeshLogLine, tone: Tone): void => {
    const color = tone === "good" ? colors.green : colors.red;
    const text = tone === "plain" ? line : { ...line, line: line.line.split("\n").map(color).join("\n") };
    live.print(paint(text));
  };

  const statusOf = ({ phase, agents }: Supervisor): DevStatus => {
    const byName = new Map<string, { name: string; instances: number; ready: number }>();
    for (const { agent, state } of agents) {
      const of = byName.get(agent) ?? { name: agent, instances: 0, ready: 0 };
      byName.set(agent, { ...of, instances: of.instances + 1, ready: of.ready + (state === "ready" ? 1 : 0) });
    }
    const running = phase === "ready" ? "running" : phase;
    return { phase: running, agents: [...byName.values()], ...load, filter: filterWords };
  };

  const draw = (): void => {
    if (!supervisor) return;
    const width = (process.stderr.columns || 80) - 1;
    const prompt = `show only (agent, level or text; enter: everything): ${typed ?? ""}▏`;
    live.set([
      ...(isHelpShown ? drawHelp(width, colors) : []),
      typed === undefined ? drawStatus(statusOf(supervisor), width, colors) : prompt,
    ]);
  };

  const tick = async (): Promise<void> => {
    const counts = await supervisor?.activity();
    if (!counts) return;
    const tasks = [...counts.values()].reduce((sum, { tasks: some }) => sum + some, 0);
    load = { tasks, eventsPerSecond: meter.take(counts, performance.now()) };
    draw();
  };

  const setFilter = (words: string): void => {
    filterWords = oneLine(words);
    filter = filterOfWords(words, ["broker", "state", ...kept.map(([{ name }]) => name)]);
    const again = filterWords === "" ? [] : kept.filter(([line]) => isShown(line, filter)).slice(-shownAgain);
    live.print(colors.dim(filterWords === "" ? "— showing everything —" : `— showing only ${filterWords} —`));
    for (const [line, tone] of again) show(line, tone);
  };

  const restart = (by: Supervisor): void => {
    const chosen = by.restart(filter.agent);
    live.print(colors.dim(`— restarting ${chosen.length > 0 ? chosen.join(", ") : "nothing: it is no agent"} —`));
  };

  const showPlans = async (by: Errands): Promise<void> => {
    const code = await by.run(["plans", "list", "--limit", "10"], (line) => live.print(line));
    if (code === 0) live.print(colors.dim("— soorma plans show <plan> shows one of them —"));
  };

  const sendAgain = async (by: Errands): Promise<void> => {
    const plans = (await by.ask<readonly PlanSummary[]>(["plans", "list", "--limit", "100"])) ?? [];
    // Of a plan that belongs to another one, that one's goal is what somebody sent.
    const last = plans.find(({ parentPlanId }) => parentPlanId === undefined);
    const plan = last && (await by.ask<PlanState>(["plans", "show", last.planId]));
    if (!plan) {
      live.print(colors.dim("— no goal was sent yet: soorma goal <type> '<json>' —"));
      return;
    }
    const { goalType, goalData } = plan.origin;
    const data = JSON.stringify(goalData ?? null);
    live.print(colors.dim(`— goal ${oneLine(goalType)} ${cut(oneLine(data), mostData)} again —`));
    await by.run(["goal", goalType, "-"], (line) => live.print(line), data);
  };

  const onTyped = (key: Key, before: string): void => {
    if (key === "enter") {
      typed = undefined;
      setFilter(before);
    } else if (key === "escape" || key === "ctrl-c") typed = undefined;
    else if (key === "\x7f" || key === "\b") typed = [...before].slice(0, -1).join("");
    else if (key === "\x15") typed = "";
    else if (!/\p{Cc}/u.test(key) && key.length <= 2) typed = before + key;
  };

  /** Ctrl-Z, which is a key here, does what it does elsewhere: the shell is back, until its `fg`. The agents go on. */
  const suspend = (): void => {
    live.clear();
    keys?.[Symbol.dispose]();
    keys = undefined;
    process.once("SIGCONT", () => {
      keys = readKeys(onKey);
      draw();
    });
    process.kill(0, "SIGTSTP");
  };

  const onKey = (key: Key): void => {
    if (typed !== undefined) onTyped(key, typed);
    else if (key === "\x1a") suspend();
    // Not SIGINT, of which two that come fast may be taken for one press: keys are pressed one by one.
    else if (key === "ctrl-c" || key === "q") process.kill(process.pid, "SIGTERM");
    else if (key === "?" || key === "h") isHelpShown = !isHelpShown;
    else if (key === "escape") isHelpShown = false;
    else if (key === "l") typed = "";
    else if (key === "enter") live.print("");
    else if (supervisor?.phase === "ready" && errands) {
      if (key === "r") restart(supervisor);
      else if (key === "p") void showPlans(errands);
      else if (key === "g") void sendAgain(errands);
    }
    draw();
  };

  return {
    print(line, tone) {
      kept.push([line, tone]);
      if (kept.length > keptLines) kept.splice(0, keptLines / 2);
      // What the supervisor says of the whole is for whoever watches.
      if (line.name === "soorma" || isShown(line, filter)) show(line, tone);
    },
    note: (text) => live.print(text),
    attach(to, by) {
      supervisor = to;
      errands = by;
      draw();
      if (!io.interactive || !isForeground()) return;
      keys = readKeys(onKey);
      ticker = setInterval(() => void tick(), tickMs);
      process.stderr.on("resize", draw);
    },
    refresh: draw,
    [Symbol.dispose]() {
      clearInterval(ticker);
      process.stderr.off("resize", draw);
      keys?.[Symbol.dispose]();
      live.clear();
      live[Symbol.dispose]();
    },
  };
}

/**
 * Whether the keys of the terminal are this process's: one that was started with `&` would be stopped for reading them.
 * Fields 5 and 8 of /proc/<pid>/stat are its group and the terminal's; see proc_pid_stat(5).
 */
function isForeground(): boolean {
  if (process.platform !== "linux") {
    const { stdout } = Bun.spawnSync(["ps", "-o", "pgid=,tpgid=", "-p", String(process.pid)]);
    const [group, terminal] = stdout.toString().trim().split(/\s+/);
    return group === terminal;
  }
  const stat = readFileSync("/proc/self/stat", "utf8");
  const [, , group, , , terminal] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return group === terminal;
}
