import { expect, test } from "bun:test";
import { collectingLogger } from "../../testing/collecting-logger.ts";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { memoryRegistry } from "../../testing/memory-registry.ts";
import { agentRecord } from "../../testing/records.ts";
import { type ErrorCode, SoormaError } from "../errors.ts";
import type { RegistryBackend } from "../plugin/registry.ts";
import { DirectoryView } from "./directory-view.ts";
import { Membership } from "./membership.ts";

/** A node's membership in a registry that refuses with a code for as long as there is one. */
async function member() {
  const runtime = fakeRuntime();
  const log = collectingLogger();
  const inner = memoryRegistry({ runtime }).connect();
  const trouble: { code: ErrorCode | undefined } = { code: undefined };
  /** Descriptions of records that it refuses. */
  const refused = new Set<string>();
  /** While it is there, calls get no answer until it rejects. */
  const silence: { promise: Promise<never> | undefined } = { promise: undefined };
  /** While it is there, what reaches the registry is done, and its answers are lost. */
  const answers: { lost: boolean } = { lost: false };
  /** What is on the way to the registry gets there after it. */
  const delay: { promise: Promise<void> | undefined } = { promise: undefined };
  const registry: RegistryBackend = {
    ...inner,
    supports: inner.supports,
    async register(record, options) {
      if (trouble.code) throw new SoormaError(trouble.code, "the registry has trouble");
      if (refused.has(record.description)) throw new SoormaError("REGISTRY_REFUSED", "the registry will not have it");
      await delay.promise;
      const registered = await (silence.promise ?? inner.register(record, options));
      if (answers.lost) throw new SoormaError("REGISTRY_UNAVAILABLE", "the answer was lost");
      return registered;
    },
    renew: async (ids, options) => await (silence.promise ?? inner.renew(ids, options)),
    deregister: async (ids) => await (silence.promise ?? inner.deregister(ids)),
  };
  const directory = new DirectoryView("default");
  const membership = new Membership({ registry, directory, runtime, log, leaseMs: 10_000, renewMs: 3_000 });
  /** What a promise comes to, moving time until it does. */
  const end = async (promise: Promise<unknown>): Promise<string> => {
    let outcome = "";
    promise.then(
      () => (outcome = "done"),
      (error: SoormaError) => (outcome = error.code),
    );
    await runtime.runUntil(() => outcome !== "");
    return outcome;
  };
  await end(membership.start());
  const registered = async (): Promise<string[]> => (await inner.find({})).map(({ agentId }) => agentId);
  return { runtime, inner, registered, trouble, refused, silence, answers, delay, directory, membership, log, end };
}

for (const code of ["REGISTRY_UNAVAILABLE", "STORE_FULL"] as const) {
  test(`what changed of an agent reaches the registry later when it is ${code} now`, async () => {
    const { runtime, trouble, directory, membership, log, end } = await member();
    const record = agentRecord({ agentId: "a" });
    expect(await end(membership.put(record))).toBe("done");
    trouble.code = code;
    expect(await end(membership.put({ ...record, description: "changed" }))).toBe("done");
    expect(log.events("warn")).toEqual(["register.postponed"]);
    await runtime.advance(5_000);
    expect(directory.get("a")?.description).toBe(record.description);
    trouble.code = undefined;
    await runtime.advance(5_000);
    expect(directory.get("a")?.description).toBe("changed");
    expect(await end(membership.close())).toBe("done");
  });
}

test("a first registration, and a record that is refused, fail at once", async () => {
  const { trouble, membership, end } = await member();
  const record = agentRecord({ agentId: "a" });
  trouble.code = "STORE_FULL";
  expect(await end(membership.put(record))).toBe("STORE_FULL");
  trouble.code = undefined;
  expect(await end(membership.put(record))).toBe("done");
  trouble.code = "REGISTRY_REFUSED";
  expect(await end(membership.put(record))).toBe("REGISTRY_REFUSED");
});

test("a node that leaves while the registry is away waits a moment, and makes nothing of it", async () => {
  const { runtime, silence, membership, log, end } = await member();
  const record = agentRecord({ agentId: "a" });
  expect(await end(membership.put(record))).toBe("done");
  const closed = Promise.withResolvers<never>();
  silence.promise = closed.promise;
  const changed = membership.put({ ...record, description: "changed" });
  await runtime.advance(3_000);
  const leftAt = runtime.monotonic();
  expect(await end(membership.close())).toBe("done");
  expect(runtime.monotonic() - leftAt).toBe(1_000);
  // As a registry's client ends the calls of a node that closes it.
  closed.reject(new SoormaError("REGISTRY_UNAVAILABLE", "it is closed"));
  expect(await end(changed)).toBe("done");
  await runtime.advance(60_000);
  expect(log.events("warn")).toEqual([]);
});

test("of an agent that changes while it is registered, the latest stays in the directory", async () => {
  const { runtime, delay, directory, membership, end } = await member();
  const record = agentRecord({ agentId: "a" });
  expect(await end(membership.put(record))).toBe("done");
  const late = Promise.withResolvers<void>();
  delay.promise = late.promise;
  const first = membership.put({ ...record, description: "first" });
  delay.promise = undefined;
  const second = membership.put({ ...record, description: "second" });
  await runtime.advance(100);
  late.resolve();
  expect(await end(Promise.all([first, second]))).toBe("done");
  await runtime.advance(100);
  expect(directory.get("a")?.description).toBe("second");
});

test("an agent that the registry refuses keeps what it had before, and no other agent out of a registry that forgot them", async () => {
  const { runtime, trouble, refused, inner, directory, membership, log, end } = await member();
  const a = agentRecord({ agentId: "a", description: "right" });
  const b = agentRecord({ agentId: "b" });
  expect(await end(membership.put(a))).toBe("done");
  expect(await end(membership.put(b))).toBe("done");
  trouble.code = "REGISTRY_REFUSED";
  expect(await end(membership.put({ ...a, description: "wrong" }))).toBe("REGISTRY_REFUSED");
  trouble.code = undefined;
  refused.add("wrong");
  await end(inner.deregister(["a", "b"]));
  await runtime.advance(10_000);
  expect(directory.get("a")?.description).toBe(a.description);
  // Now also what it had before.
  refused.add(a.description);
  await end(inner.deregister(["a", "b"]));
  await runtime.advance(10_000);
  expect([directory.has("a"), directory.has("b")]).toEqual([false, true]);
  expect(log.events("warn")).toEqual(["register.refused"]);
});

test("an agent that leaves while it is registered has left", async () => {
  const { runtime, delay, directory, membership, end } = await member();
  const record = agentRecord({ agentId: "a" });
  expect(await end(membership.put(record))).toBe("done");
  const late = Promise.withResolvers<void>();
  delay.promise = late.promise;
  const changed = membership.put({ ...record, ready: false });
  const removed = membership.remove("a");
  await runtime.advance(100);
  late.resolve();
  expect(await end(Promise.all([changed, removed]))).toBe("done");
  await runtime.advance(100);
  expect(directory.has("a")).toBe(false);
});

test("a node that leaves while one of its agents is registered leaves none behind", async () => {
  const { runtime, registered, delay, membership, end } = await member();
  const record = agentRecord({ agentId: "a" });
  expect(await end(membership.put(record))).toBe("done");
  const late = Promise.withResolvers<void>();
  delay.promise = late.promise;
  const changed = membership.put({ ...record, ready: false });
  const closed = membership.close();
  await runtime.advance(100);
  late.resolve();
  expect(await end(Promise.all([changed, closed]))).toBe("done");
  const left = registered();
  await runtime.advance(100);
  expect(await left).toEqual([]);
});

test("an agent whose first registration was done and not answered is taken back", async () => {
  const { runtime, answers, directory, membership, end } = await member();
  answers.lost = true;
  expect(await end(membership.put(agentRecord({ agentId: "a" })))).toBe("REGISTRY_UNAVAILABLE");
  expect(await end(membership.remove("a"))).toBe("done");
  await runtime.advance(100);
  expect(directory.has("a")).toBe(false);
});
