import { type CommandGroup, type CommandSpec, json, parseSeconds } from "./spec.ts";

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
];

function parseInterval(text: string): number {
  const seconds = parseSeconds(text);
  if (seconds < 0.1) throw new TypeError(`${text} is too short: 0.1 is the least`);
  return seconds;
}
