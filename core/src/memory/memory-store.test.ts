import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type FakeRuntime, fakeRuntime } from "../../testing/fake-runtime.ts";
import { testStores } from "../../testing/stores.ts";
import { waitFor } from "../../testing/wait-for.ts";
import { isSoormaError, type SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import type { Store } from "../store/store.ts";
import type { Memory } from "./contract.ts";
import { createMemoryStore, type MemoryStore } from "./memory-store.ts";
import { countTerms, queryTerms, textsOf } from "./text.ts";

interface Subject {
  readonly memory: MemoryStore;
  readonly acme: Memory;
  readonly store: Store;
  readonly runtime: FakeRuntime;
}

async function failure(attempt: Promise<unknown>): Promise<SoormaError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
  return error;
}

describe.each(Object.entries(testStores))("memory on the %s store", (_name, make) => {
  const check = (title: string, body: (subject: Subject) => Promise<void>): void => {
    test(title, async () => {
      await using made = await make();
      const runtime = fakeRuntime();
      await using memory = createMemoryStore({ store: made.store, runtime, log: silentLogger });
      await body({ memory, acme: memory.of("acme"), store: made.store, runtime });
    });
  };

  check("what is stored is retrieved, as a copy, with its version and time", async ({ acme, runtime }) => {
    const value = { name: "Ada", tags: ["x"] };
    const { version } = await acme.store("user:1", value);
    value.tags.push("y");
    expect(await acme.retrieve<unknown>("user:1")).toEqual({ name: "Ada", tags: ["x"] });
    expect(await acme.entry<unknown>("user:1")).toEqual({
      key: "user:1",
      value: { name: "Ada", tags: ["x"] },
      version,
      updatedAtMs: runtime.now(),
    });
    expect(await acme.retrieve("user:2")).toBeUndefined();
    expect(await acme.entry("user:2")).toBeUndefined();
    expect(await acme.delete("user:2")).toBe(false);
  });

  check("null, false, 0 and an empty text are values like any other", async ({ acme }) => {
    for (const value of [null, false, 0, "", [], {}]) {
      await acme.store("k", value);
      expect(await acme.retrieve<unknown>("k")).toEqual(value);
    }
    expect(acme.store("k", undefined)).rejects.toThrow("use delete()");
  });

  check("a condition on the version holds or is a conflict that tells the actual one", async ({ acme }) => {
    const first = await acme.store("k", 1, { ifVersion: 0 });
    const conflict = await failure(acme.store("k", 2, { ifVersion: 0 }));
    expect(conflict.code).toBe("VERSION_CONFLICT");
    expect(conflict.details).toEqual({ key: "k", expected: 0, actual: first.version });
    const second = await acme.store("k", 2, { ifVersion: first.version });
    expect(second.version).toBeGreaterThan(first.version);
    expect((await failure(acme.delete("k", { ifVersion: first.version }))).code).toBe("VERSION_CONFLICT");
    expect(await acme.delete("k", { ifVersion: second.version })).toBe(true);
    expect((await failure(acme.store("k", 3, { ifVersion: second.version }))).details).toMatchObject({ actual: 0 });
    expect(await acme.retrieve("k")).toBeUndefined();
  });

  check("an entry deleted and made anew has a version it never had", async ({ acme }) => {
    const first = await acme.store("k", 1);
    await acme.delete("k");
    const again = await acme.store("k", 1, { ifVersion: 0 });
    expect(again.version).toBeGreaterThan(first.version);
  });

  check("of many that count up with compare and set none is lost", async ({ acme }) => {
    const count = async (): Promise<void> => {
      for (;;) {
        const entry = await acme.entry<number>("n");
        try {
          await acme.store("n", (entry?.value ?? 0) + 1, { ifVersion: entry?.version ?? 0 });
          return;
        } catch (error) {
          if (!isSoormaError(error, "VERSION_CONFLICT")) throw error;
        }
      }
    };
    await Promise.all(Array.from({ length: 40 }, count));
    expect(await acme.retrieve<number>("n")).toBe(40);
  });

  check("a write that is tried again with the same operation id is done once", async ({ memory }) => {
    const once = await memory.store("acme", "k", "a", { ifVersion: 0, operationId: "op1" });
    expect(await memory.store("acme", "k", "a", { ifVersion: 0, operationId: "op1" })).toEqual(once);
    await memory.store("acme", "k", "b", { operationId: "op2" });
    expect(await memory.store("acme", "k", "a", { ifVersion: 0, operationId: "op1" })).toEqual(once);
    expect(memory.entry<string>("acme", "k")?.value).toBe("b");
    expect(await memory.delete("acme", "k", { operationId: "op3" })).toBe(true);
    expect(await memory.delete("acme", "k", { operationId: "op3" })).toBe(true);
    expect(memory.entry("acme", "k")).toBeUndefined();
    expect(await memory.delete("acme", "k", { operationId: "op4" })).toBe(false);
    await memory.store("acme", "k", "c", { ifVersion: 0, operationId: "op5" });
    expect(await memory.delete("acme", "k", { operationId: "op3" })).toBe(true);
    expect(memory.entry<string>("acme", "k")?.value).toBe("c");
  });

  check(
    "a write that is tried again after many others of its key is still done once, and forgotten in the end",
    async ({ memory, store, runtime }) => {
      const write = (i: number) => memory.store("acme", "n", i, { operationId: `op${i}` });
      const first = await memory.store("acme", "n", 0, { ifVersion: 0, operationId: "op0" });
      for (let i = 1; i < 40; i++) await write(i);
      expect(await memory.store("acme", "n", 0, { ifVersion: 0, operationId: "op0" })).toEqual(first);
      expect(await write(20)).toEqual({ version: first.version + 20 });
      expect(await memory.store("globex", "n", 0, { operationId: "op0" })).toEqual({ version: 1 });
      expect(memory.entry<number>("acme", "n")?.value).toBe(39);
      await memory.delete("acme", "n");
      await memory.delete("globex", "n");
      await runtime.advance(700_000);
      // The sweep's own writes are real I/O, which virtual time does not wait for.
      await waitFor(async () => {
        await runtime.advance(1_000);
        return Array.from(store.range({ prefix: [] })).every(({ key }) => key[0] === "mems");
      });
    },
  );

  check("tenants see nothing of each other", async ({ memory }) => {
    const [acme, evil] = [memory.of("acme"), memory.of("acme\u0000mem")];
    await acme.store("secret", "swordfish");
    expect(await evil.retrieve("secret")).toBeUndefined();
    expect(await evil.list("")).toEqual([]);
    expect(await evil.search("swordfish")).toEqual([]);
    await evil.store("secret", "other");
    await evil.delete("secret");
    expect(await acme.retrieve<string>("secret")).toBe("swordfish");
    expect((await acme.search("swordfish")).map((hit) => hit.key)).toEqual(["secret"]);
  });

  check("keys that are empty, too long or no text are refused by name", async ({ acme }) => {
    const bad = ["", "x".repeat(1025), "é".repeat(513), "\ud800", 7 as unknown as string, null as unknown as string];
    for (const key of bad) {
      for (const attempt of [acme.store(key, 1), acme.retrieve(key), acme.entry(key), acme.delete(key)]) {
        expect((await failure(attempt)).code).toBe("KEY_INVALID");
      }
    }
    for (const key of ["x".repeat(1024), "\u0000".repeat(400), "é".repeat(512), " ", "a/b:c\n"]) {
      await acme.store(key, key);
      expect(await acme.retrieve<string>(key)).toBe(key);
    }
  });

  describe("time to live", () => {
    check("ends an entry on the millisecond, for retrieve, list, search and conditions", async ({ acme, runtime }) => {
      const { version } = await acme.store("k", "fleeting words", { ttlMs: 500 });
      expect((await acme.entry("k"))?.expiresAtMs).toBe(runtime.now() + 500);
      await runtime.advance(499);
      expect(await acme.retrieve<string>("k")).toBe("fleeting words");
      await runtime.advance(1);
      expect(await acme.retrieve("k")).toBeUndefined();
      expect(await acme.list("")).toEqual([]);
      expect(await acme.search("fleeting")).toEqual([]);
      expect(await acme.delete("k")).toBe(false);
      const again = await acme.store("k", "new", { ifVersion: 0 });
      expect(again.version).toBeGreaterThan(version);
      await runtime.advance(10_000);
      expect(await acme.retrieve<string>("k")).toBe("new");
    });

    check("is renewed, shortened and lifted by storing again", async ({ acme, runtime }) => {
      await acme.store("renewed", 1, { ttlMs: 100 });
      await acme.store("shortened", 1, { ttlMs: 10_000 });
      await acme.store("lifted", 1, { ttlMs: 100 });
      await runtime.advance(50);
      await acme.store("renewed", 1, { ttlMs: 100_000 });
      await acme.store("shortened", 1, { ttlMs: 10 });
      await acme.store("lifted", 1);
      await runtime.advance(5_000);
      expect((await acme.list("")).map((entry) => entry.key)).toEqual(["lifted", "renewed"]);
    });

    check("leaves nothing behind once it was swept in the background", async ({ acme, runtime, store }) => {
      await acme.store("stays", "word");
      await acme.delete("stays");
      const keysOf = (): string[] =>
        Array.from(store.range({ prefix: [] }), ({ key }) => String(key[0])).filter((kind) => kind !== "mems");
      expect(keysOf()).toEqual([]);
      await Promise.all(
        Array.from({ length: 450 }, (_, i) => acme.store(`k${i}`, `word${i} common`, { ttlMs: 100 + i })),
      );
      await runtime.advance(20_000);
      // The sweep's own writes are real I/O, which virtual time does not wait for.
      await waitFor(async () => {
        await runtime.advance(1_000);
        return keysOf().length === 0;
      });
      expect(store.get<unknown>(["mems", "acme"])).toMatchObject({ docs: 0, words: 0 });
    });

    check("holds nobody up who closes while much of it is over", async ({ acme, runtime, store }) => {
      await Promise.all(Array.from({ length: 450 }, (_, i) => acme.store(`k${i}`, i, { ttlMs: 500 })));
      const begun = Promise.withResolvers<void>();
      const held = Promise.withResolvers<void>();
      let transactions = 0;
      const slow: Store = {
        ...store,
        async transact(body) {
          transactions++;
          begun.resolve();
          await held.promise;
          return await store.transact(body);
        },
      };
      const second = createMemoryStore({ store: slow, runtime, log: silentLogger, sweepMs: 600 });
      await runtime.advance(600);
      await begun.promise;
      const closed = second.close();
      held.resolve();
      await closed;
      expect(transactions).toBe(1);
    });

    check("that is no positive number is refused", async ({ acme }) => {
      for (const ttlMs of [0, -1, Number.NaN]) expect(acme.store("k", 1, { ttlMs })).rejects.toBeInstanceOf(TypeError);
    });
  });

  describe("list", () => {
    check("gives the prefix's entries in the order of their keys, page by page", async ({ acme }) => {
      const keys = ["a", "a:1", "a:10", "a:2", "a:é", "a:日本", "a:😀", "a\u0000", "b", "A"];
      for (const key of keys) await acme.store(key, key);
      const sorted = keys
        .filter((key) => key.startsWith("a:"))
        .toSorted((x, y) => Buffer.compare(Buffer.from(x), Buffer.from(y)));
      expect((await acme.list("a:")).map((entry) => entry.key)).toEqual(sorted);
      const paged: string[] = [];
      for (let after: string | undefined; ; ) {
        const page = await acme.list("a:", { limit: 2, ...(after === undefined ? {} : { after }) });
        if (page.length === 0) break;
        expect(page.length).toBeLessThanOrEqual(2);
        paged.push(...page.map((entry) => entry.key));
        after = page.at(-1)?.key;
      }
      expect(paged).toEqual(sorted);
      expect(await acme.list("zzz")).toEqual([]);
      expect(await acme.list("a:", { limit: 0 })).toEqual([]);
      expect((await acme.list("a:", { after: "A" })).map((entry) => entry.key)).toEqual(sorted);
      expect(await acme.list("a:", { after: "b" })).toEqual([]);
      expect((await acme.list("")).length).toBe(keys.length);
    });

    check("gives more than fits one answer, in pages", async ({ memory, acme }) => {
      const large = "x".repeat(600_000);
      for (let i = 0; i < 12; i++) await acme.store(`k${String(i).padStart(2, "0")}`, large);
      const page = memory.list("acme", "k", { limit: 100 });
      expect(page.more).toBe(true);
      expect(page.items.length).toBeLessThan(12);
      expect((await acme.list("k")).length).toBe(12);
    });
  });

  describe("search", () => {
    const papers = {
      "paper:mesh": {
        title: "Brokerless meshes",
        text: "A mesh of agents that talk to each other without a broker. The mesh heals.",
      },
      "paper:lease": { title: "Leases", text: "A lease ends unless its owner renews it. Leases find crashed owners." },
      "paper:log": {
        title: "Logs",
        text: ["Everything is appended to a log.", "The log tells what happened, also after a crash."],
      },
      "note:cook": "Simmer the onions slowly.",
    };
    const fill = async (acme: Memory): Promise<void> => {
      for (const [key, value] of Object.entries(papers)) await acme.store(key, value);
    };
    const found = async (acme: Memory, query: string, options = {}): Promise<string[]> =>
      (await acme.search(query, options)).map((hit) => hit.key);

    check("ranks entries with more, rarer and more frequent words of the query first", async ({ acme }) => {
      await fill(acme);
      expect((await found(acme, "mesh without broker"))[0]).toBe("paper:mesh");
      expect((await found(acme, "crashed owner of a lease"))[0]).toBe("paper:lease");
      expect(await found(acme, "crash log")).toEqual(["paper:log", "paper:lease"]);
      expect(await found(acme, "onion")).toEqual(["note:cook"]);
      expect(await found(acme, "zebra")).toEqual([]);
      expect(await found(acme, "the of and")).toEqual([]);
      expect(await found(acme, "")).toEqual([]);
      const scores = (await acme.search("crash mesh log lease")).map((hit) => hit.score);
      expect(scores).toEqual(scores.toSorted((a, b) => b - a));
    });

    check("finds words of keys, and narrows by prefix, limit and least score", async ({ acme }) => {
      await fill(acme);
      expect(await found(acme, "cook")).toEqual(["note:cook"]);
      expect((await found(acme, "paper")).length).toBe(3);
      expect(await found(acme, "paper onion", { prefix: "note:" })).toEqual(["note:cook"]);
      expect((await found(acme, "paper", { limit: 2 })).length).toBe(2);
      const [best] = await acme.search("onion paper");
      expect(await found(acme, "onion paper", { minScore: best?.score ?? 0 })).toEqual([best?.key ?? ""]);
    });

    check("finds more than fits one answer", async ({ memory, acme }) => {
      for (let i = 0; i < 5; i++) await acme.store(`k${i}`, `common ${"x".repeat(700_000)}`);
      const page = memory.search("acme", "common", { limit: 4 });
      expect(page.items.map((hit) => hit.key)).toEqual(["k0"]);
      expect(page.more).toBe(true);
      expect((await acme.search("common", { limit: 4 })).map((hit) => hit.key)).toEqual(["k0", "k1", "k2", "k3"]);
      expect((await acme.search("common")).length).toBe(5);
    });

    check("gives the value and a snippet around the words", async ({ acme }) => {
      await fill(acme);
      const [hit] = await acme.search<{ title: string }>("appended");
      expect(hit?.value.title).toBe("Logs");
      expect(hit?.snippet).toContain("appended to a log");
    });

    check("follows overwriting and deleting at once", async ({ acme }) => {
      await acme.store("k", "apples and pears");
      await acme.store("k", "pears and plums");
      expect(await found(acme, "apple")).toEqual([]);
      expect(await found(acme, "plum")).toEqual(["k"]);
      await acme.store("k", 42);
      expect(await found(acme, "pear")).toEqual([]);
      await acme.store("k", "pears");
      await acme.delete("k");
      expect(await found(acme, "pear")).toEqual([]);
    });

    check("of a write that was refused finds nothing", async ({ acme }) => {
      await acme.store("k", "apples");
      await failure(acme.store("k", "plums", { ifVersion: 0 }));
      expect(await found(acme, "plum")).toEqual([]);
      expect(await found(acme, "apple")).toEqual(["k"]);
    });
  });

  test("after any writes, deletes and expiries search finds and scores what brute force does", async () => {
    const words = ["mesh", "agents", "plans", "planning", "broker", "lease", "leases", "日本語", "café", "log"];
    const text = fc.array(fc.constantFrom(...words), { maxLength: 8 }).map((parts) => parts.join(" "));
    const key = fc.constantFrom("a", "b", "c", "doc:mesh", "doc:log", "e");
    const step = fc.oneof(
      {
        weight: 5,
        arbitrary: fc.record({
          do: fc.constant("store" as const),
          key,
          text,
          ttlMs: fc.option(fc.integer({ min: 1, max: 3000 }), { nil: undefined }),
        }),
      },
      { weight: 2, arbitrary: fc.record({ do: fc.constant("delete" as const), key }) },
      {
        weight: 1,
        arbitrary: fc.record({ do: fc.constant("advance" as const), ms: fc.integer({ min: 1, max: 2000 }) }),
      },
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom(...words),
        fc.constantFrom(...words),
        async (steps, one, two) => {
          await using made = await make();
          const runtime = fakeRuntime();
          // No sweep by itself: with it, when an entry leaves the statistics would depend on real I/O.
          await using memory = createMemoryStore({ store: made.store, runtime, log: silentLogger, sweepMs: 2 ** 30 });
          const model = new Map<string, { value: unknown; expiresAtMs: number }>();
          for (const [i, action] of steps.entries()) {
            const operationId = i % 2 === 0 ? { operationId: `op${i}` } : {};
            if (action.do === "advance") await runtime.advance(action.ms);
            else if (action.do === "delete") {
              await memory.delete("t", action.key, operationId);
              model.delete(action.key);
            } else {
              const { ttlMs } = action;
              const value = { body: [action.text], n: i };
              await memory.store("t", action.key, value, { ...(ttlMs === undefined ? {} : { ttlMs }), ...operationId });
              model.set(action.key, {
                value,
                expiresAtMs: ttlMs === undefined ? Number.POSITIVE_INFINITY : runtime.now() + ttlMs,
              });
            }
          }
          await memory.sweep();
          for (const [name, { expiresAtMs }] of model) if (expiresAtMs <= runtime.now()) model.delete(name);
          const query = `${one} the ${two}`;
          const expected = bruteForce(model, query);
          const actual = memory.search("t", query, { limit: 100 }).items;
          expect(new Set(actual.map((hit) => hit.key))).toEqual(new Set(expected.keys()));
          for (const hit of actual) expect(hit.score).toBeCloseTo(expected.get(hit.key) ?? -1, 8);
          expect(memory.list("t", "", { limit: 100 }).items.map((entry) => entry.key)).toEqual(
            Array.from(model.keys()).toSorted(),
          );
          if (model.size === 0) {
            const left = Array.from(made.store.range({ prefix: [] }), ({ key: parts }) => parts[0]);
            expect(left.filter((kind) => kind === "memt" || kind === "memd")).toEqual([]);
          }
        },
      ),
      { numRuns: 60 },
    );
  }, 60_000);
});

/** BM25 as the textbook has it, over every document. */
function bruteForce(model: ReadonlyMap<string, { value: unknown }>, query: string): Map<string, number> {
  const docs = Array.from(model, ([key, { value }]) => {
    const counts = countTerms([key, ...textsOf(value)]);
    return { key, counts, length: Array.from(counts.values()).reduce((sum, count) => sum + count, 0) };
  }).filter((doc) => doc.length > 0);
  const average = docs.reduce((sum, doc) => sum + doc.length, 0) / docs.length;
  const scores = new Map<string, number>();
  for (const term of queryTerms(query)) {
    const holders = docs.filter((doc) => doc.counts.has(term));
    const weight = Math.log(1 + (docs.length - holders.length + 0.5) / (holders.length + 0.5));
    for (const { key, counts, length } of holders) {
      const count = counts.get(term) ?? 0;
      const part = (weight * count * 2.2) / (count + 1.2 * (0.25 + (0.75 * length) / average));
      scores.set(key, (scores.get(key) ?? 0) + part);
    }
  }
  return scores;
}
