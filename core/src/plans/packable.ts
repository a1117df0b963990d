/** Nested deeper than this a value is taken for a mistake; it also bounds the recursion of whoever packs it. */
const maxDepth = 100;

/** Why a value cannot travel: where in it, and what is there. */
export interface Unpackable {
  /** Path from the value checked, `data.items[3].when`; begins with what was given as `path`. */
  readonly path: string;
  /** What is there: `a function`, `a Promise (is an await missing?)`. */
  readonly what: string;
}

/**
 * Looks for the first part of a value that msgpack cannot carry, or would carry as something else.
 *
 * Fine are null, undefined (arrives as null), booleans, numbers, text, 64-bit integers, dates, bytes, arrays and
 * objects; of an instance of a class its own fields arrive.
 */
export function findUnpackable(value: unknown, path: string): Unpackable | undefined {
  return search(value, path, []);
}

/** The path of a part: `data.items`, `data[3]`, `data["a b"]`. */
export function pathTo(path: string, key: string | number): string {
  return typeof key === "string" && /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key)
    ? `${path}.${key}`
    : `${path}[${JSON.stringify(key)}]`;
}

function search(value: unknown, path: string, above: object[]): Unpackable | undefined {
  switch (typeof value) {
    case "function":
      return { path, what: "a function" };
    case "symbol":
      return { path, what: "a symbol" };
    case "bigint":
      return BigInt.asIntN(64, value) === value || BigInt.asUintN(64, value) === value
        ? undefined
        : { path, what: "an integer of more than 64 bits" };
    case "object":
      return value === null ? undefined : searchObject(value, path, above);
    default:
      return undefined;
  }
}

/**
 * Whether a value holds views that are no bytes, such as a `Float32Array`: msgpackr would write one byte of each element,
 * and behind them whatever its buffer held before. Quick, since it looks at everything that is sent.
 */
export function holdsOtherThanBytes(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (holdsOtherThanBytes(value[i])) return true;
    return false;
  }
  if (ArrayBuffer.isView(value)) return !isBytes(value);
  for (const key in value) if (holdsOtherThanBytes((value as Record<string, unknown>)[key])) return true;
  return false;
}

function isBytes(view: ArrayBufferView): boolean {
  return (view as { readonly BYTES_PER_ELEMENT?: number }).BYTES_PER_ELEMENT === 1;
}

function searchObject(value: object, path: string, above: object[]): Unpackable | undefined {
  // biome-ignore lint/style/noRestrictedGlobals: the class is asked about, not the time
  if (value instanceof Date || value instanceof ArrayBuffer) return undefined;
  if (ArrayBuffer.isView(value)) {
    if (isBytes(value)) return undefined;
    return { path, what: `a ${value.constructor.name} (what can be sent is a list of its numbers, or its bytes)` };
  }
  if (value instanceof Promise) return { path, what: "a Promise (is an await missing?)" };
  if (value instanceof Map || value instanceof Set || value instanceof WeakMap || value instanceof WeakSet) {
    return { path, what: `a ${value.constructor.name}` };
  }
  if (above.includes(value)) return { path, what: "an object that contains itself" };
  if (above.length >= maxDepth) return { path, what: `nested deeper than ${maxDepth}` };
  above.push(value);
  let found: Unpackable | undefined;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length && !found; i++) found = search(value[i], `${path}[${i}]`, above);
  } else {
    for (const [key, part] of Object.entries(value)) {
      found = search(part, pathTo(path, key), above);
      if (found) break;
    }
  }
  above.pop();
  return found;
}
