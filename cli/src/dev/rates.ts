import type { Activity } from "./supervised.ts";

/** Events per second, from what processes count since they started. */
export interface RateMeter {
  /** @param counts - By process. */
  take(counts: ReadonlyMap<number, Activity>, nowMs: number): number;
}

export function createRateMeter(): RateMeter {
  let before: ReadonlyMap<number, Activity> = new Map();
  let beforeMs: number | undefined;
  return {
    take(counts, nowMs) {
      let published = 0;
      let received = 0;
      for (const [pid, now] of counts) {
        const last = before.get(pid);
        // What a process that is new did before it was asked belongs to no interval.
        if (!last) continue;
        published += now.published - last.published;
        received += now.received - last.received;
      }
      const seconds = beforeMs === undefined ? 0 : (nowMs - beforeMs) / 1000;
      before = new Map(counts);
      beforeMs = nowMs;
      // An event between two of them is counted by both; one that came from outside, or went there, by one.
      return seconds > 0 ? Math.max(published, received) / seconds : 0;
    },
  };
}
