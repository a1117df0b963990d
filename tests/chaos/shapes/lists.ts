import { completedWith, failedWith, type Shape } from "./shape.ts";

/** Each task adds one to what the one before made. */
export const chain: Shape = {
  goal: "chaos.chain",
  data: (random) => ({ n: random.between(0, 1_000), length: random.between(2, 6) }),
  plan(planner) {
    planner.onGoal("chaos.chain", ({ data }) => ({
      tasks: Array.from({ length: data.length }, (_, i) => ({
        name: `link-${i}`,
        assignedTo: "add-one",
        data: { n: data.n },
        dependsOn: i === 0 ? [] : [`link-${i - 1}`],
      })),
    }));
  },
  judge: completedWith(
    ({ n, length }) => n + length,
    (result) => Math.max(...Object.values(result as Record<string, { n: number }>).map(({ n }) => n)),
  ),
};

/** Many at once, then one that needs all of them. */
export const fan: Shape = {
  goal: "chaos.fan",
  data: (random) => ({ numbers: Array.from({ length: random.between(3, 12) }, () => random.between(0, 100)) }),
  plan(planner) {
    planner.onGoal("chaos.fan", ({ data }) => {
      const names = data.numbers.map((_: number, i: number) => `part-${i}`);
      return {
        tasks: [
          ...data.numbers.map((n: number, i: number) => ({ name: `part-${i}`, assignedTo: "add-one", data: { n } })),
          { name: "sum", assignedTo: "sum", dependsOn: names },
        ],
      };
    });
  },
  judge: completedWith(
    ({ numbers }) => numbers.reduce((sum: number, n: number) => sum + n + 1, 0),
    (result) => result.sum.n,
  ),
};

/** Fails the first time, and asks a tool the next. */
export const flaky: Shape = {
  goal: "chaos.flaky",
  data: (random) => ({ a: random.between(0, 100), b: random.between(0, 100) }),
  plan(planner) {
    planner.onGoal("chaos.flaky", ({ data }) => ({
      tasks: [
        { name: "first", assignedTo: "fail-first", data },
        { name: "second", assignedTo: "ask-tool", data, dependsOn: ["first"] },
      ],
    }));
  },
  judge: completedWith(
    ({ a, b }) => a * b,
    (result) => result.second.n,
  ),
};

/** Cannot succeed. */
export const doomed: Shape = {
  goal: "chaos.doomed",
  data: (random) => ({ n: random.between(0, 100) }),
  plan(planner) {
    planner.onGoal("chaos.doomed", ({ data }) => ({
      tasks: [
        { name: "before", assignedTo: "add-one", data },
        { name: "doomed", assignedTo: "fail-always", data, dependsOn: ["before"] },
        { name: "after", assignedTo: "add-one", data, dependsOn: ["doomed"] },
      ],
    }));
  },
  judge: failedWith("GOAL_FAILED"),
};

/** Cancelled by its client somewhere in the middle; it may be done before. */
export const cancelled: Shape = {
  goal: "chaos.cancelled",
  data: (random) => ({ n: 0, afterMs: random.between(0, 800) }),
  plan(planner) {
    planner.onGoal("chaos.cancelled", ({ data }) => ({
      tasks: Array.from({ length: 4 }, (_, i) => ({
        name: `slow-${i}`,
        assignedTo: "slow",
        data,
        dependsOn: i === 0 ? [] : [`slow-${i - 1}`],
      })),
    }));
  },
  judge: (_data, outcome) => (outcome.status === "failed" ? `it failed: ${outcome.message}` : undefined),
  async steer({ run, data }) {
    await Bun.sleep(data.afterMs);
    await run.cancel("its client changed its mind");
  },
};
