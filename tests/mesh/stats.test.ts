import { expect, test } from "bun:test";
import { type AgentStats, type NodeAnswer, type NodeStats, systemUsage } from "@soorma/core";
import { waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { inProcessMesh } from "./in-process.ts";

const agentOf = (answers: readonly NodeAnswer[], name: string): AgentStats => {
  const found = answers.flatMap(({ stats }) => stats?.agents ?? []).find((agent) => agent.name === name);
  if (!found) throw new Error(`no node says that it hosts ${name}`);
  return found;
};

const nodeOf = (answers: readonly NodeAnswer[], name: string): NodeStats => {
  const found = answers.find(({ stats }) => stats?.agents.some((agent) => agent.name === name))?.stats;
  if (!found) throw new Error(`no node says that it hosts ${name}`);
  return found;
};

test("every node says who it is and what it does: agents, state node, broker, and the one that asks", async () => {
  await using mesh = await inProcessMesh();
  const tool = mesh.tool({ name: "calculator" });
  tool.onInvoke("add", ({ data }) => data.a + data.b);
  tool.onInvoke("fail", () => {
    throw new Error("no");
  });
  await tool.run();
  const client = await mesh.client({
    name: "asking",
    mesh: mesh.mesh({ usage: systemUsage, host: "there", pid: 4711 }),
  });
  expect(await client.bus.request("add", { a: 1, b: 2 })).toBe(3);
  expect(await failureOf(client.bus.request("fail", {}))).toThrow("no");

  const answers = await client.registry.stats();
  expect(answers.map(({ error }) => error)).toEqual([undefined, undefined, undefined, undefined]);
  expect(agentOf(answers, "calculator").requests).toEqual({ answered: 1, failed: 1 });
  expect(agentOf(answers, "state").kind).toBe("service");
  const broker = answers.find(({ stats }) => stats?.role === "broker");
  expect(broker?.nodeId).toBe(mesh.broker.nodeId);
  expect(broker?.stats?.registry).toMatchObject({ agents: 3, linked: 3 });

  const own = nodeOf(answers, "asking");
  expect(own).toMatchObject({ host: "there", pid: 4711, role: "agents" });
  expect(own.process?.rssBytes).toBeGreaterThan(own.process?.heapBytes ?? 0);
  expect(own.process?.cpuMs).toBeGreaterThan(0);
  expect(own.calls.made).toBeGreaterThanOrEqual(2);
  const of = nodeOf(answers, "calculator");
  // Nobody said how to measure that one.
  expect(of.process).toBeUndefined();
  expect(of.calls.refused).toBe(1);
  expect((await client.registry.stats()).flatMap(({ stats }) => stats?.uptimeMs ?? 0)).toSatisfy((later: number[]) =>
    later.every((ms, at) => ms > (answers[at]?.stats?.uptimeMs ?? 0)),
  );
});

test("a worker's tasks are counted: those that run, that only wait, and how they ended; a planner's plans with them", async () => {
  await using mesh = await inProcessMesh();
  const gate = Promise.withResolvers<void>();
  const worker = mesh.worker({ name: "worker", concurrency: 2 });
  worker.onTask("block", () => gate.promise);
  worker.onTask("ask", (task) => task.waitForInput("Well?"));
  worker.onTask("fail", () => {
    throw new Error("no");
  });
  await worker.run();
  const planner = mesh.planner({ name: "planner", retry: { maxAttempts: 1 } });
  planner.onGoal("many.goal", () => ({
    tasks: ["block", "block", "block", "ask"].map((assignedTo, at) => ({ name: `${assignedTo}${at}`, assignedTo })),
  }));
  planner.onGoal("bad.goal", () => ({ tasks: [{ name: "fail", assignedTo: "fail" }] }));
  await planner.run();
  const client = await mesh.client();
  expect(await failureOf((await client.submitGoal("bad.goal", {})).result())).toThrow("no");
  const run = await client.submitGoal("many.goal", {});

  const stats = () => client.registry.stats();
  let answers = await stats();
  await waitFor(async () => {
    answers = await stats();
    // The plan that has failed is let go of when it is noted that it was answered.
    return agentOf(answers, "worker").tasks?.running === 2 && agentOf(answers, "planner").plans?.driving === 1;
  });
  expect(agentOf(answers, "worker").tasks).toMatchObject({ succeeded: 0, failed: 1 });
  expect(agentOf(answers, "planner").plans).toEqual({ driving: 1, tasks: 4, queued: 2 });
  gate.resolve();
  await waitFor(async () => {
    answers = await stats();
    return agentOf(answers, "worker").tasks?.suspended === 1 && agentOf(answers, "planner").plans?.tasks === 1;
  });
  expect(agentOf(answers, "worker").tasks).toMatchObject({ running: 0, succeeded: 3, failed: 1 });
  await client.tracker.answer(run.planId, "fine");
  await run.result();
  expect(agentOf(await stats(), "worker").tasks).toMatchObject({ suspended: 0, succeeded: 4 });
});

test("events are counted in and out, and so is what was missed", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const publisher = await mesh.client({ produces: ["tick.tock"], name: "publisher" });
  const subscriber = await mesh.client({ name: "subscriber" });
  const seen: number[] = [];
  await subscriber.bus.subscribe("tick.tock", ({ data }) => {
    seen.push(data);
    if (data === 1) throw new Error("no");
  });
  const [from, to] = [publisher.record().nodeId, subscriber.record().nodeId];
  await publisher.bus.publish("tick.tock", 1);
  await waitFor(() => seen.length === 1);
  mesh.hub.setLink(from, to, { drop: 1 });
  await publisher.bus.publish("tick.tock", 2);
  await publisher.bus.publish("tick.tock", 3);
  mesh.hub.setLink(from, to, {});
  await publisher.bus.publish("tick.tock", 4);
  await waitFor(() => seen.length === 2);
  const answers = await publisher.registry.stats();
  expect(nodeOf(answers, "publisher").events.published).toBe(4);
  expect(nodeOf(answers, "subscriber").events).toMatchObject({ received: 2, missed: 2, gaps: 1, duplicates: 0 });
  expect(agentOf(answers, "subscriber").events).toEqual({ handled: 1, failed: 1 });
});

test("a node that cannot be reached, or answers nonsense, has an error; the others answer all the same", async () => {
  await using mesh = await inProcessMesh({ state: false });
  const client = await mesh.client({ name: "asking" });
  const deaf = await mesh.client({ name: "deaf" });
  const odd = mesh.mesh();
  const { node } = await odd.acquire();
  try {
    await node.put({
      agentId: "odd-1",
      record: () => ({ ...deaf.record(), agentId: "odd-1", name: "odd", nodeId: node.nodeId, address: node.address }),
      stats: () => ({ agentId: 1 }) as never,
      onCall: () => null,
    });
    await waitFor(() => client.registry.query({ name: "odd" }).then((found) => found.length === 1));
    mesh.hub.setLink(deaf.record().nodeId, client.record().nodeId, { drop: 1 });
    const answers = await client.registry.stats({ timeoutMs: 200 });
    mesh.hub.setLink(deaf.record().nodeId, client.record().nodeId, {});
    const codeOf = (nodeId: string) => answers.find((answer) => answer.nodeId === nodeId)?.error?.code;
    expect(codeOf(deaf.record().nodeId)).toBe("TIMEOUT");
    expect(codeOf(node.nodeId)).toBe("PAYLOAD_INVALID");
    expect(answers.filter(({ stats }) => stats)).toHaveLength(2);
    expect(answers.find(({ error }) => error?.code === "TIMEOUT")?.agents.map(({ name }) => name)).toEqual(["deaf"]);
  } finally {
    await odd.release();
  }
});
