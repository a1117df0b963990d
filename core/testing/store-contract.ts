import { describe, expect, test } from "bun:test";
import type { Key, Store } from "../src/store/store.ts";

/** What a store's suite is told about the store. */
export interface StoreContractSubject {
  readonly name: string;
  /** A new, empty store, and how to open what it wrote again; `reopen` is left out by stores that forget. */
  make(): Promise<{ readonly store: Store; reopen?(): Promise<Store>; dispose(): Promise<void> }>;
}

/** Declares the tests that every {@link Store} passes. Call it at the top level of a test file. */
export function storeContract(subject: StoreContractSubject): void {
  const check = (title: string, body: (store: Store, reopen?: () => Promise<Store>) => Promise<void>): void => {
    test(title, async () => {
      const made = await subject.make();
      try {
        await body(made.store, made.reopen && (() => made.reopen?.() ?? Promise.reject(new Error("no reopen"))));
      } finally {
        await made.dispose();
      }
    });
  };
  const put = (store: Store, key: Key, value: unknown): Promise<void> => store.transact((tx) => tx.put(key, value));
  const keys = (store: Store, options: Parameters<Store["range"]>[0]): Key[] =>
    Array.from(store.range(options), (entry) => entry.key);

  describe(`store contract: ${subject.name}`, () => {
    check("what was written is read, and what was not is undefined", async (store) => {
      await put(store, ["a", 1], { text: "häß", list: [1, 2.5, null, true], bytes: new Uint8Array([1, 2]) });
      expect(store.get(["a", 1])).toEqual({ text: "häß", list: [1, 2.5, null, true], bytes: Buffer.from([1, 2]) });
      expect(store.get(["a"])).toBeUndefined();
      expect(store.get(["a", 2])).toBeUndefined();
    });

    check("a transaction resolves with what its body returned", async (store) => {
      expect(await store.transact(() => 42)).toBe(42);
    });

    check("a transaction reads its own writes and those before it", async (store) => {
      const first = put(store, ["n"], 1);
      const second = store.transact((tx) => {
        tx.put(["n"], (tx.get<number>(["n"]) ?? 0) + 1);
        return tx.get(["n"]);
      });
      expect(await second).toBe(2);
      await first;
      expect(store.get<number>(["n"])).toBe(2);
    });

    check("what is put later is made when it is read or written, by the last one who put it", async (store, reopen) => {
      let n = 0;
      let makes = 0;
      const count = (): Promise<number | undefined> =>
        store.transact((tx) => {
          const before = tx.get<number>(["n"]);
          n++;
          tx.putLater(["n"], () => {
            makes++;
            return n;
          });
          return before;
        });
      // Read while they wait for the disk, each sees the one before it.
      expect(await Promise.all([count(), count(), count()])).toEqual([undefined, 1, 2]);
      expect(store.get<number>(["n"])).toBe(3);
      const made = makes;
      await Promise.all(
        Array.from({ length: 50 }, () =>
          store.transact((tx) => {
            n++;
            tx.putLater(["n"], () => {
              makes++;
              return n;
            });
          }),
        ),
      );
      expect(makes).toBe(made + 1);
      expect(await store.transact((tx) => Array.from(tx.range({ prefix: ["n"] }), ({ value }) => value))).toEqual([53]);
      if (!reopen) return;
      await store.close();
      await using again = await reopen();
      expect(again.get<number>(["n"])).toBe(53);
    });

    check("a throwing body writes nothing and rejects with what it threw", async (store) => {
      await put(store, ["kept"], 1);
      const thrown = new Error("no");
      const attempt = store.transact((tx) => {
        tx.put(["kept"], 2);
        tx.put(["new"], 2);
        throw thrown;
      });
      expect(await attempt.catch((error: unknown) => error)).toBe(thrown);
      expect(store.get<number>(["kept"])).toBe(1);
      expect(store.get(["new"])).toBeUndefined();
      expect(await store.transact((tx) => tx.get<number>(["kept"]))).toBe(1);
    });

    check("a body that throws over an accepted write rejects once that write can be read", async (store) => {
      const accepted = put(store, ["a"], 1);
      const attempt = store.transact((tx) => {
        if (tx.get(["a"]) !== undefined) throw new Error("taken");
      });
      expect(await attempt.catch((error: Error) => error.message)).toBe("taken");
      expect(store.get<number>(["a"])).toBe(1);
      await accepted;
    });

    check("a value that cannot be packed rejects, and nothing of its transaction is written", async (store) => {
      const attempt = store.transact((tx) => {
        tx.put(["a"], 1);
        tx.put(["b"], 2n ** 70n);
      });
      expect(
        await attempt.then(
          () => "written",
          () => "refused",
        ),
      ).toBe("refused");
      expect(store.get(["a"])).toBeUndefined();
    });

    check("a body that waits is refused", async (store) => {
      const attempt = store.transact(async (tx) => tx.put(["late"], 1));
      expect(await attempt.catch((error: unknown) => error)).toBeInstanceOf(TypeError);
      expect(await store.transact((tx) => tx.get(["late"]))).toBeUndefined();
    });

    check("a transaction is useless after its body returned, and none begins inside another", async (store) => {
      const leaked = await store.transact((tx) => tx);
      expect(() => leaked.put(["a"], 1)).toThrow(TypeError);
      expect(() => leaked.get(["a"])).toThrow(TypeError);
      let inner: Promise<unknown> | undefined;
      await store.transact(() => {
        inner = store.transact(() => 1).catch((error: unknown) => error);
      });
      expect(await inner).toBeInstanceOf(TypeError);
    });

    check("a thousand concurrent increments lose none", async (store) => {
      await Promise.all(
        Array.from({ length: 1000 }, () =>
          store.transact((tx) => tx.put(["count"], (tx.get<number>(["count"]) ?? 0) + 1)),
        ),
      );
      expect(store.get<number>(["count"])).toBe(1000);
    });

    check("of concurrent writers that compare and set exactly one wins", async (store) => {
      const attempts = Array.from({ length: 50 }, (_, i) =>
        store.transact((tx) => {
          if (tx.get(["owner"]) !== undefined) return false;
          tx.put(["owner"], i);
          return true;
        }),
      );
      expect((await Promise.all(attempts)).filter(Boolean)).toHaveLength(1);
    });

    check("values are copies: changing one changes nothing stored", async (store) => {
      const value = { list: [1] };
      const written = store.transact((tx) => {
        tx.put(["v"], value);
        value.list.push(2);
        tx.get<{ list: number[] }>(["v"])?.list.push(3);
      });
      value.list.push(4);
      await written;
      store.get<{ list: number[] }>(["v"])?.list.push(5);
      expect(store.get<{ list: number[] }>(["v"])).toEqual({ list: [1] });
    });

    check("a deleted key is gone; deleting what is not there does nothing", async (store) => {
      await put(store, ["a"], 1);
      await store.transact((tx) => {
        tx.delete(["a"]);
        tx.delete(["never"]);
        expect(tx.get(["a"])).toBeUndefined();
      });
      expect(store.get(["a"])).toBeUndefined();
      await put(store, ["a"], 2);
      expect(store.get<number>(["a"])).toBe(2);
    });

    check("keys sort by part: numbers by size, before text, which sorts by code point", async (store) => {
      const sorted: Key[] = [
        [Number.NEGATIVE_INFINITY],
        [-1e300],
        [-2],
        [-1.5],
        [-5e-324],
        [0],
        [5e-324],
        [1],
        [1, "x"],
        [1.5],
        [255],
        [256],
        [2 ** 53],
        [Number.POSITIVE_INFINITY],
        [""],
        ["", 0],
        ["\u0000"],
        ["\u0000a"],
        ["\u0001"],
        ["a"],
        ["a", 1],
        ["a", 1, "z"],
        ["a", ""],
        ["a", "b"],
        ["a\u0000"],
        ["a\u0000b"],
        ["ab"],
        ["b"],
        ["x".repeat(500)],
        ["x".repeat(501)],
        ["é"],
        ["ÿ"],
        ["日本"],
        ["\uffff"],
        ["😀"],
      ];
      await store.transact((tx) => {
        for (const [i, key] of sorted.toReversed().entries()) tx.put(key, i);
        expect(Array.from(tx.range({ prefix: [] }), (entry) => entry.key)).toEqual(sorted);
      });
      expect(keys(store, { prefix: [] })).toEqual(sorted);
      expect(keys(store, { prefix: [], reverse: true })).toEqual(sorted.toReversed());
      for (const [i, key] of sorted.entries()) expect(store.get<number>(key)).toBe(sorted.length - 1 - i);
    });

    check("a range holds the prefix's entries and no others", async (store) => {
      await store.transact((tx) => {
        for (const key of [["p"], ["p", 1], ["p", 2], ["p", 3], ["p", "x"], ["pp", 1], ["o", 1], ["p", 2, "deep"]]) {
          tx.put(key, key.join("/"));
        }
      });
      expect(keys(store, { prefix: ["p"] })).toEqual([
        ["p"],
        ["p", 1],
        ["p", 2],
        ["p", 2, "deep"],
        ["p", 3],
        ["p", "x"],
      ]);
      expect(Array.from(store.range({ prefix: ["p", 2] }))).toEqual([
        { key: ["p", 2], value: "p/2" },
        { key: ["p", 2, "deep"], value: "p/2/deep" },
      ]);
      expect(keys(store, { prefix: ["q"] })).toEqual([]);
    });

    check("`from` is inclusive, `to` is not, and `reverse` and `limit` count from the far end", async (store) => {
      await store.transact((tx) => {
        for (let i = 0; i < 10; i++) tx.put(["n", i], i);
        tx.put(["m", 5], 0);
        tx.put(["o", 5], 0);
      });
      const numbers = (options: Omit<Parameters<Store["range"]>[0], "prefix">): number[] =>
        Array.from(store.range<number>({ prefix: ["n"], ...options }), (entry) => entry.value);
      expect(numbers({ from: [3], to: [6] })).toEqual([3, 4, 5]);
      expect(numbers({ from: [8] })).toEqual([8, 9]);
      expect(numbers({ to: [2] })).toEqual([0, 1]);
      expect(numbers({ reverse: true, limit: 3 })).toEqual([9, 8, 7]);
      expect(numbers({ reverse: true, from: [6], to: [3] })).toEqual([6, 5, 4]);
      expect(numbers({ reverse: true, from: [6.5], limit: 1 })).toEqual([6]);
      expect(numbers({ reverse: true, to: [7] })).toEqual([9, 8]);
      expect(numbers({ limit: 0 })).toEqual([]);
      expect(numbers({ limit: 2 })).toEqual([0, 1]);
      expect(numbers({ from: [7], to: [3] })).toEqual([]);
    });

    check("a range inside a transaction shows its writes and deletes, both ways", async (store) => {
      await store.transact((tx) => {
        for (let i = 0; i < 10; i += 2) tx.put(["n", i], "old");
      });
      const pendingWrite = store.transact((tx) => {
        tx.put(["n", 1], "pending");
        tx.delete(["n", 4]);
        tx.put(["n", 8], "pending");
      });
      const seen = await store.transact((tx) => {
        tx.put(["n", 6], "mine");
        tx.delete(["n", 0]);
        tx.put(["n", 11], "mine");
        const list = (reverse: boolean): unknown[] =>
          Array.from(tx.range({ prefix: ["n"], reverse }), (entry) => [entry.key[1], entry.value]);
        return { up: list(false), down: list(true) };
      });
      await pendingWrite;
      const expected = [
        [1, "pending"],
        [2, "old"],
        [6, "mine"],
        [8, "pending"],
        [11, "mine"],
      ];
      expect(seen).toEqual({ up: expected, down: expected.toReversed() });
    });

    check("a range goes on over the state it began with while others write", async (store) => {
      await store.transact((tx) => {
        for (let i = 0; i < 300; i++) tx.put(["n", i], i);
      });
      const seen: number[] = [];
      for (const { value } of store.range<number>({ prefix: ["n"] })) {
        if (seen.length === 10) {
          await store.transact((tx) => {
            for (let i = 0; i < 300; i += 2) tx.delete(["n", i]);
            for (let i = 300; i < 400; i++) tx.put(["n", i], i);
          });
        }
        seen.push(value);
      }
      expect(seen).toEqual(Array.from({ length: 300 }, (_, i) => i));
      expect(keys(store, { prefix: ["n"] })).toHaveLength(250);
    });

    check("a body may write while it iterates", async (store) => {
      await store.transact((tx) => {
        for (let i = 0; i < 100; i++) tx.put(["n", i], i);
      });
      await store.transact((tx) => {
        for (const { key, value } of tx.range<number>({ prefix: ["n"] })) {
          tx.delete(key);
          tx.put(["m", value], value);
        }
      });
      expect(keys(store, { prefix: ["n"] })).toEqual([]);
      expect(keys(store, { prefix: ["m"] })).toHaveLength(100);
    });

    check("a key that is empty, too long or of the wrong kind is refused, at the longest it is not", async (store) => {
      const refused = async (key: Key): Promise<unknown> =>
        put(store, key, 1).then(
          () => "written",
          (error: { code?: string }) => error.code,
        );
      expect(await refused([])).toBe("KEY_INVALID");
      expect(await refused(["x".repeat(1977)])).toBe("KEY_INVALID");
      expect(await refused([Number.NaN])).toBe("KEY_INVALID");
      expect(await refused(["\ud800"])).toBe("KEY_INVALID");
      expect(await refused([true as unknown as string])).toBe("KEY_INVALID");
      expect(() => store.get([null as unknown as string])).toThrow("neither text nor a number");
      const longest = ["x".repeat(1976)];
      await put(store, longest, 1);
      expect(store.get<number>(longest)).toBe(1);
    });

    check("large values and large transactions survive", async (store) => {
      const large = "ü".repeat(3_000_000);
      await store.transact((tx) => {
        tx.put(["large"], large);
        for (let i = 0; i < 20_000; i++) tx.put(["many", i], { i });
      });
      expect(store.get<string>(["large"]) === large).toBe(true);
      expect(keys(store, { prefix: ["many"] })).toHaveLength(20_000);
      expect(store.get<{ i: number }>(["many", 19_999])).toEqual({ i: 19_999 });
    });

    check("closing twice is fine, waits for what was accepted, and ends the store", async (store, reopen) => {
      const accepted = put(store, ["a"], 1);
      await Promise.all([store.close(), store.close()]);
      await accepted;
      expect(await put(store, ["b"], 1).catch((error: { code?: string }) => error.code)).toBe("STORE_CLOSED");
      expect(() => store.get(["a"])).toThrow("closed");
      if (!reopen) return;
      const again = await reopen();
      expect(again.get<number>(["a"])).toBe(1);
      expect(again.get(["b"])).toBeUndefined();
    });
  });
}
