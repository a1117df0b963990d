import { describe, expect, test } from "bun:test";
import { sleep, timeoutSignal } from "../src/runtime.ts";
import { fakeRuntime, seededRandom } from "./fake-runtime.ts";

describe("fakeRuntime", () => {
  test("time stands still until it is moved, and both clocks move together", async () => {
    const runtime = fakeRuntime({ startMs: 5000 });
    expect([runtime.now(), runtime.monotonic()]).toEqual([5000, 0]);
    await runtime.advance(250);
    expect([runtime.now(), runtime.monotonic(), runtime.elapsedMs]).toEqual([5250, 250, 250]);
  });

  test("timers run in order of their time, then of their making, each seeing its own time", async () => {
    const runtime = fakeRuntime();
    const seen: string[] = [];
    const note = (name: string) => () => seen.push(`${name}@${runtime.monotonic()}`);
    runtime.setTimer(note("late"), 30);
    runtime.setTimer(note("first of two"), 10);
    runtime.setTimer(note("second of two"), 10);
    runtime.defer(note("deferred"));
    runtime.setTimer(note("not yet"), 31);
    await runtime.advance(30);
    expect(seen).toEqual(["deferred@0", "first of two@10", "second of two@10", "late@30"]);
    expect(runtime.pending).toBe(1);
  });

  test("a cancelled timer does not run, and cancelling it again does nothing", async () => {
    const runtime = fakeRuntime();
    let runs = 0;
    const timer = runtime.setTimer(() => runs++, 5);
    timer.cancel();
    timer.cancel();
    const fired = runtime.setTimer(() => runs++, 5);
    await runtime.runUntilIdle();
    fired.cancel();
    expect([runs, runtime.pending]).toEqual([1, 0]);
  });

  test("a timer set inside advance() runs within it if it is due", async () => {
    const runtime = fakeRuntime();
    const seen: number[] = [];
    runtime.setTimer(() => {
      runtime.setTimer(() => seen.push(runtime.monotonic()), 4);
      runtime.setTimer(() => seen.push(runtime.monotonic()), 40);
    }, 5);
    await runtime.advance(10);
    expect(seen).toEqual([9]);
  });

  test("long promise chains settle between two callbacks", async () => {
    const runtime = fakeRuntime();
    let at = -1;
    const chain = async (): Promise<void> => {
      await sleep(runtime, 10);
      for (let i = 0; i < 500; i++) await Promise.resolve();
      at = runtime.monotonic();
    };
    void chain();
    runtime.setTimer(() => {}, 11);
    await runtime.runUntilIdle();
    expect(at).toBe(10);
  });

  test("an hour of sleeping takes no time, and background timers keep nothing running", async () => {
    const runtime = fakeRuntime();
    let beats = 0;
    const beat = (): void => {
      beats++;
      runtime.setTimer(beat, 60_000, { background: true });
    };
    beat();
    const done = sleep(runtime, 3_600_000);
    await runtime.runUntilIdle();
    await done;
    expect([beats, runtime.elapsedMs]).toEqual([60, 3_600_000]);
  });

  test("runUntil stops at the callback that made it true, and says why it cannot", async () => {
    const runtime = fakeRuntime();
    const timer = timeoutSignal(runtime, 100, () => "late");
    await runtime.runUntil(() => timer.signal.aborted);
    expect(runtime.elapsedMs).toBe(100);
    await expect(runtime.runUntil(() => false)).rejects.toThrow("nothing is left to run after 100 virtual ms");
  });

  test("what keeps itself busy for ever is an error, not a hang", async () => {
    const runtime = fakeRuntime();
    const spin = (): void => runtime.defer(spin);
    spin();
    await expect(runtime.runUntilIdle({ maxSteps: 50 })).rejects.toThrow("not done after 50 callbacks");
    const other = fakeRuntime();
    const tick = (): void => void other.setTimer(tick, 1000);
    tick();
    await expect(other.runUntilIdle({ maxMs: 9500 })).rejects.toThrow("not done after 9500 virtual ms");
  });

  test("what a callback throws comes out where time was moved", async () => {
    const runtime = fakeRuntime();
    runtime.defer(() => {
      throw new Error("from a callback");
    });
    await expect(runtime.advance(0)).rejects.toThrow("from a callback");
  });

  test("a seed decides every random number", () => {
    const draw = (seed: number): number[] => Array.from({ length: 200 }, seededRandom(seed));
    expect(draw(7)).toEqual(draw(7));
    expect(draw(7)).not.toEqual(draw(8));
    expect(draw(7).every((n) => n >= 0 && n < 1)).toBe(true);
    const mean = draw(7).reduce((sum, n) => sum + n, 0) / 200;
    expect(Math.abs(mean - 0.5)).toBeLessThan(0.1);
    const runtime = fakeRuntime({ seed: 7 });
    expect(Array.from({ length: 200 }, () => runtime.random())).toEqual(draw(7));
  });

  test("time stands still while something real holds it, but what is due now runs", async () => {
    let isHeld = true;
    const runtime = fakeRuntime({ holds: () => isHeld });
    const seen: string[] = [];
    runtime.setTimer(() => seen.push(`later, at ${runtime.elapsedMs}`), 10);
    runtime.defer(async () => {
      seen.push("now");
      await Bun.file(import.meta.path).text();
      seen.push(`read, at ${runtime.elapsedMs}`);
      isHeld = false;
    });
    expect(runtime.nextMs).toBe(0);
    await runtime.advance(20);
    expect(seen).toEqual(["now", "read, at 0", "later, at 10"]);
    expect(runtime.nextMs).toBeUndefined();
  });
});
