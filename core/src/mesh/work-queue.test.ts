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

test("jobs that all wait for room in their own queue go on", async () => {
  const queue = new WorkQueue(2, 4);
  const added: number[] = [];
  const begin = Promise.withResolvers<void>();
  const parent = async (): Promise<void> => {
    await begin.promise;
    await queue.add(async () => void added.push(1), true);
  };
  for (let n = 0; n < 6; n++) void queue.add(parent);
  begin.resolve();
  await Bun.sleep(0);
  await queue.idle();
  expect([added.length, queue.waiting]).toEqual([6, 0]);
});

test("a job waits for room in its own queue while another one makes some", async () => {
  const queue = new WorkQueue(2, 2);
  const [begin, other] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  let isThrough = false;
  void queue.add(async () => {
    await begin.promise;
    await queue.add(async () => {}, true);
    isThrough = true;
  });
  void queue.add(() => other.promise);
  void queue.add(async () => {});
  begin.resolve();
  await Bun.sleep(0);
  expect([queue.full, isThrough]).toEqual([true, false]);
  other.resolve();
  await queue.idle();
  expect(isThrough).toBe(true);
});
