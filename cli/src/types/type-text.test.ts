import { expect, test } from "bun:test";
import { Type } from "@soorma/core/schema";
import { typeText } from "./schema-type.ts";

const plain = (schema: object): unknown => JSON.parse(JSON.stringify(schema));

test.each([
  [Type.String(), "string"],
  [Type.Integer(), "number"],
  [Type.Unknown(), "unknown"],
  [Type.Never(), "never"],
  [Type.Array(Type.Union([Type.String(), Type.Null()])), "(string | null)[]"],
  [Type.Array(Type.Union([Type.Object({ a: Type.String() }), Type.Null()])), "({ a: string } | null)[]"],
  [Type.Array(Type.Enum(["a | b", "c"])), '("a | b" | "c")[]'],
  [Type.Array(Type.Literal("a | b")), '"a | b"[]'],
  [Type.Enum(["add", "mul"]), '"add" | "mul"'],
  [Type.Literal(7), "7"],
  [Type.Object({}), "Record<string, unknown>"],
  [Type.Object({ a: Type.Number(), "b c": Type.Optional(Type.Boolean()) }), '{ a: number; "b c"?: boolean }'],
  [Type.Record(Type.String(), Type.Number()), "Record<string, number>"],
  [Type.Tuple([Type.String(), Type.Number()]), "[string, number]"],
  [
    Type.Object({ a: Type.String() }, { additionalProperties: Type.Number() }),
    "{ a: string } & Record<string, number>",
  ],
  [Type.Array(Type.Object({ a: Type.Union([Type.String(), Type.Number()]) })), "{ a: string | number }[]"],
])("%j is %s", (schema, text) => {
  expect(typeText(plain(schema))).toBe(text);
});

test("schemas that TypeBox would not write are read, too", () => {
  expect(typeText({ type: ["string", "null"] })).toBe("string | null");
  const node = { $ref: "#/$defs/node" };
  expect(typeText({ $defs: { node: true }, allOf: [{ type: "object", properties: { a: true } }, node] })).toBe(
    "{ a?: unknown } & Node",
  );
  expect(typeText({ properties: { a: false } })).toBe("{ a?: never }");
  expect(typeText("nonsense")).toBe("unknown");
});

test("what does not fit is spread over lines, with what else there is to say", () => {
  const schema = plain(
    Type.Object({
      topic: Type.String({ minLength: 1, description: "What to look for" }),
      options: Type.Object({ limit: Type.Integer({ maximum: 50 }), deep: Type.Optional(Type.Boolean()) }),
    }),
  );
  expect(typeText(schema, { width: 50 })).toBe(
    ["{", "  topic: string;", "  options: { limit: number; deep?: boolean };", "}"].join("\n"),
  );
  expect(typeText(schema, { notes: true })).toBe(
    [
      "{",
      "  topic: string; // minLength 1 · What to look for",
      "  options: {",
      "    limit: number; // whole number, maximum 50",
      "    deep?: boolean;",
      "  };",
      "}",
    ].join("\n"),
  );
});
