import type { ProjectFile } from "../template.ts";
import type { Wiring } from "./agent-module.ts";
import { parseModule } from "./syntax.ts";

export type ContractKind = "task" | "tool" | "event";

export interface ContractFiles {
  /** The contract with its handler, and its test. */
  readonly files: readonly ProjectFile[];
  /** What the agent gets. `from` is the contract's file, relative to the project. */
  readonly wiring: Wiring;
}

const folders = { task: "src/tasks", tool: "src/tools", event: "src/events", goal: "src/goals" } as const;
const defines = { task: "defineTask", tool: "defineTool" } as const;

/** A typed contract, a handler that can be tested without a mesh, and its test. */
export function contractFiles(kind: ContractKind, name: string): ContractFiles {
  const { file, contract, pascal } = namesOf(name, kind);
  const base = `${folders[kind]}/${file}`;
  const quoted = JSON.stringify(name);
  if (kind === "event") {
    const handler = `handle${pascal}`;
    return {
      files: [
        { path: `${base}.ts`, text: eventSource(quoted, contract, handler) },
        { path: `${base}.test.ts`, text: eventTest(quoted, handler, file) },
      ],
      wiring: {
        method: "onEvent",
        from: `${base}.ts`,
        contract,
        handler,
        call: (local) => `(event) => console.log(${local}(event.data))`,
      },
    };
  }
  const handler = `run${pascal}`;
  const parameter = kind === "task" ? "task" : "request";
  return {
    files: [
      { path: `${base}.ts`, text: callSource(kind, quoted, contract, handler) },
      { path: `${base}.test.ts`, text: callTest(quoted, handler, file) },
    ],
    wiring: {
      method: kind === "task" ? "onTask" : "onInvoke",
      from: `${base}.ts`,
      contract,
      handler,
      call: (local) => `(${parameter}) => ${local}(${parameter}.data)`,
    },
  };
}

/** A planner's goal, with the plan for it as a plain function, and its test. */
export function goalFiles(agent: string, assignedTo: string): ContractFiles {
  const name = `${agent}.goal`;
  const { file, contract, pascal } = namesOf(name, "goal");
  const base = `${folders.goal}/${file}`;
  const handler = `plan${pascal}`;
  return {
    files: [
      { path: `${base}.ts`, text: goalSource(JSON.stringify(name), contract, handler, JSON.stringify(assignedTo)) },
      { path: `${base}.test.ts`, text: goalTest(JSON.stringify(name), handler, file) },
    ],
    wiring: {
      method: "onGoal",
      from: `${base}.ts`,
      contract,
      handler,
      call: (local) => `async (goal) => ({ tasks: ${local}(goal.data) })`,
    },
  };
}

/** `paper.search` is `paper-search.ts`, `paperSearch` and `PaperSearch`. */
function namesOf(name: string, kind: string): { file: string; contract: string; pascal: string } {
  const words = name
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .split(/[^A-Za-z0-9]+/)
    .filter((word) => word !== "")
    .map((word) => word.toLowerCase());
  const pascal = words.map(capitalized).join("");
  const camel = `${pascal.slice(0, 1).toLowerCase()}${pascal.slice(1)}`;
  return { file: words.join("-"), contract: isFreeName(camel) ? camel : `${kind}${pascal}`, pascal };
}

function capitalized(word: string): string {
  return `${word.slice(0, 1).toUpperCase()}${word.slice(1)}`;
}

/** What the generated code calls by its name. */
const used = new Set(["console", "defineEvent", "defineGoal", "defineTask", "defineTool", "undefined"]);

/** Not a reserved word, nor what begins with a digit. */
function isFreeName(name: string): boolean {
  if (used.has(name)) return false;
  try {
    return parseModule(`export const ${name} = 1;`).length === 1;
  } catch {
    return false;
  }
}

function callSource(kind: "task" | "tool", name: string, contract: string, handler: string): string {
  const [brings, fails] =
    kind === "task"
      ? [
          "What the task brings along and what it results in",
          "An error thrown here fails the attempt, and it is tried again",
        ]
      : ["What is asked and what is answered", "An error thrown here is what the caller gets"];
  return `import { ${defines[kind]}, type InputOf, type OutputOf, Type } from "soorma";

/** ${brings}. Both are checked at both ends. */
export const ${contract} = ${defines[kind]}({
  name: ${name},
  input: Type.Object({ text: Type.String({ minLength: 1 }) }),
  output: Type.Object({ text: Type.String() }),
});

/** The work. ${fails}. */
export async function ${handler}({ text }: InputOf<typeof ${contract}>): Promise<OutputOf<typeof ${contract}>> {
  return { text: text.toUpperCase() };
}
`;
}

function callTest(name: string, handler: string, file: string): string {
  return `import { expect, test } from "bun:test";
import { ${handler} } from "./${file}.ts";

test(${JSON.stringify(`${JSON.parse(name)} answers`)}, async () => {
  expect(await ${handler}({ text: "hello" })).toEqual({ text: "HELLO" });
});
`;
}

function eventSource(name: string, contract: string, handler: string): string {
  return `import { defineEvent, type InputOf, Type } from "soorma";

/** What the event brings along. An agent publishes it with \`context.bus.publish(${contract}, { id: "…" })\`. */
export const ${contract} = defineEvent({
  name: ${name},
  data: Type.Object({ id: Type.String({ minLength: 1 }) }),
});

/** What is done about it. */
export function ${handler}({ id }: InputOf<typeof ${contract}>): string {
  return \`\${${contract}.name} of \${id}\`;
}
`;
}

function eventTest(name: string, handler: string, file: string): string {
  return `import { expect, test } from "bun:test";
import { ${handler} } from "./${file}.ts";

test(${JSON.stringify(`${JSON.parse(name)} is told`)}, () => {
  expect(${handler}({ id: "7" })).toBe(${JSON.stringify(`${JSON.parse(name)} of 7`)});
});
`;
}

function goalSource(name: string, contract: string, handler: string, assignedTo: string): string {
  return `import { defineGoal, type InputOf, Type } from "soorma";

/** What the goal brings along. */
export const ${contract} = defineGoal({
  name: ${name},
  input: Type.Object({ text: Type.String({ minLength: 1 }) }),
  output: Type.Unknown(),
});

/**
 * The tasks for one goal. Each goes to an agent with this capability, name or id. Those that depend on nothing run at the
 * same time; the others name what they wait for in \`dependsOn\`.
 */
export function ${handler}({ text }: InputOf<typeof ${contract}>) {
  return [{ name: "first", assignedTo: ${assignedTo}, data: { text } }];
}
`;
}

function goalTest(name: string, handler: string, file: string): string {
  return `import { expect, test } from "bun:test";
import { ${handler} } from "./${file}.ts";

test(${JSON.stringify(`each task of ${JSON.parse(name)} has a name of its own`)}, () => {
  const names = ${handler}({ text: "hello" }).map((task) => task.name);
  expect(new Set(names).size).toBe(names.length);
});
`;
}
