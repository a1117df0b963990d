import { expect, test } from "bun:test";
import { EventQueue, type QueueEntry } from "./event-queue.ts";
import { seededRandom } from "./fake-runtime.ts";

test("thousands of entries, many cancelled, come in the order of their time and making", () => {
  const random = seededRandom(3);
  const queue = new EventQueue();
  const waiting: QueueEntry[] = [];
  let nowMs = 0;
  let taken = 0;
  const nothing = (): void => {};
  const next = (): QueueEntry | undefined =>
    waiting.toSorted((a, b) => a.dueMs - b.dueMs || a.sequence - b.sequence).at(0);
  for (let round = 0; round < 4_000; round++) {
    const chance = random();
    const leaning = round < 2_000 ? 0.6 : 0.3;
    if (chance < leaning) {
      const atOnce = random() < 0.3;
      const dueMs = atOnce ? nowMs : nowMs + Math.floor(random() * 50) + 1;
      waiting.push(queue.add(nothing, dueMs, random() < 0.5, atOnce));
    } else if (chance < leaning + 0.25) {
      const [entry] = waiting.splice(Math.floor(random() * waiting.length), 1);
      if (entry) queue.cancel(entry);
    } else {
      const expected = next();
      expect(queue.peek()).toBe(expected);
      const entry = queue.take();
      expect(entry).toBe(expected);
      if (!entry) continue;
      taken++;
      nowMs = entry.dueMs;
      waiting.splice(waiting.indexOf(entry), 1);
      queue.cancel(entry);
    }
    expect(queue.size).toBe(waiting.length);
    expect(queue.foreground).toBe(waiting.filter(({ background }) => !background).length);
  }
  expect(taken).toBeGreaterThan(500);
});
