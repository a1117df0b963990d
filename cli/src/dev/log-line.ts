import type { LogLevel } from "@soorma/core";

/** One line that a process of the mesh printed, or one entry of its log. */
export interface MeshLogLine {
  readonly timeMs: number;
  /** Of the process: an agent, `broker`, `state`, or `soorma` for what the supervisor says. */
  readonly name: string;
  readonly stream: "stdout" | "stderr" | "soorma";
  /** What a person reads. Several lines where there is a stack. */
  readonly line: string;
  readonly level: LogLevel;
  /** Present where the line is structured: dotted event name, `task.failed`. */
  readonly event?: string;
  readonly component?: string;
  /** The trace being handled when it was written. */
  readonly traceId?: string;
  readonly fields?: Readonly<Record<string, unknown>>;
}

/** The component of what an agent's code printed by `console`. */
export const consoleComponent = "console";

const levelNames: readonly LogLevel[] = ["debug", "info", "warn", "error"];

export function levelOrder(level: LogLevel): number {
  return levelNames.indexOf(level);
}

/** Reads what a supervised process wrote: an entry of its log, or text as it is. */
export function readChildLine(name: string, stream: "stdout" | "stderr", text: string, nowMs: number): MeshLogLine {
  const entry = structured(text);
  // A stack on stderr is what a person who looks for trouble wants to see.
  if (!entry) return { timeMs: nowMs, name, stream, line: text, level: stream === "stderr" ? "warn" : "info" };
  const { time, level, component, event, traceId, ...fields } = entry;
  const timeMs = Date.parse(String(time));
  const line = {
    timeMs: Number.isNaN(timeMs) ? nowMs : timeMs,
    name,
    stream,
    level: level as LogLevel,
    event: String(event),
    component: String(component),
    ...(typeof traceId === "string" ? { traceId } : {}),
    fields,
  };
  return { ...line, line: textOf(line) };
}

function structured(text: string): Readonly<Record<string, unknown>> | undefined {
  if (!text.startsWith('{"time":"')) return undefined;
  try {
    const entry = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const isEntry = levelNames.includes(entry.level as LogLevel) && typeof entry.event === "string";
    return isEntry && typeof entry.component === "string" ? entry : undefined;
  } catch {
    return undefined;
  }
}

/** What an error became on its way: `code` where it says all in its message. */
export interface LoggedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string;
  readonly stack?: string;
}

export function errorOf({ fields }: Pick<MeshLogLine, "fields">): LoggedError | undefined {
  const error = fields?.error;
  if (typeof error !== "object" || error === null) return undefined;
  return "message" in error && typeof error.message === "string" ? (error as LoggedError) : undefined;
}

/** Event and fields on one line; of an error its message. */
export function headOf({ event, component, fields }: Pick<MeshLogLine, "event" | "component" | "fields">): string {
  if (component === consoleComponent) return String(fields?.text ?? "");
  const parts = Object.entries(fields ?? {}).map(([key, value]) => {
    const error = key === "error" ? errorOf({ fields: { error: value } }) : undefined;
    if (!error) return `${key}=${short(value)}`;
    return error.code === undefined ? `${error.name}: ${error.message}` : `${error.message} (${error.code})`;
  });
  return [event, ...parts].join(" ");
}

function textOf(line: Pick<MeshLogLine, "event" | "component" | "fields">): string {
  const stack = errorOf(line)?.stack;
  const frames = stack === undefined ? [] : framesOf(stack);
  return [headOf(line), ...frames].join("\n");
}

/** The lines of a stack that name places. */
export function framesOf(stack: string): string[] {
  return stack.split("\n").filter((line) => /^\s+at /.test(line));
}

function short(value: unknown): string {
  if (typeof value === "string") return /^[\w./:@#-]+$/.test(value) ? value : JSON.stringify(value);
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** As it is stored, and printed for programs: one JSON object. */
export function toJson({ timeMs, line, ...rest }: MeshLogLine): string {
  return JSON.stringify({ time: new Date(timeMs).toISOString(), ...rest, line: Bun.stripANSI(line) });
}

/** @returns `undefined` for what is no line of a log. */
export function fromJson(text: string): MeshLogLine | undefined {
  try {
    const { time, ...rest } = JSON.parse(text) as Omit<MeshLogLine, "timeMs"> & { readonly time: string };
    return { timeMs: Date.parse(time), ...rest };
  } catch {
    return undefined;
  }
}
