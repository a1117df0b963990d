import { expect, test } from "bun:test";
import fc from "fast-check";
import type { FakeRuntime } from "../testing/fake-runtime.ts";
import { changes } from "../testing/plan-changes.ts";
import { stageHome, stateStage } from "../testing/state-stage.ts";
import { isSoormaError, type SoormaError } from "./errors.ts";
import { memoryMethods } from "./memory/protocol.ts";
import type { PlanChange, PlanEntry } from "./plans/log.ts";
import { trackerMethods, watchLeaseMs } from "./tracker/protocol.ts";

/** The stage with one agent's node. */
function stage() {
  const made = stateStage();
  const { node: agentNode, ...clients } = made.node("inproc://agent");
  return { ...made, ...clients, agentNode };
}

/** Lets virtual time pass until the promise settles. */
async function settled<T>(runtime: FakeRuntime, promise: Promise<T>): Promise<T> {
  let done = false;
  const finish = (): void => {
    done = true;
  };
  promise.then(finish, finish);
  await runtime.runUntil(() => done);
  return promise;
}

async function failure(runtime: FakeRuntime, promise: Promise<unknown>): Promise<SoormaError> {
  const error = await settled(
    runtime,
    promise.then(
      () => undefined,
      (thrown: unknown) => thrown,
    ),
  );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
  return error;
}

const created = changes.created();
const started: PlanChange = { type: "plan.started", tasks: [{ taskId: "a", name: "a", assignedTo: "w" }] };
const dispatched: PlanChange = { type: "task.dispatched", taskId: "a", attempt: 1 };
const progress = (fraction: number): PlanChange => ({ type: "task.progress", taskId: "a", fraction });
const failed: PlanChange = { type: "plan.failed", failure: { code: "X", message: "x", retryable: false } };

test("memory over calls is memory: values, absence, conflicts, pages, search", async () => {
  const { runtime, memory, start } = stage();
  start();
  const run = <T>(promise: Promise<T>): Promise<T> => settled(runtime, promise);
  const { version } = await run(memory.store("k", { text: "brokerless mesh" }, { ifVersion: 0 }));
  expect(await run(memory.retrieve<unknown>("k"))).toEqual({ text: "brokerless mesh" });
  expect(await run(memory.entry("k"))).toMatchObject({ key: "k", version });
  expect(await run(memory.retrieve("none"))).toBeUndefined();
  expect(await run(memory.entry("none"))).toBeUndefined();
  const conflict = await failure(runtime, memory.store("k", 1, { ifVersion: 0 }));
  expect(conflict).toMatchObject({ code: "VERSION_CONFLICT", details: { actual: version } });
  expect((await run(memory.search("mesh"))).map((hit) => hit.key)).toEqual(["k"]);
  const large = "x".repeat(700_000);
  for (let i = 0; i < 9; i++) await run(memory.store(`large:${i}`, large));
  expect(await run(memory.list("large:"))).toHaveLength(9);
  expect(await run(memory.list("large:", { limit: 5, after: "large:1" }))).toHaveLength(5);
  expect(await run(memory.delete("k"))).toBe(true);
  expect(await run(memory.delete("k"))).toBe(false);
  await run(memory.store("fleeting", 1, { ttlMs: 1_000 }));
  await runtime.advance(1_000);
  expect(await run(memory.retrieve("fleeting"))).toBeUndefined();
  expect((await failure(runtime, memory.store("", 1))).code).toBe("KEY_INVALID");
});

test("a search finds what does not fit one answer, too", async () => {
  const { runtime, memory, start } = stage();
  start();
  for (let i = 0; i < 5; i++) await settled(runtime, memory.store(`k${i}`, `common ${"x".repeat(700_000)}`));
  const keys = async (limit: number): Promise<string[]> =>
    (await settled(runtime, memory.search("common", { limit }))).map((hit) => hit.key);
  expect(await keys(10)).toEqual(["k0", "k1", "k2", "k3", "k4"]);
  expect(await keys(3)).toEqual(["k0", "k1", "k2"]);
  expect(await keys(0)).toEqual([]);
});

test("a write whose answer is lost is done once", async () => {
  const { runtime, memory, start, intercept, store } = stage();
  start();
  let lost = 0;
  intercept((message) => (message.kind === "answer" && lost++ < 2 ? "drop" : undefined));
  const { version } = await settled(runtime, memory.store("k", "a", { ifVersion: 0 }));
  expect(lost).toBeGreaterThan(2);
  expect(store.get<unknown>(["mems", "acme"])).toMatchObject({ version, docs: 1 });
  lost = 0;
  expect(await settled(runtime, memory.delete("k"))).toBe(true);
});

test("an outage is STORE_UNAVAILABLE at the deadline, saying what was tried; never an empty answer", async () => {
  const { runtime, memory, tracker } = stage();
  const attempts: Readonly<Record<string, () => Promise<unknown>>> = {
    'retrieve "k"': () => memory.retrieve("k"),
    'list ""': () => memory.list(""),
    'search "x"': () => memory.search("x"),
    'store "k"': () => memory.store("k", 1),
    "list plans": () => tracker.listPlans(),
    "read plan p": () => tracker.getPlan("p"),
  };
  for (const [what, attempt] of Object.entries(attempts)) {
    const startedMs = runtime.monotonic();
    const error = await failure(runtime, attempt());
    expect(error.code).toBe("STORE_UNAVAILABLE");
    expect(error.message).toContain(what);
    expect(error.details).toMatchObject({ lastCode: "NO_RESPONDER" });
    expect(Number(error.details?.attempts)).toBeGreaterThan(5);
    expect(runtime.monotonic() - startedMs).toBeWithin(0, 30_001);
  }
});

test("a call made during an outage is answered when the state node is back", async () => {
  const { runtime, memory, start, kill } = stage();
  start();
  await settled(runtime, memory.store("k", 1));
  await kill();
  const read = memory.retrieve<number>("k");
  const written = memory.store("k2", 2);
  await runtime.advance(8_000);
  start();
  expect(await settled(runtime, read)).toBe(1);
  await settled(runtime, written);
});

test("malformed calls are answered with errors, and the service goes on", async () => {
  const { runtime, agentNode, start, memory } = stage();
  start();
  const methods = [...Object.values(memoryMethods), ...Object.values(trackerMethods)];
  const params = fc.oneof(
    fc.anything({ maxDepth: 2, withNullPrototype: false }),
    fc.record(
      {
        tenant: fc.oneof(fc.constant("acme"), fc.string(), fc.integer()),
        key: fc.oneof(fc.constant("k"), fc.string({ unit: "binary" }), fc.integer()),
        planId: fc.oneof(fc.constant("p"), fc.string()),
        value: fc.jsonValue(),
        expectedVersion: fc.oneof(fc.constant(0), fc.double()),
        afterVersion: fc.oneof(fc.nat(), fc.double()),
        changes: fc.array(fc.oneof(fc.constant(created), fc.constant({ type: "plan.created" }), fc.jsonValue())),
        query: fc.string(),
        prefix: fc.oneof(fc.string({ unit: "binary" }), fc.integer()),
        limit: fc.oneof(fc.integer(), fc.double()),
        ttlMs: fc.double(),
        watchId: fc.string(),
        status: fc.string(),
        sinceMs: fc.double(),
      },
      { requiredKeys: [] },
    ),
  );
  await fc.assert(
    fc.asyncProperty(fc.constantFrom(...methods), params, async (method, value) => {
      // Answered at all is what matters: a crash would be a call that never settles.
      // Some of them are right by chance, and wait for the end of a plan that is there by chance.
      const outcome = await settled(
        runtime,
        agentNode.call(stageHome, method, value, { timeoutMs: 60_000 }).then(
          () => "answered",
          (error: unknown) => (isSoormaError(error) ? error.code : "packing"),
        ),
      );
      expect(outcome).not.toBe("TIMEOUT");
    }),
    { numRuns: 1_500 },
  );
  await settled(runtime, memory.store("still", "here"));
  expect(await settled(runtime, memory.retrieve<string>("still"))).toBe("here");
}, 60_000);

test("a watch goes on over the state node's restart, without a gap and nothing twice", async () => {
  const { runtime, tracker, start, kill } = stage();
  start();
  const run = <T>(promise: Promise<T>): Promise<T> => settled(runtime, promise);
  await run(tracker.append("p", 0, [created, started, dispatched]));
  const seen: PlanEntry[] = [];
  const watching = (async () => {
    for await (const entry of tracker.watch("p")) seen.push(entry);
  })();
  await runtime.runUntil(() => seen.length === 3);
  await run(tracker.append("p", 3, [progress(0.1)]));
  await runtime.runUntil(() => seen.length === 4);
  await kill();
  await runtime.advance(45_000);
  const during = tracker.append("p", 4, [progress(0.2)]);
  await runtime.advance(5_000);
  expect(seen).toHaveLength(4);
  start();
  await run(during);
  await runtime.runUntil(() => seen.length === 5);
  await run(tracker.append("p", 5, [failed]));
  await run(watching);
  expect(seen.map((entry) => entry.version)).toEqual([1, 2, 3, 4, 5, 6]);
});

test("lost notes cost a watch time, not entries", async () => {
  const { runtime, tracker, start, intercept } = stage();
  const service = start();
  const run = <T>(promise: Promise<T>): Promise<T> => settled(runtime, promise);
  await run(tracker.append("p", 0, [created, started, dispatched]));
  const seen: number[] = [];
  const watching = (async () => {
    for await (const entry of tracker.watch("p", { afterVersion: 1 })) seen.push(entry.version);
  })();
  await runtime.runUntil(() => seen.length === 2);
  let notes = 0;
  intercept((message) => (message.kind === "note" && notes++ % 3 !== 2 ? "drop" : undefined));
  for (let version = 3; version < 13; version++) await run(tracker.append("p", version, [progress(version / 20)]));
  await runtime.runUntil(() => seen.length === 12);
  intercept((message) => (message.kind === "note" ? "drop" : undefined));
  await run(tracker.append("p", 13, [failed]));
  await run(watching);
  expect(seen).toEqual(Array.from({ length: 13 }, (_, i) => i + 2));
  expect(notes).toBeGreaterThan(5);
  await runtime.runUntil(() => service.watcherCount === 0);
});

test("large entries reach a watch by being read, not by being sent along", async () => {
  const { runtime, tracker, start } = stage();
  start();
  const run = <T>(promise: Promise<T>): Promise<T> => settled(runtime, promise);
  await run(tracker.append("p", 0, [created, started, dispatched]));
  const sizes: number[] = [];
  const watching = (async () => {
    for await (const entry of tracker.watch("p")) {
      if (entry.type === "task.progress") sizes.push(entry.message?.length ?? 0);
    }
  })();
  for (let version = 3; version < 9; version++) {
    const large: PlanChange = { ...progress(0.5), message: "x".repeat(900_000) } as PlanChange;
    await run(tracker.append("p", version, [large]));
  }
  await run(tracker.append("p", 9, [failed]));
  await run(watching);
  expect(sizes).toEqual(Array(6).fill(900_000));
  expect(await run(tracker.timeline("p"))).toHaveLength(10);
});

test("watches are forgotten when their peer is gone, and when they are not renewed", async () => {
  const { runtime, tracker, start, agentNode } = stage();
  const service = start();
  const run = <T>(promise: Promise<T>): Promise<T> => settled(runtime, promise);
  await run(tracker.append("p", 0, [created]));
  const watch = (watchId: string): Promise<unknown> =>
    run(agentNode.call(stageHome, trackerMethods.watch, { tenant: "acme", planId: "p", watchId, afterVersion: 0 }));
  await watch("w1");
  await watch("w1");
  await watch("w2");
  expect(service.watcherCount).toBe(2);
  await runtime.advance(watchLeaseMs);
  await run(tracker.append("p", 1, [started]));
  expect(service.watcherCount).toBe(0);
  await watch("w3");
  agentNode.stop();
  await service.tracker.append("acme", "p", 2, [dispatched], { by: "another node" });
  await runtime.runUntil(() => service.watcherCount === 0);
});

test("a watch ends with its signal, and one of a plan there is not is an error", async () => {
  const { runtime, tracker, start } = stage();
  const service = start();
  await settled(runtime, tracker.append("p", 0, [created]));
  const controller = new AbortController();
  let seen = 0;
  const watching = (async () => {
    for await (const _entry of tracker.watch("p", { signal: controller.signal })) seen++;
  })();
  await runtime.runUntil(() => seen === 1);
  expect(service.watcherCount).toBe(1);
  controller.abort();
  await settled(runtime, watching);
  await runtime.runUntil(() => service.watcherCount === 0);
  const missing = tracker.watch("nope")[Symbol.asyncIterator]().next();
  expect((await failure(runtime, missing)).code).toBe("PLAN_NOT_FOUND");
});

test("a closed service answers nothing and leaves its store open", async () => {
  const { runtime, start, agentNode, store } = stage();
  const service = start();
  await service.close();
  await service.close();
  const call = agentNode.call(stageHome, memoryMethods.entry, { tenant: "acme", key: "k" });
  expect((await failure(runtime, call)).code).toBe("METHOD_UNKNOWN");
  await store.transact((tx) => tx.put(["a"], 1));
});

test("a plan status there is not is refused with those there are", async () => {
  const { runtime, tracker, start } = stage();
  start();
  const refused = await failure(runtime, tracker.listPlans({ status: "done" as never }));
  expect(refused).toMatchObject({ code: "PAYLOAD_INVALID", hint: "Correct the field." });
  expect(refused.message).toContain(
    '/status must be one of "pending", "running", "paused", "completed", "failed", "cancelled"',
  );
});
