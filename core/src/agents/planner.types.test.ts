import { expectTypeOf, test } from "bun:test";
import { Type } from "typebox";
import { defineGoal, defineTask } from "../contracts.ts";
import { definePlan } from "../plans/machine.ts";
import type { AnyData } from "./any-data.ts";
import type { Client } from "./client.ts";
import type { GoalRun } from "./goal-run.ts";
import { planTask } from "./plan-task.ts";
import type { Planner } from "./planner.ts";

const Research = defineGoal({
  name: "research.goal",
  input: Type.Object({ topic: Type.String() }),
  output: Type.Object({ summary: Type.String() }),
});
const Search = defineTask({
  name: "paper_search",
  input: Type.Object({ query: Type.String(), limit: Type.Integer(), tags: Type.Array(Type.String()) }),
  output: Type.Unknown(),
});

test("handlers get the goal's data typed by its contract", () => {
  const uses = (planner: Planner, client: Client) => {
    planner.onGoal(Research, ({ data }) => {
      expectTypeOf(data).toEqualTypeOf<{ topic: string }>();
      return { tasks: [] };
    });
    planner.onGoal("other.goal", ({ data }) => {
      expectTypeOf(data).toEqualTypeOf<AnyData>();
      return { tasks: [] };
    });
    planner.onTransition(Research, ({ goalData, task }) => {
      expectTypeOf(goalData).toEqualTypeOf<{ topic: string }>();
      expectTypeOf(task.attempt).toEqualTypeOf<number>();
      return undefined;
    });
    // @ts-expect-error a plan has tasks
    planner.onGoal("bad.goal", () => ({}));
    // @ts-expect-error a type needs a handler
    planner.onGoal("bad.goal");
    expectTypeOf(
      planner.onGoal(
        definePlan({ goal: Research, initial: "a", states: { a: { sleep: 1, on: "b" }, b: { final: true } } }),
      ),
    ).toEqualTypeOf<Planner>();
    expectTypeOf(client.submitGoal(Research, { topic: "" })).resolves.toEqualTypeOf<GoalRun<{ summary: string }>>();
    expectTypeOf(client.attach("")).resolves.toEqualTypeOf<GoalRun<AnyData>>();
  };
  expectTypeOf(uses).toBeFunction();
});

test("a task's data is typed by its contract, and any part of a templated one's may be a template", () => {
  const uses = () => [
    planTask(Search, { query: "a", limit: 1, tags: [] }),
    planTask(
      Search,
      { query: "about {{goal.data.topic}}", limit: "{{goal.data.limit}}", tags: ["{{item}}"] },
      { templated: true },
    ),
    planTask(Search, "{{results.query}}", { templated: true }),
    // @ts-expect-error templates are for tasks that say so
    planTask(Search, { query: "a", limit: "{{goal.data.limit}}", tags: [] }),
    // @ts-expect-error nor are they where a task says that it has none
    planTask(Search, "{{results.query}}", { templated: false }),
    // @ts-expect-error not a number
    planTask(Search, { query: "a", limit: "one", tags: [] }),
    // @ts-expect-error neither a number nor a template
    planTask(Search, { query: "a", limit: "one", tags: [] }, { templated: true }),
    // @ts-expect-error a field is missing
    planTask(Search, { query: "a", limit: 1 }),
    // @ts-expect-error who does it is the contract's to say
    planTask(Search, { query: "a", limit: 1, tags: [] }, { goal: "x" }),
  ];
  expectTypeOf(uses).toBeFunction();
});
