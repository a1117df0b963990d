export { type LmdbStoreOptions, openLmdbStore } from "./lmdb.ts";
export { storeOwner } from "./lock-file.ts";
export { createMemoryStore, type MemoryStoreOptions } from "./memory-store.ts";
export type { Entry, Key, KeyPart, RangeOptions, Store, StoreReader, StoreTransaction } from "./store.ts";
