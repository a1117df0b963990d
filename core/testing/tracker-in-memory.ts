import { createMemoryStore } from "../src/store/memory-store.ts";
import { localQueries } from "../src/tracker/local-log.ts";
import { createTracker } from "../src/tracker/tracker.ts";
import { createTrackerStore } from "../src/tracker/tracker-store.ts";
import { fakeRuntime } from "./fake-runtime.ts";

/** A tracker of tenant `acme` without a mesh, in virtual time: its store, the log as agent `a` has it, and a client. */
export function trackerInMemory(options: { readonly onFlush?: () => Promise<void> } = {}) {
  const runtime = fakeRuntime();
  const tracker = createTrackerStore({ store: createMemoryStore(options), runtime });
  const log = tracker.of("acme", "a");
  let ids = 0;
  const queries = localQueries(tracker, "acme");
  const client = createTracker({ log, queries, tenant: "acme", nextId: () => `id${++ids}` });
  return { runtime, tracker, log, client };
}
