import { createLogger, type Logger, type LogLevel, type LogLine } from "../src/log.ts";

export interface CollectingLogger extends Logger {
  /** Every line so far, of all levels and of every child. */
  readonly lines: readonly LogLine[];
  /** The fields of each line with this event name. */
  fieldsOf(event: string): LogLine["fields"][];
  /** Event names of lines at this level or, without one, of all. */
  events(level?: LogLevel): string[];
}

/** A logger that keeps its lines for a test to look at. */
export function collectingLogger(now: () => number = () => 0): CollectingLogger {
  const lines: LogLine[] = [];
  return {
    ...createLogger({ sink: (line) => lines.push(line), now, level: "debug" }),
    lines,
    fieldsOf: (event) => lines.filter((line) => line.event === event).map((line) => line.fields),
    events: (level) => lines.filter((line) => level === undefined || line.level === level).map((line) => line.event),
  };
}
