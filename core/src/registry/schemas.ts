import semver from "semver";
import { SoormaError } from "../errors.ts";
import { compareText } from "./match.ts";
import type { SchemaQuery, SchemaRecord } from "./records.ts";

/** What a schema may be at most. */
export const schemaLimits = { nameLength: 128, depth: 64, canonicalLength: 262_144, descriptionLength: 4_096 } as const;

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** The versions of one schema, by version. */
export type SchemaVersions = ReadonlyMap<string, SchemaRecord>;

/** True for a version as semver 2.0.0 writes it: `1.0.0`, `2.1.0-rc.1`, `1.0.0+build`; not `v1.0.0` or `1.0`. */
export function isVersion(value: unknown): value is string {
  // semver itself forgives a leading "v" and white space.
  return typeof value === "string" && /^[0-9][^\s]*$/.test(value) && semver.parse(value) !== null;
}

/**
 * Reads a schema version that came from outside.
 *
 * @throws {SoormaError} `SCHEMA_INVALID` with what is wrong in it.
 */
export function parseSchemaRecord(value: unknown): SchemaRecord {
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw invalid("a schema", "is no object");
  const { name, version, schema, description } = value as Record<string, unknown>;
  if (typeof name !== "string" || name.length > schemaLimits.nameLength || !namePattern.test(name)) {
    throw invalid(`schema name ${quote(name)}`, 'must be 1 to 128 letters, digits, ".", "_", "-"');
  }
  const what = `schema ${quote(name)}`;
  if (!isVersion(version)) {
    throw invalid(what, `has version ${quote(version)}, which is not semver 2.0.0`, 'Write it like "1.0.0".');
  }
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    throw invalid(`${what} ${version}`, "has no JSON Schema object");
  }
  if (description != null && (typeof description !== "string" || description.length > schemaLimits.descriptionLength)) {
    throw invalid(
      `${what} ${version}`,
      `has a description that is no text of at most ${schemaLimits.descriptionLength}`,
    );
  }
  const canonical = canonicalJson(schema, `${what} ${version}`);
  if (canonical.length > schemaLimits.canonicalLength) {
    throw invalid(
      `${what} ${version}`,
      `has ${canonical.length} characters as JSON; the limit is ${schemaLimits.canonicalLength}`,
    );
  }
  const plain = JSON.parse(canonical) as Record<string, unknown>;
  checkKeywords(plain, `${what} ${version}`, "schema");
  return { name, version, schema: plain, ...(description == null ? {} : { description }) };
}

/**
 * True when both describe the same data. Order of keys does not matter, and neither does the record's description,
 * which is documentation and may be improved.
 */
export function sameSchema(a: SchemaRecord, b: SchemaRecord): boolean {
  return canonicalJson(a.schema, a.name) === canonicalJson(b.schema, b.name);
}

/** @throws {SoormaError} `SCHEMA_CONFLICT` when `known` is another content of the version `wanted` has. */
export function checkImmutable(known: SchemaRecord | undefined, wanted: SchemaRecord): void {
  if (!known || sameSchema(known, wanted)) return;
  throw new SoormaError(
    "SCHEMA_CONFLICT",
    `schema "${wanted.name}" ${wanted.version} exists with other content: versions are immutable`,
    {
      hint: `Give the changed schema a new version, for example ${semver.inc(wanted.version, "minor") ?? "the next one"}.`,
      details: { name: wanted.name, version: wanted.version },
    },
  );
}

/**
 * The schema `wanted` means: that very version, the highest one in a range, or with `latest` (the default) the highest
 * that is no prerelease. A range takes prereleases only as semver does: when it names one of the same version.
 *
 * @throws {SoormaError} `SCHEMA_INVALID` when `wanted` is neither a version nor a range nor `latest`.
 */
export function pickSchema(versions: SchemaVersions, wanted = "latest"): SchemaRecord | undefined {
  return pickSchemas(versions, wanted).at(-1);
}

/** All schemas that `query` means: by name, then from the lowest to the highest version. */
export function findSchemas(all: ReadonlyMap<string, SchemaVersions>, query: SchemaQuery): SchemaRecord[] {
  if (query.version !== undefined) checkWanted(query.version);
  const names = query.name === undefined ? [...all.keys()].sort(compareText) : [query.name];
  return names.flatMap((name) => {
    const versions = all.get(name);
    if (!versions) return [];
    return query.version === undefined ? sorted(versions) : pickSchemas(versions, query.version);
  });
}

function pickSchemas(versions: SchemaVersions, wanted: string): SchemaRecord[] {
  checkWanted(wanted);
  if (wanted === "latest") return sorted(versions).filter(isRelease).slice(-1);
  const exact = versions.get(wanted);
  if (exact) return [exact];
  return sorted(versions).filter((schema) => semver.satisfies(schema.version, wanted));
}

function sorted(versions: SchemaVersions): SchemaRecord[] {
  return [...versions.values()].sort((a, b) => semver.compareBuild(a.version, b.version));
}

function isRelease(schema: SchemaRecord): boolean {
  return semver.prerelease(schema.version) === null;
}

function checkWanted(wanted: string): void {
  const usable =
    wanted === "latest" || (wanted.trim() !== "" && wanted.length <= 128 && semver.validRange(wanted) !== null);
  if (usable) return;
  throw new SoormaError("SCHEMA_INVALID", `${quote(wanted)} is no schema version, semver range or "latest"`);
}

/** JSON with sorted keys, so that equal content is equal text; refuses what JSON cannot carry. */
function canonicalJson(value: unknown, what: string, depth = 0): string {
  if (depth > schemaLimits.depth) throw invalid(what, `is nested deeper than ${schemaLimits.depth}`);
  if (value === null || typeof value === "string" || typeof value === "boolean") return JSON.stringify(value);
  if (typeof value === "number" && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => canonicalJson(item, what, depth + 1)).join(",")}]`;
  if (typeof value === "object" && isPlain(value)) {
    const parts = Object.keys(value)
      .sort(compareText)
      .filter((key) => (value as Record<string, unknown>)[key] !== undefined)
      .map(
        (key) => `${JSON.stringify(key)}:${canonicalJson((value as Record<string, unknown>)[key], what, depth + 1)}`,
      );
    return `{${parts.join(",")}}`;
  }
  throw invalid(what, `contains a value of type ${typeof value} that JSON cannot carry`);
}

function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

const types = ["null", "boolean", "object", "array", "number", "integer", "string"];

/** Catches what is surely no JSON Schema; a full check is the business of whoever compiles it. */
function checkKeywords(schema: Readonly<Record<string, unknown>>, what: string, path: string): void {
  const wrong = (keyword: string, must: string): SoormaError =>
    invalid(what, `is no JSON Schema: ${path}.${keyword} ${must}`);
  const { type, required, properties, items, anyOf, oneOf, allOf, enum: values } = schema;
  if (type !== undefined) {
    const named = Array.isArray(type) ? type : [type];
    if (named.length === 0 || !named.every((one) => types.includes(one as string))) {
      throw wrong("type", `must be of ${types.join(", ")}`);
    }
  }
  if (required !== undefined && !(Array.isArray(required) && required.every((key) => typeof key === "string"))) {
    throw wrong("required", "must be a list of texts");
  }
  if (values !== undefined && !Array.isArray(values)) throw wrong("enum", "must be a list");
  if (properties !== undefined) {
    if (typeof properties !== "object" || properties === null || Array.isArray(properties)) {
      throw wrong("properties", "must be an object");
    }
    for (const [key, inner] of Object.entries(properties)) checkInner(inner, what, `${path}.properties.${key}`);
  }
  if (items !== undefined && !Array.isArray(items)) checkInner(items, what, `${path}.items`);
  for (const [keyword, inner] of Object.entries({ anyOf, oneOf, allOf })) {
    if (inner === undefined) continue;
    if (!Array.isArray(inner)) throw wrong(keyword, "must be a list");
    for (const [i, one] of inner.entries()) checkInner(one, what, `${path}.${keyword}[${i}]`);
  }
}

function checkInner(schema: unknown, what: string, path: string): void {
  if (typeof schema === "boolean") return;
  if (typeof schema !== "object" || schema === null || Array.isArray(schema)) {
    throw invalid(what, `is no JSON Schema: ${path} must be a schema`);
  }
  checkKeywords(schema as Record<string, unknown>, what, path);
}

function invalid(what: string, problem: string, hint?: string): SoormaError {
  return new SoormaError("SCHEMA_INVALID", `${what} ${problem}`, hint === undefined ? {} : { hint });
}

function quote(value: unknown): string {
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : `of type ${typeof value}`;
}
