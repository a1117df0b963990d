import { expect, test } from "bun:test";
import { Client, type EventMessage } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { type MeshProcess, testProcesses } from "./fixtures/processes.ts";
import { done } from "./fixtures/scenarios/surroundings.ts";

test("a rolling restart of every process under load loses nothing and does nothing twice", async () => {
  await using mesh = testProcesses();
  let broker = await mesh.startBroker();
  let state = await mesh.startScenario("infra", "state");
  const roles = (["planner", "orderWorker", "inventory", "payment"] as const).map((role) => ["orders", role] as const);
  const agents = [...roles, ["infra", "tool"] as const].flatMap((agent) => [agent, agent]);
  const running = await Promise.all(agents.map(([scenario, role]) => mesh.startScenario(scenario, role)));
  await using client = await Client.connect({ mesh: mesh.mesh() });
  const heard: EventMessage[] = [];
  await client.bus.subscribe("order.answered", (event) => void heard.push(event), { group: "shop" });

  let stop = false;
  let asked = 0;
  let answered = 0;
  const wrong: unknown[] = [];
  const orders: number[] = [];
  const requests = (async () => {
    while (!stop) {
      const n = asked++;
      const answer = await client.bus
        .request("multiply", { a: n, b: 2 }, { timeoutMs: 20_000 })
        .catch((error) => error);
      if (answer?.product !== n * 2) wrong.push(answer);
      await Bun.sleep(5);
    }
  })();
  const goals = Array.from({ length: 4 }, async () => {
    while (!stop) {
      const order = orders.push(orders.length) - 1;
      const data = { order, items: [`item-${order}`], amount: order };
      try {
        const run = await client.submitGoal("order.wanted", data, {
          responseEvent: "order.answered",
          timeoutMs: 30_000,
        });
        const result = await run.result({ timeoutMs: 60_000 });
        expect(result).toEqual({
          order: {
            stock: { order, reserved: data.items },
            receipt: { order, paid: order },
            parcel: `parcel of ${order}`,
          },
        });
        answered++;
      } catch (error) {
        wrong.push(error);
      }
    }
  });
  const progressed = async (): Promise<void> => {
    const before = [answered, asked] as const;
    await waitFor(() => wrong.length > 0 || (answered > before[0] + 5 && asked > before[1] + 20), {
      timeoutMs: 60_000,
      message: () => `${answered} orders and ${asked} requests`,
    });
    expect(wrong).toEqual([]);
  };
  const end = async ({ subprocess }: MeshProcess): Promise<void> => {
    subprocess.kill("SIGTERM");
    expect(await subprocess.exited).toBe(0);
  };

  await progressed();
  for (const [i, [scenario, role]] of agents.entries()) {
    // The next one is there before the old one leaves, as `soorma dev` and every deployment do it.
    const next = await mesh.startScenario(scenario, role);
    const old = running[i];
    if (old) await end(old);
    running[i] = next;
    await progressed();
  }
  await end(state);
  state = await mesh.startScenario("infra", "state");
  await progressed();
  await end(broker);
  broker = await mesh.startBroker();
  await progressed();
  stop = true;
  await Promise.all([requests, ...goals]);

  expect(wrong).toEqual([]);
  const effects = orders.flatMap((order) => [`reserve ${order}`, `take ${order}`, `ship ${order}`]);
  expect(done(mesh.folder).sort()).toEqual(effects.sort());
  await waitFor(() => heard.length >= orders.length);
  expect(new Set(heard.map(({ id }) => id)).size).toBe(orders.length);
  expect(heard).toHaveLength(orders.length);
  for (const one of [...running, state, broker]) await end(one);
}, 240_000);
