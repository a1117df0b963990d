import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemRuntime } from "@soorma/core";
import { createMemoryStore, openLmdbStore, type Store } from "@soorma/core/store";
import { agentRecord, collectingLogger } from "@soorma/core/testing";
import { createBrokerStore } from "./store.ts";

const a = { record: agentRecord({ agentId: "a" }), leaseMs: 10_000 };
const b = { record: agentRecord({ agentId: "b", description: "häuft" }), leaseMs: 500 };
const schema = { name: "paper", version: "1.0.0", schema: { type: "object" } };

function folder(): Disposable & { readonly path: string } {
  const path = mkdtempSync(join(tmpdir(), "soorma-broker-"));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** A store that counts its transactions, and fails them while told to. */
function watched(store: Store): Store & { writes: number; failing: boolean } {
  const wrapper = {
    writes: 0,
    failing: false,
    get: store.get.bind(store),
    range: store.range.bind(store),
    async transact<T>(body: Parameters<typeof store.transact<T>>[0]): Promise<T> {
      wrapper.writes++;
      if (wrapper.failing) throw new Error("disk");
      return store.transact(body);
    },
    close: () => store.close(),
    [Symbol.asyncDispose]: () => store.close(),
  };
  return wrapper;
}

test("a broker that is opened again on the same files knows agents, schemas and a higher revision", async () => {
  using dir = folder();
  const options = { path: dir.path, runtime: systemRuntime, log: silentLogger };
  {
    await using lmdb = await openLmdbStore(options);
    const store = createBrokerStore(lmdb, silentLogger);
    expect(await store.load()).toEqual({ agents: [], schemas: [], revision: 0 });
    store.putAgent(a);
    store.putAgent(b);
    store.putSchema(schema);
    await store.flush(3);
    store.deleteAgent("a");
    await store.flush(4);
  }
  await using lmdb = await openLmdbStore(options);
  const again = await createBrokerStore(lmdb, silentLogger).load();
  expect(again.agents).toEqual([b]);
  expect(again.schemas).toEqual([schema]);
  expect(again.revision).toBeGreaterThanOrEqual(4);
});

test("a revision that was given out is never given out again, even if it was not written by itself", async () => {
  await using memory = createMemoryStore();
  let given = 0;
  for (let start = 0; start < 4; start++) {
    const store = createBrokerStore(memory, silentLogger);
    const { revision } = await store.load();
    expect(revision).toBeGreaterThanOrEqual(given);
    given = revision;
    for (let i = 0; i < 12_000; i++) {
      given++;
      if (i % 1_000 === 0) await store.flush(given);
    }
    // Killed here: the last thousand changes were told to watchers and not flushed.
  }
});

test("nor is one that was given out while the disk refused everything", async () => {
  await using memory = watched(createMemoryStore());
  const store = createBrokerStore(memory, silentLogger);
  await store.load();
  memory.failing = true;
  // As when all of a large mesh crash: each change is told to watchers at once.
  for (let given = 50_000; given <= 250_000; given += 50_000) await store.flush(given).catch(() => {});
  memory.failing = false;
  const { revision } = await createBrokerStore(memory, silentLogger).load();
  expect(revision).toBeGreaterThanOrEqual(250_000);
});

test("what comes while the disk is busy is one write", async () => {
  await using memory = watched(createMemoryStore());
  const store = createBrokerStore(memory, silentLogger);
  await store.load();
  memory.writes = 0;
  const flushes: Promise<void>[] = [];
  for (let i = 0; i < 100; i++) {
    store.putAgent({ ...a, record: agentRecord({ agentId: `a${i}` }) });
    flushes.push(store.flush(i));
  }
  await Promise.all(flushes);
  expect(memory.writes).toBe(2);
  expect([...memory.range({ prefix: ["agent"] })]).toHaveLength(100);
});

test("a flush with nothing to write writes nothing", async () => {
  await using memory = watched(createMemoryStore());
  const store = createBrokerStore(memory, silentLogger);
  await store.load();
  memory.writes = 0;
  await store.flush(0);
  expect(memory.writes).toBe(0);
});

test("what could not be written is written by the next flush, the newest of each", async () => {
  await using memory = watched(createMemoryStore());
  const store = createBrokerStore(memory, silentLogger);
  await store.load();
  memory.failing = true;
  store.putAgent(a);
  store.putAgent(b);
  const failed = store.flush(1);
  store.deleteAgent("a");
  expect(await failed.catch((error: unknown) => (error as Error).message)).toBe("disk");
  memory.failing = false;
  await store.flush(2);
  expect([...memory.range({ prefix: ["agent"] })].map(({ key }) => key)).toEqual([["agent", "b"]]);
});

test("a record that makes no sense is skipped and reported", async () => {
  await using memory = createMemoryStore();
  await memory.transact((tx) => {
    tx.put(["agent", "a"], a);
    tx.put(["agent", "x"], { record: { agentId: "x" } });
    tx.put(["schema", "s", "banana"], { name: "s", version: "banana", schema: {} });
  });
  const log = collectingLogger();
  const { agents, schemas } = await createBrokerStore(memory, log).load();
  expect(agents).toEqual([a]);
  expect(schemas).toEqual([]);
  expect(log.lines.filter(({ event }) => event === "record.skipped")).toHaveLength(2);
});
