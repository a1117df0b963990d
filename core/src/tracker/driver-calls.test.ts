import { expect, test } from "bun:test";
import { changes } from "../../testing/plan-changes.ts";
import { stageHome, stateStage } from "../../testing/state-stage.ts";
import { isSoormaError, type SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { compilePattern } from "../events/pattern.ts";
import type { PlanChange } from "../plans/log.ts";
import type { StateService } from "../state-service.ts";
import type { EventSource } from "./event-waits.ts";
import { trackerMethods, trackerNotes } from "./protocol.ts";

const { created, started, dispatched, stepped, succeeded } = changes;

function stage() {
  const made = stateStage();
  const [first, second, person] = ["inproc://first", "inproc://second", "inproc://person"].map(made.node);
  if (!first || !second || !person) throw new Error("no nodes");
  const { settled } = made;
  return {
    ...made,
    first,
    second,
    person,
    a: first.tracker.logOf("a"),
    b: second.tracker.logOf("b"),
    run: settled,
    /** An open plan with one running task. */
    async plan(planId: string, by: "a" | "b" = "a") {
      const log = (by === "a" ? first : second).tracker.logOf(by);
      await settled(log.append(planId, 0, [created({}, by), started("t"), dispatched("t")], { epoch: 1 }));
    },
    async failure(promise: Promise<unknown>): Promise<SoormaError> {
      const error = await settled(
        promise.then(
          () => undefined,
          (thrown: unknown) => thrown,
        ),
      );
      if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
      return error;
    },
  };
}

test("everything a driver does goes over calls: append, fence, record, journal, lease, claim, release", async () => {
  const { start, a, b, plan, run, failure } = stage();
  start();
  await run(a.lease("p", "a", 5_000));
  await plan("p1");
  expect(await run(b.record("p1", stepped("t", "s")))).toEqual({ version: 4, accepted: true });
  expect(await run(b.record("p1", stepped("t", "s")))).toEqual({ version: 4, accepted: false });
  expect((await run(a.journal("p1", "t"))).steps).toMatchObject([{ key: "s", value: "s" }]);
  expect(await run(b.lease("p", "b"))).toEqual({ leaseMs: 10_000, claimable: 0 });
  await run(a.release("a"));
  const claim = await run(b.claim("p", "b", 10));
  expect(claim).toMatchObject({ plans: [{ planId: "p1", epoch: 2, version: 5 }], more: false });
  expect(claim.plans[0]?.entries?.map(({ by }) => by)).toEqual(["a", "a", "a", "b", "b"]);
  const fenced = await failure(a.append("p1", 5, [succeeded("t")], { epoch: 1 }));
  expect(fenced).toMatchObject({ code: "PLAN_FENCED", retryable: false, details: { epoch: 2 } });
});

test("a lease ends at once when its holder's node is gone, and another node cannot release it", async () => {
  const { start, first, a, b, plan, run } = stage();
  start();
  await run(a.lease("p", "a"));
  await plan("p1");
  await run(b.release("a"));
  expect((await run(b.lease("p", "b"))).claimable).toBe(0);
  first.node.stop();
  await run(Promise.resolve());
  expect((await run(b.lease("p", "b"))).claimable).toBe(1);
});

test("a claim whose answer is lost loses no plan", async () => {
  const { start, b, plan, run, runtime, intercept } = stage();
  start();
  for (let i = 0; i < 5; i++) await plan(`p${i}`);
  await run(b.lease("p", "b"));
  await runtime.advance(2_000);
  let lost = 0;
  intercept(({ kind, method }) =>
    kind === "answer" && method === trackerMethods.claim && lost++ < 1 ? "drop" : undefined,
  );
  const first = await run(b.claim("p", "b", 3));
  expect(lost).toBe(2);
  expect(first.plans.map(({ planId }) => planId)).toEqual(["p0", "p1", "p2"]);
  // Also when the whole call was given up.
  intercept(({ kind, method }) => (kind === "answer" && method === trackerMethods.claim ? "drop" : undefined));
  expect(await run(b.claim("p", "b", 3).catch((error: SoormaError) => error.code))).toBe("STORE_UNAVAILABLE");
  intercept(() => undefined);
  expect((await run(b.claim("p", "b", 3))).plans.map(({ planId }) => planId)).toEqual(["p3", "p4"]);
});

test("a driver's lease is renewed at once when the state node is there again", async () => {
  const { start, kill, a, b, plan, run, runtime } = stage();
  start();
  await run(a.lease("p", "a"));
  await plan("p1");
  await kill();
  start();
  await runtime.advance(1_000);
  await run(b.lease("p", "b"));
  await runtime.advance(3_000);
  expect((await run(b.lease("p", "b"))).claimable).toBe(0);
});

test("a driver hears of what others changed; of what was lost with its next renewal", async () => {
  const { start, a, plan, run, runtime, intercept, person } = stage();
  start();
  const heard: [string, number][] = [];
  a.onForeignChange("a", (planId, version) => heard.push([planId, version]));
  await run(a.lease("p", "a"));
  for (let i = 0; i < 3; i++) await plan(`p${i}`);
  expect(await run(person.tracker.pausePlan("p0"))).toBe(true);
  await runtime.runUntil(() => heard.length === 1);
  intercept(({ method }) => (method === trackerNotes.changed ? "drop" : undefined));
  await run(person.tracker.pausePlan("p1"));
  await run(person.tracker.resumePlan("p0"));
  await runtime.advance(100);
  intercept(() => undefined);
  await run(person.tracker.pausePlan("p2"));
  await runtime.runUntil(() => heard.length === 2);
  expect(heard).toEqual([
    ["p0", 4],
    ["p2", 4],
  ]);
  await run(a.lease("p", "a"));
  await runtime.runUntil(() => heard.length === 5);
  expect(heard.slice(2).toSorted()).toEqual([
    ["p0", 5],
    ["p1", 4],
    ["p2", 4],
  ]);
  // Heard once, it is not told again.
  await run(a.lease("p", "a"));
  await run(a.lease("p", "a"));
  await runtime.advance(100);
  expect(heard).toHaveLength(5);
});

test("what others changed while the driver or the state node was away is told when it leases again", async () => {
  const { start, kill, a, plan, run, runtime, intercept, person } = stage();
  start();
  const heard: string[] = [];
  a.onForeignChange("a", (planId) => heard.push(planId));
  await run(a.lease("p", "a"));
  for (const planId of ["p0", "p1", "p2"]) await plan(planId);
  intercept(({ method }) => (method === trackerNotes.changed ? "drop" : undefined));
  await run(person.tracker.pausePlan("p0"));
  await run(person.tracker.cancelPlan("p1"));
  await run(a.append("p2", 3, [{ type: "task.progress", taskId: "t", fraction: 0.5 }], { epoch: 1 }));
  await kill();
  intercept(() => undefined);
  start();
  await runtime.runUntil(() => heard.length >= 2);
  await runtime.advance(100);
  expect(heard).toEqual(["p0", "p1"]);
});

test("a driver that was thought gone hears that its plans were claimed", async () => {
  const { start, a, b, plan, run, runtime } = stage();
  start();
  const heard: string[] = [];
  a.onForeignChange("a", (planId) => heard.push(planId));
  await run(a.lease("p", "a", 1_000));
  await plan("p1");
  await runtime.advance(1_000);
  expect((await run(b.claim("p", "b", 1))).plans).toHaveLength(1);
  await runtime.advance(60_000);
  heard.length = 0;
  await run(a.lease("p", "a", 1_000));
  await runtime.runUntil(() => heard.length > 0);
  expect(heard).toEqual(["p1"]);
});

test("changes that are not what they should be are refused, and nothing is written", async () => {
  const { start, first, person, plan, run, a } = stage();
  start();
  await plan("p1");
  const hostile: unknown[] = [
    { type: "task.invented", taskId: "t" },
    { type: "task.succeeded", taskId: 7, attempt: 1 },
    { type: "task.failed", taskId: "t", attempt: 1, failure: 7 },
    { type: "plan.started", tasks: [{ taskId: "x" }] },
    { type: "task.waiting", taskId: "t", attempt: 1, key: "k", on: { kind: "event" } },
    ...[[1], "data.a", { a: 1 }, { "data.a": [1] }, { "data.a": {} }, { "data.__proto__": { x: 1 } }].map((where) => ({
      type: "task.waiting",
      taskId: "t",
      attempt: 1,
      key: "k",
      on: { kind: "event", pattern: "a.b", where },
    })),
    { type: "task.timedout", taskId: "t", key: "k" },
    { type: "task.waiting", taskId: "t", attempt: 1, key: "k".repeat(600), on: { kind: "sleep", ms: 1 } },
    { type: "task.assigned", taskId: "t", attempt: 1, agentId: "x", agentName: "n".repeat(300) },
    { type: "plan.driven", driver: "", epoch: 2 },
    { ...created({ tenantId: "evil" }) },
    { type: "__proto__" },
    { type: "constructor" },
  ];
  for (const change of hostile) {
    const params = { tenant: "acme", planId: "p1" };
    for (const [method, more] of [
      [trackerMethods.append, { expectedVersion: 3, changes: [change] }],
      [trackerMethods.record, { change }],
    ] as const) {
      const outcome = first.node.call(stageHome, method, { ...params, ...more }).then(
        () => "taken",
        (error: SoormaError) => error.code,
      );
      expect(await run(outcome)).toBe("PAYLOAD_INVALID");
    }
  }
  expect(await run(a.read("p1"))).toHaveLength(3);
  expect(await run(person.tracker.cancelPlan("p1"))).toBe(true);
});

/** A bus for one test: what is published reaches what is subscribed. */
function bus() {
  const subscriptions = new Set<{
    readonly pattern: string;
    readonly topic: string | undefined;
    readonly deliver: (event: Envelope) => void;
  }>();
  let count = 0;
  const source: EventSource = {
    tenant: "acme",
    by: "state-1",
    async subscribe(pattern, topic, deliver) {
      const subscription = { pattern, topic, deliver };
      subscriptions.add(subscription);
      return { [Symbol.asyncDispose]: async () => void subscriptions.delete(subscription) };
    },
  };
  return {
    source,
    get patterns() {
      return [...subscriptions].map(({ pattern }) => pattern);
    },
    publish(type: string, data: unknown, topic = "business-facts") {
      const event: Envelope = {
        id: `e${++count}`,
        source: "x",
        specversion: "1.0",
        type,
        time: 0,
        topic: topic as Envelope["topic"],
        data,
        correlationId: "c",
        traceId: "t",
        tenantId: "acme",
        hops: 0,
      };
      for (const subscription of [...subscriptions]) {
        if (subscription.topic !== undefined && subscription.topic !== topic) continue;
        if (compilePattern(subscription.pattern).matches(type)) subscription.deliver(event);
      }
    },
  };
}

const waiting = (taskId: string, key: string, pattern: string, topic?: string): PlanChange => ({
  type: "task.waiting",
  taskId,
  attempt: 1,
  key,
  on: { kind: "event", pattern, ...(topic === undefined ? {} : { topic }) },
});

test("the first event that matches is the signal of whatever waits for it, also over a restart", async () => {
  const { start, kill, a, plan, run, runtime } = stage();
  const events = bus();
  const listen = (service: StateService): void => service.listenForEvents(events.source);
  listen(start());
  await plan("p1");
  await plan("p2");
  // Whoever appends that something waits knows that it is heard from then on.
  await run(a.append("p1", 3, [waiting("t", "w", "order.*")], { epoch: 1 }));
  expect(events.patterns).toEqual(["order.*"]);
  await run(a.record("p2", waiting("t", "w", "order.*")));
  await run(a.record("p2", waiting("t", "other", "order.paid", "billing-events")));
  expect(events.patterns).toEqual(["order.*", "order.paid"]);
  await kill();
  expect(events.patterns).toEqual([]);
  events.publish("order.paid", { lost: true });
  listen(start());
  events.publish("customer.paid", { wrong: true });
  events.publish("order.paid", { amount: 5 });
  events.publish("order.paid", { amount: 6 });
  await runtime.advance(1_000);
  const waits = async (planId: string) => (await run(a.journal(planId, "t"))).waits;
  expect(await waits("p1")).toMatchObject([
    { key: "w", signalled: { value: { type: "order.paid", data: { amount: 5 }, id: "e3" } } },
  ]);
  const second = await waits("p2");
  expect(second[0]?.signalled?.value).toMatchObject({ data: { amount: 5 } });
  expect(second[1]?.signalled).toBeUndefined();
  events.publish("order.paid", { amount: 7 }, "billing-events");
  await runtime.advance(1_000);
  expect((await waits("p2"))[1]?.signalled?.value).toMatchObject({ data: { amount: 7 } });
  expect((await run(a.read("p1"))).at(-1)).toMatchObject({ type: "task.signalled", by: "state-1" });
  await runtime.advance(10_000);
  expect(events.patterns).toEqual([]);
});

test("of several that wait for one type each gets the event that is as it says, also over a restart", async () => {
  const { start, kill, a, plan, run, runtime } = stage();
  const events = bus();
  start().listenForEvents(events.source);
  for (const [n, planId] of ["p1", "p2"].entries()) {
    await plan(planId);
    const on = { kind: "event", pattern: "order.paid", where: { "data.orderId": n + 1 } } as const;
    await run(a.record(planId, { type: "task.waiting", taskId: "t", attempt: 1, key: "w", on }));
  }
  const signal = async (planId: string) => (await run(a.journal(planId, "t"))).waits[0]?.signalled?.value;
  events.publish("order.paid", { orderId: 3 });
  events.publish("order.paid", { orderId: 2 });
  await runtime.advance(1_000);
  expect(await signal("p1")).toBeUndefined();
  expect(await signal("p2")).toMatchObject({ data: { orderId: 2 } });
  await kill();
  start().listenForEvents(events.source);
  events.publish("order.paid", { orderId: "1" });
  events.publish("order.paid", { orderId: 1, late: true });
  await runtime.advance(1_000);
  expect(await signal("p1")).toMatchObject({ data: { orderId: 1, late: true } });
});

test("what nobody waits for any more is unsubscribed: the task ended, its plan ended, somebody else signalled", async () => {
  const { start, a, plan, run, runtime, person } = stage();
  const events = bus();
  start().listenForEvents(events.source);
  const endings: Record<string, () => Promise<unknown>> = {
    ended: () => a.append("ended", 4, [succeeded("t")], { epoch: 1 }),
    cancelled: () => person.tracker.cancelPlan("cancelled"),
    signalled: () => a.record("signalled", { type: "task.signalled", taskId: "t", key: "w", value: 1 }),
  };
  for (const planId of Object.keys(endings)) {
    await plan(planId);
    await run(a.record(planId, waiting("t", "w", `of.${planId}`)));
  }
  expect(events.patterns).toHaveLength(3);
  for (const [planId, end] of Object.entries(endings)) {
    await run(end());
    await runtime.advance(10_000);
    expect(events.patterns).not.toContain(`of.${planId}`);
  }
  // A wait that is refused leaves nothing behind.
  expect((await run(a.record("cancelled", waiting("t", "x", "never.*")))).accepted).toBe(false);
  await runtime.advance(10_000);
  expect(events.patterns).toEqual([]);
});

test("a subscription that does not come about holds an append up for two seconds at most, and is tried again", async () => {
  const { start, a, plan, run, runtime } = stage();
  const events = bus();
  let failures = 0;
  start().listenForEvents({
    ...events.source,
    subscribe: async (pattern, topic, deliver) => {
      if (failures++ < 2) {
        await new Promise((resolve) => runtime.setTimer(() => resolve(undefined), 5_000));
        throw new Error("no registry");
      }
      return events.source.subscribe(pattern, topic, deliver);
    },
  });
  await plan("p1");
  const before = runtime.monotonic();
  await run(a.record("p1", waiting("t", "w", "order.*")));
  expect(runtime.monotonic() - before).toBeWithin(2_000, 2_200);
  await runtime.advance(20_000);
  events.publish("order.paid", 1);
  await runtime.advance(100);
  expect((await run(a.journal("p1", "t"))).waits[0]?.signalled).toBeDefined();
});
