/** What `soorma init` can make, in the order it is offered, and what each may come with. Loads nothing: flags are made of it. */

export const projectTypes = ["worker", "planner", "tool", "team", "order-processing", "event-chain", "plugin"] as const;
export type ProjectType = (typeof projectTypes)[number];

export const pluginKinds = ["transport", "registry"] as const;
export type PluginKind = (typeof pluginKinds)[number];

export const pluginHints: Readonly<Record<PluginKind, string>> = {
  transport: "how messages get from process to process",
  registry: "where agents find each other",
};

export const includes = ["client", "vscode", "ci", "docker"] as const;
export type Include = (typeof includes)[number];

export const includeTexts: Readonly<Record<Include, { readonly label: string; readonly hint: string }>> = {
  client: { label: "client script", hint: "src/client.ts: an app that asks the agents" },
  vscode: { label: "VS Code debug configuration", hint: ".vscode/launch.json" },
  ci: { label: "CI workflow", hint: "on GitHub: lint, types, tests" },
  docker: { label: "Dockerfile", hint: "the whole mesh in one container" },
};

export interface ProjectTypeFacts {
  /** Shown beside it in the wizard. */
  readonly hint: string;
  /** What it does as long as nobody says otherwise. */
  readonly description: string;
  /** What it can be asked for as long as nobody says otherwise; none when its agents have capabilities of their own. */
  readonly capabilities?: readonly string[];
  readonly includes: readonly Include[];
  /** Whether its agents run on plugins of one's choice. */
  readonly choosesPlugins: boolean;
  /** How it is tried. */
  tryIt(project: { readonly name: string; readonly capabilities: readonly string[] }): string;
}

export const projectTypeFacts: Readonly<Record<ProjectType, ProjectTypeFacts>> = {
  worker: {
    hint: "does tasks",
    description: "Counts the words of a text",
    capabilities: ["count_words"],
    includes: ["client", "vscode", "ci", "docker"],
    choosesPlugins: true,
    tryIt: ({ name }) => `bunx soorma goal ${name}.goal '{"text":"to be or not to be"}'`,
  },
  planner: {
    hint: "breaks goals into tasks",
    description: "Plans how to look into a topic",
    capabilities: ["topic_planning"],
    includes: ["client", "vscode", "ci", "docker"],
    choosesPlugins: true,
    tryIt: ({ name }) => `bunx soorma goal ${name}.goal '{"topic":"bees"}'`,
  },
  tool: {
    hint: "answers requests",
    description: "Does arithmetic",
    capabilities: ["arithmetic"],
    includes: ["client", "vscode", "ci", "docker"],
    choosesPlugins: true,
    tryIt: ({ capabilities }) => `bunx soorma call ${capabilities[0]} calculate '{"expression":"2 * (3 + 4)"}'`,
  },
  team: {
    hint: "a planner, two workers, a tool and a client that answer questions together",
    description: "Answers questions from a folder of notes",
    includes: ["vscode", "ci", "docker"],
    choosesPlugins: true,
    tryIt: ({ name }) => `bunx soorma goal ${name}.goal '{"question":"How do bees find flowers?"}'`,
  },
  "order-processing": {
    hint: "a plan that fans out and in again, and is taken back when it fails",
    description: "Processes orders",
    includes: ["client", "vscode", "ci", "docker"],
    choosesPlugins: true,
    tryIt: ({ name }) =>
      `bunx soorma goal ${name}.goal '{"items":[{"sku":"tea","quantity":2}],"card":"4242","address":"Bee Street 1"}'`,
  },
  "event-chain": {
    hint: "agents without a planner that react to each other's events",
    description: "Takes orders from placed to completed",
    includes: ["vscode", "ci", "docker"],
    choosesPlugins: true,
    tryIt: () => "bun run order 20",
  },
  plugin: {
    hint: "a transport or a registry of your own",
    description: "A plugin for Soorma",
    includes: ["vscode", "ci"],
    choosesPlugins: false,
    tryIt: () => `bunx soorma call greeting greet '{"name":"you"}'`,
  },
};
