import { expect, test } from "bun:test";
import { createColors } from "./colors.ts";
import { table } from "./table.ts";

const colors = createColors(false);
const columns = [
  { title: "PID", align: "right" },
  { title: "NAME", least: 6 },
  { title: "CPU", align: "right", rank: 1 },
  { title: "HOST", rank: 2 },
] as const;
const rows = [
  ["7", "research-planner", "3 %", "machine-one"],
  ["1234", "a", "100 %", "machine-two"],
];
const at = (width: number): string[] => table(columns, rows, { width, colors });

test("columns are as wide as what is in them, numbers stand on the right, nothing trails", () => {
  expect(at(Number.POSITIVE_INFINITY)).toEqual([
    " PID  NAME                CPU  HOST",
    "   7  research-planner    3 %  machine-one",
    "1234  a                 100 %  machine-two",
  ]);
});

test("where there is less room the cell that may be cut is, then the columns of the highest rank are left out", () => {
  expect(at(36)).toEqual([
    " PID  NAME          CPU  HOST",
    "   7  research-…    3 %  machine-one",
    "1234  a           100 %  machine-two",
  ]);
  expect(at(26)).toEqual([" PID  NAME             CPU", "   7  research-pla…    3 %", "1234  a              100 %"]);
  expect(at(14)).toEqual([" PID  NAME", "   7  researc…", "1234  a"]);
});

test("no line is wider than the terminal, whatever is in it", () => {
  const wide = [["12345", "日本語のエージェント", "99 %", "h"]];
  for (let width = 1; width < 60; width++) {
    const lines = table(columns, wide, { width, colors: createColors(true) });
    expect(Math.max(...lines.map((line) => Bun.stringWidth(line)))).toBeLessThanOrEqual(width);
  }
});
