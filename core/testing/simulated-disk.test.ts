import { describe, expect, test } from "bun:test";
import { systemRuntime } from "../src/runtime.ts";
import { fakeRuntime } from "./fake-runtime.ts";
import { type SimulatedDisk, simulatedDisk } from "./simulated-disk.ts";
import { storeContract } from "./store-contract.ts";

storeContract({
  name: "a simulated disk",
  async make() {
    const store = simulatedDisk({ runtime: systemRuntime }).open();
    return { store, dispose: () => store.close() };
  },
});

/** Writes 1, 2, 3, … one transaction each, crashes at a moment, and tells what the next process finds. */
async function written(
  seed: number,
  options: { lies?: boolean } = {},
): Promise<{ acknowledged: number; found: number[] }> {
  const runtime = fakeRuntime({ seed });
  const disk = simulatedDisk({ runtime, flushMs: [1, 10], ...options });
  const store = disk.open();
  let acknowledged = 0;
  const write = async (): Promise<void> => {
    for (let n = 1; n <= 100; n++) {
      await store.transact((tx) => {
        tx.put(["a", n], n);
        tx.put(["b", n], n);
      });
      acknowledged = n;
    }
  };
  void write();
  await runtime.advance(20 + runtime.random() * 100);
  disk.crash();
  await runtime.advance(1_000);
  return { acknowledged, found: values(disk, "a", "b") };
}

function values(disk: SimulatedDisk, ...kinds: readonly string[]): number[] {
  const store = disk.open();
  const lists = kinds.map((kind) => [...store.range<number>({ prefix: [kind] })].map(({ value }) => value));
  for (const list of lists) expect(list).toEqual(lists[0] ?? []);
  return lists[0] ?? [];
}

describe("simulatedDisk", () => {
  test("a crash keeps all that was acknowledged, and of the rest whole commits in their order", async () => {
    let more = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const { acknowledged, found } = await written(seed);
      expect(acknowledged).toBeGreaterThan(0);
      expect(found.length).toBeGreaterThanOrEqual(acknowledged);
      expect(found.length).toBeLessThanOrEqual(acknowledged + 1);
      expect(found).toEqual(Array.from({ length: found.length }, (_, i) => i + 1));
      if (found.length > acknowledged) more++;
    }
    expect(more).toBeGreaterThan(5);
    expect(more).toBeLessThan(35);
  });

  test("a disk that lies loses what it acknowledged", async () => {
    let lost = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const { acknowledged, found } = await written(seed, { lies: true });
      if (found.length < acknowledged) lost++;
    }
    expect(lost).toBeGreaterThan(5);
  });

  test("calls of a process that is gone never settle", async () => {
    const runtime = fakeRuntime();
    const disk = simulatedDisk({ runtime, flushMs: 5 });
    const store = disk.open();
    let settled = 0;
    const count = (): void => void settled++;
    store.transact((tx) => tx.put(["n"], 1)).then(count, count);
    await runtime.advance(1);
    store.transact((tx) => tx.put(["n"], 2)).then(count, count);
    disk.crash();
    await runtime.advance(100);
    expect(settled).toBe(0);
  });

  test("a full disk refuses what puts something and takes deletions; with room again it goes on", async () => {
    const runtime = fakeRuntime();
    const disk = simulatedDisk({ runtime });
    const store = disk.open();
    const done = async (promise: Promise<unknown>): Promise<string> => {
      let outcome = "";
      promise.then(
        () => (outcome = "done"),
        (error: { code: string }) => (outcome = error.code),
      );
      await runtime.runUntil(() => outcome !== "");
      return outcome;
    };
    expect(await done(store.transact((tx) => tx.put(["n"], 1)))).toBe("done");
    disk.full = true;
    expect(await done(store.transact((tx) => tx.put(["n"], 2)))).toBe("STORE_FULL");
    expect(store.get<number>(["n"])).toBe(1);
    expect(await done(store.transact((tx) => tx.delete(["n"])))).toBe("done");
    disk.full = false;
    expect(await done(store.transact((tx) => tx.put(["n"], 3)))).toBe("done");
    expect([disk.flushes, disk.full]).toEqual([3, false]);
  });

  test("one process at a time has it open", async () => {
    const disk = simulatedDisk({ runtime: fakeRuntime() });
    const store = disk.open();
    expect(() => disk.open()).toThrow("open in another process");
    await store.close();
    disk.open();
    disk.crash();
    disk.open();
  });
});
