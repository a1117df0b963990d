import { describe, expect, test } from "bun:test";
import { collectingLogger } from "../../testing/collecting-logger.ts";
import { type FakeRuntime, fakeRuntime, seededRandom } from "../../testing/fake-runtime.ts";
import { type MemoryPlanLog, memoryPlanLog, type PlanLogCall } from "../../testing/memory-plan-log.ts";
import { testOrigin } from "../../testing/plan-changes.ts";
import { type ScriptedTask, scriptedDispatcher } from "../../testing/scripted-dispatcher.ts";
import { SoormaError } from "../errors.ts";
import { silentLogger } from "../log.ts";
import { sleep } from "../runtime.ts";
import type { PlanHandlers } from "./driver.ts";
import { createPlanEngine, type PlanEngine } from "./engine.ts";
import type { PlanEntry, PlanState, TaskSpec } from "./log.ts";
import { foldPlan } from "./reducer.ts";

const task = (name: string, ...dependsOn: string[]): TaskSpec => ({ name, assignedTo: "worker", dependsOn });
const tasks = [task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c"), task("e")];
const handlers: PlanHandlers = { makeTasks: () => ({ tasks }) };
/** Fails now and then, and reports progress, so that every kind of entry occurs. */
const worker: ScriptedTask = ({ name, inputs, attempt }, { onProgress }) => {
  onProgress(0.5, "half");
  if (name === "b" && attempt === 1) throw new Error("once");
  return `${name}(${Object.values(inputs).join(",")})`;
};
const answer = { a: "a()", b: "b(a())", c: "c(a())", d: "d(b(a()),c(a()))", e: "e()" };
const unavailable = (): never => {
  throw new SoormaError("STORE_UNAVAILABLE", "the state node is away");
};

async function settle<T>(runtime: FakeRuntime, promise: Promise<T>): Promise<T> {
  let settled = false;
  const mark = (): void => {
    settled = true;
  };
  promise.then(mark, mark);
  await runtime.runUntil(() => settled);
  return promise;
}

/** One log, one set of workers, any number of engines that come and go. */
function setUp(options: { fault?: (call: PlanLogCall) => void | Promise<void>; seed?: number } = {}) {
  const runtime = fakeRuntime({ seed: options.seed ?? 1 });
  const log = memoryPlanLog({ runtime, ...(options.fault ? { fault: options.fault } : {}) });
  const chance = seededRandom((options.seed ?? 1) + 1000);
  const dispatcher = scriptedDispatcher(runtime, { worker }, { latencyMs: () => 1 + Math.floor(chance() * 20) });
  const engineFor = (agentId: string, logger = silentLogger) =>
    createPlanEngine({
      log: log.as(agentId),
      dispatcher,
      runtime,
      logger,
      agentId,
      progressIntervalMs: 5,
      retry: { backoffMs: 20 },
    });
  /** Has an engine claim and take what nobody with a lease drives. @returns how many plans that were. */
  const takeOver = async (engine: PlanEngine, agentId: string, handlersFor = () => handlers): Promise<number> => {
    const { plans } = await settle(runtime, log.as(agentId).claim("tester", agentId, 10));
    for (const plan of plans) await settle(runtime, engine.take(plan, handlersFor));
    return plans.length;
  };
  return { runtime, log, dispatcher, engineFor, takeOver };
}

/** How many attempts the plan above takes when none is lost: one a task, and a second one at `b`. */
const attemptsNeeded = 6;

/** What must be true of any log of the plan above that has come to its end. */
function expectOneResultEach(log: MemoryPlanLog, state: PlanState | undefined): void {
  const entries = log.entries("p");
  expect(state).toMatchObject({ status: "completed", result: answer });
  expect(state?.tasks.map((one) => one.status)).toEqual(tasks.map(() => "completed"));
  const succeeded = entries.filter((entry) => entry.type === "task.succeeded");
  expect(succeeded.map((entry) => entry.taskId).sort()).toEqual(["p.1", "p.2", "p.3", "p.4", "p.5"]);
  expect(entries.map((entry) => entry.version)).toEqual(entries.map((_, i) => i + 1));
  const turningPoints = entries
    .map(({ type }) => type)
    .filter((type) => type.startsWith("plan.") && type !== "plan.driven");
  expect(turningPoints.slice(0, 3)).toEqual(["plan.created", "plan.started", "plan.completed"]);
  expect(turningPoints.slice(3)).toEqual(turningPoints.length > 3 ? ["plan.answered"] : []);
  const attempts = new Map<string, number>();
  for (const entry of entries) {
    if (entry.type !== "task.dispatched") continue;
    expect(entry.attempt).toBe((attempts.get(entry.taskId) ?? 0) + 1);
    attempts.set(entry.taskId, entry.attempt);
  }
}

describe("a crash", () => {
  const never = new Promise<never>(() => {});

  test("at any append, before or after it was done, leaves a plan that another engine completes", async () => {
    let positions = 0;
    for (const phase of ["before", "after"] as const) {
      for (let position = 1; ; position++) {
        let appends = 0;
        let dead = false;
        const { runtime, log, dispatcher, engineFor, takeOver } = setUp({
          fault(call) {
            if (call.agentId !== "first") return;
            if (call.operation === "append" && call.phase === phase && ++appends === position) dead = true;
            // A dead process hears nothing of what it asked for.
            if (dead) return never;
          },
        });
        const first = engineFor("first");
        const accepted = first.accept(testOrigin, "p", handlers);
        await runtime.runUntil(() => dead || log.entries("p").at(-1)?.type === "plan.answered");
        if (!dead) {
          await accepted;
          break;
        }
        positions++;
        if (log.entries("p").length === 0) continue;
        const second = engineFor("second");
        // Only what was answered is left alone.
        const open = log.entries("p").at(-1)?.type === "plan.answered" ? 0 : 1;
        expect(await takeOver(second, "second")).toBe(open);
        const state = await settle(runtime, second.ended("p"));
        expectOneResultEach(log, state);
        // What was running went on: no handler ran twice. "b" fails if its first attempt came to an agent at all.
        const bFailed = dispatcher.callsOf("b").some(({ assignment }) => assignment.attempt === 1);
        expect(dispatcher.calls).toHaveLength(tasks.length + (bFailed ? 1 : 0));
        await runtime.runUntilIdle();
        expect(log.entries("p").at(-1)?.type).toBe("plan.answered");
      }
    }
    expect(positions).toBeGreaterThan(12);
  });

  test("after every single entry of the log leaves a plan that a new engine completes", async () => {
    const whole = setUp();
    const engine = whole.engineFor("first");
    await engine.accept(testOrigin, "p", handlers);
    await whole.runtime.runUntil(() => whole.log.entries("p").at(-1)?.type === "plan.answered");
    const entries = whole.log.entries("p");
    expect(entries.length).toBeGreaterThan(20);
    for (let length = 1; length <= entries.length; length++) {
      const { runtime, log, engineFor, takeOver } = setUp({ seed: length });
      const past = log.as("first");
      for (const [version, entry] of entries.slice(0, length).entries()) {
        const { version: _version, timeMs: _timeMs, by: _by, ...change } = entry as PlanEntry;
        await past.append("p", version, [change as PlanEntry]);
      }
      const ends: PlanState[] = [];
      const second = engineFor("second");
      await takeOver(second, "second", () => ({ ...handlers, onEnd: (state) => void ends.push(state) }));
      expectOneResultEach(log, await settle(runtime, second.ended("p")));
      await runtime.runUntilIdle();
      // The last entry says that it was answered.
      expect(ends).toHaveLength(length < entries.length ? 1 : 0);
      expect(second.driving()).toEqual([]);
    }
  });

  test("an attempt goes on at its agent while its plan goes through five engines, and is begun once", async () => {
    const { runtime, log, dispatcher, engineFor, takeOver } = setUp();
    const spent: PlanHandlers = { makeTasks: () => ({ tasks: [{ ...task("slow"), retry: { maxAttempts: 2 } }] }) };
    for (let life = 1; life <= 5; life++) {
      const engine = engineFor(`life-${life}`);
      if (life === 1) await engine.accept(testOrigin, "p", spent);
      else expect(await takeOver(engine, `life-${life}`, () => spent)).toBe(1);
      await runtime.runUntil(() => dispatcher.calls.length === 1 && dispatcher.resumed.length === life - 1);
      await settle(runtime, engine.stop());
    }
    const last = engineFor("last");
    await takeOver(last, "last", () => spent);
    const state = await settle(runtime, last.ended("p"));
    expect(state).toMatchObject({ status: "completed", epoch: 6, tasks: [{ attempt: 1, failures: 0 }] });
    expect(dispatcher.calls[0]?.aborted).toBeUndefined();
    // Each asked the agent that the log names: who had it was logged when the one before stopped.
    expect(dispatcher.resumed.map(({ resume, attempt, epoch }) => [resume?.agentId, attempt, epoch])).toEqual(
      [2, 3, 4, 5, 6].map((epoch) => ["worker-1", 1, epoch]),
    );
    await runtime.runUntilIdle();
    expect(log.entries("p").filter((entry) => entry.type === "task.assigned")).toHaveLength(1);
    expect(runtime.pending).toBe(0);
  });

  test("an attempt that nobody has any more is none of the three that a task has", async () => {
    const { runtime, log, dispatcher, engineFor, takeOver } = setUp();
    const spent: PlanHandlers = { makeTasks: () => ({ tasks: [{ ...task("slow"), retry: { maxAttempts: 2 } }] }) };
    for (let life = 1; life <= 5; life++) {
      const engine = engineFor(`life-${life}`);
      if (life === 1) await engine.accept(testOrigin, "p", spent);
      else await takeOver(engine, `life-${life}`, () => spent);
      await runtime.runUntil(() => dispatcher.calls.length === life);
      await settle(runtime, engine.stop());
      dispatcher.forget();
    }
    const last = engineFor("last");
    await takeOver(last, "last", () => spent);
    expect((await settle(runtime, last.ended("p")))?.tasks[0]).toMatchObject({ attempt: 6, failures: 0 });
    expect(log.entries("p").filter((entry) => entry.type === "task.retried")).toMatchObject(
      [1, 2, 3, 4, 5].map((attempt) => ({ attempt, uncounted: true, delayMs: 0, failure: { code: "ATTEMPT_LOST" } })),
    );
    await runtime.runUntilIdle();
    expect(runtime.pending).toBe(0);
  });

  test("a resumed plan waits for the rest of a backoff, not for all of it, and not longer for a clock that is off", async () => {
    for (const [aheadMs, expectedMs] of [
      [-400, 600],
      [-5000, 0],
      [86_400_000, 30_000],
    ] as const) {
      const { runtime, log, dispatcher, engineFor, takeOver } = setUp();
      const past = log.as("first");
      await past.append("p", 0, [
        { type: "plan.created", origin: testOrigin, driver: "first" },
        { type: "plan.started", tasks: [{ ...task("a"), taskId: "p.1" }] },
        { type: "task.dispatched", taskId: "p.1", attempt: 1 },
        {
          type: "task.retried",
          taskId: "p.1",
          attempt: 1,
          failure: { code: "TASK_FAILED", message: "x", retryable: true },
          delayMs: aheadMs > 0 ? aheadMs : 1000,
        },
      ]);
      if (aheadMs < 0) await runtime.advance(-aheadMs);
      const resumedAt = runtime.now();
      const engine = engineFor("second");
      await takeOver(engine, "second");
      await settle(runtime, engine.ended("p"));
      expect((dispatcher.calls[0]?.beganAtMs ?? 0) - resumedAt).toBe(expectedMs);
    }
  });
});

describe("a log that is away", () => {
  test("holds the plan up, and nothing is lost", async () => {
    let away = false;
    let failures = 0;
    const { runtime, log, dispatcher, engineFor } = setUp({
      fault({ phase }) {
        if (!away || phase !== "before") return;
        failures++;
        unavailable();
      },
    });
    const logger = collectingLogger();
    const engine = engineFor("p1", logger);
    await engine.accept(testOrigin, "p", handlers);
    await runtime.runUntil(() => dispatcher.calls.length > 0);
    away = true;
    await runtime.advance(600_000);
    expect(dispatcher.calls).toHaveLength(2);
    // At most every 5 s with full jitter: a stampede would be thousands.
    expect(failures).toBeGreaterThan(50);
    expect(failures).toBeLessThan(600);
    expect(logger.fieldsOf("plan.log.unavailable")).toHaveLength(failures);
    away = false;
    expectOneResultEach(log, await settle(runtime, engine.ended("p")));
  });

  test("is not waited for by accept, which can be repeated", async () => {
    let answers = 0;
    const { runtime, log, engineFor } = setUp({
      fault: ({ phase }) => (phase === "after" && ++answers === 1 ? unavailable() : undefined),
    });
    const engine = engineFor("p1");
    await expect(engine.accept(testOrigin, "p", handlers)).rejects.toMatchObject({ code: "STORE_UNAVAILABLE" });
    expect(await engine.accept(testOrigin, "p", handlers)).toBe(true);
    expect(await engine.accept(testOrigin, "p", handlers)).toBe(true);
    expectOneResultEach(log, await settle(runtime, engine.ended("p")));
  });

  test("may fail any call before or after it was done: 200 seeds", async () => {
    for (let seed = 1; seed <= 200; seed++) {
      const chance = seededRandom(seed);
      const { runtime, log, dispatcher, engineFor, takeOver } = setUp({
        seed,
        fault: ({ count }) => (count > 1 && chance() < 0.3 ? unavailable() : undefined),
      });
      const engine = engineFor("p1");
      await engine
        .accept(testOrigin, "p", handlers)
        .catch(() => engine.accept(testOrigin, "p", handlers))
        .catch(() => {});
      for (let tries = 0; !engine.driving().length && tries < 20; tries++) await takeOver(engine, "p1").catch(() => {});
      expectOneResultEach(log, await settle(runtime, engine.ended("p")));
      expect(dispatcher.calls).toHaveLength(attemptsNeeded);
    }
  });
});

describe("a log that refuses", () => {
  test("batches that are too large for one message go in several", async () => {
    const { runtime, log, engineFor } = setUp({
      fault({ changes, phase }) {
        if (phase === "before" && changes.length > 1) throw new SoormaError("MESSAGE_TOO_LARGE", "too large");
      },
    });
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", handlers);
    expectOneResultEach(log, await settle(runtime, engine.ended("p")));
  });

  test("a change that is too large by itself fails the plan with what to do", async () => {
    const { runtime, engineFor } = setUp({
      fault({ changes }) {
        if (changes.some((change) => change.type === "plan.completed")) {
          throw new SoormaError("MESSAGE_TOO_LARGE", "17 MiB are more than the 16 MiB a message may have");
        }
      },
    });
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", handlers);
    const state = await settle(runtime, engine.ended("p"));
    expect(state).toMatchObject({ status: "failed", failure: { code: "MESSAGE_TOO_LARGE", retryable: false } });
    expect(state?.failure?.hint).toContain("return their keys");
  });

  test("a log that takes not even the failure makes ended reject, and nothing stays behind", async () => {
    let refuses = false;
    const { runtime, engineFor, dispatcher } = setUp({
      fault({ operation }) {
        if (refuses && operation === "append") throw new TypeError("a bug in the log");
      },
    });
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", handlers);
    await runtime.runUntil(() => dispatcher.calls.length > 0);
    refuses = true;
    await expect(settle(runtime, engine.ended("p"))).rejects.toThrow("a bug in the log");
    await runtime.runUntilIdle();
    expect(engine.driving()).toEqual([]);
  });
});

describe("two engines with one plan", () => {
  test("the one that lost it steps back, its attempts go on at their agents, and it answers nothing", async () => {
    const { runtime, log, dispatcher, engineFor, takeOver } = setUp();
    const ends: string[] = [];
    const as = (agentId: string): PlanHandlers => ({ ...handlers, onEnd: () => void ends.push(agentId) });
    const first = engineFor("first");
    const second = engineFor("second");
    await first.accept(testOrigin, "p", as("first"));
    await runtime.runUntil(() => dispatcher.calls.length > 0);
    const firstEnd = first.ended("p");
    expect(await second.accept(testOrigin, "p", as("second"))).toBe(false);
    await takeOver(second, "second", () => as("second"));
    expectOneResultEach(log, await settle(runtime, second.ended("p")));
    expect(dispatcher.calls).toHaveLength(attemptsNeeded);
    expect(dispatcher.calls.filter(({ aborted }) => aborted)).toEqual([]);
    expect(await settle(runtime, firstEnd)).toBeUndefined();
    await runtime.runUntilIdle();
    expect(ends).toEqual(["second"]);
    expect(first.driving()).toEqual([]);
  });

  test("fighting over it at random end with one result each and one answer: 200 seeds", async () => {
    let stepsBack = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const chance = seededRandom(seed);
      const fixture = setUp({
        seed,
        fault: ({ count }) => {
          if (count > 1 && chance() < 0.1) unavailable();
          return sleep(fixture.runtime, Math.floor(chance() * 5));
        },
      });
      const { runtime, log, dispatcher, engineFor, takeOver } = fixture;
      const ends: string[] = [];
      const agents = [
        { id: "x", engine: engineFor("x") },
        { id: "y", engine: engineFor("y") },
        { id: "z", engine: engineFor("z") },
      ] as const;
      const handlersOf = (id: string) => (): PlanHandlers => ({ ...handlers, onEnd: () => void ends.push(id) });
      void agents[0].engine.accept(testOrigin, "p", handlersOf("x")()).catch(() => {});
      await runtime.runUntil(() => log.entries("p").length > 0);
      let resumedLate = 0;
      for (let round = 0; round < 4; round++) {
        await runtime.advance(Math.floor(chance() * 15));
        const { id, engine } = agents[Math.floor(chance() * 3)] ?? agents[0];
        // What is claimed and then lost, because an answer was, is claimed again later.
        await takeOver(engine, id, handlersOf(id)).catch(() => {});
        if (log.entries("p").some(({ type }) => type === "plan.completed")) resumedLate++;
      }
      await runtime.runUntilIdle();
      while (log.entries("p").at(-1)?.type !== "plan.answered") {
        await takeOver(agents[0].engine, "x", handlersOf("x")).catch(() => {});
        await runtime.runUntilIdle();
      }
      const state = foldPlan("p", log.entries("p"));
      expectOneResultEach(log, state);
      expect(new Set(dispatcher.calls.map(({ assignment }) => `${assignment.taskId} ${assignment.attempt}`)).size).toBe(
        dispatcher.calls.length,
      );
      stepsBack += state.epoch - 1;
      // Who wrote the end answers; whoever takes a plan that has ended, and was not answered, may answer again.
      expect(ends.length).toBeGreaterThanOrEqual(1);
      expect(ends.length).toBeLessThanOrEqual(2 + resumedLate);
      expect(agents.every(({ engine }) => engine.driving().length === 0)).toBe(true);
    }
    expect(stepsBack).toBeGreaterThan(100);
  });

  test("a change by somebody who drives nothing is taken in, and the plan goes on", async () => {
    const { runtime, log, dispatcher, engineFor } = setUp();
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", handlers);
    await runtime.runUntil(() => dispatcher.calls.length > 0);
    await log
      .as("a worker")
      .append("p", log.entries("p").length, [{ type: "task.progress", taskId: "p.1", fraction: 0.9 }]);
    expectOneResultEach(log, await settle(runtime, engine.ended("p")));
    expect(dispatcher.calls).toHaveLength(attemptsNeeded);
  });

  test("a task that somebody cancels is aborted, and what depends on it fails", async () => {
    const { runtime, log, dispatcher, engineFor } = setUp();
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", handlers);
    await runtime.runUntil(() => dispatcher.calls.length > 0);
    await log.as("a user").record("p", { type: "task.cancelled", taskId: "p.1", reason: "not needed" });
    const state = await settle(runtime, engine.ended("p"));
    expect(state?.tasks.map((one) => one.status)).toEqual(["cancelled", "failed", "failed", "failed", "completed"]);
    expect(state?.failure).toMatchObject({ code: "GOAL_FAILED", details: { failedTasks: ["a"] } });
  });
});

test("one seed gives one log", async () => {
  const logOf = async (seed: number) => {
    const { runtime, log, engineFor } = setUp({ seed });
    const engine = engineFor("p1");
    await engine.accept(testOrigin, "p", handlers);
    await settle(runtime, engine.ended("p"));
    return log.entries("p");
  };
  expect(await logOf(7)).toEqual([...(await logOf(7))]);
  expect(await logOf(7)).not.toEqual([...(await logOf(8))]);
});
