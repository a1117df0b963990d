import { expect, test } from "bun:test";
import { writeModule } from "./contract-module.ts";

test("a text of an agent neither moves a terminal's cursor, nor ends its comment, nor turns the direction of the code", () => {
  const evil = "a\u001b[2J\u009b2J\u202e*/ export const b = 1;";
  const text = writeModule([
    {
      kind: "task",
      name: "sum",
      version: undefined,
      description: evil,
      agents: ["adder"],
      input: { type: "object", required: ["x"], properties: { x: { type: "string", description: evil } } },
      output: undefined,
      topic: undefined,
      retry: undefined,
      timeoutMs: undefined,
      priority: undefined,
    },
  ]);
  expect(text).not.toMatch(/(?!\n)\p{Cc}|\u202e/u);
  const code = new Bun.Transpiler({ loader: "ts" }).transformSync(text.replace(/^import .*$/m, ""));
  const description: unknown = new Function(
    "defineTask",
    "Type",
    `${code.replace("export const", "const")}; return sumTask.description;`,
  )((options: unknown) => options, { Unsafe: (schema: unknown) => schema, Unknown: () => ({}) });
  expect(description).toBe(evil);
});
