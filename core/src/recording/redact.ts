import { isReached, type PathParts, parsePaths, pathsBehind } from "./paths.ts";

/** What stands where something was taken out. */
export const redactedText = "[redacted]";

/** Fields of a line that hold what users sent. */
const places: ReadonlySet<string> = new Set(["data", "inputs", "result", "error", "tasks", "message"]);

/**
 * Compiles paths of what is to be taken out of recorded messages: `data.card.number`; `*` stands for one key or index, `**`
 * for any number of them. A path that begins with none of `data`, `inputs`, `result`, `error`, `tasks` and `message` is looked for
 * everywhere: `password` is `**.password`.
 *
 * @throws {TypeError} for a path that has an empty part.
 */
export function compileRedaction(paths: readonly string[]): <T extends object>(line: T) => T {
  const named = parsePaths(paths, places);
  // A delegated task has its data in a list of tasks first.
  const parsed = [...named, ...named.flatMap((parts) => (parts[0] === "data" ? [["tasks", "*", ...parts]] : []))];
  if (parsed.length === 0) return (line) => line;
  return (line) => {
    let changed: Record<string, unknown> | undefined;
    for (const [key, value] of Object.entries(line)) {
      if (!places.has(key)) continue;
      const redacted = redact(value, pathsBehind(parsed, key));
      if (redacted === value) continue;
      changed ??= { ...line } as Record<string, unknown>;
      changed[key] = redacted;
    }
    return (changed ?? line) as typeof line;
  };
}

/** Whether something was taken out of it. */
export function isRedacted(value: unknown): boolean {
  if (value === redactedText) return true;
  return (
    typeof value === "object" && value !== null && !ArrayBuffer.isView(value) && Object.values(value).some(isRedacted)
  );
}

/** The same value if nothing in it was taken out. */
function redact(value: unknown, paths: readonly PathParts[]): unknown {
  if (isReached(paths)) return redactedText;
  if (typeof value !== "object" || value === null || paths.length === 0 || ArrayBuffer.isView(value)) return value;
  let changed: Record<string, unknown> | unknown[] | undefined;
  for (const [key, inner] of Object.entries(value)) {
    const redacted = redact(inner, pathsBehind(paths, key));
    if (redacted === inner) continue;
    changed ??= Array.isArray(value) ? [...value] : { ...value };
    (changed as Record<string, unknown>)[key] = redacted;
  }
  return changed ?? value;
}
