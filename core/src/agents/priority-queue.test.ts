import { expect, test } from "bun:test";
import fc from "fast-check";
import { PriorityQueue } from "./priority-queue.ts";

test("the highest priority comes first, and among equals what came first", () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -3, max: 3 }), { maxLength: 200 }), (priorities) => {
      const queue = new PriorityQueue<number>();
      priorities.forEach((priority, n) => {
        queue.push(n, priority);
      });
      const expected = priorities
        .map((priority, n) => ({ priority, n }))
        .sort((a, b) => b.priority - a.priority || a.n - b.n);
      expect(priorities.map(() => queue.pop())).toEqual(expected.map(({ n }) => n));
      expect(queue.pop()).toBeUndefined();
    }),
  );
});

test("what is put back goes before its equals and behind what is more important", () => {
  const queue = new PriorityQueue<string>();
  queue.push("a", 0);
  queue.push("b", 0);
  queue.push("urgent", 1);
  queue.unshift("back", 0);
  expect([queue.peek(), queue.size]).toEqual(["urgent", 4]);
  expect([queue.pop(), queue.pop(), queue.pop(), queue.pop()]).toEqual(["urgent", "back", "a", "b"]);
});
