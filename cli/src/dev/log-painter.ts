import type { LogLevel } from "@soorma/core";
import type { Colors } from "../ui/colors.ts";
import { colored, printable } from "../ui/text.ts";
import { consoleComponent, errorOf, framesOf, headOf, type MeshLogLine } from "./log-line.ts";

/** Lines for a person, without the end of the last one. */
export type LinePainter = (line: MeshLogLine) => string;

export interface PainterOptions {
  readonly colors: Colors;
  /** The project: frames of its own files come first in a stack, and paths are shown from here. */
  readonly root: string;
  /** Names that are going to come: the column is as wide from the start. */
  readonly names?: readonly string[];
}

const longestName = 24;

/** Puts the name of its process before each line, in a colour of its own. */
export function createLinePainter({ colors, root, names = [] }: PainterOptions): LinePainter {
  const palette = [colors.cyan, colors.magenta, colors.green, colors.blue, colors.yellow];
  const given = new Map<string, (text: string) => string>([
    ["soorma", colors.bold],
    ["broker", colors.dim],
    ["state", colors.dim],
  ]);
  const special = given.size;
  let width = Math.max("soorma".length, ...names.map((name) => Math.min(longestName, name.length)));
  const clean = colors.isColorSupported ? colored : printable;

  const bodyOf = (line: MeshLogLine): string => {
    if (line.event === undefined) return clean(line.line);
    const trace = line.traceId === undefined ? "" : colors.dim(` trace=${printable(line.traceId)}`);
    const mark = levelMark(line.level, colors);
    if (line.component === consoleComponent) return `${mark}${clean(headOf(line))}${trace}`;
    const head = `${mark}${printable(headOf(line)).replaceAll("\n", "⏎")}${trace}`;
    const stack = errorOf(line)?.stack;
    return stack === undefined ? head : [head, ...stackLines(stack, root, colors)].join("\n");
  };

  return (line) => {
    const name = printable(line.name);
    width = Math.max(width, Math.min(longestName, name.length));
    const color = given.get(name) ?? palette[(given.size - special) % palette.length] ?? colors.cyan;
    given.set(name, color);
    const lead = `${color(name.padEnd(width))} ${colors.dim("│")} `;
    const time = line.event === undefined ? "" : `${colors.dim(clock(line.timeMs))} `;
    const [first = "", ...rest] = bodyOf(line).split("\n");
    return [`${lead}${time}${first}`, ...rest.map((more) => `${lead}${more}`)].join("\n");
  };
}

/** Frames in the project's own files, then the others. */
function stackLines(stack: string, root: string, colors: Colors): string[] {
  const frames = framesOf(stack).map((frame) => `  ${printable(frame).trim()}`);
  const isOwn = (frame: string): boolean => frame.includes(`${root}/`) && !frame.includes("/node_modules/");
  const own = frames.filter(isOwn).map((frame) => frame.replaceAll(`${root}/`, ""));
  const others = frames.filter((frame) => !isOwn(frame)).map((frame) => colors.dim(frame));
  return [...own, ...others];
}

function levelMark(level: LogLevel, colors: Colors): string {
  switch (level) {
    case "error":
      return `${colors.red("error")} `;
    case "warn":
      return `${colors.yellow("warn")} `;
    case "debug":
      return `${colors.dim("debug")} `;
    case "info":
      return "";
  }
}

/** Of the local day, as people look at their watch. */
function clock(timeMs: number): string {
  return new Date(timeMs).toTimeString().slice(0, 8);
}
