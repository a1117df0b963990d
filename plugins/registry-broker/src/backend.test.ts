import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type AgentRecord, type DirectoryChange, type RegistryBackend, SoormaError } from "@soorma/core";
import { type ChangeNote, registryMethods, type WatchAnswer, type WatchParams } from "@soorma/core/registry";
import {
  agentRecord,
  type CollectingLogger,
  collectingLogger,
  createRpcNetwork,
  type FakeRuntime,
  fakeRuntime,
  type RpcMessage,
  type RpcNetwork,
  type RpcNetworkNode,
} from "@soorma/core/testing";
import plugin from "./index.ts";

const lease = { leaseMs: 10_000 };
const a = agentRecord({ agentId: "a" });
const b = agentRecord({ agentId: "b" });

let runtime: FakeRuntime;
let network: RpcNetwork;
let log: CollectingLogger;
let node: RpcNetworkNode;
let registry: RegistryBackend;
let onSend: ((message: RpcMessage) => "drop" | undefined) | undefined;

/** A broker of which each test says what it does: it answers a watch with what it has, and pushes what it is told. */
class ScriptedBroker {
  readonly node: RpcNetworkNode;
  readonly calls: string[] = [];
  readonly epoch: string;
  records: readonly AgentRecord[] = [];
  revision = 0;
  watchId: string | undefined;

  constructor(epoch: string) {
    this.epoch = epoch;
    this.node = network.node("broker", `broker-${epoch}`);
    this.node.handle<WatchParams>(registryMethods.watch, ({ params }): WatchAnswer => {
      this.calls.push(params.epoch === undefined ? "snapshot" : "check");
      const known = this.watchId === params.watchId && params.epoch === this.epoch;
      this.watchId = params.watchId;
      const { nodeId } = this.node;
      return { nodeId, epoch: this.epoch, revision: this.revision, records: known ? null : this.records };
    });
    this.node.handle(registryMethods.unwatch, () => {
      this.watchId = undefined;
    });
  }

  note(change: DirectoryChange, over: Partial<ChangeNote> = {}, from = this.node): void {
    const { watchId = "", epoch, revision: after } = this;
    this.revision = change.revision;
    const note: ChangeNote = { watchId, epoch, after, changes: [change], ...over };
    from.notify("client", registryMethods.change, note).catch(() => {});
  }
}

const up = (record: AgentRecord, revision: number): DirectoryChange => ({ kind: "up", revision, record });

async function done<T>(promise: Promise<T>): Promise<T> {
  let settled = false;
  const end = (): void => {
    settled = true;
  };
  promise.then(end, end);
  await runtime.runUntil(() => settled);
  return promise;
}

const failure = (promise: Promise<unknown>): Promise<unknown> => done(promise.catch((thrown: unknown) => thrown));

beforeEach(async () => {
  runtime = fakeRuntime();
  onSend = undefined;
  network = createRpcNetwork({ runtime, onSend: (message) => onSend?.(message) });
  log = collectingLogger();
  node = network.node("client");
  registry = await plugin.create({ address: "broker", timeoutMs: 5_000, checkMs: 2_000 }, { rpc: node, runtime, log });
});

afterEach(() => done(registry.close()));

describe("calls", () => {
  test("a call made while the broker is away is answered as soon as it is back", async () => {
    const found = registry.find({});
    await runtime.advance(3_000);
    const broker = new ScriptedBroker("one");
    broker.node.handle(registryMethods.find, () => [a]);
    const startMs = runtime.elapsedMs;
    expect(await done(found)).toEqual([a]);
    expect(runtime.elapsedMs - startMs).toBeLessThan(50);
  });

  test("a broker that stays away is an error with address, time, hint and cause", async () => {
    const error = await failure(registry.find({}));
    expect(error).toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: 'the registry broker at broker did not answer "registry.find" in 5000 ms',
      hint: expect.stringContaining("soorma dev"),
      retryable: true,
      cause: { code: "PEER_UNREACHABLE" },
    });
    expect(runtime.elapsedMs).toBeGreaterThan(4_000);
    expect(runtime.elapsedMs).toBeLessThanOrEqual(5_000);
  });

  test("a broker that takes the call and says nothing is the same", async () => {
    const broker = new ScriptedBroker("one");
    broker.node.handle(registryMethods.find, () => new Promise(() => {}));
    expect(await failure(registry.find({}))).toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      cause: { code: "TIMEOUT" },
    });
    expect(runtime.elapsedMs).toBe(5_000);
  });

  test("something else at the address is told apart", async () => {
    network.node("broker");
    const error = await failure(registry.find({}));
    expect(error).toMatchObject({
      code: "REGISTRY_UNAVAILABLE",
      message: expect.stringContaining("is no registry broker"),
    });
  });

  test("what the broker refuses is not tried again", async () => {
    const broker = new ScriptedBroker("one");
    let calls = 0;
    broker.node.handle(registryMethods.register, () => {
      calls++;
      throw new SoormaError("REGISTRY_REFUSED", "no", { details: { path: "record.name" } });
    });
    expect(await failure(registry.register(a, lease))).toMatchObject({
      code: "REGISTRY_REFUSED",
      details: { path: "record.name" },
    });
    expect(calls).toBe(1);
  });

  test("an answer that is none is an error, not an empty list", async () => {
    const broker = new ScriptedBroker("one");
    for (const method of ["find", "querySchemas", "register", "renew", "getSchema"] as const) {
      broker.node.handle(registryMethods[method], () => (method === "getSchema" ? { x: 1 } : { agents: [] }));
    }
    const calls = [
      () => registry.find({}),
      () => registry.querySchemas({}),
      () => registry.register(a, lease),
      () => registry.renew(["a"], lease),
      () => registry.getSchema("s"),
    ];
    for (const call of calls) expect(await failure(call())).toMatchObject({ code: "MESSAGE_MALFORMED" });
  });

  test("an abort ends the waiting at once", async () => {
    const reason = new Error("enough");
    const controller = new AbortController();
    const registering = registry.register(a, { ...lease, signal: controller.signal });
    registering.catch(() => {});
    await runtime.advance(1_000);
    controller.abort(reason);
    expect(await failure(registering)).toBe(reason);
    expect(runtime.elapsedMs).toBe(1_000);
  });

  test("closing ends calls under way, and says that they cannot be retried", async () => {
    const found = failure(registry.find({}));
    await runtime.advance(1_000);
    await registry.close();
    expect(await found).toMatchObject({ code: "REGISTRY_UNAVAILABLE", retryable: false });
  });
});

describe("watching", () => {
  let broker: ScriptedBroker;
  let seen: DirectoryChange[];
  const told = (): string[] =>
    seen.map((one) =>
      one.kind === "snapshot"
        ? `snapshot ${one.revision}: ${one.records.map(({ agentId }) => agentId).join(" ")}`
        : `${one.kind} ${one.revision}`,
    );

  beforeEach(async () => {
    broker = new ScriptedBroker("one");
    seen = [];
    await done(registry.watch((change) => void seen.push(change)));
    // The connection that came up meanwhile is a reason to ask once more.
    await runtime.advance(10);
    broker.calls.length = 0;
  });

  test("changes that follow on each other are passed on, with no further question", async () => {
    broker.note(up(a, 1));
    broker.note(up(b, 2));
    await runtime.advance(100);
    expect(told()).toEqual(["snapshot 0: ", "up 1", "up 2"]);
    expect(broker.calls).toEqual([]);
  });

  test("a note that was lost shows in the next one, and a snapshot puts it right", async () => {
    onSend = (message) => (message.kind === "note" ? "drop" : undefined);
    broker.note(up(a, 1));
    await runtime.advance(10);
    onSend = undefined;
    broker.records = [a, b];
    broker.note(up(b, 2));
    await runtime.advance(10);
    expect(told()).toEqual(["snapshot 0: ", "snapshot 2: a b"]);
  });

  test("a lost last note shows within the check interval", async () => {
    onSend = (message) => (message.kind === "note" ? "drop" : undefined);
    broker.records = [a];
    broker.note(up(a, 1));
    await runtime.advance(2_300);
    expect(told()).toEqual(["snapshot 0: ", "snapshot 1: a"]);
    expect(broker.calls).toEqual(["check", "snapshot"]);
  });

  test("a note that comes twice is told once", async () => {
    broker.note(up(a, 1));
    broker.note(up(a, 1), { after: 0 });
    await runtime.advance(100);
    expect(told()).toEqual(["snapshot 0: ", "up 1"]);
  });

  test("a note of another node is nobody's", async () => {
    const stranger = network.node("stranger");
    broker.note(up(a, 1), {}, stranger);
    broker.note({ kind: "snapshot", revision: 9, records: [b] }, {}, stranger);
    void stranger.notify("client", registryMethods.change, "rubbish");
    await runtime.advance(100);
    expect(told()).toEqual(["snapshot 0: "]);
  });

  test("a restarted broker is noticed by its connection: a new snapshot, then its changes", async () => {
    broker.note(up(a, 1));
    await runtime.advance(10);
    broker.node.stop();
    await runtime.advance(60_000);
    expect(log.events("warn")).toEqual(["watch.interrupted"]);
    broker = new ScriptedBroker("two");
    broker.records = [a, b];
    broker.revision = 10_000;
    await runtime.advance(50);
    broker.note(up({ ...b, ready: false }, 10_001));
    await runtime.advance(50);
    expect(told()).toEqual(["snapshot 0: ", "up 1", "snapshot 10000: a b", "up 10001"]);
    expect(log.events("info")).toContain("watch.resumed");
  });

  test("a restarted broker is noticed even if its connection seemed never to break", async () => {
    onSend = () => "drop";
    broker.node.stop();
    broker = new ScriptedBroker("two");
    broker.records = [b];
    await runtime.advance(1_000);
    onSend = undefined;
    await runtime.advance(9_000);
    expect(told().at(-1)).toBe("snapshot 0: b");
  });

  test("a listener that throws is told the next change all the same", async () => {
    let calls = 0;
    await done(
      registry.watch(() => {
        calls++;
        throw new Error("mine");
      }),
    );
    broker.note(up(a, 1));
    await runtime.advance(10);
    expect(calls).toBe(2);
    expect(log.events("error")).toEqual(["listener.failed", "listener.failed"]);
  });

  test("a watch that cannot begin is an error and leaves nothing behind", async () => {
    broker.node.stop();
    expect(await failure(registry.watch(() => {}))).toMatchObject({ code: "REGISTRY_UNAVAILABLE" });
    broker = new ScriptedBroker("two");
    await runtime.advance(10_000);
    // Only the first watch asks.
    expect(new Set(broker.calls)).toEqual(new Set(["check"]));
  });
});

test("a disposed watch and a closed client leave no timer behind", async () => {
  const broker = new ScriptedBroker("one");
  const watch = await done(registry.watch(() => {}));
  expect(broker.watchId).toBeDefined();
  await done(Promise.all([watch[Symbol.asyncDispose](), watch[Symbol.asyncDispose]()]));
  expect(broker.watchId).toBeUndefined();
  await done(registry.close());
  await runtime.advance(1_000);
  expect(runtime.pending).toBe(0);
});
