import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { SoormaError } from "../errors.ts";
import { checkPlan } from "./graph.ts";

const task = (name: string, ...dependsOn: string[]) => ({ name, assignedTo: "w", dependsOn });
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
