import { type CommandGroup, type CommandSpec, json, type OptionSpec } from "../spec.ts";

const name = { name: "<name>", description: "letters, digits, dots, dashes, underscores: paper_search, order.placed" };
const dir: OptionSpec = {
  flags: "--dir <folder>",
  description: "the project's folder (default: the nearest one upwards)",
};
const dryRun: OptionSpec = { flags: "--dry-run", description: "list the files, change nothing" };

function agentOption(kind: string): OptionSpec {
  return { flags: "-a, --agent <name>", description: `the ${kind} that gets it (default: the only one)` };
}

function contract(
  kind: "task" | "tool" | "event",
  texts: Pick<CommandSpec, "summary" | "description" | "examples"> & { readonly agent: string },
): CommandSpec {
  const { agent, ...rest } = texts;
  return {
    name: kind,
    ...rest,
    arguments: [name],
    options: [agentOption(agent), dir, dryRun, json],
    load: async () => (await import("./contract.ts")).addContract(kind),
  };
}

/** `soorma add …` */
export const add: CommandGroup = {
  name: "add",
  summary: "add to a project: an agent, or a typed contract with its handler and test",
  description:
    "Adds to the project in this folder. Nothing that exists is overwritten; an agent's file and soorma.config.ts are " +
    "changed only where that is safe, otherwise the lines to add are printed and the exit code is 1.",
  examples: [
    ["soorma add agent photos --type worker", "src/agents/photos.ts with a first task"],
    ["soorma add task resize --agent photos", "src/tasks/resize.ts, its test, and the handler in the agent"],
  ],
  commands: [
    {
      name: "agent",
      summary: "add an agent with a first task, operation or goal",
      description:
        "Writes src/agents/<name>.ts, and a contract with its handler and test for each capability (of a planner: for its " +
        "goal). A project whose soorma.config.ts lists its agents gets it listed there.",
      arguments: [{ name: "[name]", description: "the agent's name: lower-case letters, digits, dashes" }],
      options: [
        { flags: "-t, --type <type>", description: "what kind of agent", choices: ["worker", "planner", "tool"] },
        { flags: "-d, --description <text>", description: "one sentence: what the agent does" },
        {
          flags: "-c, --capabilities <list>",
          description: "what it can be asked for, separated by commas (default: its name)",
        },
        dir,
        dryRun,
        json,
      ],
      examples: [
        ["soorma add agent photos --type worker", "a worker with the task photos"],
        ["soorma add agent photos --type worker --capabilities resize,rotate", "a worker with two tasks"],
      ],
      load: async () => (await import("./agent.ts")).runAddAgent,
    },
    contract("task", {
      agent: "worker",
      summary: "add a task that a worker does",
      description:
        "Writes src/tasks/<name>.ts with the task's contract and handler, its test, and lets the worker take it.",
      examples: [
        ["soorma add task resize", "for the project's only worker"],
        ["soorma add task paper_search --agent searcher", "for one of several"],
      ],
    }),
    contract("tool", {
      agent: "tool",
      summary: "add an operation that a tool answers",
      description:
        "Writes src/tools/<name>.ts with the operation's contract and handler, its test, and lets the tool answer it.",
      examples: [
        ["soorma add tool convert", "for the project's only tool"],
        ["soorma add tool convert --agent units", "for one of several"],
      ],
    }),
    contract("event", {
      agent: "agent",
      summary: "add an event that an agent takes",
      description:
        "Writes src/events/<name>.ts with the event's contract and handler, its test, and lets the agent take it.",
      examples: [
        ["soorma add event order.placed", "for the project's only agent"],
        ["soorma add event order.placed --agent billing", "for one of several"],
      ],
    }),
  ],
};
