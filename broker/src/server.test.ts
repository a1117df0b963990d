import { afterEach, beforeEach, expect, test } from "bun:test";
import { type AgentRecord, isSoormaError, type RenewResult, silentLogger } from "@soorma/core";
import { type ChangeNote, type RegistryStatus, registryMethods, type WatchAnswer } from "@soorma/core/registry";
import { createMemoryStore, type Store } from "@soorma/core/store";
import {
  agentRecord,
  createRpcNetwork,
  type FakeRuntime,
  fakeRuntime,
  type RpcMessage,
  type RpcNetwork,
  type RpcNetworkNode,
} from "@soorma/core/testing";
import fc from "fast-check";
import { type Broker, createBroker } from "./server.ts";

let runtime: FakeRuntime;
let network: RpcNetwork;
let store: Store;
let onSend: ((message: RpcMessage) => "drop" | undefined | Promise<"drop" | undefined>) | undefined;
let node: RpcNetworkNode;
let broker: Broker;
let client: RpcNetworkNode;
let ended: { over: boolean };

const leaseMs = 10_000;
/** For tests that do much, on a machine that does much else. */
const slowMs = 60_000;

async function start(): Promise<void> {
  node = network.node("broker");
  const life = { over: false };
  ended = life;
  const own: Store = {
    get: store.get.bind(store),
    range: store.range.bind(store),
    // A killed process writes no more, whatever its timers would have it do.
    transact: (body) => (life.over ? new Promise(() => {}) : store.transact(body)),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
  };
  broker = await createBroker({ rpc: node, store: own, runtime, log: silentLogger });
}

/** As SIGKILL does: nothing is flushed or told. */
function kill(): void {
  ended.over = true;
  node.stop();
}

/** Runs virtual time until a call is answered. */
async function done<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = (): void => {
    settled = true;
  };
  promise.then(end, end);
  await runtime.runUntil(() => settled);
  return promise;
}

function call<T>(method: keyof typeof registryMethods, params: unknown, from = client): Promise<T> {
  return done(from.call<T>("broker", registryMethods[method], params));
}

const register = (record: AgentRecord): Promise<{ revision: number }> => call("register", { record, leaseMs });
const find = async (query: unknown = {}): Promise<string[]> =>
  (await call<AgentRecord[]>("find", { query })).map(({ agentId }) => agentId);

beforeEach(async () => {
  runtime = fakeRuntime();
  onSend = undefined;
  network = createRpcNetwork({ runtime, onSend: (message) => onSend?.(message) });
  store = createMemoryStore();
  await start();
  client = network.node("client");
});

afterEach(async () => {
  await broker.close();
  await store.close();
});

test("after SIGKILL and a restart everybody is known, gets time to show up, and revisions go on", async () => {
  const { revision } = await register(agentRecord({ agentId: "a" }));
  await register(agentRecord({ agentId: "b" }));
  await runtime.advance(9_000);
  kill();
  await start();
  expect(await find()).toEqual(["a", "b"]);
  expect(broker.status().revision).toBeGreaterThan(revision);
  await runtime.advance(9_000);
  expect(await call<RenewResult>("renew", { agentIds: ["a"], leaseMs })).toEqual({ unknown: [] });
  await runtime.advance(1_100);
  expect(await find()).toEqual(["a"]);
});

test("an agent that expired or left is not known after a restart either", async () => {
  await register(agentRecord({ agentId: "a" }));
  await register(agentRecord({ agentId: "b" }));
  await call("deregister", { agentIds: ["b"] });
  await runtime.advance(leaseMs);
  expect(await find()).toEqual([]);
  kill();
  await start();
  expect(await find()).toEqual([]);
});

test("an agent whose node is killed is gone at once, and its watchers are told that it crashed", async () => {
  const agent = network.node("agent-1");
  const notes: ChangeNote[] = [];
  client.handle<ChangeNote>(registryMethods.change, ({ params }) => void notes.push(params));
  await call<WatchAnswer>("watch", { watchId: "w" });
  await register(agentRecord({ agentId: "a", address: "agent-1" }));
  await runtime.advance(1);
  expect(broker.status().linked).toBe(1);
  agent.stop();
  await runtime.advance(1);
  expect(notes.flatMap(({ changes }) => changes).at(-1)).toMatchObject({
    kind: "down",
    agentId: "a",
    reason: "crashed",
  });
  expect(await find()).toEqual([]);
  expect(broker.status().linked).toBe(0);
});

test("an agent too busy to renew is kept as long as its node's connection lives", async () => {
  network.node("agent-1");
  await register(agentRecord({ agentId: "a", address: "agent-1" }));
  await runtime.advance(leaseMs * 20);
  expect(await find()).toEqual(["a"]);
});

test("an agent that its node forgot expires although the node lives", async () => {
  const agent = network.node("agent-1", "node-1");
  await register(agentRecord({ agentId: "a", address: "agent-1", nodeId: "node-1" }));
  await register(agentRecord({ agentId: "b", address: "agent-1", nodeId: "node-1" }));
  for (let i = 0; i < 8; i++) {
    await runtime.advance(3_000);
    await call("renew", { agentIds: ["a"], leaseMs }, agent);
  }
  expect(await find()).toEqual(["a"]);
});

test("a killed node's agent that comes back is linked and watched over anew", async () => {
  const record = agentRecord({ agentId: "a", address: "agent-1" });
  for (let i = 0; i < 3; i++) {
    const agent = network.node("agent-1");
    await register(record);
    await runtime.advance(leaseMs * 2);
    expect(await find()).toEqual(["a"]);
    agent.stop();
    await runtime.advance(1);
    expect(await find()).toEqual([]);
  }
});

test(
  "changes come in the order of their revisions, each following on the last",
  async () => {
    const notes: ChangeNote[] = [];
    client.handle<ChangeNote>(registryMethods.change, ({ params }) => void notes.push(params));
    const { revision, records } = await call<WatchAnswer>("watch", { watchId: "w" });
    expect(records).toEqual([]);
    const calls = Array.from({ length: 50 }, (_, i) =>
      client.call("broker", registryMethods.register, { record: agentRecord({ agentId: `a${i}` }), leaseMs }),
    );
    await done(Promise.all(calls));
    await runtime.advance(1);
    let has = revision;
    for (const note of notes) {
      expect(note.after).toBe(has);
      for (const change of note.changes) expect(change.revision).toBe(++has);
    }
    expect(has).toBe(revision + 50);
  },
  slowMs,
);

test("a watcher of one tenant hears of no other", async () => {
  const notes: ChangeNote[] = [];
  client.handle<ChangeNote>(registryMethods.change, ({ params }) => void notes.push(params));
  await register(agentRecord({ agentId: "old", tenant: "acme" }));
  await register(agentRecord({ agentId: "other" }));
  const answer = await call<WatchAnswer>("watch", { watchId: "w", tenant: "acme" });
  expect(answer.records?.map(({ agentId }) => agentId)).toEqual(["old"]);
  await register(agentRecord({ agentId: "b" }));
  await register(agentRecord({ agentId: "a", tenant: "acme" }));
  await call("deregister", { agentIds: ["other", "b", "old"] });
  await runtime.advance(1);
  const told = notes.flatMap(({ changes }) => changes).map((one) => (one.kind === "up" ? one.record.agentId : one));
  expect(told).toMatchObject(["a", { kind: "down", agentId: "old" }]);
  expect(notes.map(({ after }) => after)).toEqual([answer.revision, notes[0]?.changes.at(-1)?.revision ?? 0]);
});

test(
  "a slow watcher gets one snapshot instead of a queue without end",
  async () => {
    const notes: ChangeNote[] = [];
    client.handle<ChangeNote>(registryMethods.change, ({ params }) => void notes.push(params));
    await call<WatchAnswer>("watch", { watchId: "w" });
    const registrar = network.node("registrar");
    const gate = Promise.withResolvers<undefined>();
    onSend = (message) => (message.kind === "note" ? gate.promise : undefined);
    const changes = Array.from({ length: 1_200 }, (_, i) => {
      const params = { record: agentRecord({ agentId: "a", pid: i }), leaseMs };
      return registrar.call("broker", registryMethods.register, params);
    });
    await done(Promise.all(changes));
    onSend = undefined;
    gate.resolve(undefined);
    await runtime.advance(1);
    expect(notes.map(({ changes }) => changes[0]?.kind)).toEqual(["up", "snapshot"]);
    const last = notes.at(-1)?.changes[0];
    expect(last?.kind === "snapshot" && last.records[0]?.pid).toBe(1_199);
    expect(last?.revision).toBe(broker.status().revision);
  },
  slowMs,
);

test("a watcher that is gone is forgotten with the first note it cannot get", async () => {
  await call<WatchAnswer>("watch", { watchId: "w" });
  const other = network.node("other");
  expect(broker.status().watchers).toBe(1);
  client.stop();
  await call("register", { record: agentRecord({ agentId: "a" }), leaseMs }, other);
  await runtime.advance(1);
  expect(broker.status().watchers).toBe(0);
});

test("a watcher that asks learns that it missed nothing, or gets a snapshot", async () => {
  const { epoch } = await call<WatchAnswer>("watch", { watchId: "w" });
  await register(agentRecord({ agentId: "a" }));
  const { revision } = broker.status();
  expect(await call<WatchAnswer>("watch", { watchId: "w", epoch })).toMatchObject({ records: null, revision });
  kill();
  await start();
  const back = await call<WatchAnswer>("watch", { watchId: "w", epoch });
  expect(back.records).toHaveLength(1);
  expect(back.epoch).not.toBe(epoch);
  expect(back.revision).toBeGreaterThanOrEqual(revision);
});

test("a watch that is ended is pushed nothing, and nobody ends another node's", async () => {
  const other = network.node("other");
  await call<WatchAnswer>("watch", { watchId: "w" });
  await call("unwatch", { watchId: "w" }, other);
  expect(broker.status().watchers).toBe(1);
  await call("unwatch", { watchId: "w" });
  expect(broker.status().watchers).toBe(0);
});

test("schemas are there after a restart, and still immutable", async () => {
  const schema = { name: "paper", version: "1.0.0", schema: { type: "object" } };
  await call("putSchema", { schema });
  kill();
  await start();
  expect(await call<typeof schema>("getSchema", { name: "paper" })).toEqual(schema);
  const other = { ...schema, schema: { type: "string" } };
  const error = await call("putSchema", { schema: other }).catch((thrown: unknown) => thrown);
  expect(isSoormaError(error, "SCHEMA_CONFLICT")).toBe(true);
});

test("a broker that was asleep reads what came meanwhile before it lets anybody expire", async () => {
  await register(agentRecord({ agentId: "a" }));
  const monotonic = runtime.monotonic;
  let asleepMs = 0;
  runtime.monotonic = () => monotonic.call(runtime) + asleepMs;
  asleepMs = 60_000;
  // The timer is due and late; the renewal waits behind it.
  await runtime.advance(leaseMs);
  expect(await call<RenewResult>("renew", { agentIds: ["a"], leaseMs })).toEqual({ unknown: [] });
  await runtime.advance(5_000);
  expect(await find()).toEqual(["a"]);
});

/** As SIGSTOP and SIGCONT do, with everything that waits for the broker behind it. */
function sleepFor(ms: number): void {
  const monotonic = runtime.monotonic;
  runtime.monotonic = () => monotonic.call(runtime) + ms;
}

/** The link to an agent "a", which stays in the directory for now. */
async function breakLinkAsleep(): Promise<void> {
  const agent = network.node("agent-1");
  await register(agentRecord({ agentId: "a", address: "agent-1" }));
  await runtime.advance(3_000);
  sleepFor(6_000);
  agent.stop();
  await runtime.advance(1_000);
  expect(await find()).toEqual(["a"]);
}

test("links that broke while the broker was asleep are no crashes, if they come up again", async () => {
  await breakLinkAsleep();
  network.node("agent-1");
  await runtime.advance(4_000);
  expect(await call<RenewResult>("renew", { agentIds: ["a"], leaseMs })).toEqual({ unknown: [] });
  await runtime.advance(6 * leaseMs);
  expect(await find()).toEqual(["a"]);
});

test("if they do not, or nobody there renews, they are", async () => {
  for (const comesUp of [false, true]) {
    await breakLinkAsleep();
    if (comesUp) network.node("agent-1");
    await runtime.advance(comesUp ? leaseMs : 1_100);
    expect(await find()).toEqual([]);
  }
});

test(
  "whatever parameters are sent, the answer is an error with a code and the broker goes on",
  async () => {
    await register(agentRecord({ agentId: "a" }));
    const before = await call<RegistryStatus>("status", {});
    const methods = Object.keys(registryMethods).filter((method) => !["change", "status"].includes(method));
    const keys = fc.constantFrom("record", "agentIds", "query", "schema", "name", "version", "leaseMs", "watchId", "x");
    const params = fc.oneof(fc.anything(), fc.dictionary(keys, fc.oneof(fc.anything(), fc.constant(["a\0"]))));
    const codes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...methods), params, async (method, sent) => {
        const answer = await call(method as keyof typeof registryMethods, sent).catch((thrown: unknown) => thrown);
        if (answer instanceof Error) codes.add(isSoormaError(answer) ? answer.code : answer.name);
      }),
      { numRuns: 700 },
    );
    expect([...codes].filter((code) => !["REGISTRY_REFUSED", "SCHEMA_INVALID"].includes(code))).toEqual([]);
    expect(codes).toContain("REGISTRY_REFUSED");
    expect((await call<RegistryStatus>("status", {})).agents).toBe(before.agents);
    expect(await find()).toEqual(["a"]);
  },
  slowMs,
);

test("a field that is wrong is named by its path", async () => {
  const record = { ...agentRecord({ agentId: "a" }), consumes: [{ type: "a.b" }, { type: "a..b" }] };
  const error = await call("register", { record, leaseMs }).catch((thrown: unknown) => thrown);
  expect(error).toMatchObject({ code: "REGISTRY_REFUSED", details: { path: "record.consumes[1].type" } });
});

test("closing twice is fine, and the agents are known to the next broker", async () => {
  await register(agentRecord({ agentId: "a" }));
  await Promise.all([broker.close(), broker.close()]);
  node.stop();
  await start();
  expect(await find()).toEqual(["a"]);
});
