import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { testOrigin } from "../../testing/plan-changes.ts";
import type { PlanChange, PlanEntry, PlannedTask } from "./log.ts";
import { foldPlan, isTerminal, PlanFold, summarize } from "./reducer.ts";

const origin = testOrigin;
const failure = { code: "TASK_FAILED", message: "boom", retryable: true };
const entries = (changes: readonly PlanChange[]): PlanEntry[] =>
  changes.map((change, i) => ({ ...change, version: i + 1, timeMs: 1000 + i, by: "p1" }));
const fold = (...changes: PlanChange[]) =>
  foldPlan("p", entries([{ type: "plan.created", origin }, { type: "plan.started", tasks: diamond }, ...changes]));

const diamond: PlannedTask[] = [
  { taskId: "a", name: "a", assignedTo: "w" },
  { taskId: "b", name: "b", assignedTo: "w", dependsOn: ["a"] },
  { taskId: "c", name: "c", assignedTo: "w", dependsOn: ["a"] },
  { taskId: "d", name: "d", assignedTo: "w", dependsOn: ["b", "c"] },
];
const dispatched = (taskId: string, attempt = 1): PlanChange => ({ type: "task.dispatched", taskId, attempt });
const succeeded = (taskId: string, attempt = 1, result: unknown = `${taskId}${attempt}`): PlanChange => ({
  type: "task.succeeded",
  taskId,
  attempt,
  result,
});
const retried = (taskId: string, attempt: number): PlanChange => ({
  type: "task.retried",
  taskId,
  attempt,
  failure,
  delayMs: 50,
});

describe("what a log means", () => {
  test("a plan is pending, then running, then completed with its result", () => {
    expect(foldPlan("p", entries([{ type: "plan.created", origin }])).status).toBe("pending");
    expect(fold().status).toBe("running");
    const state = fold(...["a", "b", "c", "d"].flatMap((id) => [dispatched(id), succeeded(id)]), {
      type: "plan.completed",
      result: 42,
    });
    expect(state).toMatchObject({ status: "completed", result: 42, version: 11 });
    expect(state.tasks.map((task) => task.status)).toEqual(Array(4).fill("completed"));
    expect(summarize(state)).toMatchObject({ taskCount: 4, doneCount: 4, status: "completed", goalType: "test.goal" });
  });

  test("a second result for a finished task changes nothing", () => {
    const state = fold(dispatched("a"), succeeded("a", 1, "first"), succeeded("a", 1, "second"), retried("a", 1));
    expect(state.tasks[0]).toMatchObject({ status: "completed", result: "first" });
    expect(state.version).toBe(6);
  });

  test("a result of an old attempt changes nothing", () => {
    const state = fold(dispatched("a"), retried("a", 1), succeeded("a", 1), dispatched("a", 2), succeeded("a", 1));
    expect(state.tasks[0]).toMatchObject({ status: "running", attempt: 2, failures: 1 });
    expect(state.tasks[0]).not.toHaveProperty("result");
  });

  test("a result before plan.started changes nothing", () => {
    const state = foldPlan("p", entries([{ type: "plan.created", origin }, dispatched("a"), succeeded("a")]));
    expect(state).toMatchObject({ status: "pending", tasks: [], version: 3 });
  });

  test("nothing happens after the end, which leaves no task open", () => {
    const state = fold(dispatched("a"), { type: "plan.cancelled", reason: "enough" }, succeeded("a"), {
      type: "plan.completed",
      result: 1,
    });
    expect(state).toMatchObject({ status: "cancelled", version: 6, failure: { code: "CANCELLED", message: "enough" } });
    expect(state.tasks.every((task) => task.status === "cancelled")).toBe(true);
    expect(state).not.toHaveProperty("result");
  });

  test("a task is dispatched with all its inputs or not at all", () => {
    expect(fold(dispatched("b")).tasks[1]?.status).toBe("pending");
    expect(fold(dispatched("a"), succeeded("a"), dispatched("b")).tasks[1]?.status).toBe("running");
  });

  test("a plan does not complete while a task is open, nor while it is paused", () => {
    expect(fold({ type: "plan.completed", result: 1 }).status).toBe("running");
    expect(fold({ type: "plan.paused" }, dispatched("a")).tasks[0]?.status).toBe("pending");
    expect(fold({ type: "plan.paused" }, { type: "plan.resumed" }, dispatched("a")).tasks[0]?.status).toBe("running");
  });

  test("a result that arrives while the plan is paused counts", () => {
    const state = fold(dispatched("a"), { type: "plan.paused" }, succeeded("a"));
    expect(state).toMatchObject({ status: "paused", tasks: [{ status: "completed" }, {}, {}, {}] });
  });

  test("a retried task knows when its next attempt is due", () => {
    expect(fold(dispatched("a"), retried("a", 1)).tasks[0]).toMatchObject({
      status: "pending",
      retryAtMs: 1003 + 50,
      failure,
    });
  });

  test("progress belongs to the current attempt and stays within 0 and 1", () => {
    const progress = (fraction: number, attempt?: number): PlanChange => ({
      type: "task.progress",
      taskId: "a",
      fraction,
      ...(attempt === undefined ? {} : { attempt }),
    });
    expect(fold(dispatched("a"), progress(7)).tasks[0]?.fraction).toBe(1);
    expect(fold(dispatched("a"), progress(Number.NaN)).tasks[0]?.fraction).toBe(0);
    expect(fold(dispatched("a"), dispatched("a", 2), progress(0.5, 1)).tasks[0]?.fraction).toBe(0);
    expect(fold(progress(0.5)).tasks[0]?.fraction).toBe(0);
  });

  test("a start with unknown dependencies or doubled names is no start", () => {
    const start = (tasks: PlannedTask[]) =>
      foldPlan(
        "p",
        entries([
          { type: "plan.created", origin },
          { type: "plan.started", tasks },
        ]),
      ).status;
    expect(start([{ taskId: "a", name: "a", assignedTo: "w", dependsOn: ["x"] }])).toBe("pending");
    expect(
      start([
        { taskId: "a", name: "a", assignedTo: "w" },
        { taskId: "b", name: "a", assignedTo: "w" },
      ]),
    ).toBe("pending");
  });

  test("a log has to begin with plan.created", () => {
    expect(() => foldPlan("p", entries([dispatched("a")]))).toThrow("begins with task.dispatched");
    expect(() => foldPlan("p", [])).toThrow("there is no plan p");
  });
});

const ids = ["a", "b", "c", "d", "nobody"];
const taskId = fc.constantFrom(...ids);
const attempt = fc.integer({ min: 1, max: 3 });
const anyChange: fc.Arbitrary<PlanChange> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(taskId, attempt).map(([id, n]) => dispatched(id, n)) },
  { weight: 6, arbitrary: fc.tuple(taskId, attempt, fc.nat()).map(([id, n, result]) => succeeded(id, n, result)) },
  { weight: 2, arbitrary: fc.tuple(taskId, attempt).map(([id, n]) => retried(id, n)) },
  fc.tuple(taskId, fc.option(attempt, { nil: undefined })).map(
    ([id, n]): PlanChange => ({
      type: "task.failed",
      taskId: id,
      failure,
      ...(n === undefined ? {} : { attempt: n }),
    }),
  ),
  fc.tuple(taskId, attempt).map(
    ([id, n]): PlanChange => ({
      type: "task.assigned",
      taskId: id,
      attempt: n,
      agentId: "x",
      agentName: "x",
    }),
  ),
  fc.tuple(taskId, fc.double()).map(([id, fraction]): PlanChange => ({ type: "task.progress", taskId: id, fraction })),
  taskId.map((id): PlanChange => ({ type: "task.cancelled", taskId: id, reason: "no" })),
  fc.constantFrom<PlanChange>(
    { type: "plan.created", origin: { ...origin, goalId: "other" } },
    { type: "plan.started", tasks: diamond },
    { type: "plan.paused" },
    { type: "plan.resumed" },
    { type: "plan.completed", result: 1 },
  ),
  { weight: 1, arbitrary: fc.constantFrom<PlanChange>({ type: "plan.failed", failure }) },
  { weight: 1, arbitrary: fc.constantFrom<PlanChange>({ type: "plan.cancelled", reason: "no" }) },
);
const anyLog = fc
  .tuple(fc.boolean(), fc.array(anyChange, { maxLength: 60, size: "max" }))
  .map(([start, changes]) =>
    entries([
      { type: "plan.created", origin },
      ...(start ? [{ type: "plan.started" as const, tasks: diamond }] : []),
      ...changes,
    ]),
  );

describe("whatever is appended in whatever order", () => {
  test("every state on the way is legal, and no task ever gets a second result or reopens", () => {
    fc.assert(
      fc.property(anyLog, (log) => {
        const plan = new PlanFold("p");
        const ended = new Map<string, unknown>();
        const latest = new Map<string, number>();
        let planEnd: string | undefined;
        for (const entry of log) {
          const changed = plan.apply(entry);
          if (changed && entry.type === "task.dispatched") {
            expect(entry.attempt).toBeGreaterThan(latest.get(entry.taskId) ?? 0);
            latest.set(entry.taskId, entry.attempt);
          }
          const state = plan.state();
          expect(state.version).toBe(entry.version);
          if (planEnd !== undefined) expect(state.status as string).toBe(planEnd);
          else if (isTerminal(state.status)) planEnd = state.status;
          const byName = new Map(state.tasks.map((task) => [task.name, task]));
          let open = 0;
          for (const task of state.tasks) {
            if (ended.has(task.taskId)) expect(task).toBe(ended.get(task.taskId) as typeof task);
            else if (isTerminal(task.status)) ended.set(task.taskId, task);
            if (!isTerminal(task.status)) open++;
            expect("result" in task).toBe(task.status === "completed");
            const inputs = task.dependsOn.map((name) => byName.get(name)?.status);
            if (task.status === "running" || task.status === "completed") {
              expect(inputs.every((status) => status === "completed")).toBe(true);
            }
            const pending = task.status === "pending" && inputs.every((status) => status === "completed");
            expect(plan.ready.has(task.taskId)).toBe(pending && task.retryAtMs === undefined);
            expect(plan.backingOff.has(task.taskId)).toBe(pending && task.retryAtMs !== undefined);
            expect(plan.running.has(task.taskId)).toBe(task.status === "running");
          }
          expect(plan.openCount).toBe(open);
          if (isTerminal(state.status)) expect(open).toBe(0);
          expect(plan.summary()).toEqual(summarize(state));
          expect(state.origin.goalId).toBe("g1");
        }
      }),
      { numRuns: 500 },
    );
  });

  test("a fold in two parts, or one that is given entries twice, agrees with the fold of the whole log", () => {
    fc.assert(
      fc.property(anyLog, fc.nat(), (log, cut) => {
        const at = 1 + (cut % log.length);
        const whole = foldPlan("p", log);
        const continued = PlanFold.of("p", log.slice(0, at));
        continued.state();
        for (const entry of log) continued.apply(entry);
        expect(continued.state()).toEqual(whole);
        expect(
          foldPlan(
            "p",
            log.flatMap((entry) => [entry, entry]),
          ),
        ).toEqual(whole);
      }),
      { numRuns: 300 },
    );
  });

  test("what is proposed and taken gives the same state as the log without what was refused", () => {
    fc.assert(
      fc.property(anyLog, (log) => {
        const proposing = new PlanFold("p");
        const taken: PlanEntry[] = [];
        for (const { version: _, timeMs, by, ...change } of log) {
          if (proposing.propose(change as PlanChange, timeMs)) {
            taken.push({ ...(change as PlanChange), version: taken.length + 1, timeMs, by });
          }
        }
        expect(proposing.state()).toEqual(foldPlan("p", taken));
      }),
      { numRuns: 300 },
    );
  });

  test("a value handed out does not change with later entries", () => {
    fc.assert(
      fc.property(anyLog, fc.nat(), (log, cut) => {
        const plan = new PlanFold("p");
        const at = 1 + (cut % log.length);
        for (const entry of log.slice(0, at)) plan.apply(entry);
        const early = plan.state();
        const copy = structuredClone(early);
        for (const entry of log.slice(at)) plan.apply(entry);
        expect(early).toEqual(copy);
      }),
      { numRuns: 100 },
    );
  });
});
