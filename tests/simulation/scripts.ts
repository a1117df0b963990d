import type { TaskSpec } from "@soorma/core";
import type { Chance } from "./chance.ts";
import { howOf, patient } from "./handlers.ts";
import type { Act, Behaviour, GoalScript } from "./ledger.ts";

type Made = Pick<GoalScript, "tasks" | "ends" | "code" | "budget" | "type" | "data">;
type Shape = (chance: Chance, id: number) => Made;

/** Mostly short work, sometimes long. */
function work(chance: Chance): Act {
  return { do: "work", ms: Math.round(chance.is(0.15) ? chance.between(200, 2_500) : chance.between(0, 40)) };
}

/** Sometimes the attempts throw a few times, or hang, before one goes on. */
function trouble(chance: Chance): Act[] {
  if (chance.is(0.2)) return [{ do: "throw", until: chance.whole(2, 4) }];
  if (chance.is(0.08)) return [{ do: "hang", until: chance.whole(2, 3) }];
  return [];
}

function task(
  chance: Chance,
  name: string,
  dependsOn: readonly string[] = [],
  acts: readonly Act[] = [work(chance)],
  more: Partial<TaskSpec> & { readonly returns?: unknown } = {},
): TaskSpec {
  const { returns, ...spec } = more;
  const data: Behaviour = { acts, ...(returns === undefined ? {} : { returns }) };
  return {
    name,
    assignedTo: "work",
    dependsOn,
    data,
    ...howOf(data),
    priority: chance.whole(0, 2),
    ...spec,
  };
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, i) => `${prefix}${i}`);
}

function chain(chance: Chance, prefix: string, length: number): TaskSpec[] {
  return names(prefix, length).map((name, i, all) =>
    task(chance, name, i === 0 ? [] : [all[i - 1] as string], [work(chance), ...trouble(chance)]),
  );
}

/** A few steps, with trouble between them. */
function steps(chance: Chance, count: number, prefix = "step"): Act[] {
  return names(prefix, count).flatMap((name): Act[] => [
    { do: "step", name, ms: Math.round(chance.between(0, 100)) },
    ...(chance.is(0.3) ? [work(chance)] : []),
    ...(chance.is(0.2) ? [{ do: "throw", until: chance.whole(2, 4) } as const] : []),
  ]);
}

const shapes: Readonly<Record<string, Shape>> = {
  chain: (chance) => ({ tasks: chain(chance, "t", chance.whole(1, 5)), ends: "completed" }),

  fan(chance) {
    const middle = names("w", chance.whole(2, 6));
    return {
      tasks: [
        task(chance, "first"),
        ...middle.map((name) => task(chance, name, ["first"], [work(chance), ...trouble(chance)])),
        task(chance, "join", middle),
      ],
      ends: "completed",
    };
  },

  lattice(chance) {
    const tasks: TaskSpec[] = [];
    for (const name of names("n", chance.whole(4, 8))) {
      const before = tasks.map((one) => one.name).filter(() => chance.is(0.4));
      tasks.push(task(chance, name, before, [work(chance), ...trouble(chance)]));
    }
    return { tasks, ends: "completed" };
  },

  fails: (chance) => ({
    tasks: [
      task(chance, "ok"),
      task(chance, "bad", ["ok"], [work(chance), { do: "fatal" }]),
      task(chance, "never", ["bad"]),
    ],
    ends: "failed",
  }),

  steps: (chance) => ({
    tasks: names("s", chance.whole(1, 3)).map((name) => task(chance, name, [], steps(chance, chance.whole(1, 4)))),
    ends: "completed",
  }),

  delegates(chance) {
    const tasks = names("c", chance.whole(1, 4)).map(
      (): Behaviour => ({ acts: [work(chance), ...(chance.is(0.3) ? steps(chance, 2) : trouble(chance))] }),
    );
    const acts: Act[] = [
      ...(chance.is(0.5) ? steps(chance, 1) : []),
      { do: "delegate", tasks, atOnce: chance.is(0.6) },
      ...trouble(chance),
    ];
    return { tasks: [task(chance, "parent", [], acts), task(chance, "after", ["parent"])], ends: "completed" };
  },

  sleeps: (chance) => ({
    tasks: [
      task(
        chance,
        "naps",
        [],
        [
          ...steps(chance, 1),
          { do: "sleep", ms: Math.round(chance.between(10, 4_000)) },
          ...steps(chance, 1, "later"),
          ...trouble(chance),
        ],
      ),
      task(chance, "after", ["naps"]),
    ],
    ends: "completed",
  }),

  asks: (chance) => ({
    tasks: [
      task(chance, "asks", [], [work(chance), { do: "input" }, work(chance), ...trouble(chance)]),
      task(chance, "after", ["asks"]),
    ],
    ends: "completed",
  }),

  hears: (chance, id) => ({
    tasks: [task(chance, "hears", [], [work(chance), { do: "event", type: `sim.signal.g${id}` }, ...trouble(chance)])],
    ends: "completed",
  }),

  waits: (chance, id) => ({
    tasks: [
      task(chance, "before"),
      { name: "person", wait: { kind: "input", prompt: "go on?" }, dependsOn: ["before"] },
      { name: "pause", wait: { kind: "sleep", ms: Math.round(chance.between(10, 3_000)) }, dependsOn: ["before"] },
      ...(chance.is(0.5)
        ? [{ name: "word", wait: { kind: "event", pattern: `sim.word.g${id}` }, dependsOn: ["before"] } as const]
        : []),
      task(chance, "after", ["person", "pause"]),
    ],
    ends: "completed",
  }),

  forEach(chance) {
    const items = names("item", chance.whole(0, 6));
    return {
      tasks: [
        task(chance, "list", [], [work(chance)], { returns: { items } }),
        task(chance, "each", ["list"], [work(chance), ...trouble(chance)], {
          forEach: {
            over: "{{results.list.returns.items}}",
            ...(chance.is(0.5) ? { concurrency: chance.whole(1, 3) } : {}),
          },
          returns: "{{item}}",
          templated: true,
        }),
        task(chance, "join", ["each"]),
      ],
      ends: "completed",
    };
  },

  subPlan(chance, id) {
    const inner = chain(chance, "inner", chance.whole(1, 3));
    return {
      tasks: [
        task(chance, "before"),
        { name: "sub", goal: "sim.goal", data: { id, tasks: inner }, dependsOn: ["before"], retry: patient },
        task(chance, "after", ["sub"]),
      ],
      ends: "completed",
    };
  },

  undoes(chance) {
    const done = names("d", chance.whole(1, 3));
    return {
      tasks: [
        ...done.map((name, i) =>
          task(chance, name, i === 0 ? [] : [done[i - 1] as string], [work(chance)], {
            undo: { assignedTo: "undo", data: { of: name }, retry: patient },
          }),
        ),
        task(chance, "bad", done, [work(chance), { do: "fatal" }]),
      ],
      ends: "failed",
    };
  },

  grows(chance) {
    const [first, ...more] = names("g", chance.whole(2, 5)).map((name) => {
      const acts: Act[] = [work(chance), ...(chance.is(0.2) ? ([{ do: "fatal" }] as const) : trouble(chance))];
      return task(chance, name, [], acts);
    });
    return { type: "sim.grow", tasks: first ? [first] : [], data: { more }, ends: "completed" };
  },

  rounds(chance) {
    const acts: Act[] = [work(chance), ...steps(chance, 1), ...(chance.is(0.2) ? ([{ do: "fatal" }] as const) : [])];
    return {
      type: "sim.rounds",
      tasks: [],
      data: { behaviour: { acts }, rounds: chance.whole(1, 3) },
      ends: "completed",
    };
  },

  budget(chance) {
    const tasks = names("c", 5).map((): Behaviour => ({ acts: [work(chance)] }));
    return {
      tasks: [task(chance, "greedy", [], [{ do: "delegate", tasks, atOnce: true }])],
      budget: { maxTasks: chance.whole(2, 5) },
      ends: "failed",
      code: "BUDGET_EXCEEDED",
    };
  },
};

/** A goal out of a seed's chance. */
export function scriptOf(chance: Chance, id: number): GoalScript {
  const shape = shapes[chance.one(Object.keys(shapes))] as Shape;
  const made = shape(chance, id);
  const cancelled = chance.is(0.1);
  const paused = chance.is(0.1);
  return {
    id,
    ...made,
    ...(cancelled ? { cancelAfterMs: chance.between(0, 3_000) } : {}),
    ...(paused ? { pauseAfterMs: chance.between(0, 1_500) } : {}),
  };
}
