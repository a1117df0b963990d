import { expect, test } from "bun:test";
import { count, oneLine, printable } from "./text.ts";

test("nothing that somebody else wrote reaches the terminal as a command", () => {
  const text = "\x1b[31mred\x1b[0m\x07.\x1b]0;title\x07a\nb\u202ec\u2066d";
  expect(printable(text)).toBe("red.a\nbcd");
  expect(oneLine(text)).toBe("red.a bcd");
});

test("what is counted has its plural, and thousands are set apart", () => {
  expect([count(1, "entry"), count(2, "entry"), count(6, "process"), count(12_345, "file")]).toEqual([
    "1 entry",
    "2 entries",
    "6 processes",
    "12,345 files",
  ]);
});
