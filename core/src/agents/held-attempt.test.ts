import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import type { Envelope } from "../events/envelope.ts";
import { HeldAttempt } from "./held-attempt.ts";
import { Slots } from "./slots.ts";
import type { OfferedTask } from "./task-wire.ts";

/** For how many milliseconds an attempt was offered already when it was taken, `sentMs` after its planner's stamp. */
function ageOf({ sentMs, isFresh = true }: { readonly sentMs: number; readonly isFresh?: boolean }): number {
  const runtime = fakeRuntime();
  const held = new HeldAttempt({
    envelope: { time: runtime.now() - sentMs } as Envelope,
    offer: {} as OfferedTask,
    timeoutMs: undefined,
    runtime,
    slots: new Slots(1, () => {}),
    isFresh,
    onSuspended: () => {},
  });
  return held.takenAt - held.offeredAt;
}

test("an offer is as old as its planner says", () => {
  expect([ageOf({ sentMs: 0 }), ageOf({ sentMs: 70 })]).toEqual([0, 70]);
});

test("an offer is of no known age if this process may have been stopped meanwhile", () => {
  expect(ageOf({ sentMs: 0, isFresh: false })).toBe(Number.POSITIVE_INFINITY);
});

test("an offer from the future is of no known age", () => {
  expect(ageOf({ sentMs: -1 })).toBe(Number.POSITIVE_INFINITY);
});
