import { expect, test } from "bun:test";
import { changes } from "../../testing/plan-changes.ts";
import { trackerInMemory } from "../../testing/tracker-in-memory.ts";
import { SoormaError } from "../errors.ts";
import type { Envelope } from "../events/envelope.ts";
import { silentLogger } from "../log.ts";
import type { PlanChange } from "../plans/log.ts";
import { createEventWaits } from "./event-waits.ts";

const { created, started, dispatched, failed } = changes;

/** The running task `a` has delegated to `a.1`, which waits for an event; there is a task beside them. */
const waitingChild = (pattern: string): PlanChange[] => [
  created({}, "a"),
  { ...started("a", "free"), grows: true } as PlanChange,
  dispatched("a"),
  {
    type: "task.delegated",
    taskId: "a",
    tasks: [{ taskId: "a.1", name: "a/c", assignedTo: "w", parentTaskId: "a" }],
  },
  dispatched("a.1"),
  waiting(1, pattern),
];

function waiting(attempt: number, pattern: string): PlanChange {
  return { type: "task.waiting", taskId: "a.1", attempt, key: "event", on: { kind: "event", pattern } };
}

test("a task that ends with the one it belongs to waits for no event any more", async () => {
  const { tracker, log, client } = trackerInMemory();
  await log.append("p", 0, waitingChild("order.paid"));
  expect(tracker.eventWaits()).toHaveLength(1);
  await log.append("p", 6, [failed("a")]);
  expect((await client.getPlan("p")).tasks.map(({ status }) => status)).toEqual(["failed", "pending", "cancelled"]);
  expect(tracker.eventWaits()).toEqual([]);
});

test("what a task waited for before it was begun anew does not answer what it waits for then", async () => {
  const { runtime, tracker, log, client } = trackerInMemory();
  const heard = new Map<string, (event: Envelope) => void>();
  const waits = createEventWaits({
    tracker,
    runtime,
    log: silentLogger,
    source: {
      tenant: "acme",
      by: "state",
      async subscribe(pattern, _topic, deliver) {
        heard.set(pattern, deliver);
        return { [Symbol.asyncDispose]: async () => void heard.delete(pattern) };
      },
    },
  });
  const event = (type: string) => ({ type, data: 1 }) as Envelope;
  await log.append("p", 0, waitingChild("order.1.paid"));
  await log.append("p", 6, [failed("a")]);
  await client.reviveTask("p", "a");
  await log.append("p", 8, [dispatched("a", 2), dispatched("a.1", 2), waiting(2, "order.2.paid")]);
  heard.get("order.1.paid")?.(event("order.1.paid"));
  await runtime.advance(100);
  const waitOf = async () => (await client.getPlan("p")).tasks[2]?.waits?.[0];
  expect(await waitOf()).toMatchObject({ on: { pattern: "order.2.paid" } });
  expect((await waitOf())?.signalled).toBeUndefined();
  heard.get("order.2.paid")?.(event("order.2.paid"));
  await runtime.advance(100);
  expect((await waitOf())?.signalled).toMatchObject({ value: { type: "order.2.paid" } });
  await waits[Symbol.asyncDispose]();
});

test.each(["subscribe", "record"])(
  "nothing is left of them when they end while what failed, to %s, is to be tried again",
  async (what) => {
    const { runtime, tracker, log } = trackerInMemory();
    const { promise: heard, resolve: hear } = Promise.withResolvers<(event: Envelope) => void>();
    const full = (): never => {
      throw new SoormaError("STORE_FULL", "so it says");
    };
    const waits = createEventWaits({
      tracker: what === "record" ? { ...tracker, record: async () => full() } : tracker,
      runtime,
      log: silentLogger,
      source: {
        tenant: "acme",
        by: "state",
        async subscribe(_pattern, _topic, deliver) {
          if (what === "subscribe") full();
          hear(deliver);
          return { [Symbol.asyncDispose]: async () => {} };
        },
      },
    });
    await log.append("p", 0, waitingChild("order.paid"));
    if (what === "record") (await heard)({ type: "order.paid", data: 1 } as Envelope);
    await runtime.advance(10);
    const before = runtime.pending;
    await waits[Symbol.asyncDispose]();
    expect(before - runtime.pending).toBe(1);
  },
);
