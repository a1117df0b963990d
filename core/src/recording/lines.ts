import { SoormaError } from "../errors.ts";
import { type RecordingHeader, type RecordingLine, recordingFormat, recordingVersion } from "./format.ts";

/** A recording that was read. */
export interface Recording {
  readonly header: RecordingHeader;
  /** In the order of the file, which is about that of time. */
  readonly lines: readonly RecordingLine[];
}

/** One line of a recording, without its end. What JSON does not have (bytes, dates, big integers, NaN) is `{ "$bytes": … }` and the like. */
export function formatLine(line: RecordingHeader | RecordingLine): string {
  return JSON.stringify(toJson(line));
}

/**
 * Reads a recording.
 *
 * A last line that was cut off is left out: whoever wrote it was killed.
 *
 * @throws {SoormaError} `RECORDING_INVALID` naming the line.
 */
export function parseRecording(text: string, name = "the recording"): Recording {
  const texts = text.split("\n");
  const header = parseHeader(texts[0] ?? "", name);
  const lines: RecordingLine[] = [];
  for (const [at, line] of texts.entries()) {
    if (at === 0 || line.trim() === "") continue;
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch (cause) {
      if (at === texts.length - 1) break;
      throw invalid(name, `line ${at + 1} is not JSON`, cause);
    }
    if (typeof value !== "object" || value === null || typeof (value as { kind?: unknown }).kind !== "string")
      throw invalid(name, `line ${at + 1} has no kind`);
    lines.push(fromJson(value) as RecordingLine);
  }
  return { header, lines };
}

/**
 * Reads a recording out of a file.
 *
 * @throws {SoormaError} `RECORDING_INVALID` when there is no such file, or it is no recording.
 */
export async function readRecording(path: string): Promise<Recording> {
  let text: string;
  try {
    text = await Bun.file(path).text();
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new SoormaError(
      "RECORDING_INVALID",
      missing ? `there is no recording ${path}` : `the recording ${path} cannot be read: ${(cause as Error).message}`,
      { cause, hint: "Name the file that `soorma record <file>` wrote." },
    );
  }
  return parseRecording(text, path);
}

function parseHeader(text: string, name: string): RecordingHeader {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw invalid(name, "its first line is not JSON", cause);
  }
  const header = (value ?? {}) as Partial<RecordingHeader>;
  if (header.format !== recordingFormat)
    throw invalid(name, `its first line does not say "format":"${recordingFormat}"`);
  if (typeof header.version !== "number" || header.version > recordingVersion) {
    throw invalid(
      name,
      `it has version ${String(header.version)} of the format; versions up to ${recordingVersion} are known here`,
    );
  }
  return header as RecordingHeader;
}

function invalid(name: string, why: string, cause?: unknown): SoormaError {
  return new SoormaError("RECORDING_INVALID", `${name} is no recording: ${why}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: "`soorma record <file>` writes one.",
  });
}

const tags: ReadonlySet<string> = new Set(["$bytes", "$date", "$bigint", "$number", "$escaped"]);

function isTagged(value: object): boolean {
  const keys = Object.keys(value);
  return keys.length === 1 && tags.has(keys[0] ?? "");
}

/** Everything that can be packed as JSON, so that {@link fromJson} gives it back. */
function toJson(value: unknown): unknown {
  if (typeof value === "number") return Number.isFinite(value) ? value : { $number: String(value) };
  if (typeof value === "bigint") return { $bigint: String(value) };
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => toJson(item) ?? null);
  if (ArrayBuffer.isView(value)) {
    const { buffer, byteOffset, byteLength } = value;
    return { $bytes: Buffer.from(buffer as ArrayBuffer, byteOffset, byteLength).toString("base64") };
  }
  // biome-ignore lint/style/noRestrictedGlobals: a given time is written as text
  if (value instanceof Date) return { $date: Number.isNaN(value.getTime()) ? null : value.toISOString() };
  if (value instanceof Map) return toJson(Object.fromEntries(value));
  const plain: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) if (inner !== undefined) define(plain, key, toJson(inner));
  return isTagged(value) ? { $escaped: plain } : plain;
}

function fromJson(value: unknown): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(fromJson);
  if (isTagged(value)) {
    const { $bytes, $date, $bigint, $number, $escaped } = value as Record<string, unknown>;
    if (typeof $bytes === "string") return new Uint8Array(Buffer.from($bytes, "base64"));
    // biome-ignore lint/style/noRestrictedGlobals: a given time is read from text
    if ($date !== undefined) return new Date($date === null ? Number.NaN : String($date));
    if (typeof $bigint === "string") return BigInt($bigint);
    if (typeof $number === "string") return Number($number);
    if (typeof $escaped === "object" && $escaped !== null) return entries($escaped);
  }
  return entries(value);
}

function entries(value: object): Record<string, unknown> {
  const plain: Record<string, unknown> = {};
  for (const [key, inner] of Object.entries(value)) define(plain, key, fromJson(inner));
  return plain;
}

/** As an own field, whatever it is called. */
function define(target: Record<string, unknown>, key: string, value: unknown): void {
  if (key === "__proto__")
    Object.defineProperty(target, key, { value, enumerable: true, writable: true, configurable: true });
  else target[key] = value;
}
