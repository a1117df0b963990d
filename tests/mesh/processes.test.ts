import { expect, test } from "bun:test";
import { Client } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { testProcesses } from "./fixtures/processes.ts";

const timeoutMs = 60_000;
const bound = { timeoutMs: 30_000 };

test(
  "separate processes answer a goal over real sockets and a real store",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    // In any order, all at once: nothing waits for anything but what it needs.
    await Promise.all(["tool", "worker", "planner", "worker", "state"].map((role) => mesh.startAgent(role)));
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const numbers = Array.from({ length: 20 }, (_, n) => n + 1);
    const run = await client.submitGoal("square.all", { numbers });
    const result = await run.result({ timeoutMs: 30_000 });
    expect(result.sum).toBe(2_870);
    expect(result["square-20"]).toBe(400);
    const { tasks } = await run.plan();
    expect(new Set(tasks.map((task) => task.agentId)).size).toBe(2);
  },
  timeoutMs,
);

test(
  "with the broker killed under load agents go on; when it is back they are registered again by themselves",
  async () => {
    await using mesh = testProcesses();
    const first = await mesh.startBroker();
    const tool = await mesh.startAgent("tool");
    await using client = await Client.connect({ mesh: mesh.mesh(), name: "asker" });
    const heard: number[] = [];
    await client.bus.subscribe("product.made", ({ data }) => void heard.push(data.product));

    let stop = false;
    let asked = 0;
    const failures: unknown[] = [];
    const load = (async () => {
      while (!stop) {
        const n = asked++;
        const answer = await client.bus.request("multiply", { a: n, b: 1 }).catch((error) => error);
        if (answer?.product !== n) failures.push(answer);
      }
    })();
    await waitFor(() => asked > 200, bound);
    await first.kill("SIGKILL");
    const atKill = asked;
    await waitFor(() => asked > atKill + 500, bound);
    expect(failures).toEqual([]);

    await mesh.startBroker();
    // Somebody new asks the new broker, who heard of nobody but through its file and the agents themselves.
    await using newcomer = await Client.connect({ mesh: mesh.mesh(), name: "newcomer" });
    expect(await newcomer.bus.request("multiply", { a: 6, b: 7 }, { timeoutMs: 20_000 })).toEqual({ product: 42 });
    // The agents' own renewals reach it again: they outlive the time a restarted broker gives what it remembers.
    const agentId = String(tool.said.agentId);
    await waitFor(async () => {
      for await (const { agents } of newcomer.registry.watch())
        return agents.some((agent) => agent.agentId === agentId);
      return false;
    }, bound);
    const before = asked;
    await waitFor(() => asked > before + 200, bound);
    stop = true;
    await load;
    expect(failures).toEqual([]);
    // One event a request and one for the newcomer's, none lost and none twice, whatever the broker did.
    await waitFor(() => heard.length > asked, bound);
    expect([...heard].sort((a, b) => a - b)).toEqual([42, ...Array(asked).keys()].sort((a, b) => a - b));
  },
  timeoutMs,
);

test(
  "a broker that lost its file learns of everybody from the agents themselves",
  async () => {
    await using mesh = testProcesses();
    const first = await mesh.startBroker("data-1");
    await mesh.startAgent("tool");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    await first.kill("SIGKILL");
    await mesh.startBroker("data-2");
    await using newcomer = await Client.connect({ mesh: mesh.mesh(), name: "newcomer" });
    expect(await newcomer.bus.request("multiply", { a: 2, b: 3 }, { timeoutMs: 30_000 })).toEqual({ product: 6 });
    expect(await client.bus.request("multiply", { a: 2, b: 2 }, { timeoutMs: 30_000 })).toEqual({ product: 4 });
  },
  timeoutMs,
);

test(
  "agents killed, stopped and continued: requests go to those that live, and nobody hangs",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    const tools = await Promise.all([1, 2, 3].map(() => mesh.startAgent("tool")));
    await using client = await Client.connect({ mesh: mesh.mesh() });
    let stop = false;
    let asked = 0;
    const failures: unknown[] = [];
    const load = Array.from({ length: 4 }, async () => {
      while (!stop) {
        const n = asked++;
        const answer = await client.bus
          .request("multiply", { a: n, b: 2 }, { timeoutMs: 20_000 })
          .catch((error) => error);
        if (answer?.product !== n * 2) failures.push(answer);
      }
    });
    const progressed = async (): Promise<void> => {
      const before = asked;
      await waitFor(() => asked > before + 200, bound);
    };
    await progressed();
    await tools[0]?.kill("SIGKILL");
    await progressed();
    tools[1]?.subprocess.kill("SIGSTOP");
    await progressed();
    tools[1]?.subprocess.kill("SIGCONT");
    await progressed();
    await tools[2]?.kill("SIGKILL");
    // Only the one that was stopped is left: it has to be known again.
    await progressed();
    stop = true;
    await Promise.all(load);
    expect(failures).toEqual([]);
  },
  timeoutMs,
);

test(
  "a slow subscriber slows its publisher and loses nothing",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    await mesh.startAgent("tool");
    await using client = await Client.connect({ mesh: mesh.mesh(), concurrency: 1 });
    const heard: number[] = [];
    await client.bus.subscribe("burst.item", async ({ data }) => {
      heard.push(data.n);
      // Slower than any publisher: a turn of the event loop for each event.
      await new Promise((resolve) => setImmediate(resolve));
    });
    const count = 6_000;
    await client.bus.publish("burst.wanted", { count, padding: "x".repeat(1_000) });
    await waitFor(() => heard.length === count, bound);
    expect(heard).toEqual([...Array(count).keys()]);
  },
  timeoutMs,
);

test(
  "a stopped subscriber holds nobody up for long, and what it missed is counted",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    const stopped = await mesh.startAgent("listener");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    let next = 0;
    const burst = async (count: number): Promise<void> => {
      for (const end = next + count; next < end; next++) {
        await client.bus.publish("burst.item", { n: next, padding: "x".repeat(2_000) });
      }
    };
    const report = () => client.bus.request("heard", {}, { timeoutMs: 60_000 });
    await burst(10);
    await waitFor(async () => (await report()).heard === 10, bound);
    stopped.subprocess.kill("SIGSTOP");
    await burst(20_000);
    stopped.subprocess.kill("SIGCONT");
    let last: unknown;
    await waitFor(
      async () => {
        // What is missing is told by what comes after it, and there may be no room yet for that.
        await burst(1);
        const { heard, missed } = await report();
        last = { heard, missed, published: next };
        return heard + missed === next;
      },
      { ...bound, message: () => JSON.stringify(last) },
    );
    const { missed, outOfOrder } = await report();
    expect(missed).toBeGreaterThan(0);
    expect(outOfOrder).toBe(0);
  },
  timeoutMs,
);
