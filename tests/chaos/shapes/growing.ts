import { definePlan } from "@soorma/core";
import { completedWith, type Shape } from "./shape.ts";

const counting = definePlan({
  goal: "chaos.counting",
  initial: "count",
  states: {
    count: {
      task: { assignedTo: "count-up" },
      on: [{ to: "check", when: ({ visits, goal }) => visits.count >= goal.data.rounds }, { to: "count" }],
    },
    check: { task: { assignedTo: "add-one", data: { n: "{{results.count.n}}" } }, on: "nap" },
    nap: { sleep: 50, on: "done" },
    done: { final: true, result: { n: "{{results.check.n}}" } },
  },
});

/** A state machine that goes round. */
export const machine: Shape = {
  goal: "chaos.counting",
  data: (random) => ({ rounds: random.between(1, 4) }),
  plan(planner) {
    planner.onGoal(counting);
  },
  judge: completedWith(
    ({ rounds }) => rounds + 1,
    (result) => result.n,
  ),
};

/** A task that is a plan of its own. */
export const nested: Shape = {
  goal: "chaos.nested",
  data: (random) => ({ n: random.between(0, 1_000), length: random.between(1, 4) }),
  plan(planner) {
    planner.onGoal("chaos.nested", ({ data }) => ({
      tasks: [
        { name: "inner", goal: "chaos.chain", data },
        { name: "after", assignedTo: "add-one", data: { n: 0 }, dependsOn: ["inner"] },
      ],
    }));
  },
  judge: completedWith(
    ({ n, length }) => n + length,
    ({ inner }) => Math.max(...Object.values(inner as Record<string, { n: number }>).map(({ n }) => n)),
  ),
};

/** Adds a task for each that ends, until there are enough. */
export const growing: Shape = {
  goal: "chaos.growing",
  data: (random) => ({ count: random.between(1, 5) }),
  plan(planner) {
    planner.onGoal("chaos.growing", () => ({
      tasks: [{ name: "grown-1", assignedTo: "add-one", data: { n: 0 } }],
    }));
    planner.onTransition("chaos.growing", ({ plan, goalData }) => {
      const number = plan.tasks.length + 1;
      if (number > goalData.count) return undefined;
      return { tasks: [{ name: `grown-${number}`, assignedTo: "add-one", data: { n: number - 1 } }] };
    });
  },
  judge: completedWith(
    ({ count }) => Array.from({ length: count }, (_, i) => i + 1),
    (result) => Object.values(result as Record<string, { n: number }>).map(({ n }) => n),
  ),
};

/** Cancelled with a plan inside it. */
export const cancelledNested: Shape = {
  goal: "chaos.cancelled-nested",
  data: (random) => ({ n: 0, afterMs: random.between(0, 1_000) }),
  plan(planner) {
    planner.onGoal("chaos.cancelled-nested", ({ data }) => ({
      tasks: [{ name: "inner", goal: "chaos.cancelled", data }],
    }));
  },
  judge: (_data, outcome) => (outcome.status === "failed" ? `it failed: ${outcome.message}` : undefined),
  async steer({ run, data }) {
    await Bun.sleep(data.afterMs);
    await run.cancel("its client changed its mind");
  },
};
