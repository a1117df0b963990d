import { existsSync, readFileSync } from "node:fs";
import { basename, join, relative, resolve } from "node:path";
import { SoormaError } from "@soorma/core/errors";
import { type Config, configFileName } from "../config.ts";
import { UsageError } from "../ui/errors.ts";
import { listOf, suggest } from "../ui/suggest.ts";

/** One agent process to run. */
export interface AgentEntry {
  /** Unique in the project: the agent's name, and a number where it has several instances. */
  readonly name: string;
  /** What people call it, whichever instance. */
  readonly agent: string;
  /** Absolute. */
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
}

/** What the command line says about which agents run. */
export interface AgentChoice {
  /** Only these; empty: all. */
  readonly only?: readonly string[];
  /** How many instances, by agent. */
  readonly instances?: Readonly<Record<string, number>>;
}

interface Definition {
  readonly entry: string;
  readonly instances?: number;
  readonly env?: Readonly<Record<string, string>>;
}

/** Folder whose files are agents, relative to the project. */
const agentsFolder = "src/agents";
const singles = ["src/agent.ts", "agent.ts"];
const manifest = "package.json";

/**
 * The agents of a project: what its configuration names, else each `src/agents/*.ts` that is no test, else
 * `src/agent.ts`, else `agent.ts`, else what `package.json` names: `soorma.agents`, in the form of the configuration, or
 * its `module` or `main`.
 *
 * @throws {SoormaError} `CONFIG_INVALID` when the configuration, or `package.json`, names a file that does not exist; when an
 * agent is called like an instance of another one.
 * @throws {UsageError} when `choice` names an agent that there is not.
 */
export function findAgents(root: string, config: Pick<Config, "agents">, choice: AgentChoice = {}): AgentEntry[] {
  const found = agentDefinitions(root, config);
  const known = Object.keys(found);
  const { only = [], instances = {} } = choice;
  for (const name of [...only, ...Object.keys(instances)]) {
    if (known.includes(name)) continue;
    const list = known.length > 0 ? `the agents here are ${listOf(known)}` : "there are no agents here";
    throw new UsageError(`there is no agent "${name}"`, suggest(name, known, list));
  }
  const entries = Object.entries(found)
    .filter(([name]) => only.length === 0 || only.includes(name))
    .flatMap(([agent, { entry, instances: configured = 1, env = {} }]) => {
      const count = instances[agent] ?? configured;
      return Array.from({ length: count }, (_, i) => ({
        name: count === 1 ? agent : `${agent}-${i + 1}`,
        agent,
        file: resolve(root, entry),
        env,
      }));
    });
  checkNames(entries);
  return entries;
}

/** Logs, bundles and what runs are found by the names of processes. */
function checkNames(entries: readonly AgentEntry[]): void {
  const agents = new Map<string, string>();
  for (const { name, agent } of entries) {
    const other = agents.get(name);
    if (other !== undefined) {
      throw new SoormaError(
        "CONFIG_INVALID",
        `the agents ${other} and ${agent} would both have a process called "${name}"`,
        { hint: "call one of them otherwise" },
      );
    }
    agents.set(name, agent);
  }
}

/** The agents of a project by name, before instances are counted. @throws {SoormaError} `CONFIG_INVALID` */
export function agentDefinitions(root: string, config: Pick<Config, "agents">): Record<string, Definition> {
  if (config.agents) return named(root, config.agents, configFileName, "agents");
  const many = join(root, agentsFolder);
  if (existsSync(many)) {
    const files = [...new Bun.Glob("*.{ts,tsx,js}").scanSync(many)].filter((name) => !/\.(test|d)\.\w+$/.test(name));
    if (files.length > 0) {
      return Object.fromEntries(
        files.sort().map((name) => [basename(name).replace(/\.\w+$/, ""), { entry: join(many, name) }]),
      );
    }
  }
  const { name, soorma, module, main } = readManifest(root);
  const own = typeof name === "string" ? name.replace(/^@[^/]+\//, "") : "agent";
  const single = singles.map((path) => join(root, path)).find((file) => existsSync(file));
  if (single) return { [own]: { entry: single } };
  if (soorma?.agents) return named(root, soorma.agents, manifest, "soorma.agents");
  // A package that says what kind of plugin it is has an entry, too.
  const entry = [module, main].find((path) => typeof path === "string" && existsSync(join(root, path)));
  return typeof entry === "string" && soorma?.kind === undefined ? { [own]: { entry } } : {};
}

function named(
  root: string,
  agents: NonNullable<Config["agents"]>,
  where: string,
  path: string,
): Record<string, Definition> {
  const all = Object.entries(agents).map(([name, value]): [string, Definition] => {
    const agent: Definition = typeof value === "string" ? { entry: value } : value;
    const file = resolve(root, agent.entry);
    if (existsSync(file)) return [name, agent];
    throw new SoormaError("CONFIG_INVALID", `${where}: ${path}.${name} names ${file}, which does not exist`, {
      hint: "make the file, or mend its path there",
    });
  });
  return Object.fromEntries(all);
}

/** Where agents are looked for, for people. */
export const agentPlaces = [`agents in ${configFileName}`, `${agentsFolder}/*.ts`, ...singles, manifest].join(", ");

/** The files and folders whose change may add or remove an agent. */
export function agentSources(root: string): string[] {
  return [
    join(root, configFileName),
    join(root, agentsFolder),
    ...[...singles, manifest].map((name) => join(root, name)),
  ];
}

export function shortPath(root: string, file: string): string {
  const path = relative(root, file);
  return path.startsWith("..") ? file : path;
}

interface Manifest {
  readonly name?: unknown;
  readonly module?: unknown;
  readonly main?: unknown;
  readonly soorma?: { readonly kind?: unknown; readonly agents?: NonNullable<Config["agents"]> };
}

/** @throws {SoormaError} `CONFIG_INVALID` for agents that are no table of files. */
function readManifest(root: string): Manifest {
  let manifestOf: Manifest;
  try {
    manifestOf = JSON.parse(readFileSync(join(root, manifest), "utf8")) as Manifest;
  } catch {
    return {};
  }
  const agents: unknown = manifestOf.soorma?.agents;
  if (agents === undefined) return manifestOf;
  const isTable = typeof agents === "object" && agents !== null && !Array.isArray(agents);
  for (const [name, value] of isTable ? Object.entries(agents) : [["", undefined]]) {
    const entry: unknown = typeof value === "object" && value !== null && "entry" in value ? value.entry : value;
    if (typeof entry === "string") continue;
    throw new SoormaError("CONFIG_INVALID", `${manifest}: soorma.agents${name ? `.${name}` : ""} names no file`, {
      hint: `write "soorma": { "agents": { "worker": "src/worker.ts" } }`,
    });
  }
  return manifestOf;
}
