import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { changes } from "../../testing/plan-changes.ts";
import { SoormaError } from "../errors.ts";
import { checkAddition, checkPlan } from "./graph.ts";
import { PlanFold } from "./reducer.ts";

const task = (name: string, ...dependsOn: string[]) => ({ name, assignedTo: "w", dependsOn });
const templated = (name: string) => ({ ...task(name), templated: true });
const refusal = (draft: unknown): { path: unknown; message: string; hint: string | undefined } => {
  try {
    checkPlan(draft, "p");
  } catch (error) {
    if (!(error instanceof SoormaError) || error.code !== "PLAN_INVALID") throw error;
    return { path: error.details?.path, message: error.message, hint: error.hint };
  }
  throw new Error("the plan was not refused");
};

describe("what a planner returned", () => {
  test("a usable plan gets ids in its order", () => {
    expect(checkPlan({ tasks: [task("b", "a"), { ...task("a"), retry: undefined, priority: -1 }] }, "p")).toEqual([
      { taskId: "p.1", name: "b", assignedTo: "w", dependsOn: ["a"] },
      { taskId: "p.2", name: "a", assignedTo: "w", dependsOn: [], priority: -1 },
    ]);
    expect(checkPlan({ tasks: [] }, "p")).toEqual([]);
  });

  test("what is no plan is refused with what it is", () => {
    expect(refusal(undefined).message).toBe("the goal handler returned nothing");
    expect(refusal([task("a")]).message).toBe("the goal handler returned a list");
    expect(refusal({ tasks: "a" }).message).toBe('the goal handler returned an object whose "tasks" is "a"');
  });

  test("an unknown dependency is refused with its path and the nearest name", () => {
    const refused = refusal({ tasks: [task("search"), task("rank"), task("sum", "rank", "serch")] });
    expect(refused).toEqual({
      path: "tasks[2].dependsOn[1]",
      message: 'tasks[2].dependsOn[1] names "serch", which is no task of this plan',
      hint: 'did you mean "search"?',
    });
  });

  test("a cycle is refused with its path", () => {
    const cycle = refusal({ tasks: [task("x", "a"), task("a", "b"), task("b", "c"), task("c", "a")] });
    expect(cycle.message).toBe("tasks[1].dependsOn leads back to its own task: a → b → c → a");
    expect(refusal({ tasks: [task("a", "a")] }).message).toContain("a → a");
  });

  test("a chain of 5,000 tasks is fine, and a cycle of as many is named shortly", () => {
    const chain = Array.from({ length: 5000 }, (_, i) => (i === 0 ? task("t0") : task(`t${i}`, `t${i - 1}`)));
    expect(checkPlan({ tasks: chain.toReversed() }, "p")).toHaveLength(5000);
    chain[0] = task("t0", "t4999");
    const { message } = refusal({ tasks: chain });
    expect(message).toContain("t0 → t4999 → ");
    expect(message.length).toBeLessThan(300);
  });

  const refused: [unknown, string, string][] = [
    [{ name: "", assignedTo: "w" }, "tasks[0].name", "is empty"],
    [{ name: 7, assignedTo: "w" }, "tasks[0].name", "is 7, not text"],
    [{ name: "n".repeat(201), assignedTo: "w" }, "tasks[0].name", "has 201 characters; the limit is 200"],
    [{ name: "a" }, "tasks[0].assignedTo", "is missing, not text"],
    [{ name: "a", assignedTo: " " }, "tasks[0].assignedTo", "is empty"],
    [{ ...task("a"), dependsOn: "b" }, "tasks[0].dependsOn", 'is "b"'],
    [{ ...task("a"), dependsOn: [null] }, "tasks[0].dependsOn[0]", "is null, not text"],
    [{ ...task("a"), timeoutMs: 0 }, "tasks[0].timeoutMs", "is 0; the least is 1"],
    [{ ...task("a"), timeoutMs: Number.POSITIVE_INFINITY }, "tasks[0].timeoutMs", "is Infinity, not a number"],
    [{ ...task("a"), priority: "high" }, "tasks[0].priority", 'is "high", not a number'],
    [{ ...task("a"), retry: 3 }, "tasks[0].retry", "is 3"],
    [{ ...task("a"), retry: { maxAttempts: 1.5 } }, "tasks[0].retry.maxAttempts", "is 1.5, not a whole number"],
    [{ ...task("a"), retry: { backoffMs: -1 } }, "tasks[0].retry.backoffMs", "is -1; the least is 0"],
    [{ ...task("a"), data: { items: [1, () => 2] } }, "tasks[0].data.items[1]", "is a function"],
    [
      { ...task("a"), data: { "a b": Promise.resolve() } },
      'tasks[0].data["a b"]',
      "is a Promise (is an await missing?)",
    ],
    [{ ...task("a"), data: new Map() }, "tasks[0].data", "is a Map"],
    [{ ...task("a"), data: 2n ** 65n }, "tasks[0].data", "is an integer of more than 64 bits"],
    [null, "tasks[0]", "is null"],
    [{ ...task("a"), name: "undo:a" }, "tasks[0].name", 'is "undo:a"'],
    [{ ...task("a"), goal: "g" }, "tasks[0]", "has assignedTo and goal"],
    [{ name: "a", goal: 7 }, "tasks[0].goal", "is 7, not text"],
    [{ name: "a", wait: "x" }, "tasks[0].wait", 'is "x"'],
    [{ name: "a", wait: { kind: "nap" } }, "tasks[0].wait.kind", 'is "nap"'],
    [{ name: "a", wait: { kind: "input" } }, "tasks[0].wait.prompt", "is missing, not text"],
    [{ name: "a", wait: { kind: "event", pattern: "a..b" } }, "tasks[0].wait.pattern", 'is "a..b", which is no event'],
    [{ name: "a", wait: { kind: "event", pattern: "a.*", topic: "x" } }, "tasks[0].wait.topic", 'is "x"'],
    [{ name: "a", wait: { kind: "event", pattern: "a.*", where: "x" } }, "tasks[0].wait.where", "is no object"],
    [
      { name: "a", wait: { kind: "event", pattern: "a.*", where: { orderId: 7 } } },
      'tasks[0].wait.where["orderId"]',
      "is no part of an event",
    ],
    [
      { name: "a", wait: { kind: "event", pattern: "a.*", where: { "data.order": { id: 7 } } } },
      'tasks[0].wait.where["data.order"]',
      "can only be compared with text",
    ],
    [{ name: "a", wait: { kind: "sleep" } }, "tasks[0].wait.ms", "is missing"],
    [{ name: "a", wait: { kind: "sleep", ms: -1 } }, "tasks[0].wait.ms", "is -1; the least is 0"],
    [{ name: "a", wait: { kind: "sleep", seconds: 1 } }, "tasks[0].wait.seconds", "is no field of a sleep"],
    [{ ...task("a"), forEach: "x" }, "tasks[0].forEach", 'is "x"'],
    [{ ...task("a"), forEach: { over: "papers" } }, "tasks[0].forEach.over", 'is "papers", not one template'],
    [{ ...task("a"), forEach: { over: "{{item}}" } }, "tasks[0].forEach.over", "holds {{item}}, which means"],
    [
      { ...task("a"), forEach: { over: "{{results.b.list}}" } },
      "tasks[0].forEach.over",
      'holds {{results.b.list}}, but the task does not depend on "b"',
    ],
    [
      { ...task("a"), forEach: { over: "{{goal.data}}", concurrency: 0 } },
      "tasks[0].forEach.concurrency",
      "is 0; the least is 1",
    ],
    [
      { ...task("a"), forEach: { over: "{{goal.data}}", concurrency: 1.5 } },
      "tasks[0].forEach.concurrency",
      "is 1.5, not a whole number",
    ],
    [{ ...task("a"), undo: {} }, "tasks[0].undo.assignedTo", "is missing, not text"],
    [{ ...task("a"), undo: { assignedTo: "u", data: [() => 1] } }, "tasks[0].undo.data[0]", "is a function"],
    [{ ...task("a"), undo: { assignedTo: "u", priority: 1 } }, "tasks[0].undo.priority", "is no field of an undo"],
    [{ ...task("a"), templated: "yes" }, "tasks[0].templated", 'is "yes", not true or false'],
    [
      { ...templated("a"), undo: { assignedTo: "u", data: "{{item}}" } },
      "tasks[0].undo.data",
      "holds {{item}}, which means something only",
    ],
    [
      { name: "a", wait: { kind: "input", prompt: "{{results.b}}?" }, templated: true },
      "tasks[0].wait.prompt",
      'holds {{results.b}}, but the task does not depend on "b"',
    ],
    [{ ...templated("a"), data: ["{{item}}"] }, "tasks[0].data[0]", "holds {{item}}, which means something only"],
    [{ ...templated("a"), data: "{{result}}" }, "tasks[0].data", "holds {{result}}, which means something only"],
    [{ ...templated("a"), data: "{{goal.topic}}" }, "tasks[0].data", "holds {{goal.topic}}: a goal has data, id, type"],
    [{ ...templated("a"), data: "{{results.a | x}}" }, "tasks[0].data", 'holds "{{results.a | x}}", which is no path'],
  ];
  test.each(refused.map(([bad, path, problem]) => [path, problem, bad] as const))("%s %s", (path, problem, bad) => {
    const refused = refusal({ tasks: [bad] });
    expect(refused.path).toBe(path);
    expect(refused.message).toStartWith(`${path} ${problem}`);
  });

  test("data that contains itself or is nested without end is refused, shared data is not", () => {
    const self: Record<string, unknown> = {};
    self.inner = [self];
    expect(refusal({ tasks: [{ ...task("a"), data: self }] }).message).toContain(
      "tasks[0].data.inner[0] is an object that",
    );
    const shared = { when: new Date(0), bytes: new Uint8Array(2), none: undefined };
    expect(checkPlan({ tasks: [{ ...task("a"), data: [shared, shared] }] }, "p")).toHaveLength(1);
    let deep: unknown = 1;
    for (let i = 0; i < 10_000; i++) deep = [deep];
    expect(refusal({ tasks: [{ ...task("a"), data: deep }] }).message).toContain("nested deeper than 100");
  });

  test("a misspelt field is refused with the one that was meant", () => {
    const refused = refusal({ tasks: [{ name: "a", assignedTo: "w", dependOn: [] }] });
    expect(refused).toMatchObject({ path: "tasks[0].dependOn", hint: 'did you mean "dependsOn"?' });
  });

  test("a doubled name is refused with both places", () => {
    expect(refusal({ tasks: [task("a"), task("b"), task("a")] }).message).toBe(
      'tasks[2].name is "a", as tasks[0].name is',
    );
  });

  test("every field that a task may have is taken as it is", () => {
    const tasks = [
      { name: "list", goal: "papers.wanted", data: "{{goal.data.topic}}", templated: true, timeoutMs: 5 },
      {
        name: "read",
        assignedTo: "reader",
        dependsOn: ["list"],
        forEach: { over: "{{results.list.papers}}", concurrency: 3 },
        data: { paper: "{{item}}", at: "{{index}}", all: "{{results}}", other: "{{name}}" },
        templated: true,
        undo: { assignedTo: "forget", data: { id: "{{result.id}}", of: "{{item.id}}" }, retry: { maxAttempts: 9 } },
      },
      {
        name: "ask",
        wait: { kind: "input", prompt: "Read {{results.read.length}}. Go on?" },
        templated: true,
        dependsOn: ["read"],
      },
      {
        name: "paid",
        wait: { kind: "event", pattern: "order.{{goal.data.id}}.paid", topic: "business-facts" },
        templated: true,
      },
      { name: "nap", wait: { kind: "sleep", ms: 0 } },
    ];
    const draft = { tasks, budget: { maxTasks: 5, maxDurationMs: 1 }, grows: true, state: "list", reused: { list: 1 } };
    expect(checkPlan(draft, "p")).toEqual(tasks.map((one, i) => ({ ...one, taskId: `p.${i + 1}` }) as never));
  });

  test("text in a task that is not templated may be anything", () => {
    const prompt = "{{item}} {{results.b}} {{results.b | x}} {{result}} {{goal.topic}}";
    const undo = { assignedTo: "u", data: [prompt] };
    const tasks = [
      { ...task("a"), data: { prompt }, undo },
      { ...task("b"), data: prompt, templated: false },
      { name: "ask", wait: { kind: "input", prompt } },
    ];
    expect(checkPlan({ tasks }, "p")).toEqual(tasks.map((one, i) => ({ ...one, taskId: `p.${i + 1}` }) as never));
  });

  test("a template where only text is expected is refused with how to have it filled in", () => {
    const wait = { kind: "event", pattern: "order.{{goal.data.id}}.paid" };
    expect(refusal({ tasks: [{ name: "paid", wait }] })).toMatchObject({
      path: "tasks[0].wait.pattern",
      hint: "templates are filled in only where a task says templated: true",
    });
  });

  test("what it says beside its tasks is checked, too", () => {
    const tasks = [task("search")];
    expect(refusal({ tasks, budget: { maxTasks: 0 } }).path).toBe("budget.maxTasks");
    expect(refusal({ tasks, budget: { maxTask: 5 } })).toMatchObject({
      path: "budget.maxTask",
      hint: 'did you mean "maxTasks"?',
    });
    expect(refusal({ tasks, budget: { maxDurationMs: "1h" } }).message).toBe(
      'budget.maxDurationMs is "1h", not a number',
    );
    expect(refusal({ tasks, grows: 1 }).path).toBe("grows");
    expect(refusal({ tasks, state: "" }).path).toBe("state");
    expect(refusal({ tasks, budgets: {} })).toMatchObject({ path: "budgets", hint: 'did you mean "budget"?' });
    expect(refusal({ tasks, reused: { serch: 1 } })).toMatchObject({
      path: 'reused["serch"]',
      hint: 'did you mean "search"?',
    });
    expect(() => checkPlan({ tasks: [task("a"), task("b")], budget: { maxTasks: 1 } }, "p")).toThrow(
      "plan p may have 1 tasks, and the planner returned 2",
    );
  });

  test("of any graph, either it can be run to its end or the cycle named is one", () => {
    const graph = fc.integer({ min: 1, max: 8 }).chain((size) =>
      fc.array(fc.uniqueArray(fc.integer({ min: 0, max: size - 1 }), { maxLength: 2 }), {
        minLength: size,
        maxLength: size,
      }),
    );
    fc.assert(
      fc.property(graph, (edges) => {
        const tasks = edges.map((to, i) => task(`t${i}`, ...to.map((j) => `t${j}`)));
        const done = new Set<string>();
        for (let before = -1; before < done.size; ) {
          before = done.size;
          for (const { name, dependsOn } of tasks) if (dependsOn.every((other) => done.has(other))) done.add(name);
        }
        if (done.size === tasks.length) {
          expect(checkPlan({ tasks }, "p")).toHaveLength(tasks.length);
          return;
        }
        const names = refusal({ tasks }).message.split(": ")[1]?.split(" → ") ?? [];
        expect(names.length).toBeGreaterThan(1);
        expect(names[0]).toBe(names.at(-1) as string);
        for (let i = 1; i < names.length; i++) {
          expect(tasks.find(({ name }) => name === names[i - 1])?.dependsOn).toContain(names[i] as string);
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("tasks added to a plan under way", () => {
  const underWay = (maxTasks = 100): PlanFold => {
    const fold = new PlanFold("p");
    fold.propose(changes.created(), 1);
    const tasks = checkPlan({ tasks: [task("a"), task("b", "a")] }, "p");
    fold.propose({ type: "plan.started", tasks, grows: true, budget: { maxTasks } }, 2);
    fold.propose({ type: "task.dispatched", taskId: "p.1", attempt: 1 }, 3);
    return fold;
  };
  const problem = (body: () => unknown): unknown => {
    try {
      return body();
    } catch (error) {
      return error;
    }
  };

  test("they go on where the plan's numbers end, may depend on what it has, and are legal", () => {
    const fold = underWay();
    fold.propose({ type: "task.succeeded", taskId: "p.1", attempt: 1, result: 1 }, 4);
    const tasks = checkAddition([task("c", "a", "d"), { ...templated("d"), data: "{{goal.data}}" }], fold);
    expect(tasks.map(({ taskId, name }) => [taskId, name])).toEqual([
      ["p.3", "c"],
      ["p.4", "d"],
    ]);
    expect(fold.propose({ type: "plan.transitioned", taskId: "p.1", tasks }, 5)).toBe(true);
    expect(checkAddition([task("e")], fold)[0]?.taskId).toBe("p.5");
  });

  test("delegated ones have their parent's name and id before their own, and their data as it is", () => {
    const fold = underWay();
    const tasks = checkAddition([{ ...task("x"), data: "{{item}} {{results.y | z}}" }, task("y", "x")], fold, "p.1");
    expect(tasks).toEqual([
      {
        taskId: "p.1.1",
        name: "a/x",
        assignedTo: "w",
        dependsOn: [],
        data: "{{item}} {{results.y | z}}",
        parentTaskId: "p.1",
      },
      { taskId: "p.1.2", name: "a/y", assignedTo: "w", dependsOn: ["a/x"], parentTaskId: "p.1" },
    ]);
    expect(fold.propose({ type: "task.delegated", taskId: "p.1", tasks }, 4)).toBe(true);
    expect(checkAddition([task("z", "y")], fold, "p.1")[0]?.taskId).toBe("p.1.3");
  });

  test("a name that is taken, a task of another parent, a cycle or too many are refused", () => {
    const fold = underWay(4);
    expect(problem(() => checkAddition([task("c"), task("b")], fold))).toMatchObject({
      code: "PLAN_INVALID",
      details: { path: "tasks[1].name" },
    });
    expect(problem(() => checkAddition([task("x", "b")], fold, "p.1"))).toMatchObject({
      details: { path: "tasks[0].dependsOn[0]" },
    });
    expect(problem(() => checkAddition([task("c", "d"), task("d", "c")], fold))).toMatchObject({
      code: "PLAN_INVALID",
    });
    expect(problem(() => checkAddition([task("x")], fold, "p.9"))).toMatchObject({ message: "plan p has no task p.9" });
    expect(
      problem(() => checkAddition([{ ...task("x"), forEach: { over: "{{goal.data}}" } }], fold, "p.1")),
    ).toMatchObject({
      message: "tasks[0].forEach cannot be delegated",
    });
    expect(problem(() => checkAddition([templated("x")], fold, "p.1"))).toMatchObject({
      message: "tasks[0].templated is not for a delegated task to say",
    });
    expect(problem(() => checkAddition([task("c"), task("d"), task("e")], fold))).toMatchObject({
      code: "BUDGET_EXCEEDED",
      message: "plan p may have 4 tasks: it has 2, and the planner would add 3",
    });
  });
});
