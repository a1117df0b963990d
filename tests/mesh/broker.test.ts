import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AgentRecord, type DirectoryChange, type RegistryWatch, silentLogger } from "@soorma/core";
import { agentRecord, waitFor } from "@soorma/core/testing";
import { openNode, type TestNode } from "./fixtures/node.ts";

const timeoutMs = 60_000;
const bound = { timeoutMs: 30_000 };
const lease = { leaseMs: 60_000 };
let dir: string;
let started: Bun.Subprocess<"ignore", "pipe", "inherit">[];
let open: AsyncDisposable[];

interface Started {
  readonly process: Bun.Subprocess<"ignore", "pipe", "inherit">;
  /** The line it printed. */
  readonly said: Readonly<Record<string, string>>;
}

async function start(script: string, ...args: string[]): Promise<Started> {
  const process = Bun.spawn([globalThis.process.execPath, join(import.meta.dir, "fixtures", script), ...args], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "inherit",
  });
  started.push(process);
  let text = "";
  const decoder = new TextDecoder();
  for await (const chunk of process.stdout) {
    text += decoder.decode(chunk, { stream: true });
    if (text.includes("\n")) break;
  }
  if (!text.includes("\n"))
    throw new Error(`${script} ended with ${await process.exited} and said ${text || "nothing"}`);
  return { process, said: JSON.parse(text) as Record<string, string> };
}

async function end(process: Started["process"], signal: NodeJS.Signals): Promise<void> {
  process.kill(signal);
  await process.exited;
}

/** `graceMs` is the time a restarted broker gives agents to show up. */
const startBroker = (listen = "tcp://127.0.0.1:0", data = "data", graceMs = 30_000): Promise<Started> =>
  start("broker-process.ts", listen, join(dir, data), join(dir, "s"), String(graceMs));
const startAgent = (broker: string, agentId: string, leaseMs: number, ...more: string[]): Promise<Started> =>
  start("agent-process.ts", broker, join(dir, "s"), agentId, String(leaseMs), ...more);

/** The short form of a broker's address: what a person would write, and what a restarted broker listens on. */
function shortOf({ said }: Started): string {
  const port = /tcp=127\.0\.0\.1(?:%3A|:)(\d+)/.exec(said.address ?? "")?.[1];
  if (port === undefined) throw new Error(`no port in ${JSON.stringify(said)}`);
  return `tcp://127.0.0.1:${port}`;
}

async function node(broker: string, timeoutMs?: number): Promise<TestNode> {
  const one = await openNode(broker, join(dir, "s"), silentLogger, timeoutMs);
  open.push(one);
  return one;
}

interface Seen {
  readonly changes: DirectoryChange[];
  readonly ids: () => string[];
  readonly watch: RegistryWatch;
}

async function watch({ registry }: TestNode): Promise<Seen> {
  const changes: DirectoryChange[] = [];
  const agents = new Map<string, AgentRecord>();
  const watching = await registry.watch((change) => {
    changes.push(change);
    if (change.kind === "snapshot") {
      agents.clear();
      for (const record of change.records) agents.set(record.agentId, record);
    } else if (change.kind === "down") agents.delete(change.agentId);
    else agents.set(change.record.agentId, change.record);
  });
  return { changes, ids: () => [...agents.keys()].sort(), watch: watching };
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "soorma-b-"));
  started = [];
  open = [];
});

afterEach(async () => {
  for (const one of open) await one[Symbol.asyncDispose]();
  for (const process of started) await end(process, "SIGKILL");
  rmSync(dir, { recursive: true, force: true });
});

test(
  "an agent killed with SIGKILL is gone long before its lease ends, and watchers are told that it crashed",
  async () => {
    const broker = shortOf(await startBroker());
    const observer = await node(broker);
    const seen = await watch(observer);
    const agent = await startAgent(broker, "a-1", 60_000);
    await waitFor(() => seen.ids().includes("a-1"), bound);
    await waitFor(async () => (await status(observer, broker)).linked === 1, bound);
    const startMs = performance.now();
    await end(agent.process, "SIGKILL");
    await waitFor(() => seen.changes.some(({ kind }) => kind === "down"), bound);
    const tookMs = performance.now() - startMs;
    expect(tookMs).toBeLessThan(10_000);
    expect(seen.changes.at(-1)).toMatchObject({ agentId: "a-1", reason: "crashed" });
    expect(await observer.registry.find({})).toEqual([]);
  },
  timeoutMs,
);

test(
  "a stopped agent is gone by its missing heartbeats, and its renewal after it went on says unknown",
  async () => {
    const broker = shortOf(await startBroker());
    const observer = await node(broker);
    const seen = await watch(observer);
    const agent = await startAgent(broker, "a-1", 60_000);
    await waitFor(async () => (await status(observer, broker)).linked === 1, bound);
    agent.process.kill("SIGSTOP");
    await waitFor(() => seen.changes.some(({ kind }) => kind === "down"), bound);
    expect(seen.changes.at(-1)).toMatchObject({ agentId: "a-1", reason: "crashed" });
    expect(await observer.registry.renew(["a-1"], lease)).toEqual({ unknown: ["a-1"] });
    agent.process.kill("SIGCONT");
  },
  timeoutMs,
);

test(
  "an agent whose thread is busy all the time outlives its lease",
  async () => {
    const broker = shortOf(await startBroker());
    const observer = await node(broker);
    const seen = await watch(observer);
    // The witness, with the same lease and an address where nobody is, shows when the lease is over.
    const leaseMs = 4_000;
    await startAgent(broker, "busy-1", leaseMs, "busy");
    await observer.registry.register(agentRecord({ agentId: "witness-1" }), { leaseMs });
    await waitFor(() => seen.changes.some((one) => one.kind === "down" && one.agentId === "witness-1"), bound);
    expect(seen.ids()).toEqual(["busy-1"]);
    expect(await observer.registry.find({ agentId: "busy-1" })).toHaveLength(1);
  },
  timeoutMs,
);

test(
  "a broker killed with SIGKILL under load and started again knows everybody, and watches go on by themselves",
  async () => {
    const first = await startBroker();
    const broker = shortOf(first);
    const observer = await node(broker);
    const writer = await node(broker);
    const seen = await watch(observer);
    await startAgent(broker, "a-1", 60_000);

    const acknowledged: string[] = [];
    let stop = false;
    const load = (async (): Promise<void> => {
      for (let i = 0; !stop; i++) {
        const record = agentRecord({ agentId: `load-${i}` });
        await writer.registry.register(record, lease);
        acknowledged.push(record.agentId);
      }
    })();
    await waitFor(() => acknowledged.length >= 50, bound);
    await end(first.process, "SIGKILL");
    const before = acknowledged.length;
    const revision = seen.watch.revision;
    await startBroker(broker);
    // Nobody did anything: the writer's call under way simply ends well, and the watch has a new snapshot.
    await waitFor(() => acknowledged.length >= before + 50, bound);
    stop = true;
    await load;

    const known = new Set((await writer.registry.find({})).map(({ agentId }) => agentId));
    expect(acknowledged.filter((agentId) => !known.has(agentId))).toEqual([]);
    expect(known.has("a-1")).toBe(true);
    await waitFor(() => seen.ids().length === known.size, {
      ...bound,
      message: () => `${seen.ids().length} of ${known.size}`,
    });
    expect(seen.changes.filter(({ kind }) => kind === "snapshot").length).toBeGreaterThanOrEqual(2);
    expect(seen.watch.revision).toBeGreaterThan(revision);
    expect(await writer.registry.renew(["a-1", ...acknowledged], lease)).toEqual({ unknown: [] });
  },
  timeoutMs,
);

test(
  "an agent that dies while the broker is away is not there for ever",
  async () => {
    const first = await startBroker();
    const broker = shortOf(first);
    const observer = await node(broker);
    const agent = await startAgent(broker, "a-1", 2_000);
    await end(first.process, "SIGKILL");
    await end(agent.process, "SIGKILL");
    await startBroker(broker, "data", 2_000);
    const seen = await watch(observer);
    expect(seen.ids()).toEqual(["a-1"]);
    await waitFor(() => seen.ids().length === 0, bound);
  },
  timeoutMs,
);

test(
  "a second broker on the same port is refused with ADDRESS_IN_USE, and the first goes on",
  async () => {
    const first = await startBroker();
    const broker = shortOf(first);
    const second = await startBroker(broker, "other-data");
    expect(second.said).toMatchObject({ code: "ADDRESS_IN_USE" });
    expect(second.said.message).toContain(broker.slice("tcp://".length));
    expect(await second.process.exited).toBe(1);
    const { registry } = await node(broker);
    expect(await registry.find({})).toEqual([]);
  },
  timeoutMs,
);

test(
  "without a broker a call says where it should be and what to do",
  async () => {
    const first = await startBroker();
    const broker = shortOf(first);
    await end(first.process, "SIGKILL");
    const { registry } = await node(broker, 1_000);
    const error = await registry.find({}).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: "REGISTRY_UNAVAILABLE", hint: expect.stringContaining("soorma dev") });
    expect((error as Error).message).toContain(broker);
  },
  timeoutMs,
);

async function status({ rpc }: TestNode, broker: string): Promise<{ linked: number }> {
  return rpc.call(broker, "registry.status", {});
}
