import { expect, test } from "bun:test";
import { calculate } from "./calculate.ts";

test.each([
  ["2 * (3 + 4)", 14],
  ["10 - 2 - 3", 5],
  ["-1.5 * 4 / 3", -2],
])("%s is %d", (expression, result) => {
  expect(calculate({ expression })).toEqual({ result });
});

test.each(["", "2 +", "(1", "1 1", "two"])("%j is refused", (expression) => {
  expect(() => calculate({ expression })).toThrow();
});
