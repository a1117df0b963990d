import { describe, expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import type { PlanChange, PlannedTask } from "./log.ts";
import { isDeadLetter, PlanFold, summarize } from "./reducer.ts";
import { dataOf, expandGroup, inputsOf, waitOf } from "./task-data.ts";

const origin = { ...testOrigin, goalData: { topic: "bees", items: ["x", "y", "z"] }, parentPlanId: "above" };
const failure = { code: "TASK_FAILED", message: "boom", retryable: true };
const unmet = { code: "DEPENDENCY_FAILED", message: "unmet", retryable: false };
const task = (name: string, more: Partial<PlannedTask> = {}): PlannedTask => ({
  taskId: name,
  name,
  assignedTo: "w",
  ...more,
});

function planOf(tasks: PlannedTask[], more: { grows?: boolean; budget?: { maxTasks: number }; state?: string } = {}) {
  const fold = new PlanFold("p");
  let now = 0;
  const propose = (change: PlanChange): boolean => fold.propose(change, ++now);
  const take = (...changes: PlanChange[]): void => {
    for (const change of changes) expect([change, propose(change)]).toEqual([change, true]);
  };
  take({ type: "plan.created", origin, driver: "d1" }, { type: "plan.started", tasks, ...more });
  const dispatch = (taskId: string, attempt = 1): void => take({ type: "task.dispatched", taskId, attempt });
  const run = (taskId: string, result: unknown = taskId, attempt = 1): void => {
    dispatch(taskId, attempt);
    take({ type: "task.succeeded", taskId, attempt, result });
  };
  const fail = (taskId: string, attempt = 1): void => {
    dispatch(taskId, attempt);
    take({ type: "task.failed", taskId, attempt, failure });
  };
  const status = (taskId: string) => fold.task(taskId)?.status;
  return { fold, propose, take, dispatch, run, fail, status };
}

describe("drivers", () => {
  test("each next driver has the next epoch, also one that only has an answer left to publish", () => {
    const { fold, propose, take } = planOf([]);
    expect([fold.driver, fold.epoch]).toEqual(["d1", 1]);
    expect(propose({ type: "plan.driven", driver: "d2", epoch: 1 })).toBe(false);
    expect(propose({ type: "plan.driven", driver: "d2", epoch: 3 })).toBe(false);
    take({ type: "plan.driven", driver: "d2", epoch: 2 }, { type: "plan.completed", result: {} });
    expect(propose({ type: "plan.completed", result: 2 })).toBe(false);
    take({ type: "plan.driven", driver: "d3", epoch: 3 }, { type: "plan.answered" });
    expect(propose({ type: "plan.driven", driver: "d4", epoch: 4 })).toBe(false);
    expect(propose({ type: "plan.answered" })).toBe(false);
    expect(fold.state()).toMatchObject({ driver: "d3", epoch: 3, answered: true, status: "completed" });
    expect(fold.summary()).toEqual(summarize(fold.state()));
    expect(fold.summary()).toMatchObject({ driver: "d3", epoch: 3, tenantId: "default", parentPlanId: "above" });
  });

  test("what others recorded between a driver's own entries is caught up with", () => {
    const { fold, take, dispatch } = planOf([task("a")]);
    dispatch("a");
    take({ type: "task.retried", taskId: "a", attempt: 1, failure, delayMs: 1 });
    const step: PlanChange = { type: "task.stepped", taskId: "a", attempt: 1, key: "s", value: 1 };
    expect(fold.hasJournal("a")).toBe(false);
    expect([fold.catchUp(step, 5), fold.catchUp(step, 5)]).toEqual([true, false]);
    expect(fold.journal("a")?.steps).toMatchObject([{ key: "s", value: 1 }]);
    expect(fold.version).toBe(4);
    fold.moveTo(5);
    fold.moveTo(2);
    expect(fold.state()).toMatchObject({ version: 5, tasks: [{ steps: [{ key: "s" }] }] });
    expect(() => fold.catchUp({ type: "plan.paused" }, 6)).toThrow("plan.paused is no free change");
  });
});

describe("attempts whose end nobody reported", () => {
  const retried = (code: string, attempt = 1): PlanChange => ({
    type: "task.retried",
    taskId: "a",
    attempt,
    failure: { ...failure, code },
    delayMs: 0,
  });

  test("may still be running, which every later attempt has to know", () => {
    for (const code of ["PEER_UNREACHABLE", "LEASE_EXPIRED", "ATTEMPT_LOST", "TIMEOUT"]) {
      const { fold, take, dispatch } = planOf([task("a")]);
      dispatch("a");
      take(retried(code));
      dispatch("a", 2);
      take(retried("TASK_FAILED", 2));
      expect([code, fold.mayOverlap("a")]).toEqual([code, true]);
    }
  });

  test("are those of a lost driver, too, and those that were cancelled", () => {
    const lost = planOf([task("a")]);
    lost.dispatch("a");
    lost.dispatch("a", 2);
    const cancelled = planOf([task("a")]);
    cancelled.dispatch("a");
    cancelled.take({ type: "task.cancelled", taskId: "a", reason: "no" });
    expect([lost.fold.mayOverlap("a"), cancelled.fold.mayOverlap("a")]).toEqual([true, true]);
  });

  test("are none that failed or were handed back", () => {
    for (const code of ["TASK_FAILED", "NODE_STOPPED"]) {
      const { fold, take, dispatch } = planOf([task("a")]);
      expect(fold.mayOverlap("a")).toBe(false);
      dispatch("a");
      take(retried(code));
      expect([code, fold.mayOverlap("a")]).toEqual([code, false]);
    }
  });
});

describe("steps and waits", () => {
  test("a step counts once, for the current attempt, and outlives it", () => {
    const { fold, take, dispatch, propose } = planOf([task("a")]);
    const step = (attempt: number, key: string): PlanChange => ({
      type: "task.stepped",
      taskId: "a",
      attempt,
      key,
      value: `${key}${attempt}`,
    });
    expect(propose(step(1, "s"))).toBe(false);
    dispatch("a");
    take(step(1, "s"));
    dispatch("a", 2);
    expect([propose(step(1, "t")), propose(step(2, "s"))]).toEqual([false, false]);
    take(step(2, "t"), { type: "task.succeeded", taskId: "a", attempt: 2, result: 0 });
    expect(fold.task("a")?.steps?.map(({ value }) => value)).toEqual(["s1", "t2"]);
    expect(propose(step(2, "u"))).toBe(false);
  });

  test("a task that waits for a person is paused, through further attempts, until the answer is there", () => {
    const { fold, take, dispatch, propose, status } = planOf([task("a")]);
    dispatch("a");
    const ask: PlanChange = {
      type: "task.waiting",
      taskId: "a",
      attempt: 1,
      key: "ok",
      on: { kind: "input", prompt: "?" },
    };
    take(ask);
    expect([status("a"), [...fold.running], propose(ask)]).toEqual(["paused", ["a"], false]);
    expect(fold.openWaits).toMatchObject([{ taskId: "a", key: "ok", on: { prompt: "?" } }]);
    take({ type: "task.retried", taskId: "a", attempt: 1, failure, delayMs: 10, uncounted: true });
    expect(fold.task("a")).toMatchObject({ status: "pending", failures: 0 });
    dispatch("a", 2);
    expect(status("a")).toBe("paused");
    take({ type: "task.signalled", taskId: "a", key: "ok", value: "yes" });
    expect([status("a"), fold.openWaits]).toEqual(["running", []]);
    expect(propose({ type: "task.signalled", taskId: "a", key: "ok", value: "no" })).toBe(false);
    expect(fold.journal("a")?.waits).toMatchObject([{ key: "ok", signalled: { value: "yes" } }]);
  });
});

describe("forEach", () => {
  const each = (more: Partial<PlannedTask> = {}): PlannedTask[] => [
    task("list"),
    task("each", {
      dependsOn: ["list"],
      forEach: { over: "{{results.list}}", concurrency: 2 },
      data: { n: "{{item}}", at: "{{index}}", of: "{{goal.data.topic}}" },
      templated: true,
      ...more,
    }),
    task("after", { dependsOn: ["each"], data: "{{results.each}}", templated: true }),
  ];
  const expanded = (items: unknown[], more?: Partial<PlannedTask>) => {
    const plan = planOf(each(more));
    plan.run("list", items);
    const parent = plan.fold.task("each");
    if (!parent) throw new Error("no task each");
    expect([...plan.fold.groupsToExpand]).toEqual(["each"]);
    plan.take({ type: "task.expanded", taskId: "each", tasks: expandGroup(plan.fold, parent) });
    return plan;
  };

  test("as many as its concurrency are ready; the results are in the items' order", () => {
    const { fold, run, status } = expanded([10, 20, 30]);
    expect([...fold.ready]).toEqual(["each.1", "each.2"]);
    expect([status("each"), fold.running.size]).toEqual(["running", 0]);
    const second = fold.taskNamed("each[1]");
    expect(second && [dataOf(fold, second), inputsOf(fold, second)]).toEqual([
      { n: 20, at: 1, of: "bees" },
      { list: [10, 20, 30] },
    ]);
    run("each.2", "B");
    expect([...fold.ready]).toEqual(["each.1", "each.3"]);
    run("each.3", "C");
    run("each.1", "A");
    expect(fold.task("each")).toMatchObject({ status: "completed", result: ["A", "B", "C"], fraction: 1 });
    expect([...fold.ready]).toEqual(["after"]);
    const after = fold.task("after");
    expect(after && dataOf(fold, after)).toEqual(["A", "B", "C"]);
  });

  test("without data of its own, the data of each is its item, whatever that holds, and so it is when taken back", () => {
    const items = [{ n: 1 }, "{{index}} {{item}}", null];
    for (const templated of [false, true]) {
      const undo = { assignedTo: "undoer" };
      const { fold, run, take } = expanded(items, {
        data: undefined,
        templated,
        undo,
        forEach: { over: "{{results.list}}" },
      });
      const dataOfTask = (taskId: string): unknown => {
        const one = fold.task(taskId);
        return one && dataOf(fold, one);
      };
      const ids = items.map((_, index) => `each.${index + 1}`);
      expect(ids.map(dataOfTask)).toEqual(items);
      for (const id of ids) run(id, "{{result}}");
      take({ type: "plan.failed", failure });
      expect(ids.map((id) => dataOfTask(`${id}.undo`))).toEqual(items.map((data) => ({ data, result: "{{result}}" })));
    }
  });

  test("of an empty list it is done at once", () => {
    expect(expanded([]).fold.task("each")).toMatchObject({ status: "completed", result: [] });
  });

  test("it fails with the first that fails, and the rest is not done; revived, only what is left is", () => {
    const { fold, run, fail, take, propose, status } = expanded([1, 2, 3, 4]);
    run("each.1", "A");
    fail("each.3");
    expect(fold.task("each")).toMatchObject({ status: "failed", failure });
    expect([status("each.2"), status("each.4"), fold.openCount]).toEqual(["cancelled", "cancelled", 1]);
    expect([fold.isDeadLetter("each"), fold.isDeadLetter("each.3"), fold.unhandledFailures]).toEqual([false, true, 1]);
    expect([...fold.doomed]).toEqual(["after"]);
    take({ type: "task.failed", taskId: "after", failure: unmet });
    expect(propose({ type: "task.revived", taskId: "after" })).toBe(false);
    take({ type: "task.revived", taskId: "each.3" });
    expect([status("each"), status("after"), fold.unhandledFailures]).toEqual(["running", "pending", 0]);
    expect([...fold.ready]).toEqual(["each.2", "each.3"]);
    run("each.2", "B");
    run("each.3", "C", 2);
    run("each.4", "D");
    expect(fold.task("each")?.result).toEqual(["A", "B", "C", "D"]);
  });

  test("what is no list, or more than the budget allows, is refused with what it is", () => {
    const refused = (items: unknown, maxTasks: number): unknown => {
      const { fold, run } = planOf(each(), { budget: { maxTasks } });
      run("list", items);
      const parent = fold.task("each");
      try {
        return parent && expandGroup(fold, parent);
      } catch (error) {
        return error;
      }
    };
    expect(refused({ a: 1 }, 9)).toMatchObject({
      code: "PLAN_INVALID",
      message: 'task "each" is to be done for each of {{results.list}}, which is an object, not a list',
    });
    expect(refused([1, 2, 3], 5)).toMatchObject({
      code: "BUDGET_EXCEEDED",
      details: { maxTasks: 5, tasks: 3, added: 3 },
    });
  });
});

describe("delegated tasks", () => {
  const child = (n: number): PlannedTask => task(`a/${n}`, { taskId: `a.${n}`, parentTaskId: "a", data: "{{item}}" });

  test("they end with their parent when that fails, not when an attempt of it does, and fail no plan by themselves", () => {
    const { fold, take, dispatch, fail, status, propose } = planOf([task("a")]);
    expect(propose({ type: "task.delegated", taskId: "a", tasks: [child(1)] })).toBe(false);
    dispatch("a");
    take({ type: "task.delegated", taskId: "a", tasks: [child(1), child(2)] });
    expect(propose({ type: "task.delegated", taskId: "a", tasks: [child(1)] })).toBe(false);
    take({ type: "task.retried", taskId: "a", attempt: 1, failure, delayMs: 1 });
    expect([...fold.ready]).toEqual(["a.1", "a.2"]);
    fail("a.1");
    expect([fold.unhandledFailures, fold.isDeadLetter("a.1")]).toEqual([0, true]);
    dispatch("a", 2);
    take({ type: "task.failed", taskId: "a", attempt: 2, failure });
    expect([status("a.2"), fold.unhandledFailures, fold.openCount]).toEqual(["cancelled", 1, 0]);
    take({ type: "task.revived", taskId: "a" });
    expect([status("a"), status("a.1"), status("a.2")]).toEqual(["pending", "pending", "pending"]);
    const first = fold.task("a.1");
    expect(first && dataOf(fold, first)).toBe("{{item}}");
  });
});

describe("plans that grow", () => {
  test("each end waits for one decision, and the plan for all", () => {
    const { fold, run, fail, take, propose } = planOf([task("a")], { grows: true, state: "a" });
    run("a");
    expect([[...fold.undecided], propose({ type: "plan.completed", result: 1 })]).toEqual([["a"], false]);
    take({ type: "plan.transitioned", taskId: "a", to: "b", tasks: [task("b", { dependsOn: ["a"] })] });
    expect(propose({ type: "plan.transitioned", taskId: "a" })).toBe(false);
    expect([fold.state().state, [...fold.ready]]).toEqual(["b", ["b"]]);
    fail("b");
    expect(fold.unhandledFailures).toBe(1);
    take({ type: "plan.transitioned", taskId: "b", handled: true });
    expect([fold.unhandledFailures, fold.task("b")?.handled, fold.isDeadLetter("b")]).toEqual([0, true, false]);
    take({ type: "plan.completed", result: 1 });
  });

  test("no more than the budget allows", () => {
    const { run, propose, take, fold } = planOf([task("a")], { grows: true, budget: { maxTasks: 2 } });
    run("a");
    expect([fold.exceedsBudget(1), fold.exceedsBudget(2)]).toEqual([false, true]);
    expect(propose({ type: "plan.transitioned", taskId: "a", tasks: [task("b"), task("c")] })).toBe(false);
    take({ type: "plan.transitioned", taskId: "a", tasks: [task("b")] });
  });
});

describe("taking back", () => {
  const undo = { assignedTo: "undoer" };

  test("the plan ends once everything was taken back, in reverse order, whatever came of it", () => {
    const { fold, run, fail, take, propose, dispatch, status } = planOf([
      task("a", { undo, data: "{{goal.data.topic}}", templated: true }),
      task("b", { undo: { ...undo, data: { id: "{{result.id}}" } }, templated: true }),
      task("c", { undo }),
      task("d"),
      task("e"),
    ]);
    for (const id of ["b", "c", "a", "d"]) run(id, { id: `{{${id}}}` });
    dispatch("e");
    take({ type: "plan.paused" }, { type: "plan.failed", failure });
    expect(fold.state()).toMatchObject({ status: "running", ending: "failed", failure });
    expect([status("e"), fold.openCount, fold.plannedCount]).toEqual(["cancelled", 3, 5]);
    expect(propose({ type: "plan.cancelled", reason: "too late" })).toBe(false);
    expect(propose({ type: "task.dispatched", taskId: "b.undo", attempt: 1 })).toBe(false);
    expect([...fold.ready]).toEqual(["a.undo"]);
    const data = ["a.undo", "b.undo"].map((id) => fold.task(id)).map((one) => one && dataOf(fold, one));
    expect(data).toEqual([{ data: "bees", result: { id: "{{a}}" } }, { id: "{{b}}" }]);
    fail("a.undo");
    expect([...fold.ready]).toEqual(["c.undo"]);
    expect(propose({ type: "plan.undone" })).toBe(false);
    // One whose turn has not come ends: nobody else's turn comes earlier for it.
    take({ type: "task.cancelled", taskId: "b.undo", reason: "not needed" });
    expect([...fold.ready]).toEqual(["c.undo"]);
    run("c.undo");
    take({ type: "plan.undone" });
    expect(fold.state()).toMatchObject({ status: "failed", failure });
    expect([fold.ending, fold.isDeadLetter("a.undo")]).toEqual([undefined, true]);
    take({ type: "task.discarded", taskId: "a.undo" });
    expect(fold.state().tasks.filter(isDeadLetter)).toEqual([]);
  });

  test("what takes an untemplated task back gets the text it was given", () => {
    const { fold, run, take } = planOf([
      task("a", { undo: { ...undo, data: "{{result.id}} of {{goal.data.topic}}" }, data: "{{item}}" }),
      task("b", { undo, data: "{{results.a}}" }),
    ]);
    for (const id of ["a", "b"]) run(id, `{{${id}}}`);
    take({ type: "plan.failed", failure });
    const data = ["a.undo", "b.undo"].map((id) => fold.task(id)).map((one) => one && dataOf(fold, one));
    expect(data).toEqual(["{{result.id}} of {{goal.data.topic}}", { data: "{{results.a}}", result: "{{b}}" }]);
  });

  test("a plan with nothing to take back ends at once; what another plan did is its own", () => {
    const { fold, take } = planOf([task("a", { undo }), task("b")]);
    take({ type: "task.reused", taskId: "a", result: 1 }, { type: "plan.cancelled", reason: "enough" });
    expect([fold.status, fold.task("a")?.reused]).toEqual(["cancelled", true]);
  });
});

test("text is no template unless its task says so", () => {
  const text = "{{results.draft.title}} and {{item}}";
  const wait = { kind: "input", prompt: text } as const;
  const { fold, run } = planOf([
    task("draft"),
    task("send", { dependsOn: ["draft"], data: { text, same: "{{goal.data.topic}}" } }),
    { taskId: "ask", name: "ask", dependsOn: ["draft"], wait, templated: false },
  ]);
  run("draft", { title: "Bees" });
  const [send, ask] = [fold.task("send"), fold.task("ask")];
  expect(send && dataOf(fold, send)).toEqual({ text, same: "{{goal.data.topic}}" });
  expect(ask && waitOf(fold, ask)).toEqual(wait);
});

test("what a task waits for is filled in like its data", () => {
  const { fold, run } = planOf([
    task("draft"),
    {
      taskId: "ask",
      name: "ask",
      dependsOn: ["draft"],
      wait: { kind: "input", prompt: "Send {{results.draft.title}}?" },
      templated: true,
    },
  ]);
  run("draft", { title: "Bees" });
  const ask = fold.task("ask");
  expect(ask && waitOf(fold, ask)).toEqual({ kind: "input", prompt: "Send Bees?" });
});
