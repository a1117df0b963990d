import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Evaluator, unfinished } from "./evaluator.ts";
import { runScript } from "./script.ts";

const folder = mkdtempSync(join(tmpdir(), "soorma-repl-"));
afterEach(() => rmSync(join(folder, "mod.ts"), { force: true }));

async function given(...lines: string[]): Promise<unknown[]> {
  const values: unknown[] = [];
  const evaluator = new Evaluator(folder, { answer: 42 });
  async function* all(): AsyncGenerator<string> {
    yield* lines;
  }
  await runScript(all(), evaluator, (value) => values.push(value));
  return values.filter((value) => value !== undefined);
}

test("statements see what those before them declared, in TypeScript, with await at the top level", async () => {
  expect(
    await given("const replA: number = await Promise.resolve(4)", "replA + answer", "const replA = 'again'", "replA"),
  ).toEqual([46, "again"]);
  expect(
    await given(
      "let { replB } = { replB: 3 }; replB",
      "replB = 5",
      "interface X { y: number }",
      "class ReplC { n = 1 }",
      "new ReplC().n",
    ),
  ).toEqual([3, 5, 1]);
  expect(await given("function replF() { return 7 }", "replF()", "// nothing", "", "replF() === 7")).toEqual([7, true]);
});

test("what a statement gives is awaited", async () => {
  expect(await given("Promise.resolve({ a: 1 })")).toEqual([{ a: 1 }]);
});

test("a statement may have several lines", async () => {
  expect(await given("[1, 2,", "  3].map((n) => {", "  return n * 2;", "})", "`a", "b`", "/* c", "*/ 9")).toEqual([
    [2, 4, 6],
    "a\nb",
    9,
  ]);
});

test("imports are looked for from the folder", async () => {
  writeFileSync(join(folder, "mod.ts"), "export const z: number = 9;");
  expect(
    await given('import { z } from "./mod.ts"', "z + 1", 'const { sep } = await import("node:path")', "sep"),
  ).toEqual([10, "/"]);
});

test("a script ends at the first statement that fails, or in the middle of one", async () => {
  expect(given("throw new RangeError('no')", "5")).rejects.toThrow(RangeError);
  expect(given("f(")).rejects.toThrow("the input ends within a statement: f(");
  expect(given("const = 3")).rejects.toThrow(SyntaxError);
  expect(new Evaluator(folder, {}).compile("a.b(")).toBe(unfinished);
});
