import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { collectingLogger } from "../../testing/collecting-logger.ts";
import { storeContract } from "../../testing/store-contract.ts";
import { waitFor } from "../../testing/wait-for.ts";
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
