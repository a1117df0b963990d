import { completedWith, failedWith, type Shape } from "./shape.ts";

/** Two tasks with side effects in steps. */
export const steps: Shape = {
  goal: "chaos.steps",
  data: (random) => ({ n: random.between(0, 100) }),
  plan(planner) {
    planner.onGoal("chaos.steps", ({ data }) => ({
      tasks: [
        { name: "first", assignedTo: "charge", data },
        { name: "second", assignedTo: "charge", data, dependsOn: ["first"] },
      ],
    }));
  },
  judge: completedWith(
    () => [3, 3],
    (result) => [result.first.effects.length, result.second.effects.length],
  ),
};

/** A task that has others do the work, of which one has side effects. */
export const delegated: Shape = {
  goal: "chaos.delegated",
  data: (random) => ({ numbers: Array.from({ length: random.between(2, 6) }, () => random.between(0, 100)) }),
  plan(planner) {
    planner.onGoal("chaos.delegated", ({ data }) => ({ tasks: [{ name: "all", assignedTo: "delegate", data }] }));
  },
  judge: completedWith(
    ({ numbers }) => ({ parts: numbers.map((n: number) => n + 1), charged: 3 }),
    ({ all }) => ({ parts: all.parts, charged: all.charged }),
  ),
};

/** A list found by one task, done item by item, and summed up. */
export const each: Shape = {
  goal: "chaos.each",
  data: (random) => ({ count: random.between(0, 8), concurrency: random.between(1, 4) }),
  plan(planner) {
    planner.onGoal("chaos.each", ({ data }) => ({
      tasks: [
        { name: "list", assignedTo: "make-list", data },
        {
          name: "each",
          assignedTo: "add-one",
          dependsOn: ["list"],
          forEach: { over: "{{results.list.items}}", concurrency: data.concurrency },
          data: { n: "{{item}}" },
          templated: true,
        },
        { name: "sum", assignedTo: "sum-each", dependsOn: ["each"] },
      ],
    }));
  },
  judge: completedWith(
    ({ count }) => Array.from({ length: count }, (_, i) => i + 1),
    ({ each, sum }) => {
      const numbers = each.map(({ n }: { n: number }) => n);
      return sum.n === numbers.reduce((a: number, b: number) => a + b, 0) ? numbers : { numbers, sum };
    },
  ),
};

/** What was done is taken back in reverse order, since the last task cannot succeed. */
export const undone: Shape = {
  goal: "chaos.undone",
  data: (random) => ({ n: random.between(0, 100) }),
  plan(planner) {
    const undo = { assignedTo: "take-back" };
    planner.onGoal("chaos.undone", ({ data }) => ({
      tasks: [
        { name: "first", assignedTo: "charge", data, undo },
        { name: "second", assignedTo: "charge", data, dependsOn: ["first"], undo },
        { name: "doomed", assignedTo: "fail-always", data, dependsOn: ["second"] },
      ],
    }));
  },
  judge: failedWith("GOAL_FAILED"),
};
