import { describe, expect, test } from "bun:test";
import { testOrigin } from "../../testing/plan-changes.ts";
import { planEngines, testTask as task } from "../../testing/plan-engines.ts";
import type { ScriptedTask } from "../../testing/scripted-dispatcher.ts";
import { NonRetryableError, type SoormaError } from "../errors.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { PlanState, TaskSpec } from "./log.ts";
import { definePlan, type MachineDefinition } from "./machine.ts";
import { beginMachine, stepMachine } from "./machine-run.ts";
import { replayDraft } from "./replay.ts";

const planOf = (...tasks: TaskSpec[]): PlanHandlers => ({ makeTasks: () => ({ tasks }) });
const machineOf = (machine: MachineDefinition): PlanHandlers => ({
  makeTasks: () => beginMachine(machine),
  onTransition: (ended, plan) => stepMachine(machine, ended, plan),
});

/** Plans of one goal, which are done, and done again. */
function replays(handlers: PlanHandlers, scripts: Record<string, ScriptedTask> = {}) {
  const fixture = planEngines(scripts);
  const { engineFor, settle, log, dispatcher, runtime } = fixture;
  const engine = engineFor("p1");
  const end = async (planId: string): Promise<PlanState> => {
    const state = await settle(engine.ended(planId));
    if (!state) throw new Error(`plan ${planId} has no end`);
    return state;
  };
  /** Of another plan, if that is named. */
  const begin = (planId: string, of?: string, from?: string): Promise<boolean> => {
    const draft = () => replayDraft(of ?? "", log.entries(of ?? ""), from) ?? { tasks: [] };
    const how = of === undefined ? handlers : { ...handlers, makeTasks: draft };
    return settle(engine.accept(testOrigin, planId, how));
  };
  return {
    engine,
    log,
    runtime,
    settle,
    begin,
    end,
    first: () => begin("p").then(() => end("p")),
    /** Does a plan again, as another one. */
    again: (planId: string, of: string, from?: string) => begin(planId, of, from).then(() => end(planId)),
    /** Names of the tasks that agents did since the last call, those that began together as one. */
    done(): string[] {
      const at = new Map<number, string[]>();
      for (const { assignment, beganAtMs } of dispatcher.calls.slice(this.seen))
        at.set(beganAtMs, [...(at.get(beganAtMs) ?? []), assignment.name]);
      this.seen = dispatcher.calls.length;
      return Array.from(at.values(), (names) => names.join("+"));
    },
    seen: 0,
  };
}

/** Fails for good while `is.broken`. */
function breakable() {
  const is = { broken: true };
  const script: ScriptedTask = ({ name }) => {
    if (is.broken) throw new NonRetryableError("broken");
    return name;
  };
  return { is, script };
}

const shape = ({ tasks }: PlanState): string[] => tasks.map(({ name, status }) => `${name} ${status}`);

describe("a state machine's plan that is done again", () => {
  const chain = definePlan({
    goal: "test.goal",
    initial: "build",
    states: {
      build: { task: { assignedTo: "worker" }, on: "check" },
      check: { task: { assignedTo: "worker" }, on: "deploy" },
      deploy: { task: { assignedTo: "deployer" }, on: "done" },
      done: { final: true },
    },
  });

  test.each([
    ["build", ["build", "check", "deploy"]],
    ["check", ["check", "deploy"]],
    ["deploy", ["deploy"]],
    [undefined, ["build", "check", "deploy"]],
  ])("from %s, after it was itself done again, has one state after the other", async (from, expected) => {
    const { is, script } = breakable();
    const at = replays(machineOf(chain), { deployer: script });
    await at.first();
    await at.again("q", "p", "deploy");
    is.broken = false;
    at.done();
    const state = await at.again("r", "q", from);
    expect(state.status).toBe("completed");
    expect(at.done()).toEqual(expected);
  });

  test("counts its visits on, though one that failed and was dealt with is left out", async () => {
    const machine = definePlan({
      goal: "test.goal",
      initial: "search",
      states: {
        search: { task: { assignedTo: "search" }, on: "review", onFailure: "repair" },
        repair: { task: { assignedTo: "worker" }, on: "search" },
        review: {
          task: { assignedTo: "review" },
          on: [{ to: "search", when: { path: "result.ok", eq: false } }, { to: "done" }],
        },
        done: { final: true },
      },
    });
    let [searches, reviews] = [0, 0];
    const failing = (isBroken: boolean): void => {
      if (isBroken) throw new NonRetryableError("broken");
    };
    const at = replays(machineOf(machine), {
      search: () => failing(++searches === 1),
      review: () => {
        failing(++reviews === 1);
        return { ok: reviews > 2 };
      },
    });
    const first = ["search failed", "repair completed", "search#2 completed", "review failed"];
    expect(shape(await at.first())).toEqual(first);
    const state = await at.again("q", "p", "review");
    expect(state.status).toBe("completed");
    expect(state.tasks.map(({ name }) => name)).toEqual(["repair", "search#2", "review", "search#3", "review#2"]);
  });

  test("does not go on from what was taken back", async () => {
    const { script } = breakable();
    const { build, check, deploy, done } = chain.states;
    const undoable = { ...build, task: { assignedTo: "worker", undo: { assignedTo: "worker" } } } as typeof build;
    const at = replays(
      machineOf({ ...chain, states: { build: undoable, check, deploy, done } as typeof chain.states }),
      {
        deployer: script,
      },
    );
    expect(shape(await at.first()).at(-1)).toBe("undo:build completed");
    const refused = await at.again("q", "p", "deploy").then(
      ({ failure }) => failure?.message,
      (error: SoormaError) => error.message,
    );
    expect(refused).toContain('what "build" did was taken back');
  });
});

describe("a plan that is done again", () => {
  test("begins anew what failed and was discarded, where others want its result", async () => {
    const { is, script } = breakable();
    const at = replays(planOf(task("a"), task("b", "a"), task("x")), {
      a: () => {
        throw new NonRetryableError("for ever");
      },
      x: script,
    });
    await at.first();
    await at.settle(at.log.as("person").record("p", { type: "task.discarded", taskId: "p.1" }));
    is.broken = false;
    const state = await at.again("q", "p", "x");
    expect(shape(state)).toEqual(["a failed", "b failed", "x completed"]);
  });

  test("does again what was taken back", async () => {
    const { is, script } = breakable();
    const at = replays(
      planOf({ ...task("reserve"), undo: { assignedTo: "worker" } }, task("look"), task("pay", "reserve", "look")),
      { pay: script },
    );
    expect(shape(await at.first()).at(-1)).toBe("undo:reserve completed");
    is.broken = false;
    at.done();
    expect((await at.again("q", "p", "pay")).status).toBe("completed");
    expect(at.done()).toEqual(["reserve", "pay"]);
  });
});

describe("a growing plan that is done again", () => {
  const grown = (): PlanHandlers => ({
    makeTasks: () => ({ tasks: [task("a")], grows: true }),
    onTransition: ({ name }) => (name === "a" ? { tasks: [task("b", "a")] } : undefined),
  });

  test.each([undefined, "a", "b"])("from %s, after it was itself done again, grows as it did", async (from) => {
    const { is, script } = breakable();
    const at = replays(grown(), { b: script });
    await at.first();
    await at.again("q", "p", "b");
    is.broken = false;
    const state = await at.again("r", "q", from);
    expect(state.failure).toBeUndefined();
    expect(shape(state)).toEqual(["a completed", "b completed"]);
  });

  test("has its planner look at an end that it had not looked at when the plan ended, also the second time", async () => {
    let isHeld = true;
    const asked: string[] = [];
    const at = replays({
      makeTasks: () => ({ tasks: [task("a"), task("x", "a")], grows: true }),
      onTransition: ({ name }) => {
        if (isHeld) return new Promise(() => {});
        asked.push(name);
        return name === "a" ? { tasks: [task("more", "a")] } : undefined;
      },
    });
    for (const [planId, of] of [["p"], ["q", "p"]] as const) {
      await at.begin(planId, of, "x");
      await at.runtime.advance(1_000);
      await at.settle(at.engine.cancel(planId, "too slow"));
      await at.end(planId);
    }
    isHeld = false;
    expect(shape(await at.again("r", "q", "x"))).toEqual(["a completed", "x completed", "more completed"]);
    expect(asked.sort()).toEqual(["a", "more", "x"]);
  });
});
