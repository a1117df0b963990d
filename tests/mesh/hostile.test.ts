import { describe, expect, test } from "bun:test";
import type { Transport } from "@soorma/core";
import { seededRandom, waitFor } from "@soorma/core/testing";
import { type Hub, inproc } from "@soorma/transport-inproc";
import { Packr } from "msgpackr";
import { inProcessMesh } from "./in-process.ts";

const seed = Number(process.env.SOORMA_SEED ?? Date.now() % 2 ** 31);
const cases = 100_000;

/** A peer that speaks the transport's protocol and then says anything. */
async function hostilePeer(hub: Hub): Promise<Transport> {
  const transport = inproc(hub);
  await transport.open({
    nodeId: "hostile",
    maxFrameBytes: 1 << 20,
    handlers: { onMessage() {}, onEvent() {}, onPeer() {}, onSubscriber() {} },
  });
  return transport;
}

const packr = new Packr({ useRecords: false });

/** Frames from noise to nearly right ones. */
function frames(random: () => number): () => Uint8Array {
  const int = (below: number): number => Math.floor(random() * below);
  const pick = <T>(values: readonly T[]): T => values[int(values.length)] as T;
  const junk = (depth = 0): unknown =>
    pick<() => unknown>([
      () => null,
      () => int(10) - 5,
      () => random() * 1e300,
      () => "",
      () => "x".repeat(int(300)),
      () =>
        pick([
          "__proto__",
          "constructor",
          "agent.call",
          "registry.register",
          "memory.store",
          "event.deliver",
          "request",
          "task.offer",
        ]),
      () => new Uint8Array(int(50)),
      () => random() < 0.5,
      () => (depth > 3 ? [] : Array.from({ length: int(8) }, () => junk(depth + 1))),
      () =>
        depth > 3
          ? {}
          : Object.fromEntries(
              Array.from({ length: int(5) }, () => [
                pick(["a", "__proto__", "key", "planId", "agentId", "tenant"]),
                junk(depth + 1),
              ]),
            ),
    ])();
  const methods = [
    "agent.call",
    "mesh.sync",
    "event.deliver",
    "registry.register",
    "registry.renew",
    "registry.deregister",
    "registry.find",
    "registry.watch",
    "registry.unwatch",
    "registry.putSchema",
    "registry.getSchema",
    "registry.querySchemas",
    "registry.change",
    "memory.store",
    "memory.entry",
    "memory.list",
    "memory.search",
    "memory.delete",
    "tracker.append",
    "tracker.read",
    "tracker.list",
    "tracker.watch",
    "tracker.entries",
  ];
  const inner = [
    "request",
    "task.offer",
    "task.cancel",
    "task.result",
    "task.progress",
    "goal.submit",
    "goal.cancel",
    "nonsense",
  ];
  return () => {
    const kind = int(8);
    if (kind === 0) return Uint8Array.from({ length: int(200) }, () => int(256));
    const message: unknown =
      kind === 1
        ? junk()
        : kind === 2
          ? [1, int(1000), pick(methods), ["someone-1", pick(inner), junk()], 5_000]
          : kind === 3
            ? [4, pick(methods), junk()]
            : kind === 4
              ? [pick([2, 3, 5, 9]), int(50), junk(), junk(), junk()]
              : [1, int(1000), pick(methods), junk(), pick([5_000, -1, 1e12, "x", null])];
    const good = packr.pack(message);
    if (kind === 6) return good.subarray(0, int(good.length));
    if (kind === 7 && good.length > 0) return Uint8Array.from(good).with(int(good.length), int(256));
    return Uint8Array.from(good);
  };
}

describe(`hostile frames (SOORMA_SEED=${seed})`, () => {
  test(`${cases} of them at an agent, the broker and the state node end nothing and change nothing`, async () => {
    await using mesh = await inProcessMesh();
    const random = seededRandom(seed);
    const next = frames(random);
    const worker = mesh.worker({ name: "victim", produces: ["fact.told"] });
    const handled: unknown[] = [];
    worker.onTask("job", (task) => void handled.push(task));
    worker.onEvent("fact.known", (event) => void handled.push(event));
    const tool = mesh.tool({ name: "tool" });
    tool.onInvoke("ping", () => "pong");
    await worker.run();
    await tool.run();
    const client = await mesh.client();
    await client.memory.store("before", { kept: true });

    await using hostile = await hostilePeer(mesh.hub);
    const targets = [
      worker.record().address,
      tool.record().address,
      mesh.broker.address,
      ...(await client.registry.findAll("soorma.state")).map(({ record }) => record.address),
    ];
    for (let n = 0; n < cases; n++) {
      const sent = hostile.send(targets[n % targets.length] ?? "", next());
      if (sent) await sent;
      // Answers are made in the same thread: let them go out.
      if (n % 500 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await client.bus.request("ping", {}, { timeoutMs: 20_000 })).toBe("pong");
    expect(await client.memory.retrieve("before")).toEqual({ kept: true });
    expect(await client.memory.list("")).toHaveLength(1);
    expect(handled).toEqual([]);
    expect((await client.tracker.listPlans()).length).toBe(0);
    expect(({} as Record<string, unknown>).kept).toBeUndefined();
  }, 60_000);

  test("a publisher that publishes nonsense reaches no handler and stops no subscriber", async () => {
    await using mesh = await inProcessMesh({ state: false });
    const next = frames(seededRandom(seed + 1));
    const honest = await mesh.client({ name: "honest", produces: ["fact.told"] });
    const subscriber = await mesh.client({ name: "subscriber" });
    const seen: unknown[] = [];
    await subscriber.bus.subscribe("fact.told", ({ data }) => void seen.push(data));
    // A member of the mesh whose own transport the test holds, to publish past everything that would check it.
    const transport = inproc(mesh.hub);
    const hostile = await mesh.client({ name: "hostile", produces: ["fact.told"], mesh: mesh.mesh({ transport }) });
    await hostile.bus.publish("fact.told", "hostile, but well-formed");
    await waitFor(() => seen.length === 1);
    for (let n = 0; n < 20_000; n++) {
      const frame = n % 2 === 0 ? next() : packr.pack([1, "n-other", n, [n, "x", next()]]);
      await transport.publish(n % 3 === 0 ? "~counts." : "default.fact.told.@business-facts.", Uint8Array.from(frame));
    }
    await honest.bus.publish("fact.told", "true");
    await waitFor(() => seen.length === 2);
    expect(seen).toEqual(["hostile, but well-formed", "true"]);
  }, 30_000);
});
