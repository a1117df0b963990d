import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { SimulatedProcess } from "../../testing/simulated-process.ts";
import { Wakefulness } from "./wakefulness.ts";

function asleepFor(ms: number, always = false) {
  const world = fakeRuntime();
  const process = new SimulatedProcess({ name: "p", world, seed: 1 });
  const awake = new Wakefulness(process.runtime, { always });
  return {
    awake,
    process,
    world,
    /** Asks every 100 ms for so long, which is how a busy worker asks. */
    async busy(forMs: number): Promise<boolean> {
      for (let at = 0; at < forMs; at += 100) {
        awake.isCertain();
        await world.advance(100);
      }
      return awake.isCertain();
    },
    async sleep(): Promise<void> {
      process.freeze();
      await world.advance(ms);
      process.thaw();
    },
  };
}

test("a process that runs is certain of it after a second", async () => {
  const { awake, busy } = asleepFor(0);
  expect(awake.isCertain()).toBe(false);
  expect(await busy(500)).toBe(false);
  expect(await busy(600)).toBe(true);
  expect(await busy(10_000)).toBe(true);
});

test("one that was stopped is not, whether it looks at the clock first or is asked first", async () => {
  for (const looksFirst of [true, false]) {
    const { awake, busy, sleep, world } = asleepFor(800);
    expect(await busy(2_000)).toBe(true);
    await sleep();
    if (looksFirst) await world.advance(1);
    expect(awake.isCertain()).toBe(false);
    expect(await busy(600)).toBe(false);
    expect(await busy(600)).toBe(true);
  }
});

test("one that nobody asked for a while is not, and has set no timers meanwhile", async () => {
  const { awake, busy, process, world } = asleepFor(0);
  expect(await busy(2_000)).toBe(true);
  await world.advance(5_000);
  expect(process.pending).toBe(0);
  expect(awake.isCertain()).toBe(false);
  expect(process.pending).toBe(1);
  awake.close();
  expect([process.pending, awake.isCertain(), process.pending]).toEqual([0, false, 0]);
});

test("one that always looks knows whenever it is asked", async () => {
  const { awake, process, sleep, world } = asleepFor(5_000, true);
  expect(awake.isCertain()).toBe(true);
  await world.advance(60_000);
  expect(awake.isCertain()).toBe(true);
  await sleep();
  expect(awake.isCertain()).toBe(false);
  await world.advance(1_200);
  expect(awake.isCertain()).toBe(true);
  awake.close();
  expect(process.pending).toBe(0);
});
