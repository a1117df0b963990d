import { describe, expect, setDefaultTimeout, test } from "bun:test";
import fc from "fast-check";
import { changes } from "../../testing/plan-changes.ts";
import { ReferencePlan } from "../../testing/reference-plan.ts";
import type { PlanChange, PlanEntry, PlannedTask, Status } from "./log.ts";
import { isDeadLetter, isTerminal, PlanFold } from "./reducer.ts";

// Thousands of runs each, on machines that have other things to do.
setDefaultTimeout(60_000);

const boom = { code: "TASK_FAILED", message: "boom", retryable: true };
const unmet = { code: "DEPENDENCY_FAILED", message: "unmet", retryable: false };

/** One draw: what to try, on which task, and how exactly. Made into a change by what the plan has by then. */
const draw = fc.record({ kind: fc.nat(99), pick: fc.nat(), n: fc.nat(11), off: fc.nat(15) });
type Draw = typeof draw extends fc.Arbitrary<infer T> ? T : never;

const undo = { assignedTo: "u" };
const shape: PlannedTask[] = [
  { taskId: "p.1", name: "a", assignedTo: "w", undo },
  { taskId: "p.2", name: "b", assignedTo: "w", dependsOn: ["a"], undo },
  {
    taskId: "p.3",
    name: "all",
    assignedTo: "w",
    dependsOn: ["a"],
    forEach: { over: "{{results.a}}", concurrency: 2 },
    undo,
  },
  { taskId: "p.4", name: "c", assignedTo: "w", dependsOn: ["b", "all", "b"] },
  { taskId: "p.5", name: "ask", wait: { kind: "input", prompt: "go on?" }, undo },
  { taskId: "p.6", name: "d", goal: "other.goal", dependsOn: ["c", "ask"] },
];

function toChange(fold: PlanFold, { kind, pick, n, off }: Draw): PlanChange {
  const tasks = fold.state().tasks;
  // Mostly a task something can happen to; now and then any, or none at all.
  const lively = [...fold.ready, ...fold.running, ...fold.backingOff, ...fold.groupsToExpand, ...fold.doomed];
  const ids = off > 2 && lively.length > 0 ? lively : [...tasks.map(({ taskId }) => taskId), "nobody"];
  const taskId = ids[pick % ids.length] as string;
  const task = fold.task(taskId);
  const attempt = (task?.attempt ?? 0) + (off === 0 ? -1 : off === 1 ? 1 : 0);
  const key = `k${n % 3}`;
  const isDue = fold.ready.has(taskId) || fold.backingOff.has(taskId);
  if (fold.groupsToExpand.has(taskId) && kind < 60) {
    const tasksOfGroup = Array.from({ length: n % 5 }, (_, index) => ({
      taskId: `${taskId}.${index + 1}`,
      name: `${task?.name}[${index}]`,
      parentTaskId: taskId,
      item: { index, value: index },
      undo,
    }));
    return { type: "task.expanded", taskId, tasks: tasksOfGroup };
  }
  if (kind < 25 || (isDue && kind < 60)) return { type: "task.dispatched", taskId, attempt: attempt + 1 };
  if (kind < 45) return { type: "task.succeeded", taskId, attempt, result: `${taskId}/${attempt}/${n}` };
  if (kind < 49) return { type: "task.retried", taskId, attempt, failure: boom, delayMs: n, uncounted: n > 8 };
  if (kind < 54) return { type: "task.failed", taskId, attempt, failure: boom };
  if (kind < 58) {
    const doomed = [...fold.doomed][0];
    return doomed
      ? { type: "task.failed", taskId: doomed, failure: unmet }
      : { type: "task.failed", taskId, failure: boom };
  }
  if (kind < 62) return { type: "task.stepped", taskId, attempt, key, value: n };
  if (kind < 66) {
    return {
      type: "task.waiting",
      taskId,
      attempt,
      key,
      on: n > 5 ? { kind: "input", prompt: "?" } : { kind: "sleep", ms: 1 },
    };
  }
  if (kind < 71) {
    // Mostly something that is waited for, which a task and a key drawn by themselves hardly ever name.
    const open = off > 1 ? fold.openWaits[pick % Math.max(1, fold.openWaits.length)] : undefined;
    const wait = { taskId: open?.taskId ?? taskId, key: open?.key ?? key };
    if (kind < 68) return { type: "task.signalled", ...wait, value: n };
    return { type: "task.timedout", ...wait, attempt: open ? (fold.task(open.taskId)?.attempt ?? 0) : attempt };
  }
  if (kind < 75) {
    const number = fold.childCount(taskId) + (n > 2 ? 1 : 0);
    const child = { taskId: `${taskId}.${number}`, name: `${task?.name}/${number}`, parentTaskId: taskId, undo };
    const second = { ...child, taskId: `${child.taskId}x`, name: `${child.name}x`, dependsOn: [child.name] };
    return { type: "task.delegated", taskId, tasks: n > 7 ? [child, second] : [child] };
  }
  if (kind < 79) {
    const decided = [...fold.undecided][0] ?? taskId;
    const name = `grown${n > 1 ? fold.childCount() : 0}`;
    const added = { taskId: `p.${fold.childCount() + 1}`, name, dependsOn: n % 2 ? ["a"] : [] };
    return {
      type: "plan.transitioned",
      taskId: decided,
      handled: n > 4,
      to: name,
      ...(n > 6 ? { tasks: [added] } : {}),
    };
  }
  if (kind < 84) {
    const failed = tasks.filter(({ status }) => status === "failed");
    const which = failed[pick % Math.max(1, failed.length)]?.taskId ?? taskId;
    return n > 3 ? { type: "task.revived", taskId: which } : { type: "task.discarded", taskId: which };
  }
  if (kind < 87)
    return { type: "plan.driven", driver: `d${n}`, epoch: fold.epoch + (off === 0 ? 0 : off === 1 ? 2 : 1) };
  if (kind < 89) return { type: "plan.paused" };
  if (kind < 92) return { type: "plan.resumed" };
  if (kind < 94) return { type: "plan.undone" };
  if (kind < 95) return { type: "plan.answered" };
  if (kind < 97) return { type: "plan.completed", result: n };
  if (kind === 97) return { type: "task.cancelled", taskId, reason: "not wanted" };
  if (n > 5) return { type: "task.reused", taskId, result: n };
  if (n > 2) return { type: "plan.started", tasks: shape };
  return kind === 98 ? { type: "plan.failed", failure: boom } : { type: "plan.cancelled", reason: "enough" };
}

const anyRun = fc.record({
  grows: fc.boolean(),
  maxTasks: fc.constantFrom(undefined, 9, 20),
  draws: fc.array(draw, { maxLength: 120, size: "max" }),
});
type Run = typeof anyRun extends fc.Arbitrary<infer T> ? T : never;

const beginning = ({ grows, maxTasks }: Run): PlanChange[] => [
  changes.created({}, "d"),
  { type: "plan.started", tasks: shape, grows, ...(maxTasks === undefined ? {} : { budget: { maxTasks } }) },
];

/** A log with everything that was tried, legal or not; `look` is called with the fold after each entry. */
function play(run: Run, look?: (fold: PlanFold, entry: PlanEntry, changed: boolean) => void): PlanEntry[] {
  const fold = new PlanFold("p");
  const log: PlanEntry[] = [];
  const take = (change: PlanChange): void => {
    const entry: PlanEntry = { ...change, version: log.length + 1, timeMs: 1000 + log.length, by: "d" };
    const changed = fold.apply(entry);
    log.push(entry);
    look?.(fold, entry, changed);
  };
  for (const change of beginning(run)) take(change);
  for (const one of run.draws) {
    const change = toChange(fold, one);
    take(change);
    // Doubled, as after a lost answer.
    if (one.off === 3) take(change);
  }
  return log;
}

describe("plans of every shape, whatever is appended in whatever order", () => {
  test("the fold agrees with the rules written down without bookkeeping", () => {
    fc.assert(
      fc.property(anyRun, (run) => {
        const reference = new ReferencePlan();
        reference.epoch = 1;
        play(run, (fold, { version: _, timeMs: _at, by: _by, ...rest }, changed) => {
          const change = rest as PlanChange;
          if (change.type === "plan.created") return;
          // Progress and assignments are not in the reference: nothing depends on them.
          expect([change, reference.take(change)]).toEqual([change, changed]);
          expect(fold.status).toBe(reference.status);
          expect(fold.ending).toBe(reference.ending as "failed");
          expect(fold.epoch).toBe(reference.epoch);
          const seen = fold
            .state()
            .tasks.map(({ name, status, attempt, failures, failure, result, handled }) => [
              name,
              status,
              attempt,
              failures,
              failure?.code,
              result,
              handled === true,
            ]);
          const meant = reference.tasks.map(({ name, status, attempt, failures, code, result, handled }) => [
            name,
            status,
            attempt,
            failures,
            code,
            result,
            handled,
          ]);
          expect(seen).toEqual(meant);
          expect([...fold.ready].sort()).toEqual(reference.ready());
          expect([...fold.groupsToExpand].sort()).toEqual(reference.groupsToExpand());
          expect([...fold.backingOff].sort()).toEqual(reference.backingOff());
          expect([...fold.running].sort()).toEqual(reference.running());
          expect([...fold.doomed].sort()).toEqual(reference.doomed());
          expect([...fold.undecided].sort()).toEqual(reference.undecided());
          expect(fold.unhandledFailures).toBe(reference.unhandled());
          expect(fold.openWaits.map(({ taskId, key }) => `${taskId} ${key}`).sort()).toEqual(reference.waiting());
          expect(fold.openCount).toBe(reference.tasks.filter(reference.isOpen).length);
        });
      }),
      { numRuns: 400 },
    );
  });

  test("one result a task, no attempt while paused, epochs that only grow, groups within their limits", () => {
    const reached = new Map<string, number>();
    fc.assert(
      fc.property(anyRun, (run) => {
        const results = new Map<string, unknown>();
        const attempts = new Map<string, number>();
        let epoch = 0;
        let wasPaused = false;
        let planEnd: Status | undefined;
        play(run, (fold, entry, changed) => {
          if (changed) reached.set(entry.type, (reached.get(entry.type) ?? 0) + 1);
          expect(fold.epoch - epoch).toBe(changed && /created|driven/.test(entry.type) ? 1 : 0);
          epoch = fold.epoch;
          const state = fold.state();
          if (planEnd) expect(state.status).toBe(planEnd);
          if (isTerminal(state.status)) {
            planEnd = state.status;
            expect(fold.openCount).toBe(0);
            expect(fold.ready.size + fold.running.size + fold.backingOff.size + fold.doomed.size).toBe(0);
            expect(fold.undecided.size + fold.groupsToExpand.size + fold.openWaits.length).toBe(0);
          }
          for (const task of state.tasks) {
            if (results.has(task.taskId)) expect(task.result).toEqual(results.get(task.taskId));
            expect("result" in task).toBe(task.status === "completed");
            if ("result" in task) results.set(task.taskId, task.result);
            const before = attempts.get(task.taskId) ?? 0;
            if (wasPaused) expect(task.attempt).toBe(before);
            expect(task.attempt).toBeGreaterThanOrEqual(before);
            attempts.set(task.taskId, task.attempt);
            expect(fold.isDeadLetter(task.taskId)).toBe(isDeadLetter(task));
            const underWay = fold.running.has(task.taskId) ? { attempt: task.attempt } : {};
            expect(fold.journal(task.taskId)).toEqual({
              steps: task.steps ?? [],
              waits: task.waits ?? [],
              ...underWay,
            });
            if (!task.forEach || task.reused) continue;
            const children = fold.children(task.taskId);
            const active = children.filter(
              ({ taskId, status }) =>
                fold.ready.has(taskId) || fold.backingOff.has(taskId) || status === "running" || status === "paused",
            );
            expect(active.length).toBeLessThanOrEqual(task.forEach.concurrency ?? children.length);
            expect(children.map(({ item }) => item?.index)).toEqual(children.map((_, index) => index));
            if (task.status === "completed") expect(task.result).toEqual(children.map(({ result }) => result));
          }
          wasPaused = state.status === "paused";
        });
      }),
      { numRuns: 1_000 },
    );
    // What never happened was not tested.
    for (const type of [
      "expanded",
      "delegated",
      "retried",
      "revived",
      "discarded",
      "signalled",
      "timedout",
      "waiting",
      "reused",
    ]) {
      expect([type, (reached.get(`task.${type}`) ?? 0) > 0]).toEqual([type, true]);
    }
    for (const type of ["transitioned", "driven", "undone", "answered", "completed", "failed", "cancelled"]) {
      expect([type, (reached.get(`plan.${type}`) ?? 0) > 0]).toEqual([type, true]);
    }
  });

  test("what completed is taken back in the reverse order, one at a time", () => {
    let longest = 0;
    fc.assert(
      fc.property(anyRun, (run) => {
        const completed: string[] = [];
        play(run, (fold) => {
          const tasks = fold.state().tasks;
          const undoing = tasks.filter(({ undoes }) => undoes !== undefined);
          if (undoing.length === 0) {
            for (const task of tasks) {
              if (task.status !== "completed" || completed.includes(task.taskId)) continue;
              if (task.undo && !task.reused && !task.forEach) completed.push(task.taskId);
            }
            return;
          }
          longest = Math.max(longest, undoing.length);
          expect(undoing.map(({ undoes }) => undoes)).toEqual(completed.toReversed());
          const begun = undoing.findLastIndex(({ taskId, attempt }) => attempt > 0 || fold.ready.has(taskId));
          for (const earlier of undoing.slice(0, begun)) expect(isTerminal(earlier.status)).toBe(true);
        });
      }),
      { numRuns: 300 },
    );
    expect(longest).toBeGreaterThan(2);
  });

  test("a log read in parts, with entries twice, or without what changed nothing, means the same", () => {
    fc.assert(
      fc.property(anyRun, fc.nat(), (run, cut) => {
        const legal: PlanEntry[] = [];
        const log = play(run, (_fold, entry, changed) => {
          if (changed) legal.push({ ...entry, version: legal.length + 1 });
        });
        const whole = PlanFold.of("p", log);
        const prefix = PlanFold.of("p", log.slice(0, 1 + (cut % log.length)));
        const early = prefix.state();
        const copy = structuredClone(early);
        for (const entry of log) {
          prefix.apply(entry);
          prefix.apply(entry);
        }
        expect(prefix.state()).toEqual(whole.state());
        expect(early).toEqual(copy);
        const proposed = new PlanFold("p");
        for (const { version: _, timeMs, by: _by, ...change } of log) proposed.propose(change as PlanChange, timeMs);
        expect(proposed.state()).toEqual(PlanFold.of("p", legal).state());
        expect({ ...proposed.state(), version: 0, updatedAtMs: 0 }).toEqual({
          ...whole.state(),
          version: 0,
          updatedAtMs: 0,
        });
      }),
      { numRuns: 300 },
    );
  });

  test("a plan that is driven on ends, from wherever it is", () => {
    fc.assert(
      fc.property(anyRun, (run) => {
        const fold = PlanFold.of("p", play(run));
        fold.propose({ type: "plan.resumed" }, 0);
        for (let left = 1000; !isTerminal(fold.status); left--) {
          expect(left).toBeGreaterThan(0);
          const [running] = fold.running;
          const [due] = [...fold.ready, ...fold.backingOff];
          const [group] = fold.groupsToExpand;
          const [doomed] = fold.doomed;
          const [undecided] = fold.undecided;
          const task = fold.task(running ?? due ?? "");
          const taskId = task?.taskId ?? "";
          let change: PlanChange;
          if (running !== undefined)
            change = { type: "task.succeeded", taskId, attempt: task?.attempt ?? 0, result: 1 };
          else if (due !== undefined) change = { type: "task.dispatched", taskId, attempt: (task?.attempt ?? 0) + 1 };
          else if (group !== undefined) change = { type: "task.expanded", taskId: group, tasks: [] };
          else if (doomed !== undefined) change = { type: "task.failed", taskId: doomed, failure: unmet };
          else if (undecided !== undefined) change = { type: "plan.transitioned", taskId: undecided };
          else if (fold.ending) change = { type: "plan.undone" };
          else if (fold.unhandledFailures > 0) change = { type: "plan.failed", failure: boom };
          else change = { type: "plan.completed", result: 1 };
          expect([change, fold.propose(change, 0)]).toEqual([change, true]);
        }
      }),
      { numRuns: 300 },
    );
  });
});
