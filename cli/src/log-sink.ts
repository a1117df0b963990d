import { type LogLevel, type LogLine, levels } from "@soorma/core";

export interface LogSinkOptions {
  readonly write: (text: string) => void;
  /** One line for a person to read, or a JSON object a line. */
  readonly format: "text" | "json";
}

/** Writes log lines as text for people or as JSON lines for programs. */
export function createLogSink({ write, format }: LogSinkOptions): (line: LogLine) => void {
  return format === "json" ? (line) => write(`${toJson(line)}\n`) : (line) => write(`${toText(line)}\n`);
}

/** The level `SOORMA_LOG` asks for, else `fallback`. */
export function logLevel(env: Readonly<Record<string, string | undefined>>, fallback: LogLevel): LogLevel {
  const asked = env.SOORMA_LOG;
  return levels.find((level) => level === asked) ?? fallback;
}

function toText({ level, component, event, fields }: LogLine): string {
  const parts = Object.entries(fields).map(([name, value]) => `${name}=${short(value)}`);
  return [level.padEnd(5), component ? `${component}:` : "", event, ...parts].filter((part) => part !== "").join(" ");
}

function toJson({ level, component, event, timeMs, fields }: LogLine): string {
  const plain = Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? describe(value) : value]),
  );
  return JSON.stringify({ time: new Date(timeMs).toISOString(), level, component, event, ...plain });
}

function short(value: unknown): string {
  if (value instanceof Error) {
    const { code, message, stack } = describe(value);
    const said = code === undefined ? message : `${JSON.stringify(message)} (${code})`;
    return stack === undefined ? said : code === undefined ? stack : `${said}\n${stack}`;
  }
  if (typeof value === "string") return /^[\w./:@-]+$/.test(value) ? value : JSON.stringify(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

function describe(error: Error): {
  readonly name: string;
  readonly code?: unknown;
  readonly message: string;
  readonly stack?: string;
} {
  const code = "code" in error ? error.code : undefined;
  return {
    name: error.name,
    message: error.message,
    ...(code === undefined ? {} : { code }),
    // What Soorma raised says all in its message.
    ...(error.stack === undefined || error.name === "SoormaError" ? {} : { stack: error.stack }),
  };
}
