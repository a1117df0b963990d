import { resolve } from "node:path";
import type { Asker } from "../ui/ask.ts";
import { UsageError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { checkName, nameFault, nameIdea, parseCapabilities, parseDescription } from "./name.ts";
import { checkPlace } from "./place.ts";
import { checkPlugin, isDefaultPlugin, type PluginChoice, pluginFault, shippedPlugins } from "./plugin-choice.ts";
import {
  type Include,
  includeTexts,
  type PluginKind,
  type ProjectType,
  pluginHints,
  pluginKinds,
  projectTypeFacts,
  projectTypes,
} from "./project-types.ts";
import type { ProjectChoice } from "./template.ts";

export interface InitOptions {
  readonly type?: ProjectType;
  readonly kind?: PluginKind;
  readonly description?: string;
  readonly capabilities?: string;
  readonly with?: readonly Include[];
  readonly transport?: string;
  readonly registry?: string;
  readonly address?: string;
  readonly dir?: string;
  readonly yes?: boolean;
  readonly dryRun?: boolean;
  readonly install: boolean;
  readonly git: boolean;
  readonly packages?: string;
  readonly json?: boolean;
}

/** What `soorma init` is to do, once everything is answered. */
export interface InitPlan extends ProjectChoice {
  readonly target: string;
  readonly install: boolean;
  readonly git: boolean;
}

/**
 * What to create: flags first, then the person at the terminal, then defaults.
 *
 * @throws {UsageError} for what is wrong, missing, or does not go together.
 */
export async function chooseProject(named: string | undefined, options: InitOptions, io: Io): Promise<InitPlan> {
  const asks = io.interactive && !options.yes && !options.json;
  if (named !== undefined) checkName(named);
  // What is wrong is told before anything is asked.
  if (options.capabilities !== undefined) parseCapabilities(options.capabilities);
  if (options.description !== undefined) parseDescription(options.description);
  for (const kind of pluginKinds) if (options[kind] !== undefined) checkPlugin(kind, options[kind]);
  if (options.type) checkTogether(options.type, options);
  const targetOf = (name: string): string => resolve(io.cwd, options.dir ?? name);
  const folderName =
    options.dir === undefined ? undefined : nameIdea(resolve(io.cwd, options.dir).split("/").at(-1) ?? "");
  if (named !== undefined || options.dir !== undefined) checkPlace(targetOf(named ?? ""));

  const ask = asks ? (await import("../ui/ask.ts")).createAsker(io, "Create a Soorma project") : undefined;
  const type = options.type ?? (ask ? await askType(ask) : options.yes ? "worker" : undefined);
  if (type === undefined) {
    throw new UsageError("what to create is missing", `add --type ${projectTypes.join("|")}`);
  }
  checkTogether(type, options);
  const kind = type === "plugin" ? (options.kind ?? (ask ? await askKind(ask) : pluginKinds[0])) : undefined;
  const fallback = folderName ?? `my-${kind ?? type}`;
  const name = named ?? (ask ? await askName(ask, fallback, targetOf) : (folderName ?? (options.yes && fallback)));
  if (!name) {
    throw new UsageError("the project's name is missing", `for example \`soorma init my-${type} --type ${type}\``);
  }
  checkPlace(targetOf(name));
  const facts = projectTypeFacts[type];
  const answers = {
    type,
    ...(kind === undefined ? {} : { kind }),
    name,
    target: targetOf(name),
    description: parseDescription(
      options.description ?? (ask ? await askDescription(ask, type) : undefined) ?? facts.description,
    ),
    capabilities: await capabilitiesOf(type, options.capabilities, ask),
    includes:
      options.with ??
      (ask
        ? await ask.selectMany(
            "What else should be in it? (space to choose, enter to go on)",
            facts.includes.map((value) => ({ value, ...includeTexts[value] })),
          )
        : []),
  };
  const plugins = facts.choosesPlugins ? await pluginsOf(options, ask) : undefined;
  return {
    ...answers,
    ...(plugins === undefined ? {} : { plugins }),
    install: options.install && !options.dryRun && (!ask || (await ask.confirm("Install the dependencies now?"))),
    git: options.git && !options.dryRun && (!ask || (await ask.confirm("Make it a git repository?"))),
  };
}

/** @throws {UsageError} when a flag does not go with the type. */
function checkTogether(type: ProjectType, options: InitOptions): void {
  const facts = projectTypeFacts[type];
  if (options.capabilities !== undefined && !facts.capabilities) {
    throw new UsageError(
      `${type} takes no --capabilities`,
      "each of its agents has its own; change them in src/agents afterwards",
    );
  }
  if (options.kind !== undefined && type !== "plugin") {
    throw new UsageError(`${type} takes no --kind`, "only a plugin is of a kind: --type plugin");
  }
  const plugin = facts.choosesPlugins ? undefined : [...pluginKinds, "address" as const].find((flag) => options[flag]);
  if (plugin !== undefined) throw new UsageError(`${type} takes no --${plugin}`, "it is tried with itself");
  const wrong = options.with?.find((include) => !facts.includes.includes(include));
  if (wrong !== undefined) {
    throw new UsageError(`${type} takes no --with ${wrong}`, `it may come with ${facts.includes.join(", ")}`);
  }
}

function askType(ask: Asker): Promise<ProjectType> {
  return ask.select(
    "What do you want to create?",
    projectTypes.map((value) => ({ value, hint: projectTypeFacts[value].hint })),
  );
}

function askKind(ask: Asker): Promise<PluginKind> {
  return ask.select(
    "What kind of plugin?",
    pluginKinds.map((value) => ({ value, hint: pluginHints[value] })),
  );
}

/** `undefined` when everything is the default. @throws {UsageError} when an address is missing, or for nothing. */
async function pluginsOf(options: InitOptions, ask: Asker | undefined): Promise<PluginChoice | undefined> {
  const transport = options.transport ?? (ask ? await askPlugin(ask, "transport") : undefined);
  const registry = options.registry ?? (ask ? await askPlugin(ask, "registry") : undefined);
  const chosen = {
    ...(transport === undefined || isDefaultPlugin("transport", transport) ? {} : { transport }),
    ...(registry === undefined || isDefaultPlugin("registry", registry) ? {} : { registry }),
  };
  const needsAddress = "transport" in chosen && !("registry" in chosen);
  if (options.address !== undefined && "registry" in chosen) {
    throw new UsageError("--address says where the broker listens, and this registry needs none", "leave it out");
  }
  const address =
    options.address ??
    (needsAddress && ask
      ? await ask.text({
          message: "Where does the broker listen, in this transport's own form?",
          validate: (text) => (text === "" ? "an address is needed, for example tcp://127.0.0.1:7700" : undefined),
        })
      : undefined);
  if (needsAddress && address === undefined) {
    throw new UsageError("where the broker listens is missing", "add --address, in this transport's own form");
  }
  if (address === undefined && Object.keys(chosen).length === 0) return undefined;
  return { ...chosen, ...(address === undefined ? {} : { address }) };
}

const another = "another one";

async function askPlugin(ask: Asker, kind: PluginKind): Promise<string> {
  const shipped = shippedPlugins[kind].map(({ name, hint }) => ({ value: name, hint }));
  const other = { value: another, hint: "by its short name, its package or a path" };
  const chosen = await ask.select(`Which ${kind}?`, [...shipped, other]);
  if (chosen !== another) return chosen;
  return await ask.text({ message: `Which ${kind} plugin?`, validate: pluginFault });
}

function askName(ask: Asker, fallback: string, targetOf: (name: string) => string): Promise<string> {
  return ask.text({
    message: "Name?",
    fallback,
    validate: (text) => nameFault(text) ?? faultIn(() => checkPlace(targetOf(text))),
  });
}

function askDescription(ask: Asker, type: ProjectType): Promise<string> {
  return ask.text({
    message: "What does it do?",
    fallback: projectTypeFacts[type].description,
    validate: (text) => faultIn(() => parseDescription(text)),
  });
}

async function capabilitiesOf(
  type: ProjectType,
  given: string | undefined,
  ask: Asker | undefined,
): Promise<readonly string[]> {
  const fallback = projectTypeFacts[type].capabilities;
  if (!fallback) return [];
  if (given !== undefined) return parseCapabilities(given);
  if (!ask) return fallback;
  return parseCapabilities(
    await ask.text({
      message: "What can it be asked for? (separated by commas)",
      fallback: fallback.join(", "),
      validate: (text) => faultIn(() => parseCapabilities(text)),
    }),
  );
}

function faultIn(check: () => unknown): string | undefined {
  try {
    check();
    return undefined;
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return "hint" in error && typeof error.hint === "string" ? `${error.message}: ${error.hint}` : error.message;
  }
}
