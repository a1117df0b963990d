/** What stands where something was taken out. */
export const redactedText = "[redacted]";

/** Fields of a line that hold what users sent. */
const places: ReadonlySet<string> = new Set(["data", "inputs", "result", "error", "tasks", "message"]);

/**
 * Compiles paths of what is to be taken out of recorded messages: `data.card.number`; `*` stands for one key or index, `**`
 * for any number of them. A path that begins with none of `data`, `inputs`, `result`, `error`, `tasks` and `message` is looked for
 * everywhere: `password` is `**.password`.
 *
 * @throws {TypeError} for a path that is empty or has an empty part.
 */
export function compileRedaction(paths: readonly string[]): <T extends object>(line: T) => T {
  const compiled = paths.map((path) => {
    const parts = path.split(".");
    if (parts.some((part) => part === "")) throw new TypeError(`${JSON.stringify(path)} is no path: data.card.number`);
    return places.has(parts[0] ?? "") || parts[0] === "**" ? parts : ["**", ...parts];
  });
  if (compiled.length === 0) return (line) => line;
  return (line) => {
    let changed: Record<string, unknown> | undefined;
    for (const [key, value] of Object.entries(line)) {
      if (!places.has(key)) continue;
      const left = compiled.flatMap((parts) => following(parts, key));
      const redacted = left.some((parts) => parts.length === 0) ? redactedText : redact(value, left);
      if (redacted === value) continue;
      changed ??= { ...line } as Record<string, unknown>;
      changed[key] = redacted;
    }
    return (changed ?? line) as typeof line;
  };
}

/** The same value if nothing in it was taken out. */
function redact(value: unknown, paths: readonly (readonly string[])[]): unknown {
  if (typeof value !== "object" || value === null || paths.length === 0 || ArrayBuffer.isView(value)) return value;
  let changed: Record<string, unknown> | unknown[] | undefined;
  for (const [key, inner] of Object.entries(value)) {
    const left = paths.flatMap((parts) => following(parts, key));
    const redacted = left.some((parts) => parts.length === 0) ? redactedText : redact(inner, left);
    if (redacted === inner) continue;
    changed ??= Array.isArray(value) ? [...value] : { ...value };
    (changed as Record<string, unknown>)[key] = redacted;
  }
  return changed ?? value;
}

/** What is left of a path behind `key`; nothing when it does not go there. */
function following(parts: readonly string[], key: string): (readonly string[])[] {
  const [first, ...rest] = parts;
  if (first === undefined) return [];
  if (first === "**") return [parts, ...following(rest, key)];
  return first === "*" || first === key ? [rest] : [];
}
