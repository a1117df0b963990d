import { existsSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { nearest } from "@soorma/core/nearest";
import { storeOwner } from "@soorma/core/store";
import { environmentVariable } from "../config/resolve.ts";
import { defaultPlugins, pluginKinds, settings, variableOf } from "../config/settings.ts";
import { configFileName, type LoadedConfig, loadConfig } from "../config.ts";
import { agentDefinitions, agentPlaces } from "../dev/agents.ts";
import { bundleAgent } from "../dev/bundle.ts";
import { meshPlugins } from "../dev/mesh-plugins.ts";
import { checkPortFree } from "../dev/port-owner.ts";
import { isRunning } from "../dev/process-identity.ts";
import type { Project } from "../dev/project.ts";
import { processesOf, readRunState } from "../dev/run-state.ts";
import { meshFileVariable } from "../mesh-file.ts";
import { printable } from "../ui/text.ts";
import { version } from "../version.ts";
import { type Finding, fail, hintOf, ok, reasonOf, warn } from "./finding.ts";

interface ProjectInput {
  readonly project: Project;
  readonly environment: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

export interface ProjectFindings {
  readonly findings: readonly Finding[];
  /** Absolute; the default while the configuration cannot be read. */
  readonly dataFolder: string;
  /** Of the transport; absent when it is not ZeroMQ. */
  readonly socketFolder: string | undefined;
}

/** Checks of a project. Nothing is written, and of the project's code only its configuration and its plugins run. */
export async function checkProject({ project, environment, env }: ProjectInput): Promise<ProjectFindings> {
  const findings: Finding[] = [checkInstalled(project.root)];
  let loaded: LoadedConfig | undefined;
  let socketFolder: string | undefined = project.socketFolder;
  try {
    loaded = await loadConfig(project.root, { environment, env });
    const chosen = loaded.settings.environment;
    const file = loaded.file === undefined ? `no ${configFileName}: defaults` : configFileName;
    findings.push(ok("configuration", `${file}${chosen === undefined ? "" : `, environment ${chosen}`}`));
  } catch (error) {
    findings.push(failed("configuration", error, `mend ${configFileName}`));
  }
  if (loaded) {
    const plugins = await checkPlugins(project, loaded);
    socketFolder = plugins.socketFolder;
    findings.push(plugins.finding, ...(await checkAgents(project.root, loaded)));
    findings.push(...checkPort(project, loaded));
  }
  const dataFolder = loaded ? resolve(project.root, loaded.settings.mesh.dataFolder) : project.dataFolder;
  findings.push(checkState(project), ...checkOwner(project, dataFolder), ...checkVariables(env));
  return { findings, dataFolder, socketFolder };
}

function failed(name: string, error: unknown, otherwise: string): Finding {
  // A syntax error comes with the lines around it.
  const message = error instanceof Error ? error.message : String(error);
  return fail(name, message, hintOf(error) ?? otherwise);
}

function checkInstalled(root: string): Finding {
  const name = "dependencies";
  const manifest = join(root, "package.json");
  if (!existsSync(manifest)) return fail(name, `${root} has no package.json`, "run `bun init`, then `bun add soorma`");
  try {
    JSON.parse(readFileSync(manifest, "utf8"));
  } catch (error) {
    return fail(name, `package.json is not JSON: ${reasonOf(error)}`, "mend package.json");
  }
  let installed: string;
  try {
    installed = dirname(Bun.resolveSync("soorma/package.json", root));
  } catch {
    try {
      installed = join(dirname(Bun.resolveSync("soorma", root)), "..");
    } catch {
      return fail(
        name,
        "the package soorma is not installed here",
        "run `bun install`, or `bun add soorma` if it is not in package.json",
      );
    }
  }
  const found = versionIn(installed);
  if (found === undefined || found === version) return ok(name, `soorma ${found ?? "is installed"}`);
  return warn(
    name,
    `the project has soorma ${found}, and this command is of ${version}`,
    "run the project's own: `bun run soorma`, `bunx soorma`",
  );
}

function versionIn(folder: string): string | undefined {
  try {
    const { version: found } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as { version?: unknown };
    return typeof found === "string" ? found : undefined;
  } catch {
    return undefined;
  }
}

async function checkPlugins(
  project: Project,
  loaded: LoadedConfig,
): Promise<{ finding: Finding; socketFolder: string | undefined }> {
  try {
    const { transport } = await meshPlugins(project, loaded);
    const named = pluginKinds.map((kind) => `${kind} ${loaded.settings.plugins[kind].name}`);
    // Another transport has no such folder, whatever it calls its options.
    const isDefault = loaded.settings.plugins.transport.name === defaultPlugins.transport;
    const { dir } = transport.options;
    return {
      finding: ok("plugins", named.join(", ")),
      socketFolder: isDefault && typeof dir === "string" ? dir : undefined,
    };
  } catch (error) {
    return {
      finding: failed("plugins", error, `mend plugins in ${configFileName}`),
      socketFolder: project.socketFolder,
    };
  }
}

async function checkAgents(root: string, { settings: inForce }: LoadedConfig): Promise<Finding[]> {
  let agents: [string, string][];
  try {
    agents = Object.entries(agentDefinitions(root, inForce)).map(([name, { entry }]) => [name, resolve(root, entry)]);
  } catch (error) {
    return [failed("agents", error, `mend agents in ${configFileName}`)];
  }
  if (agents.length === 0) {
    return [warn("agents", `none: they are looked for as ${agentPlaces}`, "add one: `soorma add agent <name>`")];
  }
  const bundles = await Promise.all(agents.map(async ([name, file]) => ({ name, bundle: await bundleAgent(file) })));
  const broken = bundles.flatMap(({ name, bundle }) =>
    bundle.ok ? [] : [fail(`agent ${name}`, printable(bundle.problem).replaceAll(`${root}/`, ""), "mend the file")],
  );
  return broken.length > 0 ? broken : [ok("agents", agents.map(([name]) => name).join(", "))];
}

function checkPort({ runFile }: Project, { settings: { mesh, dev } }: LoadedConfig): Finding[] {
  const [, given] = /^tcp:\/\/(?:127\.0\.0\.1|localhost|\*|0\.0\.0\.0):(\d+)$/.exec(mesh.address ?? "") ?? [];
  const port = dev.port ?? (given === undefined ? undefined : Number(given));
  if (port === undefined) return [];
  const run = readRunState(runFile);
  if (run?.alive && run.state.broker?.endsWith(`:${port}`)) return [ok("port", `${port} is this project's broker's`)];
  try {
    checkPortFree(port);
    return [ok("port", `${port} is free`)];
  } catch (error) {
    return [fail("port", reasonOf(error), hintOf(error) ?? "choose another port")];
  }
}

/** What runs, or what one that was killed left. */
function checkState({ runFile, meshFile }: Project): Finding {
  const name = "mesh";
  const run = readRunState(runFile);
  if (!run) {
    return existsSync(meshFile) || existsSync(runFile)
      ? warn(
          name,
          `none runs, and ${existsSync(runFile) ? runFile : meshFile} was left`,
          "start `soorma dev`: it cleans up",
        )
      : ok(name, "none runs in this project");
  }
  const { state, alive } = run;
  if (!alive) {
    const left = processesOf(state).flatMap((one) => (isRunning(one) ? [one.pid] : []));
    const what = left.length === 0 ? "" : `; still running are ${left.join(", ")}`;
    return warn(
      name,
      `soorma dev, process ${state.supervisor.pid}, did not end in order${what}`,
      left.length === 0
        ? "start `soorma dev`: it cleans up"
        : `start \`soorma dev\`: it ends them, or \`kill ${left.join(" ")}\``,
    );
  }
  const broken = state.processes.filter((one) => one.state === "failed");
  const since = `process ${state.supervisor.pid} has ${state.processes.length} processes`;
  if (broken.length === 0) return ok(name, `${state.phase}: ${since}`);
  const why = broken.map((one) => `${one.name}${one.problem === undefined ? "" : ` (${printable(one.problem)})`}`);
  return warn(name, `${since}, and does not get to run ${why.join(", ")}`, "`soorma logs` shows what they said");
}

/** Somebody else's process that has the data open would keep the state node from starting. */
function checkOwner({ runFile }: Project, dataFolder: string): Finding[] {
  let pid: number | undefined;
  try {
    pid = storeOwner(dataFolder);
  } catch {
    return [];
  }
  const run = readRunState(runFile);
  const own = run?.state.processes.some(({ process }) => process?.pid === pid) === true;
  if (pid === undefined || own) return [];
  return [
    fail(
      "data",
      `${dataFolder} is in use by process ${pid}, which is none of this project's`,
      `stop process ${pid}, or set mesh.dataFolder`,
    ),
  ];
}

/** Set by soorma itself, or by whoever starts it; others are taken for misspelt if they are close to a known one. */
const knownVariables = [
  environmentVariable,
  meshFileVariable,
  ...settings.map(({ path }) => variableOf(path)),
  ...pluginKinds.flatMap((kind) => [variableOf(`plugins.${kind}`), variableOf(`plugins.${kind}.options`)]),
  "SOORMA_LOG",
  "SOORMA_PACKAGES",
];

function checkVariables(env: ProjectInput["env"]): Finding[] {
  const given = Object.keys(env).filter((name) => name.startsWith("SOORMA_") && env[name] !== undefined);
  const findings = given.flatMap((name) => {
    if (knownVariables.includes(name)) return [];
    const guess = nearest(name, knownVariables);
    return guess === undefined ? [] : [warn("variables", `${name} means nothing to soorma`, `did you mean ${guess}?`)];
  });
  const mesh = env[meshFileVariable];
  if (mesh && !existsSync(mesh)) {
    findings.push(
      fail("variables", `${meshFileVariable} names ${mesh}, which does not exist`, `unset ${meshFileVariable}`),
    );
  }
  return findings;
}
