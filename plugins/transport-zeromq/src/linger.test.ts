import { describe, expect, test } from "bun:test";
import { contendedMs, Linger, longestMs, shortestMs } from "./linger.ts";

const lookMs = contendedMs / 4;

/** Looks from `from` on until it lingers no more; returns for how long it did. */
function lookOn(linger: Linger, from: number): number {
  let now = from + lookMs;
  while (linger.looked(now, false)) now += lookMs;
  return now - from;
}

/** Messages that come `gapMs` after one another; each is met while it lingers, or rung for. Returns how many were met. */
function hear(linger: Linger, gapMs: number, messages: number, from = 0): { met: number; now: number } {
  let [met, now] = [0, from];
  linger.looked(now, true);
  for (let n = 0; n < messages; n++) {
    const next = now + gapMs;
    let lingers = true;
    for (now += lookMs; lingers && now < next; now += lookMs) lingers = linger.looked(now, false);
    now = next;
    if (lingers) met++;
    else linger.rang(now);
    linger.looked(now, true);
  }
  return { met, now };
}

describe("lingering", () => {
  test("is short at first, and counts from the last message", () => {
    const linger = new Linger();
    expect(linger.looked(0, false)).toBe(false);
    expect(linger.looked(10, true)).toBe(true);
    expect(lookOn(linger, 10)).toBeCloseTo(shortestMs, 1);
    expect(linger.looked(20, true)).toBe(true);
    expect(lookOn(linger, 20)).toBeCloseTo(shortestMs, 1);
  });

  test("grows until messages that answer each other are met, after a few doorbells", () => {
    const linger = new Linger();
    expect(hear(linger, 1.5, 100).met).toBeGreaterThanOrEqual(95);
    expect(linger.ms).toBeGreaterThan(1.5);
  });

  test("is short again when messages come later than it could ever look", () => {
    const linger = new Linger();
    const { now } = hear(linger, 1.5, 10);
    expect(linger.ms).toBeGreaterThan(1.5);
    expect(hear(linger, 50, 10, now + 50).met).toBe(0);
    expect(linger.ms).toBe(shortestMs);
  });

  test("is never longer than it could pay", () => {
    const linger = new Linger();
    hear(linger, longestMs * 0.9, 100);
    expect(linger.ms).toBe(longestMs);
  });

  test("is short again as soon as others have work for the processor", () => {
    const linger = new Linger();
    const { now } = hear(linger, 1.5, 10);
    expect(linger.looked(now + lookMs, false)).toBe(true);
    // It gave the processor away, and got it back only now.
    expect(linger.looked(now + lookMs + contendedMs * 1.5, false)).toBe(false);
    expect(linger.ms).toBe(shortestMs);
  });

  test("does not take its own work for that of others", () => {
    const linger = new Linger();
    const { now } = hear(linger, 1.5, 10);
    expect(linger.looked(now + lookMs, false)).toBe(true);
    // Messages came, and what they called took its time.
    expect(linger.looked(now + 1.9, true)).toBe(true);
    expect(linger.looked(now + 3, false)).toBe(true);
    expect(linger.ms).toBeGreaterThan(1.5);
  });
});
