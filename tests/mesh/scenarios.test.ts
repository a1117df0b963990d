import { expect, test } from "bun:test";
import { Client, type EventMessage } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { testProcesses } from "./fixtures/processes.ts";
import { did, done } from "./fixtures/scenarios/surroundings.ts";

const timeoutMs = 90_000;
const bound = { timeoutMs: 60_000 };

test(
  "an order is placed, reserved, paid and completed by events alone: one trace, each event the child of the one before",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    // Of each three replicas: every event is for one of them.
    const roles = ["inventory", "payment", "orders"].flatMap((role) => [role, role, role]);
    await Promise.all(roles.map((role) => mesh.startScenario("choreography", role)));
    await using client = await Client.connect({ mesh: mesh.mesh(), produces: ["order.placed"] });
    const chain = ["order.placed", "inventory.reserved", "payment.completed", "order.completed"];
    const heard: EventMessage[] = [];
    for (const type of chain) await client.bus.subscribe(type, (event) => void heard.push(event));

    const orders = Array.from({ length: 20 }, (_, n) => ({ order: `order-${n}`, amount: n * 10 }));
    for (const order of orders) await client.bus.publish("order.placed", order);
    await waitFor(() => heard.filter(({ type }) => type === "order.completed").length >= orders.length, bound);

    for (const { order, amount } of orders) {
      const events = heard.filter(({ data }) => (data as { order: string }).order === order);
      const inOrder = chain.map((type) => events.filter((event) => event.type === type));
      expect(inOrder.map(({ length }) => length)).toEqual([1, 1, 1, 1]);
      const [placed, reserved, paid, completed] = inOrder.map(([event]) => event);
      expect(new Set(events.map(({ traceId }) => traceId)).size).toBe(1);
      expect(new Set(events.map(({ correlationId }) => correlationId)).size).toBe(1);
      expect([reserved?.parentId, paid?.parentId, completed?.parentId]).toEqual([placed?.id, reserved?.id, paid?.id]);
      expect(completed?.data).toEqual({ order, amount });
    }
    expect(new Set(heard.map(({ traceId }) => traceId)).size).toBe(orders.length);
    // Each part was done once, whichever replica did it.
    const parts = orders.flatMap(({ order }) => chain.slice(1).map((type) => `${type} ${order}`));
    expect(done(mesh.folder).sort()).toEqual(parts.sort());
  },
  timeoutMs,
);

test(
  "a tool that divides by zero: the caller is told why, at once, and the tool goes on",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    await Promise.all(["tool", "worker", "planner"].map((role) => mesh.startScenario("division", role)));
    await mesh.startAgent("state");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const first = await client.bus.request("divide", { a: 42, b: 6 });
    expect(first.quotient).toBe(7);
    expect(await failureOf(client.bus.request("divide", { a: 1, b: 0 }))).toThrow(
      expect.objectContaining({ code: "HANDLER_FAILED", message: expect.stringMatching(/RangeError.*divisor/) }),
    );
    expect(await client.bus.request("divide", { a: 9, b: 3 })).toEqual({ quotient: 3, pid: first.pid });

    const run = await client.submitGoal("divide.all", {
      pairs: [
        { a: 8, b: 2 },
        { a: 1, b: 0 },
      ],
    });
    expect(await failureOf(run.result({ timeoutMs: 30_000 }))).toThrow(
      expect.objectContaining({ code: "GOAL_FAILED", message: expect.stringMatching(/"divide-1".*divisor/) }),
    );
    const { tasks } = await run.plan();
    expect(tasks.map(({ name, status, attempt }) => ({ name, status, attempt }))).toEqual([
      { name: "divide-0", status: "completed", attempt: 1 },
      { name: "divide-1", status: "failed", attempt: 2 },
    ]);
    // And whoever comes after finds everybody at work.
    const again = await client.submitGoal("divide.all", { pairs: [{ a: 6, b: 2 }] });
    expect(await again.result({ timeoutMs: 30_000 })).toEqual({ "divide-0": { quotient: 3 } });
  },
  timeoutMs,
);

test(
  "a client that filters answers by correlation gets its own, though planner and state were killed in the middle",
  async () => {
    await using mesh = testProcesses();
    await mesh.startBroker();
    const state = await mesh.startAgent("state");
    const planner = await mesh.startScenario("letters", "planner");
    await mesh.startScenario("letters", "worker");
    await using client = await Client.connect({ mesh: mesh.mesh() });
    const heard: EventMessage[] = [];
    const group = "reader";
    await client.bus.subscribe("letter.answered", (event) => void heard.push(event), { group });

    const names = ["Ada", "Grace", "Edsger", "Barbara"];
    const runs = [];
    for (const to of names)
      runs.push(await client.submitGoal("letter.wanted", { to }, { responseEvent: "letter.answered" }));
    await waitFor(() => done(mesh.folder).length === names.length, bound);
    await Promise.all([planner.kill("SIGKILL"), state.kill("SIGKILL")]);
    await Promise.all([mesh.startAgent("state"), mesh.startScenario("letters", "planner")]);
    did(mesh.folder, "go on");

    for (const [i, run] of runs.entries()) {
      const answers = (): EventMessage[] => heard.filter(({ correlationId }) => correlationId === run.goalId);
      await waitFor(() => answers().length > 0, bound);
      expect(answers().map(({ data }) => data)).toEqual([
        expect.objectContaining({
          goalId: run.goalId,
          status: "completed",
          result: { write: { letter: `Dear ${names[i]}` } },
        }),
      ]);
      expect(await run.result({ timeoutMs: 30_000 })).toEqual({ write: { letter: `Dear ${names[i]}` } });
    }
    expect(heard).toHaveLength(names.length);
    // The workers lived: what they did was not done again for the planner's sake.
    expect(
      done(mesh.folder)
        .filter((line) => line.startsWith("began"))
        .sort(),
    ).toEqual(names.map((name) => `began ${name}`).sort());
  },
  timeoutMs,
);
