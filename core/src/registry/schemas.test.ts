import { describe, expect, test } from "bun:test";
import { Type } from "typebox";
import { isSoormaError } from "../errors.ts";
import type { SchemaRecord } from "./records.ts";
import { checkImmutable, findSchemas, isVersion, parseSchemaRecord, pickSchema, sameSchema } from "./schemas.ts";

const of = (version: string, schema: Record<string, unknown> = {}): SchemaRecord => ({ name: "s", version, schema });
const versions = (...list: string[]): Map<string, SchemaRecord> => new Map(list.map((one) => [one, of(one)]));
const codeOf = (body: () => unknown): unknown => {
  try {
    body();
  } catch (error) {
    return isSoormaError(error) ? error.code : error;
  }
  return "accepted";
};

test("a version is what semver 2.0.0 says, to the letter", () => {
  for (const good of ["0.0.0", "1.10.0", "1.0.0-rc.1", "1.0.0+build.5"]) expect(isVersion(good)).toBe(true);
  for (const bad of ["v1.0.0", "=1.0.0", "1.0.0 ", "1.0", "01.0.0", "banana", "", 1, undefined]) {
    expect(isVersion(bad)).toBe(false);
  }
});

describe("which schema a version means", () => {
  const known = versions("1.9.0", "2.0.0-rc.2", "1.10.0", "2.0.0-rc.10", "0.1.0");
  const picked: readonly (readonly [string | undefined, string | undefined])[] = [
    [undefined, "1.10.0"],
    ["latest", "1.10.0"],
    ["1.9.0", "1.9.0"],
    ["1", "1.10.0"],
    ["~1.9", "1.9.0"],
    ["*", "1.10.0"],
    ["2.0.0-rc.2", "2.0.0-rc.2"],
    [">=2.0.0-rc.1", "2.0.0-rc.10"],
    ["^2.0.0", undefined],
    ["3.0.0", undefined],
  ];
  for (const [wanted, version] of picked) {
    test(`${wanted ?? "none given"}: ${version ?? "none"}`, () => {
      expect(pickSchema(known, wanted)?.version).toBe(version);
    });
  }

  test("what is no version, range or latest is an error", () => {
    for (const wanted of ["banana", "", " ", "newest"])
      expect(codeOf(() => pickSchema(known, wanted))).toBe("SCHEMA_INVALID");
    expect(codeOf(() => findSchemas(new Map(), { version: "banana" }))).toBe("SCHEMA_INVALID");
  });

  test("only prereleases have no latest", () => {
    expect(pickSchema(versions("1.0.0-rc.1"))).toBeUndefined();
  });
});

test("content is compared whatever the order of keys, in depth, and without the description", () => {
  const a = of("1.0.0", { type: "object", properties: { a: { type: "string" }, b: { enum: [1, 2] } } });
  const b = of("1.0.0", { properties: { b: { enum: [1, 2] }, a: { type: "string" } }, type: "object" });
  expect(sameSchema(a, { ...b, description: "better" })).toBe(true);
  expect(sameSchema(a, of("1.0.0", { ...b.schema, properties: { b: { enum: [2, 1] } } }))).toBe(false);
  expect(codeOf(() => checkImmutable(a, b))).toBe("accepted");
  expect(codeOf(() => checkImmutable(a, of("1.0.0")))).toBe("SCHEMA_CONFLICT");
});

test("a TypeBox schema is stored as the JSON Schema it is", () => {
  const schema = Type.Object({ title: Type.String({ minLength: 1 }), tags: Type.Optional(Type.Array(Type.String())) });
  const { schema: stored } = parseSchemaRecord({ name: "paper", version: "1.0.0", schema });
  expect(stored).toEqual(JSON.parse(JSON.stringify(schema)));
});

test("what is no schema, too big, too deep or not JSON is refused", () => {
  let deep: Record<string, unknown> = {};
  for (let i = 0; i < 10_000; i++) deep = { not: deep };
  const cyclic: Record<string, unknown> = {};
  cyclic.not = cyclic;
  const bad: readonly unknown[] = [
    deep,
    cyclic,
    [],
    null,
    "object",
    { default: 1n },
    { default: Number.NaN },
    { default: new Date(0) },
    { const: "x".repeat(300_000) },
    { type: "text" },
    { type: [] },
    { required: "a" },
    { enum: "a" },
    { properties: [] },
    { properties: { a: 1 } },
    { anyOf: {} },
    { items: { type: "nope" } },
  ];
  for (const schema of bad) {
    expect(codeOf(() => parseSchemaRecord({ name: "s", version: "1.0.0", schema }))).toBe("SCHEMA_INVALID");
  }
  for (const name of ["", "a b", "ä", 7, "x".repeat(129)]) {
    expect(codeOf(() => parseSchemaRecord({ name, version: "1.0.0", schema: {} }))).toBe("SCHEMA_INVALID");
  }
});
