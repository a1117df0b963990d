import { type CommandGroup, json, parseCount, parseSeconds, topics } from "../spec.ts";

export const events: CommandGroup = {
  name: "events",
  default: "tail",
  summary: "follow the events that agents publish: tail",
  description: "Follows the events that agents publish.",
  examples: [
    ["soorma events tail 'order.*'", "events of orders, as they come"],
    ["soorma events tail --plan plan-k3f --json", "what the work at a plan publishes, for a program"],
  ],
  commands: [
    {
      name: "tail",
      summary: "follow events as they are published",
      description:
        "Follows events as they are published; earlier ones are kept nowhere. With --json each is a line of JSON, with its " +
        "trace and parent. What this command missed stands among the events (as system.bus.gap of its own in JSON), and so does " +
        "what it could not show because its output was read too slowly; agents never wait for it.",
      arguments: [
        {
          name: "[pattern]",
          description: "type of the events: * stands for one word, a last > for the rest (default: all)",
        },
      ],
      options: [
        { flags: "--plan <plan>", description: "only what belongs to this plan: its id, or the beginning of it" },
        { flags: "--trace <id>", description: "only what belongs to this trace" },
        { flags: "--topic <topic>", description: "only events on this topic", choices: topics },
        { flags: "-n, --limit <n>", description: "end after so many", parse: parseCount },
        { flags: "--for <seconds>", description: "end after this long", parse: parseSeconds },
        { flags: "--ids", description: "show the ids of trace, parent, plan and task below each" },
        json,
      ],
      examples: [
        ["soorma events tail 'order.>'", "everything about orders"],
        ["soorma events tail --limit 1 --json | jq .data", "the data of the next one"],
      ],
      load: async () => (await import("./tail.ts")).runTail,
    },
  ],
};
