import { expect, test } from "bun:test";
import { storeContract } from "../../testing/store-contract.ts";
import { createMemoryStore } from "./memory-store.ts";

storeContract({
  name: "memory",
  async make() {
    const store = createMemoryStore();
    return { store, dispose: () => store.close() };
  },
});

test("a failed flush rejects its transactions and those that may have read from them; later ones work", async () => {
  let fail = true;
  const store = createMemoryStore({
    onFlush() {
      if (fail) throw new Error("no disk");
    },
  });
  const codes = await Promise.all(
    [1, 2].map((n) => store.transact((tx) => tx.put(["n"], n)).catch((error: { code: string }) => error.code)),
  );
  expect(codes).toEqual(["STORE_FAILED", "STORE_FAILED"]);
  fail = false;
  expect(await store.transact((tx) => tx.get(["n"]))).toBeUndefined();
  await store.transact((tx) => tx.put(["n"], 3));
  expect(store.get<number>(["n"])).toBe(3);
});

test("nothing is acknowledged before its flush, not even what was only read", async () => {
  const flush = Promise.withResolvers<void>();
  const store = createMemoryStore({ onFlush: () => flush.promise });
  const order: string[] = [];
  const written = store.transact((tx) => tx.put(["n"], 1)).then(() => order.push("written"));
  const read = store.transact((tx) => tx.get<number>(["n"])).then((n) => order.push(`read ${n}`));
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
  expect(order).toEqual([]);
  expect(store.get(["n"])).toBeUndefined();
  flush.resolve();
  await Promise.all([written, read]);
  expect(order.toSorted()).toEqual(["read 1", "written"]);
});

test("many writers share one flush", async () => {
  let flushes = 0;
  const store = createMemoryStore({
    onFlush() {
      flushes++;
    },
  });
  await Promise.all(Array.from({ length: 1000 }, (_, i) => store.transact((tx) => tx.put(["n", i], i))));
  expect(flushes).toBeLessThanOrEqual(2);
});
