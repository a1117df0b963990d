import { formatBytes, formatRate } from "../ui/amounts.ts";
import type { Colors } from "../ui/colors.ts";
import { type Column, table } from "../ui/table.ts";
import { oneLine } from "../ui/text.ts";
import { formatDuration } from "../ui/time.ts";
import { nameOf, type ProcessView } from "./processes.ts";

interface Shown extends Column {
  readonly cell: (view: ProcessView, colors: Colors) => string;
}

const none = "–";
const number = (value: number | undefined, format: (value: number) => string = String): string =>
  value === undefined ? none : format(value);

const columns: readonly Shown[] = [
  { title: "PID", align: "right", cell: ({ pid }) => (pid === 0 ? "?" : String(pid)) },
  { title: "ROLE", cell: ({ role }, colors) => (role === "broker" || role === "state" ? colors.dim(role) : role) },
  {
    title: "AGENTS",
    least: 10,
    cell: (view, colors) => {
      const name = oneLine(nameOf(view));
      if (view.problem === undefined) return name;
      return `${name === "" ? "" : `${name} `}${colors.red(view.problem)}`;
    },
  },
  { title: "UP", align: "right", rank: 4, cell: ({ uptimeMs }) => number(uptimeMs, shortDuration) },
  { title: "MEM", align: "right", rank: 3, cell: ({ rssBytes }) => number(rssBytes, formatBytes) },
  { title: "CPU", align: "right", cell: ({ cpu }, colors) => number(cpu, (share) => hot(share, colors)) },
  { title: "RUN", align: "right", cell: ({ running }) => number(running) },
  {
    title: "WAIT",
    align: "right",
    rank: 6,
    cell: ({ waiting }, colors) => number(waiting, (count) => (count > 0 ? colors.yellow(String(count)) : "0")),
  },
  { title: "IN/S", align: "right", rank: 1, cell: ({ eventsInPerSecond: rate }) => number(rate, formatRate) },
  { title: "OUT/S", align: "right", rank: 2, cell: ({ eventsOutPerSecond: rate }) => number(rate, formatRate) },
  { title: "DONE/S", align: "right", rank: 5, cell: ({ donePerSecond: rate }) => number(rate, formatRate) },
];
/** Worth a place only where there is something to say. */
const missedColumn: Shown = {
  title: "MISSED",
  align: "right",
  cell: ({ missed }, colors) => number(missed, (count) => (count > 0 ? colors.red(String(count)) : "0")),
};
const hostColumn: Shown = { title: "HOST", rank: 8, least: 6, cell: ({ host }) => oneLine(host) };

/** Processes as a table: the first line is the titles. */
export function processTable(
  views: readonly ProcessView[],
  options: { readonly width: number; readonly colors: Colors },
): string[] {
  const hosts = new Set(views.flatMap(({ host }) => (host === "" ? [] : [host])));
  const shown = [
    ...columns,
    ...(views.some(({ missed = 0 }) => missed > 0) ? [missedColumn] : []),
    ...(hosts.size > 1 ? [hostColumn] : []),
  ];
  const rows = views.map((view) => shown.map(({ cell }) => cell(view, options.colors)));
  return table(shown, rows, options);
}

function hot(share: number, colors: Colors): string {
  const text = `${Math.round(share * 100)}%`;
  return share > 0.9 ? colors.red(text) : share > 0.5 ? colors.yellow(text) : text;
}

/** The larger unit alone: `3 min`, `2 h`. */
function shortDuration(ms: number): string {
  return formatDuration(ms).split(" ").slice(0, 2).join(" ");
}
