import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "../src/log.ts";
import { systemRuntime } from "../src/runtime.ts";
import { openLmdbStore } from "../src/store/lmdb.ts";
import { createMemoryStore } from "../src/store/memory-store.ts";
import type { Store } from "../src/store/store.ts";

/** A store for one test; closed, and its folder removed, when disposed. */
export interface TestStore extends AsyncDisposable {
  readonly store: Store;
}

/** Every kind of store, by name: for `describe.each(Object.entries(testStores))`. */
export const testStores: Readonly<Record<"memory" | "lmdb", () => Promise<TestStore>>> = {
  async memory() {
    const store = createMemoryStore();
    return { store, [Symbol.asyncDispose]: () => store.close() };
  },
  async lmdb() {
    const path = mkdtempSync(join(tmpdir(), "soorma-store-"));
    const store = await openLmdbStore({ path, runtime: systemRuntime, log: silentLogger });
    return {
      store,
      async [Symbol.asyncDispose]() {
        await store.close();
        rmSync(path, { recursive: true, force: true });
      },
    };
  },
};
