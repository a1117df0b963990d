/** Words that are there without being a property of anything. */
const keywords = ["await", "const", "let", "function", "import", "return", "typeof", "new", "throw", "for", "if"];

export interface CompletionSources {
  /** Names of the scope, which come first. */
  readonly scope: readonly string[];
  /** What stands in texts: names of agents and of what they can be asked. */
  readonly names: () => readonly string[];
  readonly global: object;
}

/**
 * Completes the end of a line: a name of the scope, a member of what stands before a dot, or, within a text, the name of an agent or of
 * something it can be asked.
 *
 * @returns the candidates, and what of the line they stand for.
 */
export function complete(line: string, { scope, names, global }: CompletionSources): [string[], string] {
  const text = /(["'`])([^"'`]*)$/.exec(line);
  if (text && isOpen(line)) {
    const begun = text[2] ?? "";
    return [matching(names(), begun), begun];
  }
  const [path = ""] = /(?:[A-Za-z_$][\w$]*(?:\?\.|\.))*[A-Za-z_$]?[\w$]*$/.exec(line) ?? [];
  const [begun = "", ...owners] = path.split(/\?\.|\./).reverse();
  if (owners.length === 0) {
    if (begun === "" && line.trim() !== "") return [[], ""];
    const others = begun === "" ? [] : [...keywords, ...Object.getOwnPropertyNames(global)];
    return [[...new Set([...matching(scope, begun), ...matching(others, begun)])], begun];
  }
  let value: unknown = global;
  for (const owner of owners.reverse()) {
    try {
      value = (value as Record<string, unknown> | null | undefined)?.[owner];
    } catch {
      return [[], begun];
    }
  }
  return [matching(membersOf(value), begun), begun];
}

function matching(names: readonly string[], begun: string): string[] {
  return names.filter((name) => name.startsWith(begun)).sort();
}

/** A quote stands open at the end of the line. */
function isOpen(line: string): boolean {
  let quote: string | undefined;
  for (let at = 0; at < line.length; at++) {
    const character = line[at];
    if (character === "\\") at++;
    else if (quote === undefined && (character === '"' || character === "'" || character === "`")) quote = character;
    else if (character === quote) quote = undefined;
  }
  return quote !== undefined;
}

/** Without what every object has, and without what its author meant to keep. */
function membersOf(value: unknown): string[] {
  const names = new Set<string>();
  for (let at = value; at !== null && at !== undefined && at !== Object.prototype; at = Object.getPrototypeOf(at)) {
    if (typeof at !== "object" && typeof at !== "function") {
      at = Object(at);
      continue;
    }
    for (const name of Object.getOwnPropertyNames(at)) {
      if (name !== "constructor" && !name.startsWith("_") && /^[A-Za-z$][\w$]*$/.test(name)) names.add(name);
    }
  }
  return [...names];
}
