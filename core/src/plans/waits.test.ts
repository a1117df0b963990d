import { describe, expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import type { PlanChange, PlanEntry } from "./log.ts";
import { PlanFold } from "./reducer.ts";

const origin = testOrigin;
const failure = { code: "TASK_FAILED", message: "boom", retryable: true };

function planOf() {
  const fold = new PlanFold("p");
  const entries: PlanEntry[] = [];
  let nowMs = 0;
  const propose = (change: PlanChange): boolean => {
    const taken = fold.propose(change, ++nowMs);
    if (taken) entries.push({ ...change, version: fold.version, timeMs: nowMs, by: "x" });
    return taken;
  };
  const take = (...changes: PlanChange[]): void => {
    for (const change of changes) expect([change.type, propose(change)]).toEqual([change.type, true]);
  };
  take(
    { type: "plan.created", origin },
    { type: "plan.started", tasks: [{ taskId: "a", name: "a", assignedTo: "w" }] },
    { type: "task.dispatched", taskId: "a", attempt: 1 },
  );
  const look = () => [fold.task("a")?.status, fold.openWaits.map(({ key }) => key)];
  return { fold, entries, propose, take, look };
}

const ask = (attempt: number, untilMs: number, key = "input"): PlanChange => ({
  type: "task.waiting",
  taskId: "a",
  attempt,
  key,
  on: { kind: "input", prompt: "?" },
  untilMs,
});
const timedOut = (attempt: number, key = "input"): PlanChange => ({ type: "task.timedout", taskId: "a", attempt, key });
const answer = (value: unknown): PlanChange => ({ type: "task.signalled", taskId: "a", key: "input", value });
const again = (attempt: number): PlanChange[] => [
  { type: "task.retried", taskId: "a", attempt: attempt - 1, failure, delayMs: 0 },
  { type: "task.dispatched", taskId: "a", attempt },
];

describe("a wait that timed out", () => {
  test("cannot be answered any more, and its task is running again", () => {
    const { fold, take, propose, look } = planOf();
    take(ask(1, 10));
    expect(look()).toEqual(["paused", ["input"]]);
    take(timedOut(1));
    expect(look()).toEqual(["running", []]);
    expect([propose(answer("late")), propose(timedOut(1)), propose(ask(1, 20))]).toEqual([false, false, false]);
    expect(fold.journal("a")?.waits).toMatchObject([{ key: "input", attempt: 1, timedOut: { attempt: 1 } }]);
  });

  test("begins anew in the next attempt, with a time-out of its own, and can be answered then", () => {
    const { fold, take, propose, look } = planOf();
    take(ask(1, 10), timedOut(1), ...again(2));
    expect([look(), propose(answer("early"))]).toEqual([["running", []], false]);
    take(ask(2, 50));
    expect(look()).toEqual(["paused", ["input"]]);
    expect(fold.openWaits).toMatchObject([{ attempt: 2, untilMs: 50 }]);
    expect(fold.openWaits[0]).not.toHaveProperty("timedOut");
    take(answer("yes"), ...again(3));
    expect([propose(ask(3, 90)), propose(timedOut(3))]).toEqual([false, false]);
    expect(fold.journal("a")?.waits).toMatchObject([{ signalled: { value: "yes" } }]);
  });

  test("an attempt that ends before leaves what is left to the next one, which then may give it up", () => {
    const { take, propose, look, fold } = planOf();
    take(ask(1, 10), ...again(2));
    expect(look()).toEqual(["paused", ["input"]]);
    // Of an attempt that is not the current one it is refused.
    expect([propose(ask(2, 50)), propose(timedOut(1)), propose(timedOut(3))]).toEqual([false, false, false]);
    expect(fold.openWaits).toMatchObject([{ attempt: 1, untilMs: 10 }]);
    take(timedOut(2));
    expect(propose(ask(2, 60))).toBe(false);
    take(...again(3), ask(3, 60));
  });

  test("a sleep keeps its end over attempts, and what was never waited for does not time out", () => {
    const { take, propose, fold } = planOf();
    take({ type: "task.waiting", taskId: "a", attempt: 1, key: "sleep", on: { kind: "sleep", ms: 5 }, untilMs: 5 });
    expect([propose(timedOut(1, "sleep")), propose(timedOut(1, "nothing"))]).toEqual([false, false]);
    take(...again(2));
    const more: PlanChange = {
      type: "task.waiting",
      taskId: "a",
      attempt: 2,
      key: "sleep",
      on: { kind: "sleep", ms: 5 },
    };
    expect(propose(more)).toBe(false);
    expect(fold.journal("a")?.waits).toMatchObject([{ untilMs: 5, attempt: 1 }]);
  });

  test("taken in late, and twice, by a fold that is ahead it is the same", () => {
    const { entries, take, fold } = planOf();
    take(ask(1, 10), timedOut(1), ...again(2), ask(2, 50));
    const isOfOthers = ({ type }: PlanEntry): boolean => type === "task.waiting" || type === "task.timedout";
    const ahead = PlanFold.of(
      "p",
      entries.filter((entry) => !isOfOthers(entry)),
    );
    const late = entries.filter(isOfOthers);
    expect(late.map((entry) => ahead.catchUp(entry, entry.timeMs))).toEqual([true, true, true]);
    expect(late.map((entry) => ahead.catchUp(entry, entry.timeMs))).toEqual([false, false, false]);
    expect(ahead.task("a")).toEqual(fold.task("a"));
  });
});
