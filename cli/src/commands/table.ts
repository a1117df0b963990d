import { includes, pluginKinds, projectTypes } from "../scaffold/project-types.ts";
import { parseTime } from "../ui/time.ts";
import { add } from "./add/table.ts";
import { inspection } from "./inspection.ts";
import { plans } from "./plans/table.ts";
import { environment, parsePort, projectCommands } from "./project-table.ts";
import { recordings } from "./recordings/table.ts";
import { type CommandGroup, type CommandSpec, json, parseList, parseSeconds } from "./spec.ts";

/** Every command there is. Help, suggestions and the command reference are made of this. */
export const commands: readonly (CommandSpec | CommandGroup)[] = [
  {
    name: "init",
    summary: "create a project with an agent in it",
    description:
      "Creates a project. On a terminal it asks for what is not given; elsewhere name and --type are needed.",
    arguments: [
      { name: "[name]", description: "name of the project and its agent: lower-case letters, digits, dashes" },
    ],
    options: [
      { flags: "-t, --type <type>", description: "what to create", choices: projectTypes },
      { flags: "--kind <kind>", description: "of a plugin: which kind (default: transport)", choices: pluginKinds },
      { flags: "-d, --description <text>", description: "one sentence: what it does" },
      { flags: "-c, --capabilities <list>", description: "what it can be asked for, separated by commas" },
      {
        flags: "--with <list>",
        description: `what else: ${includes.join(", ")}, separated by commas, or none (default: none)`,
        parse: parseList(includes),
      },
      {
        flags: "--transport <plugin>",
        description: "what messages go over: short name, package or path (default: zeromq)",
      },
      {
        flags: "--registry <plugin>",
        description: "where agents find each other: short name, package or path (default: broker)",
      },
      { flags: "--address <address>", description: "where the broker listens, as the transport writes it" },
      { flags: "--dir <folder>", description: "where to create it (default: ./<name>)" },
      { flags: "-y, --yes", description: "ask nothing, take the defaults" },
      { flags: "--dry-run", description: "list the files, write nothing" },
      { flags: "--no-install", description: "do not install the dependencies" },
      { flags: "--no-git", description: "do not make it a git repository" },
      {
        flags: "--packages <folder>",
        description: "install soorma from the packed .tgz files in this folder (default: $SOORMA_PACKAGES)",
      },
      json,
    ],
    examples: [
      ["soorma init", "asks for everything"],
      ["soorma init research-team --type team --with ci,docker --yes", "no questions"],
    ],
    load: async () => (await import("./init.ts")).runInit,
  },
  add,
  {
    name: "dev",
    summary: "run the project's agents here, with broker and state node; reload on change",
    description:
      "Starts a broker, a state node and every agent of the project as processes of their own, restarts the agents a saved " +
      "file belongs to, and stops everything at Ctrl-C.",
    options: [
      { flags: "--build", description: "bundle the agents first and run the bundles" },
      { flags: "--infra-only", description: "start broker and state node, no agents" },
      {
        flags: "--only <agent>",
        description: "start this agent and no others; give it again for more",
        collect: (text, previous = []) => [...(previous as string[]), text],
      },
      {
        flags: "--instances <agent=n>",
        description: "so many processes of an agent, whatever the configuration says; give it again for others",
        collect: parseInstances,
      },
      { flags: "--detach", description: "start in the background and return when everything is ready" },
      { flags: "--stop", description: "stop what runs in this project" },
      { flags: "--status", description: "show what runs in this project" },
      { flags: "--logs", description: "print the logs of this project's mesh, as `soorma logs` does" },
      { flags: "--follow", description: "with --logs: go on printing until the mesh stops or Ctrl-C" },
      { flags: "--inspect", description: "start each agent with a debugger, and print where it listens" },
      { flags: "--no-types", description: "do not check types when a file is saved" },
      {
        flags: "--clean",
        description: "remove the project's plans, memory, logs and bundles before the start; with --stop: after it",
      },
      { flags: "-y, --yes", description: "with --clean: do not ask" },
      {
        flags: "--port <port>",
        description: "broker on this TCP port of 127.0.0.1 (default: a socket file)",
        parse: parsePort,
      },
      environment,
      { flags: "--dir <folder>", description: "the project's folder (default: the nearest one upwards)" },
      json,
    ],
    examples: [
      ["soorma dev", "everything in the foreground"],
      ["soorma dev --detach && soorma dev --status", "everything in the background"],
    ],
    load: async () => (await import("./dev.ts")).runDev,
  },
  {
    name: "goal",
    summary: "submit a goal, watch its progress, print the result",
    arguments: [
      { name: "<type>", description: "the goal's type, as a planner handles it" },
      { name: "[json]", description: "the goal's data (default: {}); `-` reads it from stdin, `@file` from a file" },
    ],
    options: [
      { flags: "--timeout <seconds>", description: "give up after this long (default: 300)", parse: parseSeconds },
      { flags: "--no-wait", description: "print the plan's id as soon as a planner has the goal" },
      json,
    ],
    description:
      "Submits a goal, shows its progress on stderr and prints the result on stdout. Ctrl-C cancels the goal.",
    examples: [
      [`soorma goal research.goal '{"topic":"bees"}'`, "progress on stderr, the result on stdout"],
      [`soorma goal research.goal '{"topic":"bees"}' --json | jq .result`, "for a program"],
    ],
    load: async () => (await import("./goal.ts")).runGoal,
  },
  plans,
  ...recordings,
  {
    name: "repl",
    summary: "try things out in the running mesh, with a client at hand",
    description:
      "Reads TypeScript, runs it and prints what it gives, with client, memory, bus, registry, tracker and agents in scope and await at " +
      "the top level. Tab completes members and the names of agents; what was typed is kept in .soorma. Piped, it runs the " +
      "statements of stdin, and ends with 1 at the first that fails.",
    options: [{ flags: "-e, --eval <code>", description: "run these statements instead of reading any" }, json],
    examples: [
      ["soorma repl", "with a prompt"],
      ["soorma repl --eval 'tracker.listPlans({ limit: 1 })' --json | jq '.[0].status'", "for a program"],
    ],
    load: async () => (await import("./repl.ts")).runRepl,
  },
  {
    name: "types",
    summary: "write the contracts of the running mesh as TypeScript",
    description:
      "Writes a module with a contract, and the types of its data, for each goal, task, operation and event of the live agents: pass " +
      "them to client.submitGoal, handle.invoke or bus.publish instead of a name. What has no schema is unknown.",
    options: [
      { flags: "-o, --out <file>", description: "write it to this file (default: stdout)" },
      { flags: "--check", description: "with --out: write nothing, end with 1 if the file is not what the mesh has" },
      json,
    ],
    examples: [
      ["soorma types --out src/contracts.ts", "to be imported by whoever calls the agents"],
      ["soorma types --out src/contracts.ts --check", "whether it is up to date"],
    ],
    load: async () => (await import("./types.ts")).runTypes,
  },
  ...inspection,
  {
    name: "logs",
    summary: "print what the project's agents wrote, and follow it",
    description:
      "Prints the log of `soorma dev` in this project: what agents, broker and state node wrote. Of a mesh that was " +
      "stopped, too, and with --since of the one before.",
    arguments: [
      { name: "[agent]", description: "only of this agent: all its instances, or one (default: everything)" },
    ],
    options: [
      { flags: "-f, --follow", description: "go on printing until the mesh stops or Ctrl-C" },
      {
        flags: "--since <time>",
        description: "written in this long (90s, 15m, 2h, 7d) or since this date",
        parse: parseTime,
      },
      { flags: "--level <level>", description: "at least this level", choices: ["debug", "info", "warn", "error"] },
      { flags: "--grep <text>", description: "only lines, or trace ids, that match this regular expression" },
      { flags: "--dir <folder>", description: "the project's folder (default: the nearest one upwards)" },
      json,
    ],
    examples: [
      ["soorma logs worker --follow", "what the worker writes from now on, after what it wrote"],
      ["soorma logs --since 5m --level warn --json | jq .line", "trouble of the last five minutes, for a program"],
    ],
    load: async () => (await import("./logs.ts")).runLogs,
  },
  ...projectCommands,
  {
    name: "demo",
    summary: "answer a question out of a folder's documents with a mesh of agents, then stop it",
    description:
      "Starts a broker, a state node, a planner, workers and a tool as processes of a temporary project, lets them read " +
      "the folder's Markdown and text files and answer the question with cited sentences, and stops them. Needs no model " +
      "and no key.",
    arguments: [{ name: "[folder]", description: "what to read (default: Soorma's own documentation)" }],
    options: [
      { flags: "-q, --question <text>", description: "what to ask" },
      { flags: "--workers <n>", description: "worker processes, 1 to 8 (default: 2)", parse: parseWorkers },
      { flags: "--timeout <seconds>", description: "give up after this long (default: 120)", parse: parseSeconds },
      { flags: "--keep", description: "keep the temporary project with its data and logs" },
      json,
    ],
    examples: [
      ["soorma demo", "asks Soorma's own documentation how discovery works"],
      [`soorma demo ./docs --question "How is it installed?"`, "asks your documents"],
    ],
    load: async () => (await import("./demo.ts")).runDemo,
  },
  {
    name: "version",
    summary: "print the version",
    options: [json],
    examples: [
      ["soorma version", "soorma, Bun and platform"],
      ["soorma version --json", "the same for a program"],
    ],
    load: async () => (await import("./version.ts")).runVersion,
  },
];

const mostInstances = 64;

function parseInstances(text: string, previous: unknown = {}): Record<string, number> {
  const [, agent, count] = /^(.+)=(\d+)$/.exec(text) ?? [];
  const instances = Number(count);
  if (agent !== undefined && instances >= 1 && instances <= mostInstances)
    return { ...(previous as Record<string, number>), [agent]: instances };
  throw new TypeError(`${text} is not an agent and a number of instances, like worker=3: 1 to ${mostInstances}`);
}

function parseWorkers(text: string): number {
  const workers = Number(text);
  if (!/^\d+$/.test(text) || workers < 1 || workers > 8) throw new TypeError(`${text} is no number of workers: 1 to 8`);
  return workers;
}
