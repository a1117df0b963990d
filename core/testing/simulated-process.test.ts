import { describe, expect, test } from "bun:test";
import { sleep } from "../src/runtime.ts";
import { createMemoryStore } from "../src/store/memory-store.ts";
import { type FakeRuntime, fakeRuntime } from "./fake-runtime.ts";
import { SimulatedProcess, type SimulatedProcessOptions } from "./simulated-process.ts";

function processOf(options: Partial<SimulatedProcessOptions> = {}): { world: FakeRuntime; process: SimulatedProcess } {
  const world = fakeRuntime();
  return { world, process: new SimulatedProcess({ name: "p", world, seed: 1, ...options }) };
}

describe("SimulatedProcess", () => {
  test("its clock jumps, its timers do not notice", async () => {
    const { world, process } = processOf({ clockOffsetMs: 500 });
    const startMs = process.runtime.now();
    expect(startMs).toBe(world.now() + 500);
    let firedMs = 0;
    process.runtime.setTimer(() => (firedMs = process.runtime.monotonic()), 100);
    process.jumpClock(-3_600_000);
    await world.advance(200);
    expect(firedMs).toBe(100);
    expect(process.runtime.now()).toBe(startMs + 200 - 3_600_000);
  });

  test("after a crash nothing of it runs, however far it had come", async () => {
    const gone: string[] = [];
    const { world, process } = processOf({ onCrash: ({ name }) => void gone.push(name) });
    const seen: number[] = [];
    const work = async (): Promise<void> => {
      for (let i = 0; ; i++) {
        await sleep(process.runtime, 10);
        seen.push(i);
      }
    };
    void work();
    await world.advance(35);
    process.crash();
    process.crash();
    await world.advance(100);
    expect(seen).toEqual([0, 1, 2]);
    expect([process.alive, process.pending, gone]).toEqual([false, 0, ["p"]]);
    process.runtime.setTimer(() => seen.push(99), 1);
    await world.advance(10);
    expect(seen).toEqual([0, 1, 2]);
  });

  test("a crash falls before any effect that is asked for", async () => {
    for (let at = 1; at <= 6; at++) {
      const { world, process } = processOf();
      const memory = createMemoryStore();
      const store = process.store(memory);
      const reached: string[] = [];
      const work = async (): Promise<void> => {
        await sleep(process.runtime, 1); // 1: the timer
        reached.push("slept");
        await store.transact((tx) => tx.put(["n"], 1)); // 2: the write, 3: its answer
        reached.push("wrote one");
        await store.transact((tx) => tx.put(["n"], 2)); // 4 and 5
        reached.push("wrote two");
      };
      void work();
      process.crashIn(at);
      await world.advance(10);
      const expected: Record<number, [readonly string[], number | undefined]> = {
        1: [[], undefined],
        2: [["slept"], undefined],
        3: [["slept"], 1],
        4: [["slept", "wrote one"], 1],
        5: [["slept", "wrote one"], 2],
        6: [["slept", "wrote one", "wrote two"], 2],
      };
      expect<unknown>([reached, memory.get<number>(["n"])]).toEqual(expected[at]);
      expect(process.alive).toBe(at === 6);
    }
  });

  test("frozen, nothing runs; thawed, it goes on with all that came meanwhile, in order", async () => {
    const { world, process } = processOf();
    const seen: string[] = [];
    const { runtime } = process;
    for (const ms of [10, 20, 30]) runtime.setTimer(() => seen.push(`${ms}@${runtime.monotonic()}`), ms);
    const forgotten = runtime.setTimer(() => seen.push("forgotten"), 15);
    await world.advance(12);
    process.freeze();
    await world.advance(10);
    forgotten.cancel();
    expect([process.frozen, seen]).toEqual([true, ["10@10"]]);
    process.thaw();
    await world.advance(10);
    expect(seen).toEqual(["10@10", "20@22", "30@30"]);
  });

  test("killed while it is frozen, it stays silent", async () => {
    const { world, process } = processOf();
    let runs = 0;
    process.runtime.setTimer(() => runs++, 1);
    process.freeze();
    await world.advance(5);
    process.crash();
    process.thaw();
    await world.advance(5);
    expect([runs, process.pending]).toEqual([0, 0]);
  });

  test("what a callback throws is told with its process, and time goes on", async () => {
    const errors: unknown[] = [];
    const { world, process } = processOf({ onError: (of, error) => void errors.push(`${of.name}: ${String(error)}`) });
    process.runtime.defer(() => {
      throw new Error("bug");
    });
    await world.advance(1);
    expect(errors).toEqual(["p: Error: bug"]);
  });

  test("timers that were left behind can be traced to where they were set", () => {
    const { process } = processOf({ sites: true });
    const timer = process.runtime.setTimer(() => {}, 1_000);
    process.runtime.setTimer(() => {}, 5).cancel();
    expect(process.pendingSites).toEqual([expect.stringContaining("simulated-process.test.ts")]);
    timer.cancel();
    expect(process.pendingSites).toEqual([]);
  });

  test("the same seed is the same process", () => {
    const draw = (seed: number): number[] => Array.from({ length: 5 }, processOf({ seed }).process.runtime.random);
    expect(draw(3)).toEqual(draw(3));
    expect(draw(3)).not.toEqual(draw(4));
  });
});
