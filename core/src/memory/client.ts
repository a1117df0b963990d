import { namePart } from "../events/codec.ts";
import type { Runtime } from "../runtime.ts";
import type { StateCaller } from "../state-caller.ts";
import { createStateCalls } from "../state-calls.ts";
import type { Memory, MemoryEntry, SearchHit, SearchOptions } from "./contract.ts";
import { checkKey } from "./key.ts";
import { allHits, memoryMethods, type Page } from "./protocol.ts";

export interface MemoryClientOptions {
  readonly caller: StateCaller;
  readonly runtime: Runtime;
  readonly tenant: string;
  readonly userId?: string;
  /** Makes ids that no other node makes: a write that is tried again is done once. */
  readonly nextId: () => string;
  /** How long a call goes on trying to reach the state node. Default 30_000. */
  readonly deadlineMs?: number;
}

/** Memory as it is on whichever node of the mesh keeps the state now. */
export function createMemoryClient(options: MemoryClientOptions): Memory {
  const { tenant, userId, nextId } = options;
  const call = createStateCalls(options);
  const identity = { tenant, ...(userId === undefined ? {} : { user: userId }) };

  const entryOf = async <T>(key: string): Promise<MemoryEntry<T> | undefined> => {
    checkKey(key);
    const found = await call<MemoryEntry<T> | null>(memoryMethods.entry, { ...identity, key }, `retrieve "${key}"`);
    return found ?? undefined;
  };

  return {
    async store(key, value, storeOptions = {}) {
      checkKey(key);
      if (value === undefined) throw new TypeError(`store("${key}", undefined): use delete()`);
      const params = { ...identity, key, value, ...storeOptions, operationId: nextId() };
      try {
        return await call(memoryMethods.store, params, `store "${key}"`);
      } catch (error) {
        throw namePart(error, value, "value", `store "${key}"`);
      }
    },
    async retrieve<T>(key: string) {
      return (await entryOf<T>(key))?.value;
    },
    entry: entryOf,
    async delete(key, deleteOptions = {}) {
      checkKey(key);
      return call(
        memoryMethods.delete,
        { ...identity, key, ...deleteOptions, operationId: nextId() },
        `delete "${key}"`,
      );
    },
    async list<T>(prefix: string, { limit = 100, after }: { limit?: number; after?: string } = {}) {
      const entries: MemoryEntry<T>[] = [];
      for (let last = after; ; ) {
        const params = {
          ...identity,
          prefix,
          limit: limit - entries.length,
          ...(last === undefined ? {} : { after: last }),
        };
        const page = await call<Page<MemoryEntry<T>>>(memoryMethods.list, params, `list "${prefix}"`);
        entries.push(...page.items);
        last = page.items.at(-1)?.key;
        if (!page.more || entries.length >= limit || last === undefined) return entries;
      }
    },
    search<T>(query: string, searchOptions: SearchOptions = {}) {
      return allHits<T>(searchOptions.limit, (limit, skip) =>
        call<Page<SearchHit<T>>>(
          memoryMethods.search,
          { ...identity, query, ...searchOptions, limit, skip },
          `search "${query.slice(0, 80)}"`,
        ),
      );
    },
  };
}
