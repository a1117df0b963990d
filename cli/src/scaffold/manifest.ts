interface JsonObject {
  readonly [key: string]: unknown;
}

/** Lays the parts of a package.json over one another: objects are joined, of anything else the last one stands. */
export function mergeManifests(parts: readonly string[]): string {
  const merged = parts.map((text) => JSON.parse(text) as JsonObject).reduce(join, {});
  const sorted = Object.fromEntries(
    Object.entries(merged).map(([key, value]) => [key, /ependencies$/.test(key) ? sortedByKey(value) : value]),
  );
  return `${JSON.stringify(sorted, undefined, 2)}\n`;
}

function join(base: JsonObject, over: JsonObject): JsonObject {
  const joined: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over)) {
    const known = joined[key];
    // `null` takes away what an earlier part has.
    if (value === null) delete joined[key];
    else joined[key] = isObject(known) && isObject(value) ? join(known, value) : value;
  }
  return joined;
}

function sortedByKey(value: unknown): unknown {
  return isObject(value) ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1))) : value;
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
