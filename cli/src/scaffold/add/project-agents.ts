import { existsSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import type { Settings } from "../../config.ts";
import { findAgents } from "../../dev/agents.ts";
import { agentsIn, type ModuleAgent, relativeImports } from "./agent-module.ts";

/** An agent of a project, and the module that makes it. */
export interface ProjectAgent extends ModuleAgent {
  /** What `--agent` calls it: its name in the project. */
  readonly called: string;
  /** Of the module, relative to the project. */
  readonly file: string;
}

export interface UnreadAgent {
  readonly called: string;
  /** Relative to the project. */
  readonly file: string;
}

export interface ProjectAgents {
  readonly agents: readonly ProjectAgent[];
  /** Agents whose files make none at their top level, so that there is nothing to be added to. */
  readonly unread: readonly UnreadAgent[];
}

/** The agents a project runs, read from their source without running it. */
export function readProjectAgents(root: string, settings: Pick<Settings, "agents">): ProjectAgents {
  const agents: ProjectAgent[] = [];
  const unread: UnreadAgent[] = [];
  const seen = new Set<string>();
  for (const entry of findAgents(root, settings)) {
    if (seen.has(entry.file)) continue;
    seen.add(entry.file);
    const found = agentsFrom(entry.file);
    if (found.length === 0) unread.push({ called: entry.agent, file: relative(root, entry.file) });
    for (const { file, agent } of found) {
      const called = found.length === 1 ? entry.agent : (agent.name ?? agent.variable);
      agents.push({ ...agent, called, file: relative(root, file) });
    }
  }
  return { agents, unread };
}

/** Agents of the file itself, else of what it imports: some run what another module makes. */
function agentsFrom(file: string): { file: string; agent: ModuleAgent }[] {
  const read = (path: string): { file: string; agent: ModuleAgent }[] => {
    try {
      return agentsIn(readFileSync(path, "utf8")).map((agent) => ({ file: path, agent }));
    } catch {
      return [];
    }
  };
  const own = read(file);
  if (own.length > 0) return own;
  try {
    return relativeImports(readFileSync(file, "utf8"))
      .map((from) => resolve(dirname(file), from))
      .filter((path) => existsSync(path))
      .flatMap(read);
  } catch {
    return [];
  }
}

/** How a module imports another file of its project. */
export function importPath(root: string, fromFile: string, toFile: string): string {
  const path = relative(dirname(join(root, fromFile)), join(root, toFile)).replaceAll("\\", "/");
  return path.startsWith(".") ? path : `./${path}`;
}
