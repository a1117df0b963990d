/** What `soorma init` can make, in the order it is offered, and what each may come with. Loads nothing: flags are made of it. */

export const projectTypes = ["worker", "planner", "tool", "team"] as const;
export type ProjectType = (typeof projectTypes)[number];

export const includes = ["client", "vscode", "ci", "docker"] as const;
export type Include = (typeof includes)[number];

export const includeHints: Readonly<Record<Include, string>> = {
  client: "src/client.ts: an app that asks the agents",
  vscode: "debug configuration for VS Code",
  ci: "GitHub workflow: lint, types, tests",
  docker: "Dockerfile: the whole mesh in one container",
};

export interface ProjectTypeFacts {
  /** Shown beside it in the wizard. */
  readonly hint: string;
  /** What it does as long as nobody says otherwise. */
  readonly description: string;
  /** What it can be asked for as long as nobody says otherwise; none when its agents have capabilities of their own. */
  readonly capabilities?: readonly string[];
  readonly includes: readonly Include[];
  /** How it is tried, given the project's name. */
  tryIt(name: string): string;
}

export const projectTypeFacts: Readonly<Record<ProjectType, ProjectTypeFacts>> = {
  worker: {
    hint: "does tasks",
    description: "Counts the words of a text",
    capabilities: ["count_words"],
    includes: ["client", "vscode", "ci", "docker"],
    tryIt: (name) => `bunx soorma goal ${name}.goal '{"text":"to be or not to be"}'`,
  },
  planner: {
    hint: "breaks goals into tasks",
    description: "Plans how to look into a topic",
    capabilities: ["topic_planning"],
    includes: ["client", "vscode", "ci", "docker"],
    tryIt: (name) => `bunx soorma goal ${name}.goal '{"topic":"bees"}'`,
  },
  tool: {
    hint: "answers requests",
    description: "Does arithmetic",
    capabilities: ["arithmetic"],
    includes: ["vscode", "ci", "docker"],
    tryIt: () => `bun run ask "2 * (3 + 4)"`,
  },
  team: {
    hint: "a planner, two workers, a tool and a client that answer questions together",
    description: "Answers questions from a folder of notes",
    includes: ["vscode", "ci", "docker"],
    tryIt: (name) => `bunx soorma goal ${name}.goal '{"question":"How do bees find flowers?"}'`,
  },
};
