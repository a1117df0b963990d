import { expect, test } from "bun:test";
import { formatDuration, parseTime } from "./time.ts";

const now = Date.UTC(2026, 0, 31, 12);

test.each([
  ["90s", 90_000],
  ["15m", 900_000],
  ["2h", 7_200_000],
  ["1.5h", 5_400_000],
  ["7d", 604_800_000],
])("%s ago", (text, agoMs) => {
  expect(parseTime(text, now)).toBe(now - agoMs);
});

test("a date is a moment too", () => {
  expect(parseTime("2026-01-31", now)).toBe(Date.UTC(2026, 0, 31));
  expect(parseTime("2026-01-31T12:00Z", now)).toBe(now);
});

test.each(["", "5", "5x", "-5m", "yesterday", "12", "2026-13-45"])("%j is no time", (text) => {
  expect(() => parseTime(text, now)).toThrow("is no time");
});

test.each([
  [-5, "0 ms"],
  [0, "0 ms"],
  [0.42, "0.4 ms"],
  [85.3, "85 ms"],
  [999.7, "1.0 s"],
  [1_234, "1.2 s"],
  [9_960, "10 s"],
  [59_960, "1 min"],
  [200_000, "3 min 20 s"],
  [3_599_700, "1 h"],
  [7_500_000, "2 h 5 min"],
  [86_399_000, "1 d"],
  [356_400_000, "4 d 3 h"],
])("%d ms is %s", (ms, text) => {
  expect(formatDuration(ms)).toBe(text);
});
