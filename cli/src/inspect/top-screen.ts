import { formatBytes, formatRate } from "../ui/amounts.ts";
import type { Colors } from "../ui/colors.ts";
import { clip, count, oneLine } from "../ui/text.ts";
import { formatDuration } from "../ui/time.ts";
import { processTable } from "./process-table.ts";
import { type ProcessView, totalsOf } from "./processes.ts";

export const sortings = ["cpu", "memory", "running", "events", "name"] as const;
export type Sorting = (typeof sortings)[number];

export interface TopState {
  readonly views: readonly ProcessView[];
  readonly sorting: Sorting;
  readonly paused: boolean;
  readonly help: boolean;
  /** Of what this is: where the mesh runs. */
  readonly title: string;
}

export interface Screen {
  readonly columns: number;
  readonly rows: number;
  readonly colors: Colors;
}

const help = [
  "q esc      leave",
  "p space    stop the picture, and go on",
  "s          next sorting; c m r e n: by cpu,",
  "           memory, running, events, name",
  "",
  "CPU        share of one core",
  "RUN        tasks and other handlers at work",
  "WAIT       what waits for its turn",
  "IN/S       events received in a second",
  "OUT/S      events published in a second",
  "DONE/S     tasks, requests, events that ended",
  "MISSED     events that never came",
];

/** One picture of `soorma top`: never more lines than `rows`, none wider than `columns`. */
export function drawTop(state: TopState, screen: Screen): string[] {
  const { columns, rows, colors } = screen;
  const head = headOf(state, screen);
  const foot = footOf(state, screen);
  const room = Math.max(1, rows - head.length - foot.length);
  const body = state.help ? help : processTable(sorted(state.views, state.sorting), { width: columns, colors });
  const shown =
    body.length > room ? [...body.slice(0, Math.max(1, room - 1)), colors.dim(more(body.length - room + 1))] : body;
  return [...head, ...shown.slice(0, room), ...foot].slice(0, rows).map((line) => clip(line, columns));
}

/** What all processes together do, in as many lines as it takes. */
export function headOf(
  { views, title }: Pick<TopState, "views" | "title">,
  { columns, colors }: Pick<Screen, "columns" | "colors">,
): string[] {
  const totals = totalsOf(views);
  const longestMs = Math.max(0, ...views.map(({ uptimeMs }) => uptimeMs ?? 0));
  const facts = [
    `${totals.processes} processes`,
    `${totals.agents} agents`,
    `up ${formatDuration(longestMs)}`,
    `cpu ${Math.round(totals.cpu * 100)}%`,
    `memory ${formatBytes(totals.rssBytes)}`,
    colors.bold(`${totals.running} running`),
    ...(totals.waiting > 0 ? [colors.yellow(`${totals.waiting} waiting`)] : []),
    count(totals.plans, "plan"),
    `events ${formatRate(totals.eventsInPerSecond)} in, ${formatRate(totals.eventsOutPerSecond)} out/s`,
    `${formatRate(totals.donePerSecond)} done/s`,
    ...(totals.missed > 0 ? [colors.red(`${totals.missed} events missed`)] : []),
  ];
  return [clip(colors.bold(oneLine(title)), columns), ...wrapped(facts, columns), ""];
}

function footOf({ sorting, paused, help }: TopState, { colors }: Screen): string[] {
  const keys = help ? "q leave  ? back" : `q leave  ? help  s by ${sorting}  p pause`;
  return [colors.dim(keys) + (paused ? colors.yellow("  paused") : "")];
}

function sorted(views: readonly ProcessView[], sorting: Sorting): ProcessView[] {
  // One that does not answer is what somebody who looks here is looking for.
  const most = (of: (view: ProcessView) => number) => (a: ProcessView, b: ProcessView) =>
    Number(b.problem !== undefined) - Number(a.problem !== undefined) || of(b) - of(a);
  switch (sorting) {
    // As it comes.
    case "name":
      return [...views];
    case "memory":
      return [...views].sort(most(({ rssBytes = 0 }) => rssBytes));
    case "running":
      return [...views].sort(most(({ running = 0 }) => running));
    case "events":
      return [...views].sort(
        most(({ eventsInPerSecond = 0, eventsOutPerSecond = 0 }) => eventsInPerSecond + eventsOutPerSecond),
      );
    case "cpu":
      // In whole percent: what is next to nothing shall not jump about.
      return [...views].sort(most(({ cpu = 0 }) => Math.round(cpu * 100)));
  }
}

function more(count: number): string {
  return `… and ${count} more`;
}

/** Facts with dots between them, in lines of so many columns. */
function wrapped(facts: readonly string[], columns: number): string[] {
  const lines: string[] = [];
  for (const fact of facts) {
    const last = lines.at(-1);
    const joined = last === undefined ? fact : `${last} · ${fact}`;
    if (last !== undefined && Bun.stringWidth(joined) > columns) lines.push(fact);
    else lines.splice(-1, 1, joined);
  }
  return lines;
}
