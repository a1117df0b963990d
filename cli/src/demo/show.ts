import type { Colors } from "../ui/colors.ts";
import { count, oneLine, printable } from "../ui/text.ts";
import { formatDuration } from "../ui/time.ts";
import type { DemoAnswer } from "./ask.ts";
import type { Answer } from "./contracts.ts";

/** One process in the table of who did what. */
export interface ProcessReport {
  readonly name: string;
  readonly kind: "broker" | "state" | "planner" | "worker" | "tool";
  /** Absent when it is not known any more. */
  readonly pid?: number;
  /** Tasks, measurements, log entries: what its kind does. */
  readonly did: string;
  /** Of the plan's tasks; only workers have any. */
  readonly tasks?: number;
  readonly busyMs?: number;
  /** Part of all tasks, from 0 to 1. */
  readonly share?: number;
}

export interface Timings {
  readonly startUpMs: number;
  readonly planningMs: number;
  readonly indexingMs: number;
  readonly searchingMs: number;
  readonly answeringMs: number;
  /** From the command line to the answer. */
  readonly totalMs: number;
}

export interface Report {
  readonly question: string;
  readonly result: DemoAnswer;
  readonly agents: readonly ProcessReport[];
  readonly timings: Timings;
  readonly columns: number;
  readonly colors: Colors;
}

/** Everything the demo has to say at its end. */
export function reportLines({ question, result, agents, timings, columns, colors }: Report): string[] {
  const { files, passages, words, readingSeconds } = result;
  return [
    ...answerLines(question, result, columns, colors),
    "",
    ...processLines(agents, colors),
    "",
    colors.bold("How long it took"),
    `  ${timingLine(timings)}`,
    `  ${count(files, "file")}, ${count(passages, "passage")} and ${count(words, "word")} read; the answer is read in ${count(readingSeconds, "second")}`,
  ];
}

/** The answer, wrapped, with its sources. */
function answerLines(question: string, result: Answer, columns: number, colors: Colors): string[] {
  const { answer, citations, missing } = result;
  const lines = [colors.bold(question), ""];
  for (const line of answer.split("\n").map(printable)) {
    if (line.startsWith("    ")) lines.push(colors.cyan(`  ${line}`));
    else {
      for (const part of wrap(line, columns - 2))
        lines.push(`  ${part.replace(/\[\d+\]$/, (mark) => colors.green(mark))}`);
    }
  }
  if (citations.length > 0) {
    lines.push("", colors.bold("Sources"));
    for (const { n, file, line, heading } of citations) {
      lines.push(
        `  ${colors.green(`[${n}]`)} ${oneLine(file)}:${line}${heading === "" ? "" : ` — ${oneLine(heading)}`}`,
      );
    }
  }
  if (missing.length > 0) {
    const words = missing.map((word) => `"${word}"`).join(", ");
    lines.push("", colors.yellow(`Not found in what was read: ${words}`));
  }
  return lines;
}

/** Who did what. */
function processLines(reports: readonly ProcessReport[], colors: Colors): string[] {
  const rows = reports.map(({ name, pid, did, busyMs, share }) => [
    name,
    pid === undefined ? "" : String(pid),
    did,
    busyMs === undefined ? "" : formatDuration(busyMs),
    share === undefined ? "" : `${Math.round(share * 100)} %`,
  ]);
  const header = ["process", "pid", "did", "busy", "share"];
  const toRight = new Set([1, 3, 4]);
  const widths = header.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `  ${cells
      .map((cell, column) => {
        const width = widths[column] ?? 0;
        return toRight.has(column) ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")}`.trimEnd();
  return [colors.bold("Who did what"), colors.dim(line(header)), ...rows.map(line)];
}

/** How long everything took. */
function timingLine(timings: Timings): string {
  const parts = [
    ["start-up", timings.startUpMs],
    ["planning", timings.planningMs],
    ["indexing", timings.indexingMs],
    ["searching", timings.searchingMs],
    ["answering", timings.answeringMs],
    ["total", timings.totalMs],
  ] as const;
  return parts.map(([name, ms]) => `${name} ${formatDuration(ms)}`).join(" · ");
}

/** Breaks a line between words. A word longer than the width stays whole. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line !== "" && Bun.stringWidth(line) + 1 + Bun.stringWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === "" ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
