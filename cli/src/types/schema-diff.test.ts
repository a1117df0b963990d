import { expect, test } from "bun:test";
import { type TSchema, Type, Value } from "@soorma/core/schema";
import { diffSchemas, isBreaking, roleOf, type SchemaChange } from "./schema-diff.ts";

const plain = (schema: TSchema): unknown => JSON.parse(JSON.stringify(schema));

function lines(before: TSchema, after: TSchema): string[] {
  return diffSchemas(plain(before), plain(after)).map(
    ({ path, what, refusesOld, refusesNew }) =>
      `${path} ${what}${refusesOld ? " [old refused]" : ""}${refusesNew ? " [new refused]" : ""}`,
  );
}

test("fields that come and go are told with whom that breaks", () => {
  const before = Type.Object({ topic: Type.String(), lang: Type.Optional(Type.String()), page: Type.Integer() });
  const after = Type.Object({
    topic: Type.String(),
    page: Type.Optional(Type.Integer()),
    limit: Type.Integer(),
    deep: Type.Optional(Type.Boolean()),
  });
  expect(lines(before, after)).toEqual([
    "/lang gone, was optional: string",
    "/page optional now [new refused]",
    "/limit new, required: number [old refused]",
    "/deep new, optional: boolean",
  ]);
  const closed = { additionalProperties: false };
  expect(
    lines(Type.Object({ a: Type.String() }, closed), Type.Object({ b: Type.Optional(Type.String()) }, closed)),
  ).toEqual(["/a gone, was required: string [old refused] [new refused]", "/b new, optional: string [new refused]"]);
});

test.each<[string, TSchema, TSchema, string[]]>([
  ["nothing", Type.Object({ a: Type.String() }), Type.Object({ a: Type.String() }), []],
  ["type", Type.String(), Type.Number(), ["/ string is number now [old refused] [new refused]"]],
  ["wider number", Type.Integer(), Type.Number(), ["/ integer is number now [new refused]"]],
  ["narrower number", Type.Number(), Type.Integer(), ["/ number is integer now [old refused]"]],
  ["anything", Type.Unknown(), Type.String(), ["/ unknown is string now [old refused]"]],
  [
    "bounds",
    Type.String({ minLength: 1, maxLength: 5 }),
    Type.String({ minLength: 2, maxLength: 9 }),
    ["/ minLength was 1, is 2 now [old refused]", "/ maxLength was 5, is 9 now [new refused]"],
  ],
  ["no bound", Type.Number({ maximum: 5 }), Type.Number(), ["/ maximum was 5, is not set now [new refused]"]],
  [
    "pattern",
    Type.String({ pattern: "a" }),
    Type.String({ pattern: "b" }),
    ['/ pattern was "a", is "b" now [old refused] [new refused]'],
  ],
  [
    "values",
    Type.Enum(["a", "b"]),
    Type.Enum(["b", "c"]),
    ['/ "a" is no value any more [old refused]', '/ "c" is a value now [new refused]'],
  ],
  [
    "literals",
    Type.Union([Type.Literal("a"), Type.Literal("b")]),
    Type.Literal("a"),
    ['/ "b" is no value any more [old refused]'],
  ],
  ["values for a type", Type.String(), Type.Enum(["a"]), ['/ string is "a" now [old refused]']],
  [
    "alternatives",
    Type.Union([Type.String(), Type.Number()]),
    Type.Union([Type.String(), Type.Null()]),
    [
      "/ number is not one of the alternatives any more [old refused]",
      "/ null is one of the alternatives now [new refused]",
    ],
  ],
  [
    "items",
    Type.Array(Type.Object({ a: Type.String() })),
    Type.Array(Type.Object({ a: Type.Number() })),
    ["/*/a string is number now [old refused] [new refused]"],
  ],
  ["tuples", Type.Tuple([Type.String()]), Type.Tuple([Type.String(), Type.String()]), []],
  [
    "records",
    Type.Object({}, { additionalProperties: Type.String() }),
    Type.Object({}, { additionalProperties: false }),
    ["/ other fields are not allowed any more [old refused]"],
  ],
  ["words", Type.String({ description: "a" }), Type.String({ description: "b" }), ["/ description is different"]],
])("%s", (name, before, after, expected) => {
  const found = lines(before, after);
  if (name === "tuples") expect(found).not.toEqual([]);
  else expect(found).toEqual(expected);
});

test("what breaks depends on which way the data goes", () => {
  const change = (refusesOld: boolean, refusesNew: boolean): SchemaChange => ({
    path: "/",
    what: "",
    refusesOld,
    refusesNew,
  });
  expect([roleOf("a.input"), roleOf("a.output"), roleOf("order.paid")]).toEqual(["input", "output", "event"]);
  expect([isBreaking(change(true, false), "input"), isBreaking(change(false, true), "input")]).toEqual([true, false]);
  expect([isBreaking(change(true, false), "output"), isBreaking(change(false, true), "output")]).toEqual([false, true]);
  expect([isBreaking(change(false, true), "event"), isBreaking(change(false, false), "event")]).toEqual([true, false]);
});

/** The same numbers for the same seed. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32;
    return state / 2 ** 32;
  };
}

test("of thousands of pairs of schemas: what no change refuses, the other version really admits", () => {
  const random = randomOf(7);
  const pick = <T>(all: readonly T[]): T => all[Math.floor(random() * all.length)] as T;
  const chance = (share: number): boolean => random() < share;
  const schemaOf = (depth: number): TSchema => {
    const leaf = pick([
      () =>
        Type.String(chance(0.3) ? { minLength: pick([1, 2, 3]) } : chance(0.3) ? { maxLength: pick([1, 2, 3]) } : {}),
      () => Type.Number(chance(0.4) ? { minimum: pick([0, 1, 2]) } : chance(0.4) ? { maximum: pick([1, 2, 3]) } : {}),
      () => Type.Integer(),
      () => Type.Boolean(),
      () => Type.Null(),
      () => Type.Unknown(),
      () => Type.Enum(pick([["a"], ["a", "b"], ["b", "c"]])),
      () => Type.Literal(pick(["a", 1, true])),
    ]);
    if (depth === 0 || chance(0.4)) return leaf();
    return pick([
      () => Type.Array(schemaOf(depth - 1), chance(0.3) ? { minItems: 1 } : chance(0.3) ? { maxItems: 1 } : {}),
      () => Type.Union([schemaOf(depth - 1), schemaOf(depth - 1)]),
      () =>
        Type.Object(
          Object.fromEntries(
            ["x", "y"]
              .filter(() => chance(0.7))
              .map((name) => {
                const field = schemaOf(depth - 1);
                return [name, chance(0.5) ? Type.Optional(field) : field];
              }),
          ),
          chance(0.4) ? { additionalProperties: false } : {},
        ),
    ])();
  };
  /** Some data that may fit. Fields are those the schema names. */
  const dataFor = (schema: Record<string, unknown>): unknown => {
    const { anyOf, enum: values, properties, type, items } = schema as Record<string, unknown>;
    if ("const" in schema) return schema.const;
    if (Array.isArray(anyOf)) return dataFor(pick(anyOf as Record<string, unknown>[]));
    if (Array.isArray(values)) return pick(values as unknown[]);
    switch (type as string) {
      case "string":
        return pick(["", "a", "b", "ab", "abc", "abcd"]);
      case "number":
        return pick([-1, 0, 0.5, 1, 2, 3, 4]);
      case "integer":
        return pick([-1, 0, 1, 2, 3, 4]);
      case "boolean":
        return chance(0.5);
      case "null":
        return null;
      case "array":
        return Array.from({ length: pick([0, 1, 2]) }, () => dataFor((items ?? {}) as Record<string, unknown>));
      case "object":
        return Object.fromEntries(
          Object.entries((properties ?? {}) as Record<string, Record<string, unknown>>)
            .filter(() => chance(0.7))
            .map(([name, field]) => [name, dataFor(field)]),
        );
      default:
        return pick(["a", 1, true, null, [], {}]);
    }
  };
  let compared = 0;
  for (let n = 0; n < 3_000; n++) {
    const [before, after] = [plain(schemaOf(2)), plain(schemaOf(2))] as [
      Record<string, unknown>,
      Record<string, unknown>,
    ];
    const changes = diffSchemas(before, after);
    const ways = [
      [before, after, changes.some(({ refusesOld }) => refusesOld)],
      [after, before, changes.some(({ refusesNew }) => refusesNew)],
    ] as const;
    for (const [from, to, refuses] of ways) {
      if (refuses) continue;
      for (let i = 0; i < 10; i++) {
        const data = dataFor(from);
        if (!Value.Check(from as TSchema, data)) continue;
        compared++;
        if (!Value.Check(to as TSchema, data)) throw new Error(JSON.stringify({ data, from, to, changes }));
      }
    }
  }
  expect(compared).toBeGreaterThan(1_000);
});
