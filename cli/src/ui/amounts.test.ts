import { expect, test } from "bun:test";
import { formatBytes, formatRate } from "./amounts.ts";

test("bytes are told in the unit that fits", () => {
  expect([0, 812, 1_000, 33_600, 9_960_000, 123_456_789, 1.26e9, 5e12].map(formatBytes)).toEqual([
    "0 B",
    "812 B",
    "1.0 KB",
    "34 KB",
    "10 MB",
    "123 MB",
    "1.3 GB",
    "5.0 TB",
  ]);
});

test("rates are told in as few characters as say enough", () => {
  expect([0, 0.04, 0.31, 9.96, 12.3, 999.6, 12_345].map(formatRate)).toEqual([
    "0",
    "0",
    "0.3",
    "10",
    "12",
    "1.0k",
    "12k",
  ]);
});
