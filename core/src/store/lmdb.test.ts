import { expect, test } from "bun:test";
import {
  closeSync,
  copyFileSync,
  fstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectingLogger } from "../../testing/collecting-logger.ts";
import { storeContract } from "../../testing/store-contract.ts";
import { waitFor } from "../../testing/wait-for.ts";
import { createLogger } from "../log.ts";
import { type Runtime, systemRuntime } from "../runtime.ts";
import { openLmdbStore } from "./lmdb.ts";

let spentMs = 0;
/** On its clock every commit takes long, so that lmdb's own thread does them. */
const slowRuntime: Runtime = {
  ...systemRuntime,
  monotonic: () => {
    spentMs += 50;
    return spentMs;
  },
};

for (const [name, runtime, journalBytes] of [
  ["lmdb", systemRuntime, 0],
  ["lmdb on a slow disk", slowRuntime, 0],
  // So small that it is full again and again, and what is large goes past it.
  ["lmdb with a journal", systemRuntime, 8192],
] as const) {
  storeContract({
    name,
    async make() {
      const path = mkdtempSync(join(tmpdir(), "soorma-store-"));
      const open = async () => {
        const log = collectingLogger();
        const store = await openLmdbStore({ path, runtime, journalBytes, log });
        await waitFor(async () => {
          await store.transact((tx) => tx.delete(["nothing"]));
          return journalBytes === 0 || log.events().includes("journal.opened");
        });
        return store;
      };
      const opened = [await open()];
      return {
        store: opened[0] as Awaited<ReturnType<typeof open>>,
        async reopen() {
          const store = await open();
          opened.push(store);
          return store;
        },
        async dispose() {
          for (const store of opened) await store.close();
          rmSync(path, { recursive: true, force: true });
        },
      };
    },
  });
}

test.each([0, 1024 * 1024])(
  "with a journal of %d bytes, who makes one transaction after the other leaves others their turns",
  async (journalBytes) => {
    const path = mkdtempSync(join(tmpdir(), "soorma-store-"));
    const log = collectingLogger();
    // On this clock every commit is over at once, so that none is made elsewhere.
    const runtime: Runtime = { ...systemRuntime, monotonic: () => 0 };
    const store = await openLmdbStore({ path, runtime, journalBytes, log });
    const put = (n: number): Promise<unknown> => store.transact((tx) => tx.put(["n"], n));
    await waitFor(async () => {
      await put(0);
      return journalBytes === 0 || log.events().includes("journal.opened");
    });
    let turns = 0;
    const turn = (): void => {
      turns++;
      next = setImmediate(turn);
    };
    let next = setImmediate(turn);
    for (let n = 0; n < 200; n++) await put(n);
    clearImmediate(next);
    expect(turns).toBeGreaterThanOrEqual(20);
    await store.close();
    rmSync(path, { recursive: true });
  },
);

test("a commit that was refused for want of room is not missing in the journal of a process killed after it", async () => {
  const root = mkdtempSync(join(tmpdir(), "soorma-store-"));
  const path = join(root, "killed");
  const log = collectingLogger();
  const store = await openLmdbStore({ path, runtime: systemRuntime, log, mapSizeBytes: 1024 * 1024 });
  await waitFor(async () => {
    await store.transact((tx) => tx.put(["n"], 0));
    return log.events().includes("journal.opened");
  });
  const refused = await store
    .transact((tx) => tx.put(["large"], "x".repeat(2 * 1024 * 1024)))
    .catch((error: { code?: string }) => error.code);
  expect<unknown>(refused).toBe("STORE_FULL");
  await store.transact((tx) => tx.put(["small"], "kept"));
  const found = join(root, "found");
  mkdirSync(found);
  for (const file of ["data.mdb", "journal"]) copyFileSync(join(path, file), join(found, file));
  await store.close();
  const next = await openLmdbStore({ path: found, runtime: systemRuntime, log });
  expect(next.get<string>(["small"])).toBe("kept");
  await next.close();
  rmSync(root, { recursive: true });
});

test("a folder whose name has a dot is opened", async () => {
  const root = mkdtempSync(join(tmpdir(), "soorma-store-"));
  const path = join(root, "data.v1");
  const store = await openLmdbStore({ path, runtime: systemRuntime, log: collectingLogger() });
  await store.transact((tx) => tx.put(["n"], 1));
  await store.close();
  expect(readdirSync(path).sort()).toEqual(["data.mdb", "lock.mdb"]);
  rmSync(root, { recursive: true });
});

test("a journal that cannot be removed is closed once: its descriptor may be another file's by then", async () => {
  const path = mkdtempSync(join(tmpdir(), "soorma-store-"));
  const other = join(path, "other");
  writeFileSync(other, "x");
  let opened: number | undefined;
  const log = createLogger({
    now: () => 0,
    sink: ({ event }) => {
      events.push(event);
      if (event === "journal.kept") opened = openSync(other, "r");
    },
    level: "debug",
  });
  const events: string[] = [];
  const store = await openLmdbStore({ path, runtime: systemRuntime, log });
  await waitFor(async () => {
    await store.transact((tx) => tx.put(["n"], 0));
    return events.includes("journal.opened");
  });
  await store.transact((tx) => tx.put(["n"], 1));
  rmSync(join(path, "journal"));
  mkdirSync(join(path, "journal"));
  await store.close();
  expect(fstatSync(opened ?? -1).size).toBe(1);
  closeSync(opened ?? -1);
  rmSync(path, { recursive: true });
});
