import { SoormaError } from "@soorma/core/errors";
import { nearest } from "@soorma/core/nearest";
import type { AgentConfig, Config, Overlay, PluginConfig } from "./define.ts";
import {
  type ConfiguredKind,
  configFileName,
  defaultPlugins,
  parseSetting,
  pluginKinds,
  type Setting,
  type SettingValue,
  settings,
  variableOf,
} from "./settings.ts";

/** Where a value in force comes from. */
export type Origin =
  | { readonly kind: "default" }
  | { readonly kind: "file"; readonly line?: number }
  | { readonly kind: "environment"; readonly name: string; readonly line?: number }
  | { readonly kind: "variable"; readonly name: string }
  | { readonly kind: "flag"; readonly name: string };

/** A setting given on the command line. */
export interface Flag {
  readonly path: (typeof settings)[number]["path"];
  /** For people: `--port`. */
  readonly flag: string;
  readonly value: SettingValue;
}

/** A plugin as a process finds and makes it. */
export interface PluginChoice {
  readonly name: string;
  readonly options: Readonly<Record<string, unknown>>;
}

/** What is in force in a project, defaults filled in. */
export interface Settings {
  /** The environment that was chosen. */
  readonly environment?: string;
  /** Absent: they are looked for in the usual places. */
  readonly agents?: Readonly<Record<string, AgentConfig>>;
  readonly mesh: {
    /** Absent: a socket file, where the transport has such. */
    readonly address?: string;
    readonly tenantId: string;
    readonly leaseMs: number;
    readonly renewMs: number;
    readonly maxMessageBytes: number;
    /** As given: relative to the project. */
    readonly dataFolder: string;
    readonly dataLimitBytes?: number;
  };
  readonly plugins: Readonly<Record<ConfiguredKind, PluginChoice>>;
  readonly memory: { readonly sweepMs: number };
  readonly tracker: { readonly cacheBytes: number };
  readonly dev: {
    readonly port?: number;
    readonly drainMs: number;
    readonly readyMs: number;
    readonly restartMs: number;
    readonly types: boolean;
  };
}

export interface Resolved {
  readonly settings: Settings;
  /** By dotted path: of every setting, of each agent's `entry`, `instances` and `env`, of each plugin's `name` and options. */
  readonly origins: ReadonlyMap<string, Origin>;
}

export interface ResolveInput {
  readonly config: Config;
  /** By dotted path. */
  readonly lines?: ReadonlyMap<string, number>;
  /** Of `--env`. */
  readonly environment?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly flags?: readonly Flag[];
}

export const environmentVariable = "SOORMA_ENV";

/** Which layer wins: the last that says something. */
const ranks = { default: 0, file: 1, environment: 2, variable: 3, flag: 4 } as const satisfies Record<
  Origin["kind"],
  number
>;

/**
 * Lays environment, variables and flags over what the file says.
 *
 * @throws {SoormaError} `CONFIG_INVALID`: an environment there is not, a variable that is no value of its setting, or values that do
 * not go together.
 */
export function resolveConfig(input: ResolveInput): Resolved {
  const { config, lines = new Map<string, number>() } = input;
  const environment = chosenEnvironment(input);
  const overlay: Overlay = environment === undefined ? {} : (config.environments?.[environment] ?? {});
  const origins = new Map<string, Origin>();
  const fileOrigin = (path: string): Origin => placed({ kind: "file" }, lines.get(path) ?? lines.get(parentOf(path)));
  const overlayOrigin = (path: string): Origin => {
    const full = `environments.${environment}.${path}`;
    return placed({ kind: "environment", name: environment ?? "" }, lines.get(full) ?? lines.get(parentOf(full)));
  };

  const values: Record<string, SettingValue | undefined> = {};
  for (const setting of settings as readonly Setting[]) {
    const { path } = setting;
    const flag = input.flags?.find((one) => one.path === path);
    const variable = variableOf(path);
    const text = input.env[variable] || undefined;
    const [over, base] = [at(overlay, path), at(config, path)];
    const [value, origin]: [SettingValue | undefined, Origin] = flag
      ? [flag.value, { kind: "flag", name: flag.flag }]
      : text !== undefined
        ? [parsed(setting, text), { kind: "variable", name: variable }]
        : over !== undefined
          ? [over, overlayOrigin(path)]
          : base !== undefined
            ? [base, fileOrigin(path)]
            : [setting.default, { kind: "default" }];
    values[path] = value;
    origins.set(path, origin);
  }
  oneAddress(values, origins);
  renewedInTime(values, origins);

  const plugins = Object.fromEntries(
    pluginKinds.map((kind) => [kind, pluginOf(kind, { input, overlay, origins, fileOrigin, overlayOrigin })]),
  ) as Settings["plugins"];
  const agents = agentsOf({ config, overlay, origins, fileOrigin, overlayOrigin });
  const section = (name: string): object =>
    Object.fromEntries(
      settings
        .filter(({ path }) => path.startsWith(`${name}.`) && values[path] !== undefined)
        .map(({ path }) => [path.slice(name.length + 1), values[path]]),
    );
  return {
    settings: {
      ...(environment === undefined ? {} : { environment }),
      ...(agents === undefined ? {} : { agents }),
      mesh: section("mesh") as Settings["mesh"],
      plugins,
      memory: section("memory") as Settings["memory"],
      tracker: section("tracker") as Settings["tracker"],
      dev: section("dev") as Settings["dev"],
    },
    origins,
  };
}

/** For people: `soorma.config.ts:7`, `SOORMA_DEV_PORT`, `--port`. */
export function originText(origin: Origin): string {
  switch (origin.kind) {
    case "default":
      return "default";
    case "file":
      return origin.line === undefined ? configFileName : `${configFileName}:${origin.line}`;
    case "environment":
      return `${originText({ ...origin, kind: "file" })} (environment ${origin.name})`;
    default:
      return origin.name;
  }
}

type Place = (path: string) => Origin;

function placed<O extends Origin>(origin: O, line: number | undefined): O {
  return line === undefined ? origin : { ...origin, line };
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf(".")));
}

function at(value: unknown, path: string): SettingValue | undefined {
  let found = value;
  for (const key of path.split(".")) found = (found as Record<string, unknown> | undefined)?.[key];
  return found as SettingValue | undefined;
}

function chosenEnvironment({ config, environment, env }: ResolveInput): string | undefined {
  const name = environment ?? (env[environmentVariable] || undefined);
  if (name === undefined) return undefined;
  const known = Object.keys(config.environments ?? {});
  if (known.includes(name)) return name;
  const asked = environment === undefined ? environmentVariable : "--env";
  const guess = nearest(name, known);
  const list = known.length === 0 ? "soorma.config.ts has no environments" : `the environments are ${known.join(", ")}`;
  throw new SoormaError("CONFIG_INVALID", `${asked} asks for the environment "${name}", which there is not`, {
    hint: guess === undefined ? list : `did you mean "${guess}"?`,
    details: { path: `environments.${name}` },
  });
}

function parsed(setting: Setting, text: string): SettingValue {
  try {
    return parseSetting(setting, text);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const name = variableOf(setting.path);
    throw new SoormaError("CONFIG_INVALID", `the variable ${name}, for ${setting.path}, ${why}`, {
      hint: `unset ${name}, or set it right`,
      details: { path: setting.path },
    });
  }
}

/** Address and port say the same thing: what is nearer to the user wins; side by side they are a mistake. */
function oneAddress(values: Record<string, SettingValue | undefined>, origins: Map<string, Origin>): void {
  const [address, port] = ["mesh.address", "dev.port"] as const;
  if (values[address] === undefined || values[port] === undefined) return;
  const [ofAddress, ofPort] = [origins.get(address)?.kind ?? "default", origins.get(port)?.kind ?? "default"];
  if (ofAddress === ofPort) {
    throw new SoormaError("CONFIG_INVALID", "mesh.address and dev.port both say where the broker listens", {
      hint: "leave one of them out",
      details: { path: address },
    });
  }
  const loser = ranks[ofAddress] > ranks[ofPort] ? port : address;
  values[loser] = undefined;
  origins.set(loser, { kind: "default" });
}

function renewedInTime(values: Record<string, SettingValue | undefined>, origins: Map<string, Origin>): void {
  const [lease, renew] = [Number(values["mesh.leaseMs"]), Number(values["mesh.renewMs"])];
  if (renew < lease) return;
  const path = origins.get("mesh.renewMs")?.kind === "default" ? "mesh.leaseMs" : "mesh.renewMs";
  throw new SoormaError(
    "CONFIG_INVALID",
    `${path}: a lease of ${lease} ms (mesh.leaseMs) would end before it is renewed after ${renew} ms (mesh.renewMs)`,
    { hint: "renew about three times within a lease", details: { path } },
  );
}

interface Layers {
  readonly overlay: Overlay;
  readonly origins: Map<string, Origin>;
  readonly fileOrigin: Place;
  readonly overlayOrigin: Place;
}

function pluginOf(kind: ConfiguredKind, layers: Layers & { readonly input: ResolveInput }): PluginChoice {
  const { input, overlay, origins, fileOrigin, overlayOrigin } = layers;
  const path = `plugins.${kind}`;
  const base = pluginConfig(input.config.plugins?.[kind]);
  const over = pluginConfig(overlay.plugins?.[kind]);
  const variable = variableOf(path);
  const named = input.env[variable] || undefined;
  let name: string = defaultPlugins[kind];
  let origin: Origin = { kind: "default" };
  let options: Record<string, unknown> = {};
  let places = new Map<string, Origin>();
  /** Another plugin's options are none of this one's. */
  const choose = (next: string | undefined, from: Origin): void => {
    if (next === undefined) return;
    if (next !== name) [options, places] = [{}, new Map()];
    [name, origin] = [next, from];
  };
  const add = (more: Readonly<Record<string, unknown>> | undefined, from: Place): void => {
    for (const [key, value] of Object.entries(more ?? {})) {
      options[key] = value;
      places.set(key, from(`${path}.options.${key}`));
    }
  };
  choose(base.name, fileOrigin(`${path}.name`));
  add(base.options, fileOrigin);
  choose(over.name, overlayOrigin(`${path}.name`));
  add(over.options, overlayOrigin);
  choose(named, { kind: "variable", name: variable });
  const optionsVariable = variableOf(`${path}.options`);
  add(optionsIn(optionsVariable, input.env), () => ({ kind: "variable", name: optionsVariable }));
  origins.set(`${path}.name`, origin);
  for (const [key, from] of places) origins.set(`${path}.options.${key}`, from);
  return { name, options };
}

function pluginConfig(given: string | PluginConfig | undefined): PluginConfig {
  return typeof given === "string" ? { name: given } : (given ?? {});
}

function optionsIn(variable: string, env: ResolveInput["env"]): Readonly<Record<string, unknown>> | undefined {
  const text = env[variable];
  if (!text) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Record<string, unknown>;
  } catch {
    // Said below.
  }
  throw new SoormaError("CONFIG_INVALID", `the variable ${variable} is no JSON object`, {
    hint: `like ${variable}='{"heartbeatMs":500}'`,
  });
}

function agentsOf(layers: Layers & { readonly config: Config }): Settings["agents"] {
  const { config, overlay, origins, fileOrigin, overlayOrigin } = layers;
  if (config.agents === undefined && overlay.agents === undefined) return undefined;
  const names = new Set([...Object.keys(config.agents ?? {}), ...Object.keys(overlay.agents ?? {})]);
  const agents: Record<string, AgentConfig> = {};
  for (const name of names) {
    const path = `agents.${name}`;
    const [base, over] = [agentConfig(config.agents?.[name]), agentConfig(overlay.agents?.[name])];
    const entry = over.entry ?? base.entry;
    if (entry === undefined) {
      throw new SoormaError(
        "CONFIG_INVALID",
        `environments: ${path}.entry is missing, and no agent "${name}" is there without it`,
        {
          hint: nearestHint(name, Object.keys(config.agents ?? {})),
          details: { path: `${path}.entry` },
        },
      );
    }
    const env = { ...base.env, ...over.env };
    const instances = over.instances ?? base.instances;
    agents[name] = {
      entry,
      ...(instances === undefined ? {} : { instances }),
      ...(Object.keys(env).length === 0 ? {} : { env }),
    };
    origins.set(
      `${path}.entry`,
      over.entry === undefined ? fileOrigin(`${path}.entry`) : overlayOrigin(`${path}.entry`),
    );
    if (instances !== undefined) {
      const place = over.instances === undefined ? fileOrigin : overlayOrigin;
      origins.set(`${path}.instances`, place(`${path}.instances`));
    }
    for (const key of Object.keys(env)) {
      const place = over.env?.[key] === undefined ? fileOrigin : overlayOrigin;
      origins.set(`${path}.env.${key}`, place(`${path}.env.${key}`));
    }
  }
  return agents;
}

function agentConfig(given: string | Partial<AgentConfig> | undefined): Partial<AgentConfig> {
  return typeof given === "string" ? { entry: given } : (given ?? {});
}

function nearestHint(name: string, known: readonly string[]): string {
  const guess = nearest(name, known);
  return guess === undefined ? "give it an entry" : `did you mean "${guess}"? Else give it an entry`;
}
