import { describe, expect, test } from "bun:test";
import { fakeRuntime } from "../../testing/fake-runtime.ts";
import { changes } from "../../testing/plan-changes.ts";
import { testStores } from "../../testing/stores.ts";
import { isSoormaError, type SoormaError } from "../errors.ts";
import type { Claim, PlanChange } from "../plans/log.ts";
import type { Store } from "../store/store.ts";
import { createTrackerStore } from "./tracker-store.ts";

const { created, started, dispatched, succeeded, stepped, planFailed, cancelled, answered } = changes;

async function failure(attempt: Promise<unknown>): Promise<SoormaError> {
  const error = await attempt.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isSoormaError(error)) throw new Error(`expected a SoormaError, got ${error}`);
  return error;
}

const idsOf = ({ plans }: Claim): string[] => plans.map(({ planId }) => planId);

describe.each(Object.entries(testStores))("drivers on the %s store", (_name, make) => {
  async function subject() {
    const made = await make();
    const runtime = fakeRuntime();
    const open = (store: Store = made.store) => createTrackerStore({ store, runtime });
    let tracker = open();
    return {
      runtime,
      store: made.store,
      get tracker() {
        return tracker;
      },
      log: (by: string) => tracker.of("acme", by),
      /** The state node is killed and started anew. */
      restart() {
        tracker = open();
      },
      /** An open plan with one running task. */
      async plan(planId: string, driver: string, fields = {}) {
        await tracker.of("acme", driver).append(planId, 0, [created(fields, driver), started("a"), dispatched("a")]);
        await runtime.advance(1);
      },
      [Symbol.asyncDispose]: () => made[Symbol.asyncDispose](),
    };
  }

  test("plans of a driver that renews its lease cannot be claimed; they can when it ran out, or was released", async () => {
    await using s = await subject();
    const [a, b] = [s.log("a"), s.log("b")];
    expect(await a.lease("p", "a", 3_000)).toEqual({ leaseMs: 3_000, claimable: 0 });
    for (const planId of ["p1", "p2", "p3"]) await s.plan(planId, "a");
    await s.runtime.advance(2_900);
    await a.lease("p", "a", 3_000);
    await s.runtime.advance(2_900);
    expect((await b.lease("p", "b")).claimable).toBe(0);
    expect(await b.claim("p", "b", 100)).toEqual({ plans: [], more: false });
    await s.runtime.advance(101);
    expect((await b.lease("p", "b")).claimable).toBe(3);
    expect((await b.lease("other", "c")).claimable).toBe(0);
    const first = await b.claim("p", "b", 2);
    expect(idsOf(first)).toEqual(["p1", "p2"]);
    expect(first.more).toBe(true);
    expect(first.plans[0]).toMatchObject({ epoch: 2, version: 4 });
    expect(first.plans[0]?.entries).toEqual(await b.read("p1"));
    expect(first.plans[0]?.entries?.at(-1)).toMatchObject({ type: "plan.driven", driver: "b", epoch: 2, by: "b" });
    expect(idsOf(await b.claim("p", "b", 2))).toEqual(["p3"]);
    expect((await a.lease("p", "a")).claimable).toBe(0);
    await b.release("b");
    expect((await a.lease("p", "a")).claimable).toBe(3);
    expect(idsOf(await a.claim("p", "a", 100))).toEqual(["p1", "p2", "p3"]);
  });

  test("a driver of an older epoch is fenced, whatever version it expects", async () => {
    await using s = await subject();
    await s.plan("p1", "a");
    expect(
      await s.log("a").append("p1", 3, [{ type: "task.progress", taskId: "a", fraction: 0.5 }], { epoch: 1 }),
    ).toBe(4);
    await s.log("b").claim("p", "b", 1);
    for (const expected of [4, 5]) {
      const error = await failure(s.log("a").append("p1", expected, [succeeded("a")], { epoch: 1 }));
      expect(error).toMatchObject({ code: "PLAN_FENCED", retryable: false, details: { epoch: 2 } });
    }
    expect(await s.log("b").append("p1", 5, [succeeded("a")], { epoch: 2 })).toBe(6);
    expect((await s.log("b").read("p1")).map(({ type }) => type)).toEqual([
      "plan.created",
      "plan.started",
      "task.dispatched",
      "task.progress",
      "plan.driven",
      "task.succeeded",
    ]);
  });

  test("of several that claim at once each plan goes to one", async () => {
    await using s = await subject();
    for (let i = 0; i < 30; i++) await s.plan(`p${i}`, "gone");
    const drivers = ["a", "b", "c"];
    for (const driver of drivers) await s.log(driver).lease("p", driver);
    const claims = await Promise.all(
      Array.from({ length: 9 }, (_, i) => s.log(drivers[i % 3] ?? "").claim("p", drivers[i % 3] ?? "", 5)),
    );
    const all = claims.flatMap(idsOf);
    expect(all).toHaveLength(30);
    expect(new Set(all).size).toBe(30);
    for (const [i, claim] of claims.entries()) {
      for (const { planId, epoch } of claim.plans) {
        expect(epoch).toBe(2);
        const [summary] = (await s.log("a").list({ planner: "p" })).filter((plan) => plan.planId === planId);
        expect(summary?.driver).toBe(drivers[i % 3]);
      }
    }
  });

  test("a claim that is asked for again, because its answer was lost, is answered with the same plans", async () => {
    await using s = await subject();
    for (let i = 0; i < 5; i++) await s.plan(`p${i}`, "gone");
    const claim = (operationId: string) => s.tracker.claim("acme", "p", "a", { limit: 2, operationId });
    const first = await claim("one");
    s.restart();
    expect(await claim("one")).toEqual(first);
    await s.log("a").append("p0", 4, [succeeded("a")], { epoch: 2 });
    await s.runtime.advance(2_000);
    const again = await claim("one");
    expect(again.plans.map(({ version, epoch }) => [version, epoch])).toEqual([
      [5, 2],
      [4, 2],
    ]);
    expect(idsOf(await claim("two"))).toEqual(["p2", "p3"]);
    expect(idsOf(await claim("three"))).toEqual(["p4"]);
    expect(await claim("four")).toEqual({ plans: [], more: false });
  });

  test("after a restart of the state node drivers keep their plans for a while, to lease again", async () => {
    await using s = await subject();
    await s.plan("p1", "a");
    await s.plan("p2", "b");
    await s.plan("p3", "c", { planner: "quick" });
    s.restart();
    expect((await s.log("x").lease("p", "x")).claimable).toBe(0);
    await s.runtime.advance(1_000);
    await s.log("a").lease("p", "a");
    await s.runtime.advance(499);
    expect((await s.log("x").lease("p", "x")).claimable).toBe(0);
    await s.runtime.advance(1);
    expect(idsOf(await s.log("x").claim("p", "x", 10))).toEqual(["p2"]);
    s.restart();
    expect((await s.log("y").lease("quick", "y", 200)).claimable).toBe(0);
    await s.runtime.advance(200);
    expect((await s.log("y").lease("quick", "y", 200)).claimable).toBe(1);
  });

  test("ended plans can be claimed until they are answered; those driven by hand never", async () => {
    await using s = await subject();
    await s.plan("p1", "a");
    await s.log("a").append("p1", 3, [succeeded("a"), { type: "plan.completed", result: 1 }]);
    await s.plan("p2", "a");
    await s.log("a").append("p2", 3, [planFailed]);
    await s.log("a").record("p2", answered);
    await s.log("a").append("hand", 0, [created(), started("a")]);
    const claim = await s.log("b").claim("p", "b", 10);
    expect(idsOf(claim)).toEqual(["p1"]);
    expect(await s.log("b").record("p1", answered)).toMatchObject({ accepted: true });
    expect(await s.log("b").record("p1", answered)).toMatchObject({ accepted: false });
    expect((await s.log("c").lease("p", "c")).claimable).toBe(0);
    s.restart();
    await s.runtime.advance(2_000);
    expect(await s.log("c").claim("p", "c", 10)).toEqual({ plans: [], more: false });
  });

  test("a long log is not sent along, and a claim's answer is bounded", async () => {
    await using s = await subject();
    const big = "x".repeat(300_000);
    for (let i = 0; i < 12; i++) await s.plan(`p${i}`, "gone", { goalData: big });
    await s.plan("long", "gone", { goalData: "y".repeat(400_000) });
    const seen: string[] = [];
    for (let claims = 1; ; claims++) {
      const { plans, more } = await s.log("a").claim("p", "a", 100);
      seen.push(...plans.map(({ planId }) => planId));
      for (const { planId, entries } of plans) expect(entries === undefined).toBe(planId === "long");
      expect(plans.length).toBeLessThan(13);
      if (!more) {
        expect(claims).toBeGreaterThan(1);
        break;
      }
    }
    expect(seen).toHaveLength(13);
  });

  describe("what others record", () => {
    test("free changes do not collide with the driver's, orders do", async () => {
      await using s = await subject();
      await s.plan("p1", "a");
      const worker = s.log("worker-1");
      expect(await worker.record("p1", stepped("a", "charge"))).toEqual({ version: 4, accepted: true });
      expect(await worker.record("p1", stepped("a", "ship"))).toEqual({ version: 5, accepted: true });
      expect(
        await s.log("a").append("p1", 3, [{ type: "task.progress", taskId: "a", fraction: 1 }], { epoch: 1 }),
      ).toBe(6);
      await s.log("person").record("p1", { type: "plan.paused" });
      const conflict = await failure(s.log("a").append("p1", 6, [succeeded("a")], { epoch: 1 }));
      expect(conflict).toMatchObject({ code: "PLAN_CONFLICT", details: { version: 7 } });
      expect(await s.log("a").append("p1", 7, [succeeded("a")], { epoch: 1 })).toBe(8);
      expect((await failure(s.log("a").append("p1", 9, [cancelled], { epoch: 1 }))).code).toBe("PLAN_CONFLICT");
    });

    test("an answer to a task that only waits collides, so that its time-out cannot overtake it", async () => {
      await using s = await subject();
      await s.plan("p1", "a");
      const on = { kind: "input", prompt: "?" } as const;
      await s
        .log("a")
        .append("p1", 3, [{ type: "task.waiting", taskId: "a", attempt: 1, key: "wait", on }], { epoch: 1 });
      const answer: PlanChange = { type: "task.signalled", taskId: "a", key: "wait", value: 1 };
      expect(await s.log("person").record("p1", answer)).toEqual({ version: 5, accepted: true });
      const late = s.log("a").append("p1", 4, [planFailed], { epoch: 1 });
      expect(await failure(late)).toMatchObject({ code: "PLAN_CONFLICT", details: { version: 5 } });
    });

    test("is refused when it is not legal, and then leaves nothing", async () => {
      await using s = await subject();
      await s.plan("p1", "a");
      const worker = s.log("worker-1");
      await worker.record("p1", stepped("a", "charge"));
      const refused: PlanChange[] = [
        stepped("a", "charge"),
        stepped("a", "other", 2),
        stepped("none", "x"),
        { type: "plan.resumed" },
        { type: "task.signalled", taskId: "a", key: "wait", value: 1 },
        { type: "task.revived", taskId: "a" },
        answered,
      ];
      for (const change of refused) expect(await worker.record("p1", change)).toEqual({ version: 4, accepted: false });
      expect(await s.log("a").read("p1")).toHaveLength(4);
      const retried: PlanChange = {
        type: "task.retried",
        taskId: "a",
        attempt: 1,
        failure: { code: "X", message: "x", retryable: true },
        delayMs: 0,
      };
      await s.log("a").append("p1", 4, [retried, dispatched("a", 2)]);
      expect((await worker.record("p1", stepped("a", "late"))).accepted).toBe(false);
      expect((await worker.record("p1", stepped("a", "late", 2))).accepted).toBe(true);
      expect((await worker.journal("p1", "a")).steps.map(({ key }) => key)).toEqual(["charge", "late"]);
      expect(await worker.journal("p1", "none")).toEqual({ steps: [], waits: [] });
      expect((await failure(worker.journal("nope", "a"))).code).toBe("PLAN_NOT_FOUND");
      expect((await failure(worker.record("nope", cancelled))).code).toBe("PLAN_NOT_FOUND");
      expect((await failure(worker.record("p1", succeeded("a", 2)))).code).toBe("PLAN_INVALID");
    });

    test("is done once however often it is tried, also behind many others and after a restart", async () => {
      await using s = await subject();
      await s.plan("p1", "a");
      const record = (key: string) => s.log("worker-1").record("p1", stepped("a", key), { operationId: `op-${key}` });
      const first = await record("first");
      for (let i = 0; i < 200; i++) await record(`s${i}`);
      expect(await record("first")).toEqual(first);
      s.restart();
      expect(await record("first")).toEqual(first);
      expect(await s.log("a").read("p1")).toHaveLength(204);
    });

    test("is told to the plan's driver, but not what needs no decision of it", async () => {
      await using s = await subject();
      const heard: [string, number][] = [];
      s.log("a").onForeignChange("a", (planId, version) => heard.push([planId, version]));
      await s.plan("p1", "a");
      await s.plan("p2", "b");
      await s.log("a").record("p1", { type: "plan.paused" });
      await s.log("worker-1").record("p1", stepped("a", "x"));
      await s.log("person").record("p2", { type: "plan.paused" });
      await s.runtime.runUntilIdle();
      expect(heard).toEqual([]);
      await s.log("person").record("p1", { type: "plan.resumed" });
      await s.runtime.runUntilIdle();
      expect(heard).toEqual([["p1", 6]]);
      await s.log("b").claim("p", "b", 1);
      await s.runtime.runUntilIdle();
      expect(heard.at(-1)).toEqual(["p1", 7]);
    });
  });

  describe("sub-plans", () => {
    const child = (parentPlanId: string, more = {}) => ({ parentPlanId, planner: "q", ...more });

    test("are cancelled with their parent, down to the last, in one go; their drivers are told", async () => {
      await using s = await subject();
      const heard: string[] = [];
      s.log("b").onForeignChange("b", (planId) => heard.push(planId));
      await s.plan("top", "a");
      await s.plan("c1", "b", child("top"));
      await s.plan("c2", "b", child("top"));
      await s.plan("c11", "b", child("c1"));
      await s.log("b").append("c2", 3, [succeeded("a"), { type: "plan.completed", result: 1 }]);
      await s.plan("other", "b");
      await s.log("a").append("top", 3, [planFailed], { epoch: 1 });
      await s.runtime.runUntilIdle();
      const status = Object.fromEntries((await s.log("a").list()).map((plan) => [plan.planId, plan.status]));
      expect(status).toEqual({
        top: "failed",
        c1: "cancelled",
        c11: "cancelled",
        c2: "completed",
        other: "running",
      });
      expect((await s.log("a").read("c11")).at(-1)).toMatchObject({
        type: "plan.cancelled",
        reason: "its parent plan c1 cancelled",
        by: "a",
      });
      expect(heard.toSorted()).toEqual(["c1", "c11"]);
      expect((await s.log("a").list({ parentPlanId: "top" })).map(({ planId }) => planId)).toEqual(["c2", "c1"]);
    });

    test("are cancelled as soon as their parent begins to take back what it did", async () => {
      await using s = await subject();
      await s
        .log("a")
        .append("top", 0, [
          created({}, "a"),
          started({ taskId: "pay", name: "pay", assignedTo: "w", undo: { assignedTo: "refund" } }, "sub", "late"),
          dispatched("pay"),
          succeeded("pay"),
          dispatched("sub"),
        ]);
      await s.plan("c1", "b", child("top", { parentTaskId: "sub" }));
      await s.log("person").record("top", cancelled);
      const [top] = await s.log("a").list({ planner: "p" });
      expect(top).toMatchObject({ status: "running", taskCount: 4 });
      expect((await s.log("a").list({ planner: "q" }))[0]).toMatchObject({ status: "cancelled" });
      // What takes back may have plans of its own; what was cancelled may not get one now.
      await s.plan("c2", "b", child("top", { parentTaskId: "late" }));
      await s.plan("c3", "b", child("top", { parentTaskId: "pay.undo" }));
      const status = Object.fromEntries(
        (await s.log("a").list({ planner: "q" })).map((plan) => [plan.planId, plan.status]),
      );
      expect(status).toEqual({ c1: "cancelled", c2: "cancelled", c3: "running" });
    });

    test("of a parent that ended before are cancelled at once", async () => {
      await using s = await subject();
      await s.plan("top", "a");
      await s.log("a").append("top", 3, [cancelled], { epoch: 1 });
      expect(await s.log("b").append("late", 0, [created(child("top"), "b"), started("a")])).toBe(3);
      expect((await s.log("b").list({ planner: "q" }))[0]).toMatchObject({ status: "cancelled", version: 3 });
      expect(await s.log("b").append("orphan", 0, [created(child("nobody"), "b")])).toBe(1);
    });
  });

  test("claims, leases and orders of one tenant do not reach another", async () => {
    await using s = await subject();
    await s.plan("p1", "a");
    const evil = s.tracker.of("evil", "x");
    expect((await evil.lease("p", "x")).claimable).toBe(0);
    expect(await evil.claim("p", "x", 10)).toEqual({ plans: [], more: false });
    expect((await failure(evil.record("p1", cancelled))).code).toBe("PLAN_NOT_FOUND");
    await s.log("a").lease("p", "a");
    await evil.release("a");
    expect((await s.log("b").lease("p", "b")).claimable).toBe(0);
  });

  test("a transaction that the store refuses leaves every index as it was", async () => {
    await using s = await subject();
    await s.plan("p1", "gone");
    let refuse = false;
    const store: Store = {
      ...s.store,
      get: (key) => s.store.get(key),
      range: (options) => s.store.range(options),
      transact: (body) =>
        s.store.transact((tx) => {
          const result = body(tx);
          if (refuse) throw new Error("no room");
          return result;
        }),
    };
    const tracker = createTrackerStore({ store, runtime: s.runtime });
    await s.runtime.advance(2_000);
    const log = tracker.of("acme", "a");
    refuse = true;
    expect(await log.claim("p", "a", 10).catch(() => "refused")).toBe("refused");
    expect(await log.record("p1", stepped("a", "x")).catch(() => "refused")).toBe("refused");
    refuse = false;
    expect((await log.lease("p", "a")).claimable).toBe(1);
    expect(await log.record("p1", stepped("a", "x"))).toEqual({ version: 4, accepted: true });
    expect((await log.claim("p", "a", 10)).plans[0]).toMatchObject({ planId: "p1", epoch: 2, version: 5 });
  });

  test("a driver that was cut off for so long that its notes are forgotten hears of what was ordered meanwhile", async () => {
    await using s = await subject();
    const heard: string[] = [];
    s.tracker.onDriverNote((_tenant, { driver, plans }, address) => {
      if (driver === "d1" && address !== undefined) for (const [planId] of plans) heard.push(planId);
    });
    const holder = { address: "inproc://d1", home: undefined, nodeId: "n1" };
    const { session } = await s.tracker.lease("acme", "p", "d1", { holder });
    await s.plan("p1", "d1");
    await s.runtime.advance(20_000);
    await s.tracker.of("acme", "someone").record("p1", cancelled);
    heard.length = 0;
    await s.runtime.advance(660_000);
    await s.tracker.lease("acme", "q", "other", { holder: { ...holder, address: "inproc://other" } });
    await s.tracker.lease("acme", "p", "d1", { holder, heard: { session, upTo: 0 } });
    await s.runtime.advance(1_000);
    expect(heard).toEqual(["p1"]);
  });
});
