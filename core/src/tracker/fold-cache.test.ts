import { expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { changes } from "../../testing/plan-changes.ts";
import { trackerInMemory } from "../../testing/tracker-in-memory.ts";
import type { PlanChange } from "../plans/log.ts";
import { foldPlan, summarize } from "../plans/reducer.ts";
import { createMemoryStore } from "../store/memory-store.ts";
import type { Store } from "../store/store.ts";
import { createTrackerStore } from "./tracker-store.ts";

const { created, started, dispatched, stepped, succeeded } = changes;

/** A store that counts the ranges its transactions read. */
function counting(store: Store): Store & { ranges: number } {
  return {
    ...store,
    ranges: 0,
    transact(body) {
      return store.transact((tx) =>
        body({
          losses: tx.losses,
          get: (key) => tx.get(key),
          put: (key, value) => tx.put(key, value),
          putLater: (key, make) => tx.putLater(key, make),
          delete: (key) => tx.delete(key),
          range: (options) => {
            this.ranges++;
            return tx.range(options);
          },
        }),
      );
    },
  };
}

test("10,000 open plans are changed in turn without any log being read", async () => {
  const store = counting(createMemoryStore());
  const log = createTrackerStore({ store, runtime: fakeRuntime() }).of("acme", "a");
  const ids = Array.from({ length: 10_000 }, (_, i) => `p${i}`);
  await Promise.all(ids.map((id) => log.append(id, 0, [created({}, "a"), started("t"), dispatched("t")])));
  for (const key of ["one", "two"]) {
    const recorded = await Promise.all(ids.map((id) => log.record(id, stepped("t", key))));
    expect(recorded.every(({ accepted }) => accepted)).toBe(true);
  }
  expect(store.ranges).toBe(0);
  expect(await log.list({ limit: 10_000, status: "running" })).toHaveLength(10_000);
}, 60_000);

test("plans beyond the memory there is for them are read again, and are what they were", async () => {
  const store = counting(createMemoryStore());
  const runtime = fakeRuntime();
  const log = createTrackerStore({ store, runtime, foldBytes: 20_000 }).of("acme", "a");
  for (let round = 0; round < 4; round++) {
    for (let i = 0; i < 20; i++) {
      const planId = `p${i}`;
      await runtime.advance(1);
      if (round === 0) await log.append(planId, 0, [created({ goalData: "x".repeat(500) }, "a"), started("t", "u")]);
      else if (round === 1) await log.append(planId, 2, [dispatched("t"), dispatched("u")], { epoch: 1 });
      else if (round === 2) await log.record(planId, stepped("t", "s"));
      else await log.append(planId, 4, [succeeded("t")], { epoch: 1 });
    }
  }
  expect(store.ranges).toBeGreaterThan(20);
  for (const summary of await log.list()) {
    expect(summary).toMatchObject({ version: 6, doneCount: 1 });
    expect(summary).toEqual(summarize(foldPlan(summary.planId, await log.read(summary.planId))));
  }
});

test("what a full disk refused is not remembered, nor what was accepted after it", async () => {
  let full = false;
  const store = createMemoryStore({
    onFlush: () => {
      if (full) throw new Error("no room");
    },
  });
  const runtime = fakeRuntime();
  const log = createTrackerStore({ store, runtime }).of("acme", "a");
  await log.append("p", 0, [created({}, "a"), started("t"), dispatched("t")]);
  full = true;
  const lost = [
    log.record("p", stepped("t", "one")),
    log.append("p", 3, [succeeded("t")], { epoch: 1 }),
    log.append("q", 0, [created({}, "a")]),
    log.claim("p", "b", 5),
  ].map((write) =>
    write.then(
      () => "written",
      () => "lost",
    ),
  );
  expect(await Promise.all(lost)).toEqual(["lost", "lost", "lost", "lost"]);
  full = false;
  expect(await log.record("p", stepped("t", "one"))).toEqual({ version: 4, accepted: true });
  expect(await log.append("q", 0, [created({}, "a")])).toBe(1);
  expect((await log.claim("p", "b", 5)).plans.map(({ planId, epoch }) => [planId, epoch])).toEqual([
    ["p", 2],
    ["q", 2],
  ]);
  expect((await log.read("p")).map(({ type, version }) => [version, type])).toEqual([
    [1, "plan.created"],
    [2, "plan.started"],
    [3, "task.dispatched"],
    [4, "task.stepped"],
    [5, "plan.driven"],
  ]);
});

test("a change made in the moment in which earlier ones are found lost follows what is on disk", async () => {
  let lose = false;
  let during: Promise<unknown>[] = [];
  const store = createMemoryStore({
    async onFlush() {
      if (!lose) return;
      lose = false;
      // One in each of the next turns of the microtask queue: before, while, and after the others hear of it.
      void (async () => {
        for (let i = 0; i < 30; i++) {
          await undefined;
          during.push(log.record("p", stepped("t", `k${i}`)).catch(() => "lost"));
        }
      })();
      throw new Error("no room");
    },
  });
  const log = createTrackerStore({ store, runtime: fakeRuntime() }).of("acme", "a");
  await log.append("p", 0, [created({}, "a"), started("t"), dispatched("t")]);
  for (let round = 0; round < 5; round++) {
    lose = true;
    during = [];
    expect(await log.record("p", stepped("t", `lost${round}`)).catch(() => "lost")).toBe("lost");
    await Promise.all(during);
    await log.record("p", stepped("t", `last${round}`));
    const entries = await log.read("p");
    expect(entries.map(({ version }) => version)).toEqual(entries.map((_, i) => i + 1));
    expect(entries.some((entry) => entry.type === "task.stepped" && entry.key.startsWith("lost"))).toBe(false);
  }
});

test("an append that is refused in its middle leaves nothing in what follows it while the disk is at work", async () => {
  const flushed = Promise.withResolvers<void>();
  let isHeld = false;
  const { log } = trackerInMemory({ onFlush: async () => void (isHeld && (await flushed.promise)) });
  const long = "t".repeat(500);
  await log.append("p1", 0, [created({}, "a"), started("a", long), dispatched("a"), dispatched(long)]);
  await log.append("p2", 0, [created({}, "a"), started("a")]);
  isHeld = true;
  const other = log.append("p2", 2, [dispatched("a")]);
  // Short enough as text, but not as the key of a wait in the store.
  const key = "é".repeat(900);
  const wait: PlanChange = {
    type: "task.waiting",
    taskId: long,
    attempt: 1,
    key,
    on: { kind: "event", pattern: "x" },
  };
  const refused = log.record("p1", wait).catch((error: { code?: string }) => error.code);
  const good = log.record("p1", stepped("a", "k"));
  flushed.resolve();
  await Promise.all([other, good]);
  expect(await refused).toBe("KEY_INVALID");
  expect((await log.read("p1")).map(({ version, type }) => [version, type])).toEqual([
    [1, "plan.created"],
    [2, "plan.started"],
    [3, "task.dispatched"],
    [4, "task.dispatched"],
    [5, "task.stepped"],
  ]);
});
