import { isReached, type PathParts, parsePaths, pathsBehind } from "./paths.ts";

/** One place at which two values are not the same. */
export interface Difference {
  /** `result.papers.0.title` */
  readonly path: string;
  /** `undefined` where it is not there. */
  readonly recorded: unknown;
  readonly actual: unknown;
}

/** A difference in long lists shows early; nobody reads more of them. */
const most = 20;

/** Finds where values differ, but for paths that may: `result.id`, or `id` wherever it is. */
export function createComparison(
  ignore: readonly string[] = [],
  roots: readonly string[] = ["data", "inputs", "result", "error"],
): (what: string, recorded: unknown, actual: unknown) => readonly Difference[] {
  const paths = parsePaths(ignore, new Set(roots));
  return (what, recorded, actual) => {
    const found: Difference[] = [];
    compare(what, recorded, actual, pathsBehind(paths, what), found);
    return found;
  };
}

function compare(path: string, a: unknown, b: unknown, ignored: readonly PathParts[], found: Difference[]): void {
  if (found.length >= most || isReached(ignored) || Object.is(a, b)) return;
  if (!isPlain(a) || !isPlain(b) || Array.isArray(a) !== Array.isArray(b)) {
    if (!Bun.deepEquals(a, b)) found.push({ path, recorded: a, actual: b });
    return;
  }
  for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
    compare(`${path}.${key}`, a[key], b[key], pathsBehind(ignored, key), found);
  }
}

function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return true;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

/** A value in one line for a message. */
export function showValue(value: unknown, longest = 120): string {
  if (value === undefined) return "nothing";
  const text =
    JSON.stringify(value, (_key, inner: unknown) => (typeof inner === "bigint" ? `${inner}n` : inner)) ?? String(value);
  return text.length > longest ? `${text.slice(0, longest)}…` : text;
}
