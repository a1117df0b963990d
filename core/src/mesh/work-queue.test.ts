import { expect, test } from "bun:test";
import { WorkQueue } from "./work-queue.ts";

test("jobs begin in the order they came, so many at a time", async () => {
  const queue = new WorkQueue(2);
  const begun: number[] = [];
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>());
  gates.forEach(({ promise }, n) => {
    void queue.add(async () => {
      begun.push(n);
      await promise;
    });
  });
  expect(begun).toEqual([0, 1]);
  expect(queue.waiting).toBe(3);
  gates[1]?.resolve();
  await gates[1]?.promise;
  await Bun.sleep(0);
  expect(begun).toEqual([0, 1, 2]);
  for (const gate of gates) gate.resolve();
  await queue.idle();
  expect(begun).toEqual([0, 1, 2, 3, 4]);
  expect([queue.running, queue.waiting]).toEqual([0, 0]);
});

test("a full queue says so, and tells when there is room again", async () => {
  const queue = new WorkQueue(1, 4);
  const gate = Promise.withResolvers<void>();
  const waits = Array.from({ length: 5 }, () => queue.add(() => gate.promise));
  expect(waits.slice(0, 4)).toEqual([undefined, undefined, undefined, undefined]);
  expect(queue.full).toBe(true);
  let room = false;
  void waits[4]?.then(() => {
    room = true;
  });
  await Bun.sleep(0);
  expect(room).toBe(false);
  gate.resolve();
  await waits[4];
  await queue.idle();
  expect(queue.full).toBe(false);
});

test("what has not begun can be forgotten", async () => {
  const queue = new WorkQueue(1);
  const gate = Promise.withResolvers<void>();
  let ran = 0;
  void queue.add(() => gate.promise);
  void queue.add(async () => void ran++);
  queue.clear();
  gate.resolve();
  await queue.idle();
  expect(ran).toBe(0);
});

test("thousands of waiting jobs all run once", async () => {
  const queue = new WorkQueue(3);
  const ran = new Set<number>();
  for (let n = 0; n < 5_000; n++) void queue.add(async () => void ran.add(n));
  await queue.idle();
  expect(ran.size).toBe(5_000);
});
