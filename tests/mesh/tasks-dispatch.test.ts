import { describe, expect, test } from "bun:test";
import type { AgentRecord, AnyData, Client, GoalRun, Mesh, Task } from "@soorma/core";
import { codeOf, waitFor } from "@soorma/core/testing";
import { failureOf } from "./failure-of.ts";
import { type Answers, fakeAgent } from "./fixtures/fake-agents.ts";
import { inProcessMesh } from "./in-process.ts";

type TestMesh = Awaited<ReturnType<typeof inProcessMesh>>;

interface PlannedTask {
  readonly name: string;
  readonly assignedTo: string;
  readonly priority?: number;
}

/** A planner whose goal `run` has the tasks in its data. */
async function startPlanner(mesh: TestMesh, name = "planner", over: { readonly mesh?: Mesh } = {}) {
  const planner = mesh.planner({ ...over, name, retry: { backoffMs: 1, maxBackoffMs: 1 } });
  planner.onGoal(name === "planner" ? "run" : `${name}.run`, ({ data }) => ({ tasks: data as PlannedTask[] }));
  await planner.run();
  return planner;
}

interface Offered {
  readonly taskId: string;
  readonly attempt: number;
  readonly epoch: number;
  readonly replyTo: AgentRecord;
}

/** A worker that is nothing but its side of the protocol, with the offers that came. */
async function fakeWorker(mesh: TestMesh, agentId: string, answers: Answers = {}) {
  const offers: Offered[] = [];
  const told: { method: string; params: AnyData }[] = [];
  const over = { agentId, capabilities: ["main"], concurrency: 10 };
  const agent = await fakeAgent(mesh.mesh(), over, (method, params: AnyData) => {
    told.push({ method, params });
    // Data is the sixth part of a packed envelope.
    if (method === "task.offer") offers.push(params[5]);
    const answer = answers[method];
    return answer ? answer(params as never) : method === "task.offer" ? "accepted" : null;
  });
  return {
    ...agent,
    offers,
    told,
    result: ({ replyTo, taskId, attempt }: Offered, result: unknown, over: object = {}) =>
      agent.call(replyTo, "task.result", { taskId, attempt, agentId, ranMs: 1, ok: true, result, ...over }),
    async offer(n = 0): Promise<Offered> {
      await waitFor(() => offers.length > n);
      return offers[n] as Offered;
    },
  };
}

const single = [{ name: "main", assignedTo: "main" }];

/** A plan of one task, which was offered to a fake worker. */
async function offerToFake(mesh: TestMesh, answers: Answers = {}) {
  await startPlanner(mesh);
  const worker = await fakeWorker(mesh, "fake-1", answers);
  const client = await mesh.client();
  const run = await client.submitGoal("run", single);
  const offer = await worker.offer();
  return { worker, client, run, offer, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}

/** The same, and the planner was lost before it noted who has the task; another instance asked the worker for it. */
async function takenOver(mesh: TestMesh, attach: Answers[string], over: object = {}) {
  const lost = mesh.mesh();
  await startPlanner(mesh, "planner", { mesh: lost });
  const worker = await fakeWorker(mesh, "fake-1", { "task.attach": attach });
  const client = await mesh.client();
  const run = await client.submitGoal(
    "run",
    single.map((task) => ({ ...task, ...over })),
  );
  const offer = await worker.offer();
  mesh.hub.crash((await lost.acquire()).node.nodeId);
  const shared = mesh.mesh();
  await startPlanner(mesh, "planner", { mesh: shared });
  const asked = await waitFor(() => worker.told.find(({ method }) => method === "task.attach"));
  const { replyTo } = asked.params as Pick<Offered, "replyTo">;
  const disposed = { [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
  return { worker, run, offer: { ...offer, replyTo }, shared, ...disposed };
}

/** Waits until the plan's log says who has its task. */
async function assigned(run: GoalRun): Promise<void> {
  await waitFor(async () => (await run.plan()).tasks[0]?.agentId === "fake-1");
}

describe("what a worker says of a task", () => {
  test("counts once, however often it says it, and is acknowledged every time", async () => {
    await using mesh = await inProcessMesh();
    await using taken = await offerToFake(mesh);
    const { worker, client, run, offer } = taken;
    await Promise.all([worker.result(offer, "first"), worker.result(offer, "second"), worker.result(offer, "third")]);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "first" });
    await worker.result(offer, "late");
    const succeeded = (await client.tracker.timeline(run.planId)).filter(({ type }) => type === "task.succeeded");
    expect(succeeded).toMatchObject([{ result: "first" }]);
  });

  test("may overtake its answer to the offer", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const answer = Promise.withResolvers<string>();
    await using worker = await fakeWorker(mesh, "fake-1", { "task.offer": () => answer.promise });
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await worker.result(await worker.offer(), "fast");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "fast" });
    expect((await run.plan()).tasks[0]?.agentId).toBe("fake-1");
    answer.resolve("accepted");
  });

  test("is taken although the worker left the directory while it was asked for it", async () => {
    await using mesh = await inProcessMesh();
    await using taken = await takenOver(mesh, () => new Promise(() => {}));
    const { worker, run, offer } = taken;
    const { node } = await taken.shared.acquire();
    await node.registry.deregister(["fake-1"]);
    await node.until(() => !node.directory.has("fake-1"), 10_000);
    await worker.result(offer, "done", { ranMs: 100_000 });
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "done" });
    expect((await run.plan()).tasks[0]?.durationMs).toBeGreaterThanOrEqual(100_000);
    await taken.shared.release();
  });

  test("goes by how long it has been at it: the planner may be another one by now", async () => {
    await using mesh = await inProcessMesh();
    await using taken = await takenOver(mesh, () => [{ state: "running", ranMs: 100_000 }], { timeoutMs: 100_000 });
    const { worker, run } = taken;
    const again = await worker.offer(1);
    const [task] = (await run.plan()).tasks;
    expect(task).toMatchObject({ attempt: 2, failures: 1, failure: { code: "TIMEOUT" } });
    await waitFor(() => worker.told.some(({ method }) => method === "task.cancel"));
    await worker.result(again, "done");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "done" });
  });

  test("is taken if it was done before a planner asked for it, however long it took", async () => {
    await using mesh = await inProcessMesh();
    await using taken = await takenOver(mesh, () => [{ state: "done", ranMs: 200_000 }], { timeoutMs: 100_000 });
    const { worker, run, offer } = taken;
    await worker.result(offer, "done", { ranMs: 200_000 });
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "done" });
    expect((await run.plan()).tasks[0]).toMatchObject({ attempt: 1, failures: 0 });
  });

  test("counts only if the task is its own and the attempt the current one", async () => {
    await using mesh = await inProcessMesh();
    await using taken = await offerToFake(mesh);
    const { worker, run, offer: first } = taken;
    // What is acknowledged was not necessarily taken.
    await worker.result(first, "foreign", { agentId: "fake-2" });
    await worker.result(first, "future", { attempt: 2 });
    await worker.result(first, null, { ok: false, failure: { code: "TASK_FAILED", message: "oh", retryable: true } });
    const second = await worker.offer(1);
    expect(second.attempt).toBe(2);
    await worker.result(first, "stale");
    await worker.result(second, "right");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "right" });
  });

  test("is acknowledged only when it is in the log", async () => {
    await using mesh = await inProcessMesh();
    await using taken = await offerToFake(mesh);
    const { worker, run, offer } = taken;
    await assigned(run);
    mesh.hub.partition(mesh.stateNodeId, "*");
    const early = await worker
      .call(offer.replyTo, "task.result", { ...offer, agentId: "fake-1", ranMs: 1, ok: true, result: 5 }, 200)
      .then(() => "acknowledged")
      .catch(({ code }) => code);
    expect(early).toBe("TIMEOUT");
    mesh.hub.heal();
    await worker.result(offer, 5);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: 5 });
  });

  test("is missed when it says that it does not have it any more", async () => {
    await using mesh = await inProcessMesh();
    let asked = 0;
    const holds = (): string[] => {
      asked++;
      return ["unknown"];
    };
    await using taken = await offerToFake(mesh, { "task.attach": holds });
    const {
      worker,
      client,
      run,
      offer: { replyTo, taskId },
    } = taken;
    await assigned(run);
    const others = [{ taskId: "nobody's.1", attempt: 1, epoch: 1, suspended: false }];
    await worker.tell(replyTo, "task.holding", { agentId: "fake-1", attempts: others });
    const again = await worker.offer(1);
    expect([again.taskId, again.attempt, asked]).toEqual([taskId, 2, 1]);
    // What nobody here knows is not wanted.
    const unwanted = worker.told.filter(({ method }) => method === "task.cancel").map(({ params }) => params);
    expect(unwanted).toMatchObject([{ taskId: "nobody's.1", failure: { code: "ATTEMPT_STALE" } }]);
    await worker.result(again, 1);
    await run.result({ timeoutMs: 20_000 });
    const retried = (await client.tracker.timeline(run.planId)).find(({ type }) => type === "task.retried");
    expect(retried).toMatchObject({ failure: { code: "LEASE_EXPIRED" } });
    expect((await run.plan()).tasks[0]?.failures).toBe(1);
  });

  test("is not called stale before the log says so: another planner may know better", async () => {
    await using mesh = await inProcessMesh();
    let asked = 0;
    const holds = (): string[] => {
      asked++;
      return ["unknown"];
    };
    await using taken = await offerToFake(mesh, { "task.attach": holds });
    const { worker, run, offer } = taken;
    const { replyTo, taskId } = offer;
    await assigned(run);
    mesh.hub.partition(mesh.stateNodeId, "*");
    await worker.tell(replyTo, "task.holding", { agentId: "fake-1", attempts: [] });
    await waitFor(() => asked === 1);
    const join = { taskId, attempt: 1, agentId: "fake-1", name: "other" };
    await waitFor(async () => (await codeOf(worker.call(replyTo, "task.join", join))) === "PLAN_FENCED");
    const result = { taskId, attempt: 1, agentId: "fake-1", ranMs: 1, ok: true, result: 1 };
    expect(await codeOf(worker.call(replyTo, "task.result", result, 200))).toBe("TIMEOUT");
    mesh.hub.heal();
    await worker.offer(1);
    expect(await codeOf(worker.call(replyTo, "task.join", join))).toBe("ATTEMPT_STALE");
    await worker.result(await worker.offer(1), 2);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: 2 });
  });

  test("is not missed for a note that was sent before it took the task", async () => {
    await using mesh = await inProcessMesh();
    let asked = 0;
    const holds = () => {
      asked++;
      return [{ state: "running", ranMs: 1 }];
    };
    await using taken = await offerToFake(mesh, { "task.attach": holds });
    const { worker, run, offer } = taken;
    await assigned(run);
    await worker.tell(offer.replyTo, "task.holding", { agentId: "fake-1", attempts: [] });
    await waitFor(() => asked === 1);
    await worker.result(offer, "kept");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "kept" });
    expect(worker.offers).toHaveLength(1);
  });
});

describe("an offer", () => {
  test("that is not answered is withdrawn, and the next attempt goes elsewhere without counting", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    await using silent = await fakeWorker(mesh, "silent", { "task.offer": () => new Promise(() => {}) });
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await silent.offer();
    await using worker = await fakeWorker(mesh, "fake-1");
    await waitFor(() => worker.offers.length > 0, { timeoutMs: 10_000 });
    const offer = await worker.offer();
    expect(offer.attempt).toBe(2);
    await waitFor(() => silent.told.some(({ method }) => method === "task.cancel"));
    // Had the silent one done it after all: the number of its attempt tells it apart.
    await silent.result(silent.offers[0] as Offered, "late");
    await worker.result(offer, "right");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "right" });
    expect((await run.plan()).tasks[0]?.failures).toBe(0);
  }, 20_000);

  test("goes to the task of the highest priority when a worker has room again", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const order: string[] = [];
    const gate = Promise.withResolvers<void>();
    const worker = mesh.worker({ name: "worker", concurrency: 1 });
    worker.onTask("main", async ({ name }) => {
      order.push(name);
      if (name === "first") await gate.promise;
    });
    await worker.run();
    const client = await mesh.client();
    const first = await client.submitGoal("run", [{ name: "first", assignedTo: "main" }]);
    await waitFor(() => order.length === 1);
    const task = (name: string, priority?: number) => ({ name, assignedTo: "main", ...(priority ? { priority } : {}) });
    const rest = await client.submitGoal("run", [task("low", -1), task("b"), task("high", 5), task("c")]);
    await waitFor(async () => (await rest.plan()).tasks.every(({ status }) => status === "running"));
    gate.resolve();
    await Promise.all([first.result({ timeoutMs: 20_000 }), rest.result({ timeoutMs: 20_000 })]);
    expect(order).toEqual(["first", "high", "b", "c", "low"]);
  });

  test("is not held up by tasks for others that are busy or absent", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const gate = Promise.withResolvers<void>();
    const slow = mesh.worker({ name: "slow", concurrency: 1 });
    slow.onTask("main", () => gate.promise);
    await slow.run();
    const quick = mesh.worker({ name: "quick" });
    quick.onTask("quick", () => "done");
    await quick.run();
    const client = await mesh.client();
    const blocked = await client.submitGoal(
      "run",
      ["main", "main", "nobody"].map((assignedTo, i) => ({ name: `t${i}`, assignedTo, priority: 9 })),
    );
    await waitFor(async () => (await blocked.plan()).tasks.some(({ agentName }) => agentName === "slow"));
    const run = await client.submitGoal("run", [{ name: "only", assignedTo: "quick" }]);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ only: "done" });
    await blocked.cancel("enough");
    gate.resolve();
  });

  test("reaches a new instance within a second, and a leaving one gets none", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    const did = new Map<string, number>();
    const build = (label: string) => {
      const worker = mesh.worker({ name: "worker", concurrency: 2, drainMs: 5_000 });
      worker.onTask("main", async () => {
        await Bun.sleep(20);
        did.set(label, (did.get(label) ?? 0) + 1);
      });
      return worker;
    };
    const first = build("first");
    await first.run();
    const client = await mesh.client();
    const tasks = Array.from({ length: 400 }, (_, n) => ({ name: `t${n}`, assignedTo: "main" }));
    const run = await client.submitGoal("run", tasks);
    await waitFor(() => (did.get("first") ?? 0) > 4);
    await build("second").run();
    await waitFor(() => (did.get("second") ?? 0) > 4, { timeoutMs: 1_000 });
    await first.stop();
    const last = did.get("first");
    await waitFor(() => (did.get("second") ?? 0) > 20);
    expect(did.get("first")).toBe(last as number);
    await run.cancel("seen enough");
    const { tasks: ended } = await run.plan();
    // Leaving cost no attempt.
    expect(ended.every(({ failures }) => failures === 0)).toBe(true);
  });

  test("finds a worker that several planners keep busy: all of them get their turn", async () => {
    await using mesh = await inProcessMesh();
    await startPlanner(mesh);
    await startPlanner(mesh, "other");
    const order: string[] = [];
    const worker = mesh.worker({ name: "worker", concurrency: 1 });
    worker.onTask("main", async ({ name }) => {
      order.push(name.slice(0, 1));
      await Bun.sleep(1);
    });
    await worker.run();
    const client = await mesh.client();
    const tasks = (label: string) =>
      Array.from({ length: 30 }, (_, n) => ({ name: `${label}${n}`, assignedTo: "main" }));
    const runs = [await client.submitGoal("run", tasks("a")), await client.submitGoal("other.run", tasks("b"))];
    await Promise.all(runs.map((run) => run.result({ timeoutMs: 20_000 })));
    const firstEnd = Math.min(order.lastIndexOf("a"), order.lastIndexOf("b"));
    const before = order.slice(0, firstEnd + 1);
    // Whoever was done first had not kept the other one out until then.
    expect(Math.min(...["a", "b"].map((label) => before.filter((one) => one === label).length))).toBeGreaterThan(5);
  });
});

describe("an attempt whose planner is gone", () => {
  /** A worker whose handler counts its runs and ends when it is told to. */
  async function startWorker(mesh: TestMesh, handler?: (task: Task) => unknown) {
    const gate = Promise.withResolvers<unknown>();
    let runs = 0;
    const worker = mesh.worker({ name: "worker" });
    worker.onTask("main", async (task) => {
      runs++;
      return handler ? await handler(task) : await gate.promise;
    });
    worker.onTask("double", ({ data }) => data * 2);
    await worker.run();
    return { worker, end: (value: unknown) => gate.resolve(value), runs: () => runs };
  }

  test("goes on, and the next planner waits for its end", async () => {
    await using mesh = await inProcessMesh();
    const first = await startPlanner(mesh);
    const worker = await startWorker(mesh);
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await waitFor(() => worker.runs() === 1);
    mesh.hub.crash(first.record().nodeId);
    await startPlanner(mesh);
    await waitFor(async () => (await run.plan()).epoch === 2);
    worker.end("once");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "once" });
    expect(worker.runs()).toBe(1);
    expect((await run.plan()).tasks[0]?.attempt).toBe(1);
  });

  test("that ended meanwhile is not repeated either", async () => {
    await using mesh = await inProcessMesh();
    const first = await startPlanner(mesh);
    const worker = await startWorker(mesh);
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await waitFor(() => worker.runs() === 1);
    mesh.hub.crash(first.record().nodeId);
    worker.end("kept");
    await startPlanner(mesh);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "kept" });
    expect(worker.runs()).toBe(1);
  });

  test("goes on with its sub-tasks at the next planner", async () => {
    await using mesh = await inProcessMesh();
    const first = await startPlanner(mesh);
    const go = Promise.withResolvers<void>();
    const worker = await startWorker(mesh, async (task) => {
      const one = await task.delegate("double", 1);
      go.resolve();
      const [two, slept] = await Promise.all([task.delegate("late", 2), task.sleep(10).then(() => "slept")]);
      return [one, two, slept, task.attempt];
    });
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await go.promise;
    await waitFor(async () => (await run.plan()).tasks.length === 3);
    mesh.hub.crash(first.record().nodeId);
    await startPlanner(mesh);
    const late = mesh.worker({ name: "late" });
    late.onTask("late", ({ data }) => data + 40);
    await late.run();
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: [2, 42, "slept", 1] });
    expect(worker.runs()).toBe(1);
  });

  test("is handed over by a planner that stops: nothing is cancelled", async () => {
    await using mesh = await inProcessMesh();
    const first = await startPlanner(mesh);
    const aborted: string[] = [];
    const gate = Promise.withResolvers<string>();
    const worker = await startWorker(mesh, async ({ signal }) => {
      signal.addEventListener("abort", () => aborted.push(signal.reason.code));
      return await gate.promise;
    });
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await waitFor(() => worker.runs() === 1);
    await startPlanner(mesh);
    await first.stop();
    await waitFor(async () => (await run.plan()).epoch === 2);
    gate.resolve("through");
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: "through" });
    expect([worker.runs(), aborted]).toEqual([1, []]);
  });

  test("and whose worker is gone, too, is followed by the next one, uncounted", async () => {
    await using mesh = await inProcessMesh();
    const first = await startPlanner(mesh);
    const worker = await startWorker(mesh);
    const client = await mesh.client();
    const run = await client.submitGoal("run", single);
    await waitFor(() => worker.runs() === 1);
    mesh.hub.crash(first.record().nodeId);
    mesh.hub.crash(worker.worker.record().nodeId);
    await startPlanner(mesh);
    const next = await startWorker(mesh, ({ attempt }) => attempt);
    expect(await run.result({ timeoutMs: 20_000 })).toEqual({ main: 2 });
    expect(next.runs()).toBe(1);
    expect((await run.plan()).tasks[0]?.failures).toBe(0);
  });
});

test("a task's time ends it although its handler does not listen", async () => {
  await using mesh = await inProcessMesh();
  const planner = mesh.planner({ name: "planner" });
  planner.onGoal("run", () => ({
    tasks: [{ name: "main", assignedTo: "main", timeoutMs: 30, retry: { maxAttempts: 1 } }],
  }));
  await planner.run();
  const worker = mesh.worker({ name: "worker" });
  const gate = Promise.withResolvers<void>();
  worker.onTask("main", () => gate.promise);
  await worker.run();
  const client: Client = await mesh.client();
  const run = await client.submitGoal("run", {});
  expect(await failureOf(run.result({ timeoutMs: 20_000 }))).toThrow(/30 ms/);
  gate.resolve();
});
