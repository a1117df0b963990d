import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { Deadlines } from "./deadlines.ts";

function setup() {
  const runtime = fakeRuntime();
  const deadlines = new Deadlines(runtime);
  const expired: [name: string, atMs: number][] = [];
  const add = (name: string, timeoutMs: number) => {
    const item = { settled: false, expire: () => void expired.push([name, runtime.elapsedMs]) };
    deadlines.add(item, timeoutMs);
    return item;
  };
  return { runtime, deadlines, expired, add };
}

test("each expires at its own time, whatever others do", async () => {
  const { runtime, expired, add } = setup();
  add("a", 100);
  await runtime.advance(50);
  add("b", 100);
  add("c", 20);
  await runtime.advance(200);
  expect(expired).toEqual([
    ["c", 70],
    ["a", 100],
    ["b", 150],
  ]);
});

test("what is settled does not expire, and does not hold up what comes behind it", async () => {
  const { runtime, expired, add } = setup();
  const a = add("a", 100);
  await runtime.advance(10);
  add("b", 100);
  a.settled = true;
  await runtime.advance(500);
  expect(expired).toEqual([["b", 110]]);
});

test("thousands of settled calls need one timer and keep little", async () => {
  const { runtime, expired, add } = setup();
  for (let n = 0; n < 10_000; n++) add(`${n}`, 100).settled = true;
  expect(runtime.pending).toBe(1);
  await runtime.advance(101);
  expect([expired.length, runtime.pending]).toEqual([0, 0]);
  add("again", 100);
  await runtime.advance(100);
  expect(expired).toHaveLength(1);
});

test("forgotten ones never expire", async () => {
  const { runtime, deadlines, expired, add } = setup();
  add("a", 100);
  add("b", 200);
  deadlines.clear();
  await runtime.advance(1_000);
  expect([expired.length, runtime.pending]).toEqual([0, 0]);
});
