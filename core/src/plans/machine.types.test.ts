import { expectTypeOf, test } from "bun:test";
import { Type } from "typebox";
import type { AnyData } from "../agents/any-data.ts";
import { defineGoal } from "../contracts.ts";
import { definePlan, type MachineDefinition, type Transition } from "./machine.ts";

const Research = defineGoal({
  name: "research.goal",
  input: Type.Object({ topic: Type.String() }),
  output: Type.Unknown(),
});

test("names of states and the goal's data are typed", () => {
  const definition = definePlan({
    goal: Research,
    initial: "search",
    states: {
      search: {
        task: { assignedTo: "paper_search" },
        on: [
          {
            when: ({ goal, results, visits, failure }) => {
              expectTypeOf(goal.data).toEqualTypeOf<{ topic: string }>();
              expectTypeOf(results).toEqualTypeOf<Readonly<Record<"search" | "done", AnyData>>>();
              expectTypeOf(visits.search).toEqualTypeOf<number>();
              expectTypeOf(failure?.code).toEqualTypeOf<string | undefined>();
              return true;
            },
            to: "done",
          },
          { when: { path: "result.count", gt: 0 }, to: "done" },
        ],
      },
      done: { final: true },
    },
  });
  expectTypeOf(definition).toEqualTypeOf<MachineDefinition>();
});

test("what names no state does not compile", () => {
  // @ts-expect-error there is no such operator
  const more: Transition = { when: { path: "result", more: 0 }, to: "a" };
  expectTypeOf(more).toExtend<object>();
  const wrong = () => [
    // @ts-expect-error no state of that name to begin in
    definePlan({ goal: "g", initial: "b", states: { a: { sleep: 1, on: "a" } } }),
    // @ts-expect-error no state of that name to go to
    definePlan({ goal: "g", initial: "a", states: { a: { sleep: 1, on: "b" } } }),
    // @ts-expect-error a state with nothing to do
    definePlan({ goal: "g", initial: "a", states: { a: { on: "a" } } }),
  ];
  expectTypeOf(wrong).toBeFunction();
});
