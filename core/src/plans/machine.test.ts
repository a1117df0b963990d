import { describe, expect, test } from "bun:test";
import { planOrigin } from "../../testing/plan-changes.ts";
import { type Failure, isSoormaError } from "../errors.ts";
import { checkAddition, checkPlan } from "./graph.ts";
import { definePlan, type MachineDefinition } from "./machine.ts";
import { beginMachine, stepMachine } from "./machine-run.ts";
import { PlanFold } from "./reducer.ts";
import { dataOf, waitOf } from "./task-data.ts";

const origin = planOrigin({ goalType: "research.goal", goalData: { topic: "bees", least: 2 } });

/** Runs a machine on a fold; `ends` say how each task in turn ends. Tells the tasks' names and data or waits, and the end. */
function run(
  machine: MachineDefinition,
  ends: readonly ({ result: unknown } | { failure: Failure })[],
  goalData: unknown = origin.goalData,
) {
  const fold = new PlanFold("p");
  const did = (change: Parameters<PlanFold["propose"]>[0]): void => {
    expect([change.type, fold.propose(change, 1)]).toEqual([change.type, true]);
  };
  const draft = beginMachine(machine);
  did({ type: "plan.created", origin: { ...origin, goalData } });
  did({
    type: "plan.started",
    tasks: checkPlan(draft, "p"),
    grows: true,
    ...(draft.state === undefined ? {} : { state: draft.state }),
  });
  const tasks: [name: string, data: unknown][] = [];
  for (const end of ends) {
    const [taskId = ""] = fold.ready;
    const task = fold.task(taskId);
    if (!task) throw new Error("no task is ready");
    tasks.push([task.name, waitOf(fold, task) ?? dataOf(fold, task)]);
    did({ type: "task.dispatched", taskId, attempt: 1 });
    if ("result" in end) did({ type: "task.succeeded", taskId, attempt: 1, result: end.result });
    else did({ type: "task.failed", taskId, attempt: 1, failure: end.failure });
    const ended = fold.task(taskId);
    const step = ended && stepMachine(machine, ended, fold.state());
    did({
      type: "plan.transitioned",
      taskId,
      ...(step?.to === undefined ? {} : { to: step.to }),
      ...(step?.handled ? { handled: true } : {}),
      ...(step?.tasks ? { tasks: checkAddition(step.tasks, fold) } : {}),
    });
    if (!step || step.complete || step.fail) return { tasks, step, state: fold.state() };
  }
  return { tasks, step: undefined, state: fold.state() };
}

const research = definePlan({
  goal: "research.goal",
  initial: "search",
  states: {
    search: {
      task: { assignedTo: "paper_search", data: { about: "{{goal.data.topic}}", least: "{{goal.data.least}}" } },
      on: [
        { when: { path: "results.search.count", gt: 0 }, to: "summarize" },
        { when: { path: "visits.search", lt: 2 }, to: "search" },
        { to: "nothing" },
      ],
      onFailure: [{ when: { path: "failure.code", eq: "TIMEOUT" }, to: "search" }, { to: "broken" }],
    },
    summarize: {
      task: { assignedTo: "summarizer", data: "{{results.search.papers}}" },
      on: "done",
    },
    done: { final: true, result: { summary: "{{results.summarize}}", of: "{{results.search.count}}" } },
    nothing: { fail: "no paper about {{goal.data.topic}} after {{results.search.tries}} tries" },
    broken: { fail: "the search failed: {{failure.message}}" },
  },
});

const failed = (code: string): { failure: Failure } => ({
  failure: { code, message: "it broke", retryable: false },
});

describe("a state machine", () => {
  test("goes where its conditions say, and fills in results with their types", () => {
    const { tasks, step, state } = run(research, [
      { result: { count: 1, papers: [{ title: "a" }] } },
      { result: "short" },
    ]);
    expect(tasks).toEqual([
      ["search", { about: "bees", least: 2 }],
      ["summarize", [{ title: "a" }]],
    ]);
    expect(step?.complete).toEqual({ result: { summary: "short", of: 1 } });
    expect(state.state).toBe("done");
  });

  test("a state may be entered again; templates name its latest result", () => {
    const { tasks, step } = run(research, [
      { result: { count: 0, papers: [] } },
      { result: { count: 2, papers: ["b", "c"] } },
      { result: "both" },
    ]);
    expect(tasks).toEqual([
      ["search", { about: "bees", least: 2 }],
      ["search#2", { about: "bees", least: 2 }],
      ["summarize", ["b", "c"]],
    ]);
    expect(step?.complete).toEqual({ result: { summary: "both", of: 2 } });
  });

  test("text in a result is not taken for a template", () => {
    const { tasks } = run(research, [{ result: { count: 1, papers: "{{goal.data.topic}}" } }, { result: "" }]);
    expect(tasks[1]).toEqual(["summarize", "{{goal.data.topic}}"]);
  });

  test("nor is text in the goal's data", () => {
    const echo = definePlan({
      goal: "echo.goal",
      initial: "ask",
      states: {
        ask: { input: "{{goal.data.topic}}?", on: "say" },
        say: {
          task: { assignedTo: "x", data: ["{{goal.data.topic}}", "{{results.ask}}"] },
          on: [{ when: { path: "result", eq: "bad" }, to: "bad" }, { to: "good" }],
        },
        good: { final: true, result: { of: "{{goal.data.topic}}", said: "{{result}}" } },
        bad: { fail: "not {{goal.data.topic}}" },
      },
    });
    const topic = "{{results.ask}} {{goal.id}} {{failure.message}}";
    const data = { topic, least: 0 };
    const good = run(echo, [{ result: topic }, { result: "{{goal.data.least}}" }], data);
    expect(good.tasks).toEqual([
      ["ask", { kind: "input", prompt: `${topic}?` }],
      ["say", [topic, topic]],
    ]);
    expect(good.step?.complete).toEqual({ result: { of: topic, said: "{{goal.data.least}}" } });
    expect(run(echo, [{ result: "" }, { result: "bad" }], data).step?.fail).toMatchObject({ message: `not ${topic}` });
  });

  test("ends with its own message", () => {
    const none = { result: { count: 0, tries: 7 } };
    expect(run(research, [none, none]).step?.fail).toMatchObject({
      code: "GOAL_FAILED",
      message: "no paper about bees after 7 tries",
      details: { state: "nothing", from: "search" },
    });
  });

  test("a failure that is caught does not make the plan fail", () => {
    const { step, state } = run(research, [failed("TIMEOUT"), failed("TASK_FAILED")]);
    expect(step?.fail?.message).toBe("the search failed: it broke");
    expect(state.tasks.map(({ name, handled }) => [name, handled])).toEqual([
      ["search", true],
      ["search#2", true],
    ]);
  });

  test("a failure that nothing catches is the plan's", () => {
    const machine = definePlan({
      goal: "g",
      initial: "a",
      states: { a: { task: { assignedTo: "x" }, on: "b" }, b: { final: true } },
    });
    const { step, state } = run(machine, [failed("TASK_FAILED")]);
    expect(step).toBeUndefined();
    expect(state.tasks[0]?.handled).toBeUndefined();
  });

  test("a result that no transition is for makes the plan fail", () => {
    const machine = definePlan({
      goal: "g",
      initial: "a",
      states: {
        a: { task: { assignedTo: "x" }, on: { when: ({ result }) => result === 1, to: "b" } },
        b: { final: true },
      },
    });
    expect(run(machine, [{ result: 1 }]).step?.complete).toEqual({ result: { a: 1 } });
    expect(() => run(machine, [{ result: 2 }])).toThrow('no transition of state "a" applies to its result');
  });

  test("a result that is not there says so", () => {
    const machine = definePlan({
      goal: "g",
      initial: "a",
      states: {
        a: { task: { assignedTo: "x" }, on: [{ when: { path: "result", eq: true }, to: "b" }, { to: "c" }] },
        b: { sleep: 1, on: "c" },
        c: { task: { assignedTo: "x", data: "{{results.b}}" }, on: "d" },
        d: { final: true },
      },
    });
    expect(() => run(machine, [{ result: false }])).toThrow(
      'state "c" wants {{results.b}}, but state "b" was not completed before',
    );
    expect(run(machine, [{ result: true }, { result: null }, { result: 1 }]).step?.complete?.result).toEqual({
      a: true,
      b: null,
      c: 1,
    });
  });

  test.each([
    [{ path: "result.n", eq: 3 }, true],
    [{ path: "result.n", ne: 3 }, false],
    [{ path: "result.n", gt: 3 }, false],
    [{ path: "result.n", gte: 3 }, true],
    [{ path: "result.n", lt: 3 }, false],
    [{ path: "result.n", lte: 3 }, true],
    [{ path: "result.n", lt: "4" }, false],
    [{ path: "result.n", in: [1, 3] }, true],
    [{ path: "result.list", includes: "b" }, true],
    [{ path: "result.list[0]", includes: "a" }, true],
    [{ path: "result.list.length", eq: 2 }, true],
    [{ path: 'result["a b"].c', eq: null }, true],
    [{ path: 'result["a b"].c', exists: false }, true],
    [{ path: "result.missing.deep", exists: true }, false],
    [{ path: "result.missing", ne: 1 }, true],
    [{ path: "result.toString", exists: true }, false],
    [{ not: { path: "result.n", eq: 3 } }, false],
    [
      {
        all: [
          { path: "goal.data.topic", eq: "bees" },
          { path: "visits.a", eq: 1 },
        ],
      },
      true,
    ],
    [
      {
        any: [
          { path: "result.n", eq: 0 },
          { path: "results.a.n", eq: 3 },
        ],
      },
      true,
    ],
  ] as const)("condition %j", (when, expected) => {
    const machine = definePlan({
      goal: "g",
      initial: "a",
      states: {
        a: { task: { assignedTo: "x" }, on: [{ when, to: "yes" }, { to: "no" }] },
        yes: { final: true, result: true },
        no: { final: true, result: false },
      },
    });
    const result = { n: 3, list: ["a", "b"], "a b": { c: null } };
    expect(run(machine, [{ result }]).step?.complete?.result).toBe(expected);
  });
});

describe("a definition is refused", () => {
  const end = { final: true };
  const task = { assignedTo: "x" };
  test.each([
    [
      "an unknown state",
      { a: { task, on: "b" }, bb: end },
      /states\.a\.on is "b", which is no state; did you mean "bb"\?/,
    ],
    ["an unreachable state", { a: { task, on: "b" }, b: end, c: end }, /states\.c cannot be reached/],
    ["a dead end", { a: { task, on: "b" }, b: { task, on: "b" } }, /states\.a is a dead end/],
    ["no way on", { a: { task } }, /states\.a\.on is missing/],
    ["an empty list", { a: { task, on: [] } }, /states\.a\.on is an empty list/],
    ["no initial state", { b: { task, on: "c" }, c: end }, /initial is "a", which is no state/],
    ["an initial state that is an end", { a: end }, /would end before it began/],
    ["two kinds", { a: { task, sleep: 1, on: "b" }, b: end }, /states\.a has task and sleep; a state has one of/],
    ["no kind", { a: { on: "b" }, b: end }, /states\.a has nothing to do/],
    [
      "an unknown field",
      { a: { task, on: "b", onFailed: "b" }, b: end },
      /onFailed is no field.*did you mean "onFailure"/,
    ],
    [
      "what follows a sure transition",
      { a: { task, on: [{ to: "b" }, { to: "c" }] }, b: end, c: end },
      /on\[1\] can never/,
    ],
    ["a time-out that cannot be", { a: { task, on: "b", onTimeout: "b" }, b: end }, /onTimeout can never apply/],
    ["an unknown template", { a: { task: { ...task, data: "{{results.c}}" }, on: "b" }, b: end }, /names no state/],
    ["an unknown template at the end", { a: { task, on: "b" }, b: { fail: "{{results.c.d}}" } }, /names no state/],
    ["a template of an item", { a: { task, on: "b" }, b: { fail: "{{item}}" } }, /holds \{\{item\}\}/],
    [
      "an unknown operator",
      { a: { task, on: [{ when: { path: "result", equals: 1 }, to: "b" }] }, b: end },
      /no operator/,
    ],
    ["a wrong operand", { a: { task, on: [{ when: { path: "result", gt: true }, to: "b" }] }, b: end }, /gt must be/],
    ["a wrong path", { a: { task, on: [{ when: { path: "results.c", eq: 1 }, to: "b" }] }, b: end }, /names no state/],
    ["an expression", { a: { task, on: [{ when: "result > 1", to: "b" }] }, b: end }, /function or a comparison/],
    ["a bad event pattern", { a: { event: "a..b", on: "b" }, b: end }, /states\.a\.event is "a\.\.b"/],
    [
      "a bad topic",
      { a: { event: { pattern: "a.b", topic: "x" }, on: "b" }, b: end },
      /states\.a\.event\.topic is "x"/,
    ],
    ["a negative sleep", { a: { sleep: -1, on: "b" }, b: end }, /states\.a\.sleep .*least is 0/],
    ["a sleep that is no number", { a: { sleep: "1 s", on: "b" }, b: end }, /states\.a\.sleep is "1 s"/],
    ["a question that is no text", { a: { input: 7, on: "b" }, b: end }, /states\.a\.input is 7/],
    ["an unknown template in a question", { a: { input: "{{results.c}}", on: "b" }, b: end }, /states\.a\.input holds/],
    ["a bad name", { a: { task, on: "b c" }, "b c": end }, /a state's name must match/],
    ["a task with a name", { a: { task: { ...task, name: "n" }, on: "b" }, b: end }, /task\.name is not for/],
    [
      "a task without templates",
      { a: { task: { ...task, templated: false }, on: "b" }, b: end },
      /templated is not for/,
    ],
  ])("with %s", (_what, states, message) => {
    let error: unknown;
    try {
      definePlan({ goal: "a.goal", initial: "a", states } as never);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(TypeError);
    expect(isSoormaError(error)).toBe(false);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).toStartWith('the plan of goal "a.goal": ');
  });
});
