import { expect, test } from "bun:test";
import { agentsIn, type Wiring, wireContract } from "./agent-module.ts";

const resize: Wiring = {
  method: "onTask",
  from: "../tasks/resize.ts",
  contract: "resize",
  handler: "runResize",
  call: (handler) => `(task) => ${handler}(task.data)`,
};
const importLine = `import { resize, runResize } from "../tasks/resize.ts";`;
const handlerLine = "worker.onTask(resize, (task) => runResize(task.data));";

function wired(source: string, wiring = resize): string {
  const result = wireContract(source, "worker", wiring);
  if (!result.ok) throw new Error(result.reason);
  return result.text;
}

test("agents are read with kind, variable, name and capabilities, however they are written", () => {
  expect(
    agentsIn(`
      import { Planner as P, Tool, type Static, Worker } from "soorma";
      import { Worker as Other } from "elsewhere";
      export const one = new Worker({ name: "a", capabilities: ["x", "y"] as const } satisfies object);
      const two = (new P({ ...options })).onGoal("g", async () => ({ tasks: [] })), three = new Tool(options);
      const none = new Other({ name: "b" });
      function later() { const inner = new Worker({ name: "c" }); }
    `),
  ).toEqual([
    { kind: "worker", variable: "one", name: "a", capabilities: ["x", "y"] },
    { kind: "planner", variable: "two", name: undefined, capabilities: [] },
    { kind: "tool", variable: "three", name: undefined, capabilities: [] },
  ]);
});

test("import and handler go where the others are, and the rest stays as it was", () => {
  const source = `#!/usr/bin/env bun
// Resizes photos.
import { Worker } from "soorma";
import { work } from "../work.ts"; // as it is

const worker = new Worker({
  name: "photos", // its name
  capabilities: ["work"],
});

worker.onTask("work", (task) => work(task.data)); // the first

// Last of all.
await worker.run();
`;
  const expected = source
    .replace(`"../work.ts";`, (found) => `${found}\n${importLine}`)
    .replace("// the first", (found) => `${found}\n${handlerLine}`)
    .replace(`\n${importLine} // as it is`, ` // as it is\n${importLine}`);
  expect(wired(source)).toBe(expected);
});

test("after a handler of several lines there is an empty line, and a comment stays with its statement", () => {
  const source = `import { Worker } from "soorma";
const worker = new Worker({ name: "photos" });
worker.onTask("work", async () => {
  return 1;
});

// Last of all.
await worker.run();
`;
  expect(wired(source)).toBe(`import { Worker } from "soorma";
${importLine}
const worker = new Worker({ name: "photos" });
worker.onTask("work", async () => {
  return 1;
});

${handlerLine}

// Last of all.
await worker.run();
`);
});

test("an agent that is run together with others gets its handler before that", () => {
  const source = `import { Worker } from "soorma";
const worker = new Worker(options);
await Promise.all([worker.run()]);
`;
  expect(wired(source)).toContain(`${handlerLine}\n\nawait Promise.all`);
});

test("an agent that another module runs gets its handler at the end", () => {
  const source = `import { Worker } from "soorma";\nexport const worker = new Worker({ capabilities: [] });\n`;
  expect(wired(source)).toBe(
    `import { Worker } from "soorma";\n${importLine}\nexport const worker = new Worker({ capabilities: [] });\n\n${handlerLine}\n`,
  );
});

test("names that are taken are imported under others", () => {
  const source = `import { Worker } from "soorma";
import { resize } from "sharp";
const worker = new Worker({ capabilities: [] });
worker.onTask("thumb", (task) => resize(task.data));
await worker.run();
`;
  expect(wired(source)).toContain(`import { resize as resize2, runResize } from "../tasks/resize.ts";`);
  expect(wired(source)).toContain("worker.onTask(resize2, (task) => runResize(task.data));");
});

test("where no such agent stands at the top level nothing is changed, and the lines to add are said", () => {
  const source = `import { Worker } from "soorma";\nexport function make() { const worker = new Worker({}); }\n`;
  expect(wireContract(source, "worker", resize)).toEqual({
    ok: false,
    reason: "it makes no agent called worker at its top level",
    lines: [importLine, handlerLine],
  });
});

test("a text that only looks like code is not taken for it", () => {
  const source = `import { Worker } from "soorma";
const example = \`
await worker.run();
\`;
const worker = new Worker({ description: "await worker.run();", capabilities: ["a"] });
await worker.run();
`;
  const text = wired(source);
  expect(text).toContain("const example = `\nawait worker.run();\n`;");
  expect(text).toEndWith(`["a"] });\n${handlerLine}\n\nawait worker.run();\n`);
});

test("a file with the line ends of Windows keeps them, and its comments", () => {
  const source = `import { Worker } from "soorma"; // as it is
const worker = new Worker({ capabilities: ["a"] });
worker.onTask("a", () => 1); // the first

await worker.run();
`;
  expect(wired(source.replaceAll("\n", "\r\n"))).toBe(wired(source).replaceAll("\n", "\r\n"));
});
