import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeContract } from "../../testing/store-contract.ts";
import { silentLogger } from "../log.ts";
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

for (const [name, runtime] of [
  ["lmdb", systemRuntime],
  ["lmdb on a slow disk", slowRuntime],
] as const) {
  storeContract({
    name,
    async make() {
      const path = mkdtempSync(join(tmpdir(), "soorma-store-"));
      const open = () => openLmdbStore({ path, runtime, log: silentLogger });
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
