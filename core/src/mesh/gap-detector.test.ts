import { expect, test } from "bun:test";
import { GapDetector } from "./gap-detector.ts";

test("numbers that count up by one leave no gap, whatever the first one is", () => {
  const gaps = new GapDetector();
  for (const n of [7, 8, 9]) expect(gaps.event("p", "c", n)).toBeUndefined();
});

test("a number that is left out is a gap, one that comes again a duplicate", () => {
  const gaps = new GapDetector();
  gaps.event("p", "c", 1);
  expect(gaps.event("p", "c", 5)).toEqual({ publisher: "p", channel: "c", from: 2, to: 4 });
  expect(gaps.event("p", "c", 5)).toBe("duplicate");
  expect(gaps.event("p", "c", 3)).toBe("duplicate");
  expect(gaps.event("p", "c", 6)).toBeUndefined();
});

test("each publisher and each channel counts for itself", () => {
  const gaps = new GapDetector();
  gaps.event("p", "c", 1);
  expect(gaps.event("q", "c", 9)).toBeUndefined();
  expect(gaps.event("p", "d", 9)).toBeUndefined();
  expect(gaps.event("p", "c", 2)).toBeUndefined();
});

test("what is announced and did not come is a gap, once", () => {
  const gaps = new GapDetector();
  gaps.event("p", "c", 1);
  expect(gaps.announced("p", "c", 1)).toBeUndefined();
  expect(gaps.announced("p", "c", 3)).toEqual({ publisher: "p", channel: "c", from: 2, to: 3 });
  expect(gaps.announced("p", "c", 3)).toBeUndefined();
  expect(gaps.event("p", "c", 4)).toBeUndefined();
});

test("an announcement of a channel nothing came from yet is where counting begins", () => {
  const gaps = new GapDetector();
  expect(gaps.announced("p", "c", 10)).toBeUndefined();
  expect(gaps.event("p", "c", 12)).toEqual({ publisher: "p", channel: "c", from: 11, to: 11 });
});

test("a forgotten channel and a forgotten publisher begin afresh", () => {
  const gaps = new GapDetector();
  gaps.event("p", "c", 1);
  gaps.event("p", "d", 1);
  gaps.forget((channel) => channel === "c");
  expect(gaps.event("p", "c", 9)).toBeUndefined();
  expect(gaps.event("p", "d", 9)).toBeDefined();
  gaps.forgetPublisher("p");
  expect(gaps.event("p", "d", 1)).toBeUndefined();
});

test("a publisher of endless channels cannot fill the memory", () => {
  const gaps = new GapDetector();
  gaps.event("p", "first", 1);
  for (let n = 0; n < 10_000; n++) gaps.event("p", `c${n}`, 1);
  // The oldest channel was forgotten, so its counting begins afresh.
  expect(gaps.event("p", "first", 50)).toBeUndefined();
});

test("what a publisher counted between its leaving and its coming back is a gap", () => {
  const gaps = new GapDetector();
  gaps.event("p", "c", 1);
  gaps.left("p");
  expect(gaps.event("p", "c", 4)).toEqual({ publisher: "p", channel: "c", from: 2, to: 3 });
});

test("publishers that leave and never come back cannot fill the memory; those that are there are not forgotten", () => {
  const gaps = new GapDetector();
  for (const publisher of ["there", "back", "gone"]) gaps.event(publisher, "c", 1);
  gaps.left("back");
  gaps.left("gone");
  expect(gaps.event("back", "c", 2)).toBeUndefined();
  for (let n = 0; n < 256; n++) {
    gaps.event(`p${n}`, "c", 1);
    gaps.left(`p${n}`);
  }
  // It is the oldest that left, so its counting begins afresh.
  expect(gaps.event("gone", "c", 50)).toBeUndefined();
  for (const publisher of ["there", "back"]) expect(gaps.event(publisher, "c", 50)).toMatchObject({ to: 49 });
});
