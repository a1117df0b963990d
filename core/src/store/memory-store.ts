import { type Base, CommitRefused, createStoreEngine } from "./engine.ts";
import { OrderedMap } from "./ordered-map.ts";
import type { Store } from "./store.ts";

export interface MemoryStoreOptions {
  /**
   * Awaited before each batch of writes becomes visible: a slow disk for tests. When it throws, the batch is lost and
   * its transactions reject with what it threw.
   */
  readonly onFlush?: () => void | Promise<void>;
}

/** A store that forgets everything with its process; otherwise it behaves like the one on disk. */
export function createMemoryStore(options: MemoryStoreOptions = {}): Store {
  const data = new OrderedMap<Uint8Array>();
  const base: Base = {
    get: (key) => data.get(key),
    *range(low, high, reverse) {
      const keys = data.keys(low, high);
      if (reverse) keys.reverse();
      const entries = keys.map((key) => [key, data.get(key) as Uint8Array] as const);
      yield* entries;
    },
    async commit(writes) {
      try {
        await options.onFlush?.();
      } catch (error) {
        throw new CommitRefused(error instanceof Error ? error.message : String(error), { cause: error });
      }
      for (const [key, bytes] of writes) {
        if (bytes) data.set(key, bytes);
        else data.delete(key);
      }
    },
    async close() {},
  };
  return createStoreEngine(base, "memory store");
}
