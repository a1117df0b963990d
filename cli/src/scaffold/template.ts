import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { AgentType } from "../commands/table.ts";
import { version } from "../version.ts";
import { render, type TemplateValues } from "./render.ts";

export interface ProjectFile {
  /** Relative to the project, with slashes. */
  readonly path: string;
  readonly text: string;
}

export interface ProjectChoice {
  readonly type: AgentType;
  readonly name: string;
  readonly description: string;
  readonly capabilities: readonly string[];
}

/** What an agent does and can be asked for as long as nobody says otherwise. */
export const defaults: Readonly<Record<AgentType, { description: string; capabilities: readonly string[] }>> = {
  worker: { description: "Counts the words of a text", capabilities: ["count_words"] },
  planner: { description: "Plans how to look into a topic", capabilities: ["topic_planning"] },
  tool: { description: "Does arithmetic", capabilities: ["arithmetic"] },
  team: { description: "Answers questions from a folder of notes", capabilities: [] },
};

/** All files of a new project, filled in, sorted by path. */
export function projectFiles(choice: ProjectChoice): ProjectFile[] {
  const folder = join(templatesFolder(), choice.type);
  const values: TemplateValues = {
    text: {
      name: choice.name,
      description: choice.description,
      capability: choice.capabilities[0] ?? choice.name,
      goal: `${choice.name}.goal`,
      soormaVersion: version,
    },
    lists: { capabilities: choice.capabilities },
  };
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .sort()
    .map((path) => ({
      path: path.replace(/(^|\/)_gitignore$/, "$1.gitignore"),
      text: render(path, readFileSync(join(folder, path), "utf8"), values),
    }));
}

/** At the root of the repository while soorma is being developed; beside the sources in the published package. */
function templatesFolder(): string {
  const packageFolder = join(import.meta.dir, "..", "..");
  // First, because packing puts a copy beside the sources for a moment.
  const repository = join(packageFolder, "..", "templates");
  return existsSync(join(repository, "worker", "_gitignore")) ? repository : join(packageFolder, "templates");
}
