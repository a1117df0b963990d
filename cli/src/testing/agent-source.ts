import { existsSync } from "node:fs";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { Agent } from "@soorma/core";
import { nearest } from "@soorma/core/nearest";
import { loadConfig } from "../config.ts";
import { findAgents } from "../dev/agents.ts";
import { findProject } from "../dev/project.ts";

/** Where an agent comes from: the path of its module, or a function that makes and runs it, and may return it. */
export type AgentSource = string | (() => unknown);

/** Which agents: names that `soorma dev` gives them or paths of their files; or sources by the names they shall have. */
export type Agents = readonly string[] | Readonly<Record<string, AgentSource>>;

export interface NamedSource {
  readonly name: string;
  readonly source: AgentSource;
}

/**
 * The agents that a test asks for; without a wish all of the project, as `soorma dev` finds them.
 *
 * @param from - Folder that paths and the project are looked for from.
 */
export async function findSources(agents: Agents | undefined, from: string): Promise<NamedSource[]> {
  if (agents && !isList(agents)) {
    return Object.entries(agents).map(([name, source]) => ({
      name,
      source: typeof source === "string" ? fileOf(source, from) : source,
    }));
  }
  if (agents?.every(isPath)) return agents.map((path) => ({ name: nameOf(path), source: fileOf(path, from) }));
  const { root } = findProject(from);
  const { settings } = await loadConfig(root);
  const known = findAgents(root, settings).map(({ name, agent, file }) => ({ name, agent, source: file }));
  if (!agents) return known;
  return agents.flatMap((wanted) => {
    if (isPath(wanted)) return [{ name: nameOf(wanted), source: fileOf(wanted, from) }];
    // Of an agent with several instances all of them.
    const found = known.filter(({ name, agent }) => name === wanted || agent === wanted);
    if (found.length > 0) return found;
    const names = known.map(({ name }) => name);
    const near = nearest(wanted, names);
    throw new TypeError(
      `the project at ${root} has no agent "${wanted}"${near ? `; did you mean "${near}"?` : ""} It has: ${names.join(", ") || "none"}`,
    );
  });
}

let imports = 0;

/** Runs an agent as its process would: a module is evaluated anew each time. Resolves with the agent that a function returns. */
export async function runSource(source: AgentSource): Promise<Agent | undefined> {
  if (typeof source === "function") {
    const made: unknown = await source();
    return made instanceof Agent ? made : undefined;
  }
  const specifier = `${source}?soorma-test=${++imports}`;
  try {
    await import(specifier);
    return undefined;
  } finally {
    delete require.cache[specifier];
  }
}

function isList(agents: Agents): agents is readonly string[] {
  return Array.isArray(agents);
}

function isPath(text: string): boolean {
  return text.includes("/") || /\.[cm]?[jt]sx?$/.test(text);
}

/** @throws {TypeError} when there is none. */
export function fileOf(path: string, from: string): string {
  const file = path.startsWith("file:") ? fileURLToPath(path) : isAbsolute(path) ? path : resolve(from, path);
  if (!existsSync(file)) throw new TypeError(`there is no file ${file}`);
  return file;
}

function nameOf(path: string): string {
  return basename(path).replace(/\.\w+$/, "") || basename(dirname(path));
}
