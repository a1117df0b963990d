import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findAgents } from "./agents.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "soorma-agents-"));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

function write(name: string, content: unknown = ""): void {
  mkdirSync(dirname(join(root, name)), { recursive: true });
  writeFileSync(join(root, name), typeof content === "string" ? content : JSON.stringify(content));
}
const found = (...rest: Parameters<typeof findAgents> extends [string, ...infer R] ? R : never): string[] =>
  findAgents(root, ...rest).map(({ name, file }) => `${name} ${file.slice(root.length + 1)}`);

test("agents are what the configuration names, else src/agents, else one file, else what package.json names", () => {
  expect(found({})).toEqual([]);
  write("package.json", { name: "@me/shop", main: "missing.ts", module: "lib/main.ts" });
  expect(found({})).toEqual([]);
  write("lib/main.ts");
  expect(found({})).toEqual(["shop lib/main.ts"]);
  write("package.json", { name: "shop", module: "lib/main.ts", soorma: { agents: { a: "lib/main.ts" } } });
  expect(found({})).toEqual(["a lib/main.ts"]);
  write("agent.ts");
  expect(found({})).toEqual(["shop agent.ts"]);
  write("src/agent.ts");
  expect(found({})).toEqual(["shop src/agent.ts"]);
  write("src/agents/b.ts");
  write("src/agents/b.test.ts");
  write("src/agents/a.js");
  expect(found({})).toEqual(["a src/agents/a.js", "b src/agents/b.ts"]);
  expect(found({ agents: { c: "agent.ts" } })).toEqual(["c agent.ts"]);
});

test("the entry of a plugin is no agent", () => {
  write("package.json", { name: "p", main: "index.ts", soorma: { kind: "transport", name: "p", api: 1 } });
  write("index.ts");
  expect(found({})).toEqual([]);
});

test("what names no file is told with its path", () => {
  expect(() => found({ agents: { c: "c.ts" } })).toThrow(`soorma.config.ts: agents.c names ${root}/c.ts`);
  write("package.json", { soorma: { agents: { a: 1 } } });
  expect(() => found({})).toThrow("package.json: soorma.agents.a names no file");
});

test("--only and --instances choose, and a wrong name is told with the nearest", () => {
  write("src/agents/planner.ts");
  write("src/agents/worker.ts");
  const config = { agents: { worker: { entry: "src/agents/worker.ts", instances: 2 }, p: "src/agents/planner.ts" } };
  const names = (...rest: Parameters<typeof found>): string[] => found(...rest).map((text) => text.split(" ")[0] ?? "");
  expect(names(config)).toEqual(["worker-1", "worker-2", "p"]);
  expect(names(config, { only: ["worker"], instances: { worker: 1 } })).toEqual(["worker"]);
  expect(names({}, { instances: { worker: 3 } })).toEqual(["planner", "worker-1", "worker-2", "worker-3"]);
  expect(() => names({}, { only: ["wroker"] })).toThrow('there is no agent "wroker"');
});

test("an agent that is called like an instance of another one is told", () => {
  write("a.ts");
  const config = { agents: { worker: { entry: "a.ts", instances: 2 }, "worker-2": "a.ts" } };
  expect(() => found(config)).toThrow('the agents worker and worker-2 would both have a process called "worker-2"');
  expect(found(config, { instances: { worker: 1 } })).toEqual(["worker a.ts", "worker-2 a.ts"]);
});
