export type LogLevel = "debug" | "info" | "warn" | "error";

export type LogFields = Readonly<Record<string, unknown>>;

/** One finished log line, before it is written anywhere. */
export interface LogLine {
  readonly level: LogLevel;
  /** Dotted event name: `lease.expired`. */
  readonly event: string;
  /** Dotted component: `transport.zeromq`. */
  readonly component: string;
  readonly timeMs: number;
  readonly fields: LogFields;
}

/** Takes an event name and fields. Core prints nothing by itself: whoever runs it passes a sink. */
export interface Logger {
  debug(event: string, fields?: LogFields): void;
  info(event: string, fields?: LogFields): void;
  warn(event: string, fields?: LogFields): void;
  error(event: string, fields?: LogFields): void;
  /** A logger whose component is `${parent}.${name}` and which adds `fields` to every line. */
  child(name: string, fields?: LogFields): Logger;
}

export const levels: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export interface LoggerOptions {
  readonly sink: (line: LogLine) => void;
  readonly now: () => number;
  /** Lines below this level are not made. Default `info`. */
  readonly level?: LogLevel;
}

/** A logger that hands finished lines to `sink`. */
export function createLogger(options: LoggerOptions, component = "", inherited: LogFields = {}): Logger {
  const least = levels.indexOf(options.level ?? "info");
  const write = (level: LogLevel, event: string, fields: LogFields = {}): void => {
    if (levels.indexOf(level) < least) return;
    options.sink({ level, event, component, timeMs: options.now(), fields: { ...inherited, ...fields } });
  };
  return {
    debug: (event, fields) => write("debug", event, fields),
    info: (event, fields) => write("info", event, fields),
    warn: (event, fields) => write("warn", event, fields),
    error: (event, fields) => write("error", event, fields),
    child: (name, fields) =>
      createLogger(options, component ? `${component}.${name}` : name, { ...inherited, ...fields }),
  };
}

/** Drops every line. */
export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
