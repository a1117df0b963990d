import { agents } from "./agents/table.ts";
import { events } from "./events/table.ts";
import { memory } from "./memory/table.ts";
import { schemas } from "./schemas/table.ts";
import { type CommandGroup, type CommandSpec, json, parseSeconds, topics } from "./spec.ts";

/** Commands that look into a running mesh. */
export const inspection: readonly (CommandSpec | CommandGroup)[] = [
  {
    name: "ps",
    summary: "list the processes of the mesh: agents, memory, processor, running work, events per second",
    description:
      "Lists the processes of the mesh that runs here. Processor and rates are of a third of a second; RUN counts tasks and " +
      "other handlers that run now, WAIT what waits for its turn. Narrow terminals show fewer columns.",
    options: [json],
    examples: [
      ["soorma ps", "every process"],
      ["soorma ps --json | jq '.[].pid'", "for a program"],
    ],
    load: async () => (await import("./ps.ts")).runPs,
  },
  {
    name: "top",
    summary: "watch the processes of the mesh at work",
    description:
      "Watches the processes of the mesh that runs here, on the whole terminal: ? explains keys and columns, q leaves. " +
      "Without a terminal it looks once.",
    options: [
      { flags: "-i, --interval <seconds>", description: "time between two looks (default: 1)", parse: parseInterval },
      { flags: "--once", description: "look once and print it" },
      { ...json, description: "look once and print it as JSON; errors, too" },
    ],
    examples: [
      ["soorma top", "until q or Ctrl-C"],
      ["soorma top --json | jq .totals.running", "for a program"],
    ],
    load: async () => (await import("./top.ts")).runTop,
  },
  agents,
  {
    name: "call",
    summary: "call an operation of an agent and print its answer",
    description:
      "Calls an operation of a live agent that has the capability, or the name, and prints what it answers. The data is " +
      "checked against the operation's schema first. Ctrl-C cancels the call.",
    arguments: [
      { name: "<capability>", description: "a capability, or the name or id of an agent" },
      { name: "<operation>", description: "the operation, as the agent handles it" },
      { name: "[json]", description: "its data (default: {}); `-` reads it from stdin, `@file` from a file" },
    ],
    options: [
      { flags: "--timeout <seconds>", description: "give up after this long (default: 30)", parse: parseSeconds },
      json,
    ],
    examples: [
      [`soorma call arithmetic calculate '{"expression":"1+2"}'`, "whoever has the capability answers"],
      ["soorma call calculator calculate @request.json --json", "for a program"],
    ],
    load: async () => (await import("./call.ts")).runCall,
  },
  {
    name: "publish",
    summary: "publish an event and say who gets it",
    description:
      "Publishes an event and says who gets it. The data is checked first against the schema of those who take such events, " +
      "or, if they name none, of those who publish them.",
    arguments: [
      { name: "<type>", description: "the event's type" },
      { name: "[json]", description: "its data (default: {}); `-` reads it from stdin, `@file` from a file" },
    ],
    options: [
      { flags: "--topic <topic>", description: "default: what follows from the type", choices: topics },
      { flags: "--subject <text>", description: "what the event is about, for those who look at it" },
      { flags: "--session <id>", description: "the conversation it belongs to" },
      { flags: "--no-check", description: "publish it whatever its schema says" },
      json,
    ],
    examples: [
      [`soorma publish order.created '{"id":7}'`, "to whoever subscribes to it"],
      ["soorma publish order.created @order.json --topic business-facts --json", "for a program"],
    ],
    load: async () => (await import("./publish.ts")).runPublish,
  },
  events,
  memory,
  schemas,
];

function parseInterval(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds < 0.1) throw new TypeError(`${text} is too short: 0.1 is the least`);
  return seconds;
}
