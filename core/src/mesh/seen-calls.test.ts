import { heapStats } from "bun:jsc";
import { expect, test } from "bun:test";
import { SeenCalls } from "./seen-calls.ts";

test("a call is known again, also out of order, and not taken for another peer's", () => {
  const seen = new SeenCalls();
  expect([1, 2, 5, 4].map((id) => seen.isFirst("a", id))).toEqual([true, true, true, true]);
  expect([1, 2, 4, 5].map((id) => seen.isFirst("a", id))).toEqual([false, false, false, false]);
  expect(seen.isFirst("a", 3)).toBe(true);
  expect(seen.isFirst("b", 1)).toBe(true);
});

test("a call that comes very late is made: it may be its first time", () => {
  const seen = new SeenCalls();
  for (let id = 2; id <= 5_000; id++) expect(seen.isFirst("a", id)).toBe(true);
  expect(seen.isFirst("a", 1)).toBe(true);
  expect(seen.isFirst("a", 4_999)).toBe(false);
});

test("of more peers than are remembered the latest are", () => {
  const seen = new SeenCalls();
  for (let peer = 0; peer < 2_000; peer++) seen.isFirst(`n-${peer}`, 1);
  expect(seen.isFirst("n-1999", 1)).toBe(false);
  expect(seen.isFirst("n-0", 1)).toBe(true);
});

test("a peer that makes a few calls, and then is gone, takes up little memory", () => {
  const held = (): number => {
    Bun.gc(true);
    const { heapSize, extraMemorySize } = heapStats();
    return heapSize + extraMemorySize;
  };
  const before = held();
  const seen = new SeenCalls();
  for (let peer = 0; peer < 1_000; peer++) for (let id = 1; id <= 5; id++) seen.isFirst(`n-${peer}`, id);
  const each = (held() - before) / 1_000;
  expect(seen.isFirst("n-0", 1)).toBe(false);
  expect(each).toBeLessThan(2_000);
});
