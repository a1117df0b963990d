import { expect, test } from "bun:test";
import { addConfiguredAgent } from "./config-module.ts";

const head = `import { defineConfig } from "soorma";\n`;

test.each([
  [`export default defineConfig({ agents: { a: "a.ts" } });`, `{ a: "a.ts", "my-b": "src/agents/my-b.ts" }`],
  [`export default { agents: {} };`, `{ "my-b": "src/agents/my-b.ts" }`],
  [
    `const config = { agents: { a: "a.ts" } } as const;\nexport default defineConfig(config);`,
    `"my-b": "src/agents/my-b.ts"`,
  ],
  [
    `export default defineConfig({ agents: {\n  a: "a.ts", b: "b.ts"\n} });`,
    `  a: "a.ts", b: "b.ts", "my-b": "src/agents/my-b.ts"\n`,
  ],
  [`export default { agents: {\n  a: "a.ts" // a\n} };`, `  a: "a.ts", // a\n  "my-b": "src/agents/my-b.ts"\n`],
  [
    `export default defineConfig({\n  agents: {\n    a: { entry: "a.ts" }, // first\n  },\n} satisfies object);`,
    `    a: { entry: "a.ts" }, // first\n    "my-b": "src/agents/my-b.ts",\n`,
  ],
])("an agent is added to %j", (source, expected) => {
  expect(addConfiguredAgent(`${head}${source}\n`, { name: "my-b", entry: "src/agents/my-b.ts" })).toContain(expected);
});

test.each([
  `export default defineConfig({ agents: all() });`,
  `export default defineConfig({ ...base });`,
  `export default make();`,
  `export default { agents: {`,
])("what is no plain list is left alone: %j", (source) => {
  expect(addConfiguredAgent(`${head}${source}\n`, { name: "b", entry: "src/agents/b.ts" })).toBeUndefined();
});

test.each([
  `export default {\n  agents: {\n    a: "a.ts", // first\n  },\n};\n`,
  `export default {\n  agents: {\n    a: "a.ts" // first\n  },\n};\n`,
  `export default {\n  agents: {\n    a: "a.ts",\n  },\n};\n`,
])("the line ends of Windows are kept in %j", (source) => {
  const added = (text: string) => addConfiguredAgent(text, { name: "b", entry: "src/agents/b.ts" });
  expect(added(source.replaceAll("\n", "\r\n"))).toBe(added(source)?.replaceAll("\n", "\r\n"));
});
