import type { Envelope } from "@soorma/core";
import { agentNameOf } from "../../ui/agent-name.ts";
import type { Colors } from "../../ui/colors.ts";
import { clip, oneLine } from "../../ui/text.ts";

export interface LineOptions {
  readonly colors: Colors;
  /** Of the terminal; undefined elsewhere, where nothing is cut. */
  readonly width: () => number | undefined;
  /** Show the ids of trace, parent and plan also where there is little room. */
  readonly ids: boolean;
}

/** Terminals of so many columns have room for ids beside everything else. */
const wideColumns = 130;

/** An event as a line: when, what, from whom, its data; where there is room, or they are wanted, its ids. */
export function eventLine(event: Envelope, { colors, width, ids }: LineOptions): string {
  const { id, type, source, subject, data } = event;
  const columns = width();
  const line = [
    colors.dim(timeText(event.time)),
    colors.bold(oneLine(type)),
    colors.cyan(oneLine(agentNameOf(source) ?? source)),
    ...(subject === undefined ? [] : [oneLine(subject)]),
    oneLine(JSON.stringify(data) ?? "null"),
  ].join("  ");
  const { traceId, parentId, planId, taskId } = event;
  const about = [
    `trace ${traceId}`,
    ...(parentId === undefined ? [] : [`parent ${parentId}`]),
    ...(id === traceId ? [] : [`id ${id}`]),
    ...(planId === undefined ? [] : [`plan ${planId}`]),
    ...(taskId === undefined ? [] : [`task ${taskId}`]),
  ];
  if (columns === undefined) return `${line}  ${colors.dim(about.join("  "))}`;
  if (ids) return [clip(line, columns), ...about.map((one) => clip(`    ${colors.dim(one)}`, columns))].join("\n");
  const [trace = ""] = about;
  const room = columns - Bun.stringWidth(trace) - 2;
  if (columns < wideColumns || Bun.stringWidth(line) > room) return clip(line, columns);
  return `${line}  ${colors.dim(trace)}`;
}

/** What was missed, as a line among the events. */
export function gapLine({ time, data }: Envelope, { colors, width }: Omit<LineOptions, "ids">): string {
  const { publisher, channel, from, to, count } = data as Record<
    "publisher" | "channel" | "from" | "to" | "count",
    unknown
  >;
  // The tenant first, the topic last: `default.order.paid.@business-facts.`
  const type = String(channel).split(".").slice(1, -2).join(".");
  const text = `${count} missed of ${type}, numbers ${from} to ${to} of node ${publisher}`;
  const line = `${colors.dim(timeText(time))}  ${colors.red(oneLine(text))}`;
  const columns = width();
  return columns === undefined ? line : clip(line, columns);
}

/** By the clock of this machine, to the millisecond. */
function timeText(time: number): string {
  const date = new Date(time);
  const two = (number: number): string => String(number).padStart(2, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${clock}.${String(date.getMilliseconds()).padStart(3, "0")}`;
}
