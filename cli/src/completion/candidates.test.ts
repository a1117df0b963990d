import { expect, test } from "bun:test";
import type { CommandGroup, CommandSpec } from "../commands/spec.ts";
import { type Candidate, type Completion, completionOf, type ValueSources } from "./candidates.ts";

const load = (): never => {
  throw new Error("a completion loads no command");
};
const specs: readonly (CommandSpec | CommandGroup)[] = [
  {
    name: "dev",
    summary: "run",
    options: [
      { flags: "--env <environment>", description: "with it" },
      { flags: "--only <agent>", description: "these", collect: (text) => text },
      { flags: "--instances <agent=n>", description: "so many" },
      { flags: "-t, --type <type>", description: "what", choices: ["worker", "planner"] },
      { flags: "--no-wait", description: "at once" },
      { flags: "--secret", description: "hidden", hidden: true },
      { flags: "--dir <folder>", description: "where" },
    ],
    load,
  },
  { name: "goal", summary: "submit", arguments: [{ name: "<type>", description: "" }], load },
  { name: "publish", summary: "publish", arguments: [{ name: "<type>", description: "" }], load },
  {
    name: "events",
    summary: "events",
    commands: [{ name: "tail", summary: "tail", arguments: [{ name: "[pattern]", description: "" }], load }],
  },
  { name: "config", summary: "print", arguments: [{ name: "[path]", description: "" }], load },
  {
    name: "call",
    summary: "call",
    arguments: [
      { name: "<capability>", description: "" },
      { name: "<operation>", description: "" },
      { name: "<file>", description: "" },
    ],
    options: [{ flags: "--timeout <seconds>", description: "" }],
    load,
  },
  {
    name: "plans",
    summary: "plans",
    default: "list",
    commands: [
      { name: "list", summary: "list", options: [{ flags: "--planner <name>", description: "of" }], load },
      { name: "show", summary: "show", arguments: [{ name: "[plan]", description: "" }], load },
    ],
  },
  {
    name: "memory",
    summary: "memory",
    commands: [
      {
        name: "get",
        summary: "get",
        arguments: [{ name: "<key>", description: "" }],
        options: [{ flags: "--after <key>", description: "" }],
        load,
      },
    ],
  },
  {
    name: "schemas",
    summary: "schemas",
    commands: [{ name: "show", summary: "show", arguments: [{ name: "<schema>", description: "" }], load }],
  },
  {
    name: "agents",
    summary: "agents",
    commands: [{ name: "show", summary: "show", arguments: [{ name: "<name>", description: "" }], load }],
  },
];

const list = (...values: string[]) => Promise.resolve(values.map((value): Candidate => ({ value })));
const sources: ValueSources = {
  agents: () => list("live-worker", "live-tool", "evil;rm", "two words", "$(x)"),
  projectAgents: () => list("planner", "worker"),
  plans: () => list("plan-1", "plan-2"),
  planners: () => list("live-planner"),
  goals: () => list("research.goal"),
  events: (which) => list(`order.${which}`, "order.*"),
  capabilities: () => list("arithmetic"),
  operations: (capability) => list(`${capability}.add`),
  keys: (prefix) => list(`${prefix}1`, "other"),
  schemas: () => list("order"),
  environments: () => list("staging", "stable"),
  settings: () => list("mesh", "dev.port"),
};

async function complete(...words: string[]): Promise<string[]> {
  const { candidates, files } = await completionOf(specs, words, sources);
  return [...candidates.map(({ value }) => value), ...(files === undefined ? [] : [`:${files}`])];
}

test.each([
  [["pl"], ["plans"]],
  [["c"], ["config", "call"]],
  [["--v"], ["--version"]],
  [
    ["plans", ""],
    ["list", "show"],
  ],
  [
    ["plans", "--"],
    ["--planner", "--help"],
  ],
  [
    ["plans", "show", ""],
    ["plan-1", "plan-2"],
  ],
  [["plans", "show", "plan-2"], ["plan-2"]],
  [["plans", "list", "--planner", ""], ["live-planner"]],
  [["plans", "--planner", "x", "--"], ["--help"]],
  [["goal", ""], ["research.goal"]],
  [["publish", ""], ["order.consumes"]],
  [["events", "tail", "o"], ["order.produces"]],
  [["config", "d"], ["dev.port"]],
  [["call", "a"], ["arithmetic"]],
  [["call", "arithmetic", ""], ["arithmetic.add"]],
  [["call", "--timeout", "5", "arithmetic", "x", ""], [":any"]],
  [["call", "--timeout", ""], []],
  [["dev", "--no"], ["--no-wait"]],
  [
    ["dev", ""],
    ["--env", "--only", "--instances", "--type", "--no-wait", "--dir", "--help"],
  ],
  [["dev", "--only", "worker", "--o"], ["--only"]],
  [["dev", "--env", "stable", "--e"], []],
  [["dev", "--only", "w"], ["worker"]],
  [
    ["dev", "--instances", ""],
    ["planner=", "worker="],
  ],
  [["dev", "-t", "w"], ["worker"]],
  [
    ["dev", "--env=st"],
    ["--env=staging", "--env=stable"],
  ],
  [["memory", "get", "user:"], ["user:1"]],
  [["memory", "get", "--after", ""], []],
  [["schemas", "show", ""], ["order"]],
  [["dev", "--dir", ""], [":folders"]],
  [["help", "g"], ["goal"]],
  [["nothing", ""], []],
  [
    ["dev", "--nothing=", ""],
    ["--env", "--only", "--instances", "--type", "--no-wait", "--dir", "--help"],
  ],
])("after %j stands %j", async (words, expected) => {
  expect(await complete(...words)).toEqual(expected);
});

test("what a shell would read as more than a word is not offered", async () => {
  expect(await complete("agents", "show", "")).toEqual(["live-worker", "live-tool"]);
});

test("summaries and descriptions go along", async () => {
  const { candidates }: Completion = await completionOf(specs, ["plans", "sh"], sources);
  expect(candidates).toEqual([{ value: "show", description: "show" }]);
});
