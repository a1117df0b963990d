import type { TaskSpec } from "@soorma/core";
import type { Chance } from "./chance.ts";
import type { Behaviour, GoalScript } from "./ledger.ts";

/** Retries that outlast every fault: only what a script wants to fail does. */
const patient = { maxAttempts: 60, backoffMs: 20, maxBackoffMs: 500 } as const;

type Shape = (chance: Chance) => { readonly tasks: TaskSpec[]; readonly ends: "completed" | "failed" };

function task(
  chance: Chance,
  name: string,
  dependsOn: readonly string[],
  behaviour: Partial<Behaviour> = {},
): TaskSpec {
  const ms = chance.is(0.2) ? chance.between(200, 2_500) : chance.between(0, 40);
  return {
    name,
    assignedTo: "work",
    dependsOn,
    data: { ms: Math.round(ms), ...behaviour },
    retry: patient,
    priority: chance.whole(0, 2),
    ...(behaviour.hangsUntil === undefined ? {} : { timeoutMs: 3_000 }),
  };
}

/** Sometimes a task throws a few times, or hangs, before it is done. */
function trouble(chance: Chance): Partial<Behaviour> {
  if (chance.is(0.2)) return { failsUntil: chance.whole(2, 4) };
  if (chance.is(0.08)) return { hangsUntil: chance.whole(2, 3) };
  return {};
}

const shapes: Readonly<Record<string, Shape>> = {
  chain(chance) {
    const length = chance.whole(1, 5);
    const tasks = Array.from({ length }, (_, i) =>
      task(chance, `t${i}`, i === 0 ? [] : [`t${i - 1}`], trouble(chance)),
    );
    return { tasks, ends: "completed" };
  },
  fan(chance) {
    const width = chance.whole(2, 6);
    const names = Array.from({ length: width }, (_, i) => `w${i}`);
    return {
      tasks: [
        task(chance, "first", []),
        ...names.map((name) => task(chance, name, ["first"], trouble(chance))),
        task(chance, "join", names),
      ],
      ends: "completed",
    };
  },
  lattice(chance) {
    const tasks: TaskSpec[] = [];
    for (let i = 0; i < chance.whole(4, 8); i++) {
      const before = tasks.map(({ name }) => name).filter(() => chance.is(0.4));
      tasks.push(task(chance, `n${i}`, before, trouble(chance)));
    }
    return { tasks, ends: "completed" };
  },
  fails(chance) {
    return {
      tasks: [task(chance, "ok", []), task(chance, "bad", ["ok"], { fatal: true }), task(chance, "never", ["bad"])],
      ends: "failed",
    };
  },
};

/** A goal out of a seed's chance. */
export function scriptOf(chance: Chance, id: number): GoalScript {
  const shape = shapes[chance.one(Object.keys(shapes))] as Shape;
  const made = shape(chance);
  const cancelled = chance.is(0.1);
  return { id, ...made, ...(cancelled ? { cancelAfterMs: chance.between(0, 3_000) } : {}) };
}
