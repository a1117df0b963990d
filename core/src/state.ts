/**
 * What a process that keeps state needs, and ordinary agents do not: LMDB is only loaded when a store is opened.
 */
export { StateNode, type StateNodeOptions } from "./agents/state-node.ts";
export type { MemoryStore } from "./memory/memory-store.ts";
export { stateCapability } from "./state-caller.ts";
export { createStateService, type StateService, type StateServiceOptions } from "./state-service.ts";
export { type LmdbStoreOptions, openLmdbStore } from "./store/lmdb.ts";
export { createMemoryStore, type MemoryStoreOptions } from "./store/memory-store.ts";
export type { TrackerStore } from "./tracker/tracker-store.ts";
