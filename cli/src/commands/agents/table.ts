import { type CommandGroup, json } from "../spec.ts";

/** As core's `agentKinds`, which would have to be loaded for it. */
const kinds = ["planner", "worker", "tool", "client", "service"] as const;

export const agents: CommandGroup = {
  name: "agents",
  default: "list",
  summary: "list the agents that run, and show what one of them is: list, show",
  description: "Lists the agents that run in the mesh, and shows the card of one.",
  examples: [
    ["soorma agents", "every agent that runs"],
    ["soorma agents show calculator", "what it can be asked for, and how it does"],
  ],
  commands: [
    {
      name: "list",
      summary: "list the agents that run",
      options: [
        { flags: "-k, --kind <kind>", description: "only agents of this kind", choices: kinds },
        { flags: "-c, --capability <name>", description: "only agents that can be asked for this" },
        json,
      ],
      examples: [
        ["soorma agents list --kind worker", "workers alone"],
        ["soorma agents list --json", "for a program"],
      ],
      load: async () => (await import("./list.ts")).runList,
    },
    {
      name: "show",
      summary: "show an agent's card: capabilities, schemas, events, instances, figures",
      description:
        "Shows what an agent says of itself and how it does: its goals, tasks and operations with the types of what they take " +
        "and give, the events it takes and emits, its instances, and how its attempts at tasks ended.",
      arguments: [{ name: "<agent>", description: "the agent's name, or the id of one instance" }],
      options: [json],
      examples: [
        ["soorma agents show calculator", "the card"],
        ["soorma agents show calculator --json", "for a program"],
      ],
      load: async () => (await import("./show.ts")).runShow,
    },
  ],
};
