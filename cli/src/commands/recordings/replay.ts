import { resolve } from "node:path";
import { isSoormaError } from "@soorma/core/errors";
import type { Difference, RecordedInput, ReplayedInput, ReplayReport } from "@soorma/core/recording";
import { type Colors, colorsFor, colorsForStdout } from "../../ui/colors.ts";
import { Interrupted, UsageError } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import { oneLine, printable } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { connect } from "../connect.ts";
import type { RunCommand } from "../spec.ts";

interface ReplayCommandOptions {
  readonly speed?: number;
  readonly only?: string;
  readonly ignore?: readonly string[];
  readonly timeout?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const defaultTimeoutSeconds = 60;

export const runReplay: RunCommand = async ({ args: [path = ""], options, io }) => {
  const { speed = 1, only, ignore = [], timeout, dryRun = false, json = false } = options as ReplayCommandOptions;
  const { readRecording, replayRecording, selectInputs } = await import("@soorma/core/recording");
  const recording = await readRecording(resolve(io.cwd, path));
  const inputs = (() => {
    try {
      return selectInputs(recording, only);
    } catch (error) {
      throw isSoormaError(error, "PAYLOAD_INVALID") ? new UsageError(`--only: ${error.message}`, error.hint) : error;
    }
  })();
  if (inputs.length === 0) {
    const of = only === undefined ? "" : ` that matches ${only}`;
    io.err(`nothing${of} was sent by a client in ${printable(path)}`);
  }
  if (dryRun) {
    list(inputs, { json, io });
    return undefined;
  }
  await using client = await connect(io);
  const colors = colorsForStdout(io);
  const report = await replayRecording(recording, {
    client,
    speed,
    ignore,
    timeoutMs: (timeout ?? defaultTimeoutSeconds) * 1_000,
    signal: io.signal,
    ...(only === undefined ? {} : { only }),
    ...(json ? {} : { onEnd: (input) => linesOf(input, colors, io).map((line) => print(line, io)) }),
  }).catch((error) => {
    throw io.signal.aborted ? new Interrupted("interrupted; what was sent goes on") : error;
  });
  if (json) io.out(JSON.stringify(report));
  else tell(report, io);
  return report.different > 0 ? 1 : 0;
};

function list(inputs: readonly RecordedInput[], { json, io }: { json: boolean; io: Io }): void {
  const firstAt = inputs[0]?.message.time ?? 0;
  if (json) {
    const shown = inputs.map(({ message: { id, kind, type, data, time }, obstacle }) => ({
      id,
      kind,
      type,
      data,
      afterMs: time - firstAt,
      ...(obstacle === undefined ? {} : { obstacle }),
    }));
    io.out(JSON.stringify(shown));
    return;
  }
  const colors = colorsForStdout(io);
  for (const { message, obstacle } of inputs) {
    const { kind, type, data, time } = message;
    const why = obstacle === undefined ? "" : colors.yellow(`  is skipped: ${obstacle}`);
    print(`${colors.dim(`+${formatDuration(time - firstAt)}`)}  ${kind} ${oneLine(type)}  ${shown(data)}${why}`, io);
  }
}

/** One row of a terminal each; elsewhere nothing is cut. */
function print(line: string, io: Io): void {
  io.out(io.stdoutColumns === undefined ? line : Bun.sliceAnsi(line, 0, io.stdoutColumns));
}

const marks = { same: "✓", different: "✗", sent: "→", skipped: "–" } as const;

function linesOf(input: ReplayedInput, colors: Colors, { stdoutColumns }: Io): string[] {
  const { kind, type, verdict, tookMs, recordedMs, why, differences } = input;
  const paint = { same: colors.green, different: colors.red, sent: colors.cyan, skipped: colors.yellow }[verdict];
  const then = recordedMs === undefined ? "" : `, was ${formatDuration(recordedMs)}`;
  const took = tookMs === undefined ? "" : colors.dim(`  ${formatDuration(tookMs)}${then}`);
  return [
    `${paint(marks[verdict])} ${kind} ${oneLine(type)}${took}${why === undefined ? "" : `  ${why}`}`,
    ...differences.flatMap((difference) => differenceOf(difference, colors, stdoutColumns)),
  ];
}

/** On one line, or where that is too long for the terminal one below the other, each from its beginning. */
function differenceOf(
  { path, recorded, actual }: Difference,
  colors: Colors,
  columns = Number.POSITIVE_INFINITY,
): string[] {
  const where = path === "" ? [] : [`${oneLine(path)}:`];
  const [before, now] = [colors.red(shown(recorded)), colors.green(shown(actual))];
  const line = `    ${[...where, before, colors.dim("→"), now].join(" ")}`;
  if (Bun.stringWidth(line) <= columns) return [line];
  return [...where.map((name) => `    ${name}`), `      ${before}`, `    ${colors.dim("→")} ${now}`];
}

const longest = 100;

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const text = oneLine(JSON.stringify(value) ?? String(value));
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}

function tell({ inputs, same, different, sent, skipped }: ReplayReport, io: Io): void {
  const colors = colorsFor(io);
  const parts = [
    `${same} the same`,
    different > 0 ? colors.red(`${different} different`) : "0 different",
    ...(sent > 0 ? [`${sent} sent without an answer to compare`] : []),
    ...(skipped > 0 ? [`${skipped} skipped`] : []),
  ];
  io.err(parts.join(", "));
  // As ids and times are: a list's places say nothing of that.
  const differing = inputs.flatMap(({ differences }) =>
    differences.map(({ path }) => path.replaceAll(/\.\d+(?=\.|$)/g, ".*")),
  );
  const paths = [...new Set(differing)].filter((path) => path !== "");
  if (paths.length > 0)
    io.err(
      `${colors.cyan("hint")}: what may differ is left out by --ignore ${paths.slice(0, mostIgnored).map(oneLine).join(",")}`,
    );
}

/** Paths named in a hint. */
const mostIgnored = 5;
