import { nearest } from "../nearest.ts";

type Literal = string | number | boolean | null;

/** Text that names a value: `results.search.count`, `goal.data.topic`, `result.papers[0].title`, `visits.search`, `failure.code`. */
type Path = string;

/**
 * A condition as data. What a path names and is not there equals nothing, is neither greater nor less, and is not in any list.
 * Only numbers are compared with numbers and texts with texts.
 */
export type Comparison =
  | { readonly path: Path; readonly eq: Literal }
  | { readonly path: Path; readonly ne: Literal }
  | { readonly path: Path; readonly gt: number | string }
  | { readonly path: Path; readonly gte: number | string }
  | { readonly path: Path; readonly lt: number | string }
  | { readonly path: Path; readonly lte: number | string }
  | { readonly path: Path; readonly in: readonly Literal[] }
  /** Text that has this in it, or a list that has this in it. */
  | { readonly path: Path; readonly includes: Literal }
  /** Whether there is something; null is nothing. */
  | { readonly path: Path; readonly exists: boolean }
  | { readonly all: readonly Comparison[] }
  | { readonly any: readonly Comparison[] }
  | { readonly not: Comparison };

/** What paths begin with. */
const conditionRoots = ["goal", "results", "result", "failure", "visits"] as const;
export type ConditionScope = Readonly<Record<(typeof conditionRoots)[number], unknown>>;

type Test = (actual: unknown, expected: unknown) => boolean;

const isLiteral = (value: unknown): value is Literal =>
  value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";

const ordered =
  (compare: (a: number | string, b: number | string) => boolean): Test =>
  (actual, expected) =>
    (typeof actual === "number" || typeof actual === "string") &&
    (typeof expected === "number" || typeof expected === "string") &&
    typeof actual === typeof expected &&
    compare(actual, expected);

const orderedOperand = { is: (v: unknown) => typeof v === "number" || typeof v === "string", name: "a number or text" };
const literalOperand = { is: isLiteral, name: "a number, text, boolean or null" };

const operators: Record<
  string,
  { readonly test: Test; readonly operand: { is(value: unknown): boolean; readonly name: string } }
> = {
  eq: { test: (actual, expected) => actual === expected, operand: literalOperand },
  ne: { test: (actual, expected) => actual !== expected, operand: literalOperand },
  gt: { test: ordered((a, b) => a > b), operand: orderedOperand },
  gte: { test: ordered((a, b) => a >= b), operand: orderedOperand },
  lt: { test: ordered((a, b) => a < b), operand: orderedOperand },
  lte: { test: ordered((a, b) => a <= b), operand: orderedOperand },
  in: {
    test: (actual, expected) => (expected as readonly unknown[]).includes(actual),
    operand: {
      is: (v) => Array.isArray(v) && v.every(isLiteral),
      name: "a list of numbers, texts, booleans and nulls",
    },
  },
  includes: {
    test: (actual, expected) =>
      typeof actual === "string"
        ? typeof expected === "string" && actual.includes(expected)
        : Array.isArray(actual) && actual.includes(expected),
    operand: literalOperand,
  },
  exists: {
    test: (actual, expected) => (actual !== undefined && actual !== null) === expected,
    operand: { is: (v) => typeof v === "boolean", name: "true or false" },
  },
};

/** Whether a checked comparison holds. */
export function holds(comparison: Comparison, scope: ConditionScope): boolean {
  if ("all" in comparison) return comparison.all.every((part) => holds(part, scope));
  if ("any" in comparison) return comparison.any.some((part) => holds(part, scope));
  if ("not" in comparison) return !holds(comparison.not, scope);
  const { path, ...rest } = comparison;
  const [name = "", expected] = Object.entries(rest)[0] ?? [];
  return operators[name]?.test(valueAt(scope, parsePath(path) ?? []), expected) ?? false;
}

/**
 * Refuses what is no comparison.
 *
 * @param at - Where it stands, for the message.
 * @param states - Names of the states, which `results` and `visits` go by.
 * @throws {TypeError}
 */
export function checkComparison(value: unknown, at: string, states: readonly string[]): void {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new TypeError(`${at} must be a function or a comparison such as { path: "result.count", gt: 0 }`);
  }
  const { path, ...rest } = value as Record<string, unknown>;
  const names = Object.keys(rest);
  const [name = ""] = names;
  if (names.length !== 1) {
    throw new TypeError(`${at} must have one operator, not ${names.length === 0 ? "none" : names.join(" and ")}`);
  }
  const operand = rest[name];
  if (name === "all" || name === "any") {
    if (!Array.isArray(operand)) throw new TypeError(`${at}.${name} must be a list of comparisons`);
    operand.forEach((part, index) => {
      checkComparison(part, `${at}.${name}[${index}]`, states);
    });
    return;
  }
  if (name === "not") {
    checkComparison(operand, `${at}.not`, states);
    return;
  }
  const operator = Object.hasOwn(operators, name) ? operators[name] : undefined;
  if (!operator) {
    const known = [...Object.keys(operators), "all", "any", "not"];
    const meant = nearest(name, known);
    throw new TypeError(
      `${at} has no operator "${name}"${meant ? `; did you mean "${meant}"?` : `; there are ${known.join(", ")}`}`,
    );
  }
  if (!operator.operand.is(operand)) throw new TypeError(`${at}.${name} must be ${operator.operand.name}`);
  checkPath(path, `${at}.path`, states);
}

function checkPath(path: unknown, at: string, states: readonly string[]): void {
  const keys = typeof path === "string" ? parsePath(path) : undefined;
  if (!keys) {
    throw new TypeError(
      `${at} must be a path that begins with ${conditionRoots.join(", ")}, such as "results.search.count", not ${JSON.stringify(path)}`,
    );
  }
  const [root, state] = keys;
  if (root !== "results" && root !== "visits") return;
  if (typeof state === "string" && states.includes(state)) return;
  const meant = typeof state === "string" ? nearest(state, states) : undefined;
  throw new TypeError(
    `${at} is "${path}", which names no state${meant ? `; did you mean "${root}.${meant}"?` : `; there are ${states.join(", ")}`}`,
  );
}

const segment = String.raw`\.[^\s.[\]{}"']+|\[\d+\]|\["(?:[^"\\]|\\.)*"\]`;
const pathPattern = new RegExp(`^(${conditionRoots.join("|")})((?:${segment})*)$`);

function parsePath(path: string): (string | number)[] | undefined {
  const match = pathPattern.exec(path.trim());
  if (!match) return undefined;
  const [, root = "", rest = ""] = match;
  const keys = Array.from(rest.matchAll(new RegExp(segment, "g")), ([part]) =>
    part.startsWith(".") ? part.slice(1) : (JSON.parse(part.slice(1, -1)) as string | number),
  );
  return [root, ...keys];
}

/** Only what a value has itself: nothing inherited, nothing computed, but for the length of text. */
function valueAt(scope: ConditionScope, keys: readonly (string | number)[]): unknown {
  let value: unknown = scope;
  for (const key of keys) {
    if (typeof value === "string") value = key === "length" ? value.length : undefined;
    else if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
    else value = Reflect.get(value, key);
  }
  return value;
}
