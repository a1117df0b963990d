import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { SoormaError } from "@soorma/core/errors";
import { type Config, configFileName } from "../config.ts";

/** One agent process to run. */
export interface AgentEntry {
  /** Unique in the project. */
  readonly name: string;
  /** Absolute. */
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Folder whose files are agents, relative to the project. */
const agentsFolder = "src/agents";
const singles = ["src/agent.ts", "agent.ts"];

/**
 * The agents of a project: what its configuration names, else each `src/agents/*.ts` that is no test, else
 * `src/agent.ts`, else `agent.ts`.
 *
 * @throws {SoormaError} `CONFIG_INVALID` when the configuration names a file that does not exist.
 */
export function findAgents(root: string, config: Config): AgentEntry[] {
  if (config.agents) {
    return Object.entries(config.agents).flatMap(([name, value]) => {
      const agent = typeof value === "string" ? { entry: value } : value;
      const file = resolve(root, agent.entry);
      if (!existsSync(file)) {
        throw new SoormaError(
          "CONFIG_INVALID",
          `${configFileName}: agents.${name} names ${file}, which does not exist`,
        );
      }
      const count = agent.instances ?? 1;
      return Array.from({ length: count }, (_, i) => ({
        name: count === 1 ? name : `${name}-${i + 1}`,
        file,
        env: agent.env ?? {},
      }));
    });
  }
  const many = join(root, agentsFolder);
  if (existsSync(many)) {
    const files = [...new Bun.Glob("*.{ts,tsx,js}").scanSync(many)].filter((name) => !/\.(test|d)\.\w+$/.test(name));
    if (files.length > 0) {
      return files
        .sort()
        .map((name) => ({ name: basename(name).replace(/\.\w+$/, ""), file: join(many, name), env: {} }));
    }
  }
  const single = singles.map((name) => join(root, name)).find((file) => existsSync(file));
  return single ? [{ name: packageName(root) ?? "agent", file: single, env: {} }] : [];
}

/** Where agents are looked for, for people. */
export const agentPlaces = [`agents in ${configFileName}`, `${agentsFolder}/*.ts`, ...singles].join(", ");

/** The files and folders whose change may add or remove an agent. */
export function agentSources(root: string): string[] {
  return [join(root, configFileName), join(root, agentsFolder), ...singles.map((name) => join(root, name))];
}

export function shortPath(root: string, file: string): string {
  const path = relative(root, file);
  return path.startsWith("..") ? file : path;
}

function packageName(root: string): string | undefined {
  try {
    const { name } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as { name?: unknown };
    return typeof name === "string" ? name.replace(/^@[^/]+\//, "") : undefined;
  } catch {
    return undefined;
  }
}
