import { expect, test } from "bun:test";
import { writeType } from "./schema-type.ts";

const write = (schema: Record<string, unknown>): string => writeType("T", schema).declarations.join("\n");

// That the types are those TypeBox infers shows tests/e2e/types.test.ts, with the compiler.
test.each([
  [{ type: "string" }, "export type T = string;"],
  [{ type: ["string", "null"] }, "export type T = string | null;"],
  [{ type: "string", nullable: true }, "export type T = string | null;"],
  [{}, "export type T = unknown;"],
  [{ not: {} }, "export type T = never;"],
  [{ oneOf: [{ const: 1 }, { const: "1" }] }, 'export type T = 1 | "1";'],
  [{ type: "array", items: { anyOf: [{ type: "string" }, { type: "null" }] } }, "export type T = (string | null)[];"],
  [
    { type: "array", prefixItems: [{ type: "string" }], items: { type: "number" }, minItems: 1 },
    "export type T = [string, ...number[]];",
  ],
  [{ type: "object" }, "export type T = Record<string, unknown>;"],
  [{ type: "object", additionalProperties: false }, "export type T = Record<string, never>;"],
  [{ type: "object", required: ["a"] }, "export type T = {\n  a: unknown;\n};"],
  [
    { type: "object", properties: { a: { type: "string" } }, additionalProperties: { type: "string" } },
    "export type T = {\n  a?: string;\n} & Record<string, string>;",
  ],
  [
    { allOf: [{ anyOf: [{ const: "a|b" }, { const: "c" }] }, { type: "string" }] },
    'export type T = ("a|b" | "c") & string;',
  ],
  [{ $ref: "https://elsewhere" }, "export type T = unknown;"],
  [
    { $ref: "#/$defs/a_b", $defs: { "a-b": { type: "string" }, a_b: { type: "number" } } },
    "export type T = TAB2;\nexport type TAB = string;\nexport type TAB2 = number;",
  ],
  [
    {
      type: "object",
      properties: { next: { $ref: "#" }, "it's": { $ref: "#/$defs/a b" } },
      $defs: { "a b": { enum: [1, null] } },
    },
    'export interface T {\n  next?: T;\n  "it\'s"?: TAB;\n}\nexport type TAB = 1 | null;',
  ],
  [
    { type: "string", description: "Ends */ here\nand goes on" },
    "/**\n * Ends *∕ here\n * and goes on\n */\nexport type T = string;",
  ],
])("%j is %s", (schema, expected) => {
  expect(write(schema)).toBe(expected);
});
