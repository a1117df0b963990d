import { type TSchema, Value } from "@soorma/core/schema";
import { typeText } from "./schema-type.ts";

type Schema = Readonly<Record<string, unknown>>;

/** One difference between two versions of a schema. */
export interface SchemaChange {
  /** Of the field: `/items/*\/price`; `/` is the whole. `*` is every item of a list or every other key. */
  readonly path: string;
  readonly what: string;
  /** There is data that the old version admits and the new one refuses. */
  readonly refusesOld: boolean;
  /** There is data that the new version admits and the old one refuses. */
  readonly refusesNew: boolean;
}

/** What data a schema is of: it decides which differences break somebody. */
export type SchemaRole = "input" | "output" | "event";

/** By the names that contracts register their schemas under. */
export function roleOf(name: string): SchemaRole {
  return name.endsWith(".input") ? "input" : name.endsWith(".output") ? "output" : "event";
}

/**
 * Whether a change breaks those who keep to the old version. An input must go on taking what callers send, an output must
 * not bring what they do not know; of an event both ends may be the older one.
 */
export function isBreaking({ refusesOld, refusesNew }: SchemaChange, role: SchemaRole): boolean {
  return role === "input" ? refusesOld : role === "output" ? refusesNew : refusesOld || refusesNew;
}

/**
 * What is different between two versions, field by field. Where it cannot be told which of them admits more, both are said to
 * refuse something: a change that is not called breaking is none. Fields that a version does not name are taken for absent
 * from its data, even where it allows others.
 */
export function diffSchemas(before: unknown, after: unknown): SchemaChange[] {
  const changes: SchemaChange[] = [];
  compare(asSchema(before), asSchema(after), "", changes);
  return changes;
}

const both = { refusesOld: true, refusesNew: true };
const neither = { refusesOld: false, refusesNew: false };
/** What is said of the data for people, and admits or refuses nothing. */
const notes = ["description", "title", "examples", "default", "deprecated", "readOnly", "writeOnly", "$comment", "$id"];
/** Of the least that is admitted; a higher one admits less. And of the most. */
const leasts = ["minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"];
const mosts = ["maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"];

/** `true` admits everything, as an empty schema does. */
function asSchema(value: unknown): Schema | false {
  if (value === false) return false;
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Schema) : {};
}

function compare(before: Schema | false, after: Schema | false, path: string, changes: SchemaChange[]): void {
  if (same(before, after)) return;
  const add = (what: string, effect: Pick<SchemaChange, "refusesOld" | "refusesNew">): void =>
    void changes.push({ path: path === "" ? "/" : path, what, ...effect });
  if (before === false || after === false) {
    if (before === false) add("is allowed now", { refusesOld: false, refusesNew: true });
    else add("is not allowed any more", { refusesOld: true, refusesNew: false });
    return;
  }
  const [oldValues, newValues] = [valuesOf(before), valuesOf(after)];
  if (oldValues && newValues) {
    compareValues(oldValues, newValues, add);
    compareNotes(before, after, add);
    return;
  }
  if (oldValues || newValues) {
    // A list of values beside something wider: whether it really is wider is tried out.
    const admits = (schema: Schema, values: readonly unknown[] | undefined): boolean =>
      values?.every((value) => Value.Check(schema as TSchema, value)) ?? false;
    add(`${oneLineType(before)} is ${oneLineType(after)} now`, {
      refusesOld: !admits(after, oldValues),
      refusesNew: !admits(before, newValues),
    });
    compareNotes(before, after, add);
    return;
  }
  const [oldMembers, newMembers] = [membersOf(before), membersOf(after)];
  if (oldMembers || newMembers) {
    compareMembers(oldMembers ?? [before], newMembers ?? [after], add);
    compareNotes(before, after, add);
    return;
  }
  const [oldTypes, newTypes] = [typesOf(before), typesOf(after)];
  if (!same(oldTypes, newTypes)) {
    add(`${oneLineType(before)} is ${oneLineType(after)} now`, {
      refusesOld: !admitsAll(newTypes, oldTypes),
      refusesNew: !admitsAll(oldTypes, newTypes),
    });
    if (oldTypes === undefined || newTypes === undefined || !shares(oldTypes, newTypes)) return;
  }
  compareBounds(before, after, add);
  compareFields(before, after, path, changes, add);
  compareItems(before, after, path, changes, add);
  compareRest(before, after, add);
  compareNotes(before, after, add);
}

type Add = (what: string, effect: Pick<SchemaChange, "refusesOld" | "refusesNew">) => void;

function compareValues(before: readonly unknown[], after: readonly unknown[], add: Add): void {
  const gone = before.filter((value) => !includes(after, value));
  const come = after.filter((value) => !includes(before, value));
  if (gone.length > 0)
    add(`${gone.map(text).join(", ")} is no value any more`, { refusesOld: true, refusesNew: false });
  if (come.length > 0) add(`${come.map(text).join(", ")} is a value now`, { refusesOld: false, refusesNew: true });
}

function compareMembers(before: readonly unknown[], after: readonly unknown[], add: Add): void {
  const gone = before.filter((member) => !includes(after, member));
  const come = after.filter((member) => !includes(before, member));
  const names = (members: readonly unknown[]): string =>
    members.map((member) => oneLineType(asSchema(member))).join(", ");
  // One that is gone may be part of one that has come: then nothing is refused that was not before, but that is not looked into.
  if (gone.length > 0)
    add(`${names(gone)} is not one of the alternatives any more`, { refusesOld: true, refusesNew: false });
  if (come.length > 0) add(`${names(come)} is one of the alternatives now`, { refusesOld: false, refusesNew: true });
}

function compareBounds(before: Schema, after: Schema, add: Add): void {
  for (const [words, direction] of [
    [leasts, 1],
    [mosts, -1],
  ] as const) {
    for (const word of words) {
      const [was, is] = [before[word], after[word]];
      if (same(was, is)) continue;
      const narrower = typeof is === "number" && (typeof was !== "number" || (is - was) * direction > 0);
      add(
        `${word} ${was === undefined ? "is" : `was ${text(was)}, is`} ${is === undefined ? "not set" : text(is)} now`,
        {
          refusesOld: narrower,
          refusesNew: !narrower,
        },
      );
    }
  }
  for (const word of ["pattern", "format", "multipleOf", "uniqueItems"]) {
    const [was, is] = [before[word] || undefined, after[word] || undefined];
    if (same(was, is)) continue;
    if (was === undefined) add(`${word} must be ${text(is)} now`, { refusesOld: true, refusesNew: false });
    else if (is === undefined)
      add(`${word} ${text(was)} is not asked for any more`, { refusesOld: false, refusesNew: true });
    else add(`${word} was ${text(was)}, is ${text(is)} now`, both);
  }
}

function compareFields(before: Schema, after: Schema, path: string, changes: SchemaChange[], add: Add): void {
  const [oldFields, newFields] = [fieldsOf(before), fieldsOf(after)];
  const [oldRequired, newRequired] = [requiredOf(before), requiredOf(after)];
  for (const name of new Set([...oldFields.keys(), ...newFields.keys(), ...oldRequired, ...newRequired])) {
    const at = `${path}/${name.replaceAll("~", "~0").replaceAll("/", "~1")}`;
    const note = (what: string, effect: Pick<SchemaChange, "refusesOld" | "refusesNew">): void =>
      void changes.push({ path: at, what, ...effect });
    const [was, is] = [oldFields.get(name), newFields.get(name)];
    const [wasNeeded, isNeeded] = [oldRequired.has(name), newRequired.has(name)];
    if (was === undefined && is !== undefined) {
      note(`new, ${isNeeded ? "required" : "optional"}: ${typeText(is)}`, {
        refusesOld: isNeeded && !wasNeeded,
        refusesNew: restOf(before) === false || (wasNeeded && !isNeeded),
      });
      continue;
    }
    if (was !== undefined && is === undefined) {
      const isOpen = restOf(after) !== false;
      note(`gone, was ${wasNeeded ? "required" : "optional"}: ${typeText(was)}`, {
        refusesOld: !isOpen || (isNeeded && !wasNeeded),
        refusesNew: wasNeeded && !isNeeded,
      });
      continue;
    }
    if (wasNeeded !== isNeeded)
      note(isNeeded ? "required now" : "optional now", { refusesOld: isNeeded, refusesNew: wasNeeded });
    if (was !== undefined && is !== undefined) compare(asSchema(was), asSchema(is), at, changes);
  }
  const [oldRest, newRest] = [restOf(before), restOf(after)];
  if (same(oldRest, newRest)) return;
  if (newRest === false) add("other fields are not allowed any more", { refusesOld: true, refusesNew: false });
  else if (oldRest === false) add("other fields are allowed now", { refusesOld: false, refusesNew: true });
  else compare(asSchema(oldRest), asSchema(newRest), `${path}/*`, changes);
}

function compareItems(before: Schema, after: Schema, path: string, changes: SchemaChange[], add: Add): void {
  const [was, is] = [tupleOf(before), tupleOf(after)];
  if (was && is) {
    for (let at = 0; at < Math.min(was.length, is.length); at++)
      compare(asSchema(was[at]), asSchema(is[at]), `${path}/${at}`, changes);
    if (was.length !== is.length) add(`a list of ${was.length} is one of ${is.length} now`, both);
  } else if (was || is) {
    add(`${oneLineType(before)} is ${oneLineType(after)} now`, both);
  } else if (before.items !== undefined || after.items !== undefined) {
    compare(asSchema(before.items), asSchema(after.items), `${path}/*`, changes);
  }
}

/** Whatever else there is in a schema is not understood here, so it may be anything. */
function compareRest(before: Schema, after: Schema, add: Add): void {
  const known = new Set([
    ...notes,
    ...leasts,
    ...mosts,
    "pattern",
    "format",
    "multipleOf",
    "uniqueItems",
    "type",
    "const",
    "enum",
    "anyOf",
    "oneOf",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "prefixItems",
    "$schema",
  ]);
  for (const word of new Set([...Object.keys(before), ...Object.keys(after)])) {
    if (!known.has(word) && !same(before[word], after[word])) add(`${word} is different`, both);
  }
}

function compareNotes(before: Schema, after: Schema, add: Add): void {
  for (const word of notes) {
    if (word !== "$id" && !same(before[word], after[word])) add(`${word} is different`, neither);
  }
}

/** All values that are admitted, if they are listed: as `const`, `enum`, or alternatives of these. */
function valuesOf(schema: Schema): readonly unknown[] | undefined {
  if ("const" in schema) return [schema.const];
  if (Array.isArray(schema.enum)) return schema.enum;
  const members = membersOf(schema)?.map((member) => {
    const inner = asSchema(member);
    return inner === false ? [] : valuesOf(inner);
  });
  return members?.every((values) => values !== undefined) ? members.flat() : undefined;
}

function membersOf(schema: Schema): readonly unknown[] | undefined {
  // Of several that must hold at once nothing can be said one by one.
  if (Array.isArray(schema.anyOf)) return schema.anyOf;
  return Array.isArray(schema.oneOf) ? schema.oneOf : undefined;
}

function typesOf({ type, properties, items }: Schema): readonly string[] | undefined {
  if (typeof type === "string") return [type];
  if (Array.isArray(type)) return [...type].map(String).sort();
  return properties !== undefined ? ["object"] : items !== undefined ? ["array"] : undefined;
}

/** Whether all of `types` is among `wide`: every integer is a number. */
function admitsAll(wide: readonly string[] | undefined, types: readonly string[] | undefined): boolean {
  if (wide === undefined) return true;
  if (types === undefined) return false;
  return types.every((type) => wide.includes(type) || (type === "integer" && wide.includes("number")));
}

function shares(a: readonly string[], b: readonly string[]): boolean {
  const plain = (types: readonly string[]): string[] => types.map((type) => (type === "integer" ? "number" : type));
  return plain(a).some((type) => plain(b).includes(type));
}

function fieldsOf({ properties }: Schema): Map<string, unknown> {
  return new Map(Object.entries(asSchema(properties) || {}));
}

function requiredOf({ required }: Schema): Set<string> {
  return new Set(Array.isArray(required) ? required.map(String) : []);
}

function restOf({ additionalProperties }: Schema): unknown {
  return additionalProperties === true ? undefined : additionalProperties;
}

function tupleOf({ prefixItems, items }: Schema): readonly unknown[] | undefined {
  return Array.isArray(prefixItems) ? prefixItems : Array.isArray(items) ? items : undefined;
}

function oneLineType(schema: Schema | false): string {
  const written = typeText(schema);
  if (schema !== false && written === "number" && schema.type === "integer") return "integer";
  return written;
}

function includes(values: readonly unknown[], value: unknown): boolean {
  return values.some((one) => same(one, value));
}

function same(a: unknown, b: unknown): boolean {
  return Bun.deepEquals(a, b);
}

function text(value: unknown): string {
  return JSON.stringify(value);
}
