import { describe, expect, test } from "bun:test";
import { type AgentRecord, type Client, type NodeOptions, SoormaError, type Task } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import { waitFor } from "@soorma/core/testing";
import registryBroker from "@soorma/registry-broker";
import { failureOf } from "./failure-of.ts";
import { type Answers, fakePlanner } from "./fixtures/fake-agents.ts";
import { inProcessMesh } from "./in-process.ts";

interface Outcome {
  readonly attempt: number;
  readonly ok: boolean;
  readonly result?: unknown;
  readonly failure?: { readonly code: string; readonly message: string };
}

const refusal = (code: string) => Object.assign(new Error(code), { name: "SoormaError", code, retryable: true });

/** A real worker with a handler of `main`, and planners that are nothing but their side of the protocol. */
async function withWorker(handler: (task: Task) => unknown, options: { leaseMs?: number; concurrency?: number } = {}) {
  const mesh = await inProcessMesh({ state: false });
  const stack = new AsyncDisposableStack();
  stack.use(mesh);
  const worker = mesh.worker({ name: "worker", ...options });
  worker.onTask("main", handler);
  await worker.run();
  return {
    worker,
    mesh,
    planner: async (agentId: string, answers?: Answers) => stack.use(await fakePlanner(mesh.mesh(), agentId, answers)),
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  };
}

/** A plan with one task under way, as its planner would have logged it. */
async function logOf({ tracker }: Client): Promise<{ planId: string; taskId: string }> {
  const planId = await tracker.startPlan({ tasks: [{ name: "main", assignedTo: "main" }] });
  const { tasks, version } = await tracker.getPlan(planId);
  const taskId = tasks[0]?.taskId ?? "";
  await tracker.append(planId, version, [{ type: "task.dispatched", taskId, attempt: 1 }]);
  return { planId, taskId };
}

/** A handler that ends when it is told to, and says when its signal aborts. */
function gated() {
  const begun = Promise.withResolvers<void>();
  const gate = Promise.withResolvers<unknown>();
  const aborted = Promise.withResolvers<{ code: string; message: string }>();
  let runs = 0;
  return {
    begun: begun.promise,
    aborted: aborted.promise,
    end: (result: unknown) => gate.resolve(result),
    runs: () => runs,
    handler: async ({ signal }: Task) => {
      runs++;
      signal.addEventListener("abort", () => aborted.resolve(signal.reason));
      begun.resolve();
      return await gate.promise;
    },
  };
}

describe("a worker", () => {
  test("offered a task twice runs it once", async () => {
    const { handler, end, ...seen } = gated();
    await using setting = await withWorker(handler);
    const planner = await setting.planner("planner-1");
    expect(await planner.offer(setting.worker.record(), {})).toBe("accepted");
    expect(await planner.offer(setting.worker.record(), {})).toBe("accepted");
    await seen.begun;
    end(1);
    await waitFor(() => planner.of("task.result").length > 0);
    expect(planner.of<Outcome>("task.result")).toMatchObject([{ ok: true, result: 1 }]);
    expect(seen.runs()).toBe(1);
  });

  test("offers its result until it is acknowledged", async () => {
    await using setting = await withWorker(() => 7);
    let times = 0;
    const planner = await setting.planner("planner-1", {
      "task.result": () => {
        if (++times < 3) throw refusal("NODE_STOPPED");
        return null;
      },
    });
    await planner.offer(setting.worker.record(), {});
    await waitFor(() => times === 3);
    expect(planner.of<Outcome>("task.result").map(({ result }) => result)).toEqual([7, 7, 7]);
    // It is forgotten then: whoever asks hears so.
    const attempts = [{ taskId: "plan-1.1", attempt: 1, planId: "plan-1", epoch: 1 }];
    const ask = () => planner.call(setting.worker.record(), "task.attach", { replyTo: planner.replyTo, attempts });
    await waitFor(async () => Bun.deepEquals(await ask(), ["unknown"]));
  });

  test("answers the planner that attached to a running attempt last", async () => {
    const { handler, end, ...seen } = gated();
    await using setting = await withWorker(handler);
    const first = await setting.planner("planner-1");
    const second = await setting.planner("planner-2");
    const worker = setting.worker.record();
    await first.offer(worker, {});
    await seen.begun;
    const attempts = (epoch: number) => [
      { taskId: "plan-1.1", attempt: 1, planId: "plan-1", epoch },
      { taskId: "plan-1.2", attempt: 1, planId: "plan-1", epoch },
      { taskId: "plan-1.1", attempt: 2, planId: "plan-1", epoch },
    ];
    expect(
      await second.call<unknown[]>(worker, "task.attach", { replyTo: second.replyTo, attempts: attempts(2) }),
    ).toEqual([{ state: "running", ranMs: expect.any(Number) }, "unknown", "unknown"]);
    // The first does not know yet that it is none any more; whatever it says changes nothing.
    expect(
      await first.call<string[]>(worker, "task.attach", { replyTo: first.replyTo, attempts: attempts(1) }),
    ).toEqual(["fenced", "fenced", "fenced"]);
    const failure = { code: "CANCELLED", message: "too late", retryable: false };
    await first.tell(worker, "task.cancel", { taskId: "plan-1.1", attempt: 1, epoch: 1, failure });
    expect(await failureOf(first.offer(worker, { taskId: "plan-1.3" }))).toThrow(/another planner drives plan plan-1/);
    end("done");
    await waitFor(() => second.of("task.result").length > 0);
    expect(second.of<Outcome>("task.result")).toMatchObject([{ ok: true, result: "done" }]);
    expect(first.of("task.result")).toEqual([]);
  });

  test("keeps a result no longer than the log waits for it", async () => {
    await using mesh = await inProcessMesh();
    const worker = mesh.worker({ name: "worker", drainMs: 60_000 });
    worker.onTask("main", () => 7);
    await worker.run();
    const client = await mesh.client();
    const { planId, taskId } = await logOf(client);
    const planner = await fakePlanner(mesh.mesh(), "planner-1", {
      "task.result": () => {
        throw refusal("PLAN_FENCED");
      },
    });
    await planner.offer(worker.record(), { planId, taskId });
    await waitFor(() => planner.of("task.result").length > 2);
    const attempts = [{ taskId, attempt: 1, planId, epoch: 1 }];
    const ask = () => planner.call(worker.record(), "task.attach", { replyTo: planner.replyTo, attempts });
    expect(await ask()).toEqual([{ state: "done", ranMs: expect.any(Number) }]);
    await client.tracker.cancelPlan(planId);
    await waitFor(async () => Bun.deepEquals(await ask(), ["unknown"]));
    // There is nothing to drain, either.
    await worker.stop();
    await planner[Symbol.asyncDispose]();
  });

  test("keeps a result whose planner is gone for the next one", async () => {
    const { handler, end, ...seen } = gated();
    await using setting = await withWorker(handler);
    const worker = setting.worker.record();
    const first = await setting.planner("planner-1");
    await first.offer(worker, {});
    await seen.begun;
    setting.mesh.hub.crash(first.record.nodeId);
    end("kept");
    const second = await setting.planner("planner-2");
    const attempts = [{ taskId: "plan-1.1", attempt: 1, planId: "plan-1", epoch: 2 }];
    await waitFor(async () => {
      const [holding] = await second.call<[{ state?: string } | string]>(worker, "task.attach", {
        replyTo: second.replyTo,
        attempts,
      });
      return holding === "unknown" || (typeof holding === "object" && holding.state === "done");
    });
    await waitFor(() => second.of("task.result").length > 0);
    expect(second.of<Outcome>("task.result")[0]).toMatchObject({ ok: true, result: "kept" });
    expect(seen.runs()).toBe(1);
  });

  test("aborts an attempt when a later one is offered, and says nothing of the earlier", async () => {
    const reasons: string[] = [];
    const begun: number[] = [];
    await using setting = await withWorker(async ({ attempt, signal }) => {
      begun.push(attempt);
      if (attempt === 2) return "second";
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      reasons.push(signal.reason.code);
      return "first";
    });
    const planner = await setting.planner("planner-1");
    const worker = setting.worker.record();
    await planner.offer(worker, {});
    await waitFor(() => begun.length === 1);
    expect(await planner.offer(worker, { attempt: 2 })).toBe("accepted");
    expect(await failureOf(planner.offer(worker, { attempt: 1 }))).toThrow(/attempt 1 at task "main" comes too late/);
    await waitFor(() => planner.of("task.result").length > 0 && reasons.length > 0);
    expect(reasons).toEqual(["ATTEMPT_STALE"]);
    expect(planner.of<Outcome>("task.result").map(({ attempt, result }) => [attempt, result])).toEqual([[2, "second"]]);
  });

  test("tells its planner what it holds, once for all of it, and drops what that does not know", async () => {
    const { handler, ...seen } = gated();
    await using setting = await withWorker(handler, { leaseMs: 30 });
    const planner = await setting.planner("planner-1");
    const worker = setting.worker.record();
    await planner.offer(worker, {});
    await planner.offer(worker, { taskId: "plan-1.2" });
    await waitFor(() => planner.of("task.holding").length >= 2);
    const held = planner.of<{ attempts: object[] }>("task.holding").at(-1)?.attempts;
    expect(held).toEqual([
      { taskId: "plan-1.1", attempt: 1, epoch: 1, suspended: false },
      { taskId: "plan-1.2", attempt: 1, epoch: 1, suspended: false },
    ]);
    const failure = { code: "ATTEMPT_STALE", message: "who is that?", retryable: false };
    await planner.tell(worker, "task.cancel", { taskId: "plan-1.1", attempt: 1, epoch: 1, failure });
    expect(await seen.aborted).toMatchObject({ code: "ATTEMPT_STALE", message: "who is that?" });
    await waitFor(() => planner.of<{ attempts: object[] }>("task.holding").at(-1)?.attempts.length === 1);
  });

  test("aborts its handler at the deadline of the goal and after the task's time", async () => {
    const reasons: string[] = [];
    await using setting = await withWorker(async ({ signal }) => {
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      reasons.push(signal.reason.message);
      throw signal.reason;
    });
    const planner = await setting.planner("planner-1");
    const worker = setting.worker.record();
    await planner.offer(worker, {}, Date.now() + 30);
    await planner.offer(worker, { taskId: "plan-1.2", timeoutMs: 20 });
    await waitFor(() => planner.of("task.result").length === 2);
    expect(reasons.sort()).toEqual([
      'task "main" took longer than its 20 ms',
      'task "main" was not done by the deadline of its goal',
    ]);
    for (const { failure } of planner.of<Outcome>("task.result")) expect(failure?.code).toBe("TIMEOUT");
  });

  test("that has no room says so, and says when it has", async () => {
    const { handler, end, ...seen } = gated();
    await using setting = await withWorker(handler, { concurrency: 1 });
    const one = await setting.planner("planner-1");
    const two = await setting.planner("planner-2");
    const worker = setting.worker.record();
    expect(await one.offer(worker, {})).toBe("accepted");
    await seen.begun;
    expect(await two.offer(worker, { taskId: "plan-2.1", planId: "plan-2" })).toBe("busy");
    expect(two.of("task.room")).toEqual([]);
    end(1);
    await waitFor(() => two.of("task.room").length === 1);
    expect(await two.offer(worker, { taskId: "plan-2.1", planId: "plan-2" })).toBe("accepted");
  });

  test("does once what a network brings twice, however late", async () => {
    let runs = 0;
    await using mesh = await inProcessMesh({ state: false });
    const own = mesh.mesh();
    const { node } = await own.acquire();
    const worker = mesh.worker({ name: "worker", mesh: own, concurrency: 1 });
    worker.onTask("main", () => ++runs);
    await worker.run();
    const planner = await fakePlanner(mesh.mesh(), "planner-1");
    mesh.hub.setEveryLink({ duplicate: 1, reorder: 0.5, lateMs: 30 });
    const first = node.stats().calls;
    let taken = 0;
    for (let n = 1; n <= 40; n++) {
      if ((await planner.offer(worker.record(), { taskId: `plan-1.${n}` })) !== "busy") taken++;
      await waitFor(() => runs >= taken);
    }
    expect(taken).toBeGreaterThan(0);
    // The copies that were still on their way.
    await waitFor(() => {
      const { answered, refused, doubled } = node.stats().calls;
      return doubled - first.doubled === answered + refused - first.answered - first.refused;
    });
    expect(runs).toBe(taken);
    await planner[Symbol.asyncDispose]();
    await own.release();
  });

  test("that could not start hands back what it was offered meanwhile, and takes nothing more", async () => {
    const { handler, end, ...seen } = gated();
    await using mesh = await inProcessMesh({ state: false });
    const planner = await fakePlanner(mesh.mesh(), "planner-1");
    const registered = Promise.withResolvers<AgentRecord>();
    const answer = Promise.withResolvers<never>();
    const leave = Promise.withResolvers<void>();
    const unanswered: Partial<NodeOptions> = {
      createRegistry: async (deps) => {
        const registry = await createFromPlugin(registryBroker, { address: mesh.broker.address }, deps);
        const register = registry.register.bind(registry);
        return Object.assign(registry, {
          register: async (record: AgentRecord) => {
            await register(record, { leaseMs: 10_000 });
            registered.resolve(record);
            return await answer.promise;
          },
          deregister: () => leave.promise,
        });
      },
    };
    const worker = mesh.worker({ name: "worker", mesh: mesh.mesh(unanswered) });
    worker.onTask("main", handler);
    const running = failureOf(worker.run());
    const record = await registered.promise;
    expect(await planner.offer(record, {})).toBe("accepted");
    await seen.begun;
    answer.reject(new SoormaError("REGISTRY_UNAVAILABLE", "no answer"));
    await waitFor(() => planner.of("task.result").length > 0);
    expect(planner.of<Outcome>("task.result")[0]?.failure?.code).toBe("NODE_STOPPED");
    // It is in the directory still, since the registry has not answered.
    expect(await failureOf(planner.offer(record, { taskId: "plan-1.2" }))).toThrow("is not on this node (any more)");
    leave.resolve();
    expect(await running).toThrow("no answer");
    end(1);
    // A rejection nobody handles would be told by then.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    await planner[Symbol.asyncDispose]();
  });

  test("that has stopped is not troubled by a handler that goes on, whatever it ends with", async () => {
    const { handler, end, ...seen } = gated();
    await using setting = await withWorker(handler, { concurrency: 1 });
    const planner = await setting.planner("planner-1");
    const worker = setting.worker.record();
    expect(await planner.offer(worker, {})).toBe("accepted");
    await seen.begun;
    expect(await planner.offer(worker, { taskId: "plan-1.2" })).toBe("busy");
    await setting.worker.stop({ drainMs: 0 });
    end(1);
    // A rejection nobody handles would be told by then.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    expect(planner.of("task.room")).toEqual([]);
  });

  test("does not pass off another's trouble as its own: such a failure counts", async () => {
    await using setting = await withWorker(() => {
      throw Object.assign(refusal("NODE_STOPPED"), { details: { suspended: true, port: 7 } });
    });
    const planner = await setting.planner("planner-1");
    await planner.offer(setting.worker.record(), {});
    await waitFor(() => planner.of("task.result").length > 0);
    expect(planner.of<Outcome>("task.result")[0]?.failure).toMatchObject({ code: "TASK_FAILED", details: { port: 7 } });
    expect(JSON.stringify(planner.of("task.result"))).not.toContain("suspended");
  });

  test("that stops hands back what does not end in time, and delivers what does", async () => {
    const begun: string[] = [];
    await using setting = await withWorker(async ({ taskId, signal }) => {
      begun.push(taskId);
      if (taskId === "plan-1.1") return await Bun.sleep(20).then(() => "in time");
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new Error("whatever it throws");
    });
    const planner = await setting.planner("planner-1");
    const worker = setting.worker.record();
    await planner.offer(worker, {});
    await planner.offer(worker, { taskId: "plan-1.2" });
    await waitFor(() => begun.length === 2);
    await setting.worker.stop();
    const outcomes = planner.of<Outcome & { taskId: string }>("task.result");
    expect(outcomes.map(({ taskId, ok, failure }) => [taskId, ok, failure?.code])).toEqual([
      ["plan-1.1", true, undefined],
      ["plan-1.2", false, "NODE_STOPPED"],
    ]);
  });
});
