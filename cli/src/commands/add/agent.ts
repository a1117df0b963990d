import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { configFileName, loadConfig, type Settings } from "../../config.ts";
import { findAgents, shortPath } from "../../dev/agents.ts";
import { findProject } from "../../dev/project.ts";
import { newAgent } from "../../scaffold/add/agent-files.ts";
import type { AgentKind } from "../../scaffold/add/agent-module.ts";
import { checkNew, checkUsesSoorma, finishChanges, type LeftToDo } from "../../scaffold/add/changes.ts";
import { addConfiguredAgent, type ConfiguredAgent, configuredLine } from "../../scaffold/add/config-module.ts";
import { readProjectAgents } from "../../scaffold/add/project-agents.ts";
import { checkName, nameFault, parseCapabilities, parseDescription } from "../../scaffold/name.ts";
import type { ProjectFile } from "../../scaffold/template.ts";
import { createAsker } from "../../ui/ask.ts";
import { UsageError } from "../../ui/errors.ts";
import type { RunCommand } from "../spec.ts";

interface AddAgentOptions {
  readonly type?: AgentKind;
  readonly description?: string;
  readonly capabilities?: string;
  readonly dir?: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

const hints: Readonly<Record<AgentKind, string>> = {
  worker: "does tasks",
  planner: "breaks goals into tasks",
  tool: "answers requests",
};

export const runAddAgent: RunCommand = async ({ args, options: given, io }) => {
  const options = given as unknown as AddAgentOptions;
  if (args[0] !== undefined) checkName(args[0]);
  const description = options.description === undefined ? undefined : parseDescription(options.description);
  const capabilities = options.capabilities === undefined ? undefined : parseCapabilities(options.capabilities);
  const { root } = findProject(io.cwd, options.dir);
  checkUsesSoorma(root);
  const { settings } = await loadConfig(root);
  const { agents } = readProjectAgents(root, settings);

  const asks = io.interactive && !options.json && (args[0] === undefined || options.type === undefined);
  const ask = asks ? createAsker(io, "Add an agent", "Cancelled: nothing was changed.") : undefined;
  const type =
    options.type ??
    (await ask?.select<AgentKind>("What kind of agent?", [
      { value: "worker", hint: hints.worker },
      { value: "planner", hint: hints.planner },
      { value: "tool", hint: hints.tool },
    ]));
  if (type === undefined) throw new UsageError("the kind of agent is missing", "add --type worker|planner|tool");
  const name = args[0] ?? (await ask?.text({ message: "Name?", fallback: `my-${type}`, validate: nameFault }));
  if (name === undefined)
    throw new UsageError("the agent's name is missing", `for example \`soorma add agent my-${type}\``);
  const taken = agents.find((agent) => agent.called === name || agent.name === name);
  if (taken) throw new UsageError(`${taken.file} has an agent called ${name} already`, "choose another name");

  const worker = agents.find((agent) => agent.kind === "worker");
  const created = newAgent({
    type,
    name,
    description: description ?? `A ${type}: ${hints[type]}`,
    capabilities,
    worker: worker?.capabilities[0] ?? worker?.name,
  });
  const listing = listAgent(root, settings, { name, entry: `src/agents/${name}.ts` });
  checkNew(root, [...created, ...listing.created]);
  finishChanges(
    root,
    { created: [...created, ...listing.created], changed: listing.changed },
    {
      io,
      json: options.json === true,
      dryRun: options.dryRun === true,
      ...(listing.left === undefined ? {} : { left: listing.left }),
    },
  );
  return undefined;
};

interface Listing {
  readonly created: readonly ProjectFile[];
  readonly changed: readonly ProjectFile[];
  readonly left?: LeftToDo;
}

/** What has to change so that `soorma dev` runs the new agent, and goes on running the others. */
function listAgent(root: string, settings: Pick<Settings, "agents">, agent: ConfiguredAgent): Listing {
  const path = configFileName;
  if (settings.agents) {
    const text = addConfiguredAgent(readFileSync(join(root, path), "utf8"), agent);
    if (text !== undefined) return { created: [], changed: [{ path, text }] };
    const lines = ["// among the agents:", `${configuredLine(agent)},`];
    return { created: [], changed: [], left: { file: path, reason: "its agents are no plain object", lines } };
  }
  // Other places are looked at only where there is no src/agents: from now on their agents have to be named.
  const others = findAgents(root, settings).map(({ agent: name, file }) => ({ name, entry: shortPath(root, file) }));
  if (others.length === 0 || existsSync(join(root, "src/agents"))) return { created: [], changed: [] };
  const lines = [...others, agent].map((one) => `${configuredLine(one)},`);
  if (existsSync(join(root, path))) {
    const reason = `${others[0]?.entry} is run by itself only as long as there is no src/agents`;
    return {
      created: [],
      changed: [],
      left: { file: path, reason, lines: ["agents: {", ...lines.map((line) => `  ${line}`), "},"] },
    };
  }
  const text = `import { defineConfig } from "soorma/config";

export default defineConfig({
  agents: {
${lines.map((line) => `    ${line}`).join("\n")}
  },
});
`;
  return { created: [{ path, text }], changed: [] };
}
