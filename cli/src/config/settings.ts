export const configFileName = "soorma.config.ts";

export type SettingValue = string | number | boolean;

/** A setting that is one value. Plugins, agents and environments are not in this table. */
export interface Setting {
  /** Dotted, as in the file: `mesh.leaseMs`. */
  readonly path: string;
  /** What is in force when nobody says anything; absent: see {@link Setting.absent}. */
  readonly default?: SettingValue;
  /** What it means that there is no value, for people. */
  readonly absent?: string;
  /** Of a whole number; without it a setting is a text, or true or false if that is its default. */
  readonly range?: readonly [least: number, most: number];
  /** What a text has to match. */
  readonly pattern?: string;
}

const day = 86_400_000;

/** The one list of settings: schema, variables, defaults and `soorma config` are made of it. */
export const settings = [
  { path: "mesh.address", absent: "a socket file" },
  // As registries take it.
  { path: "mesh.tenantId", default: "default", pattern: "^[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}$" },
  { path: "mesh.leaseMs", default: 10_000, range: [100, day] },
  { path: "mesh.renewMs", default: 3_000, range: [10, day] },
  { path: "mesh.maxMessageBytes", default: 16 * 1024 * 1024, range: [1024, 1024 ** 3] },
  { path: "mesh.dataFolder", default: ".soorma/data" },
  { path: "mesh.dataLimitBytes", absent: "what the disk has", range: [2 * 1024 * 1024, 2 ** 46] },
  { path: "memory.sweepMs", default: 1_000, range: [10, day] },
  { path: "tracker.cacheBytes", default: 256 * 1024 * 1024, range: [0, 2 ** 40] },
  { path: "dev.port", absent: "none: a socket file", range: [1, 65_535] },
  { path: "dev.drainMs", default: 10_000, range: [0, 3_600_000] },
  { path: "dev.readyMs", default: 10_000, range: [100, 3_600_000] },
  { path: "dev.restartMs", default: 500, range: [10, 60_000] },
  { path: "dev.types", default: true },
] as const satisfies readonly Setting[];

export const pluginKinds = ["transport", "registry"] as const;
export type ConfiguredKind = (typeof pluginKinds)[number];

export const defaultPlugins = { transport: "zeromq", registry: "broker" } as const satisfies Record<
  ConfiguredKind,
  string
>;

/** The variable that overrides a setting: `mesh.leaseMs` is `SOORMA_MESH_LEASE_MS`. */
export function variableOf(path: string): string {
  return `SOORMA_${path
    .replace(/([A-Z])/g, "_$1")
    .replaceAll(".", "_")
    .toUpperCase()}`;
}

/** Reads a variable's text. @throws {TypeError} when it is no value of the setting. */
export function parseSetting(setting: Setting, given: string): SettingValue {
  if (typeof setting.default === "boolean") {
    if (given === "true" || given === "1") return true;
    if (given === "false" || given === "0") return false;
    throw new TypeError(`has to be true or false, not ${JSON.stringify(given)}`);
  }
  if (setting.pattern !== undefined && !new RegExp(setting.pattern).test(given)) {
    throw new TypeError(`has to match ${setting.pattern}, which ${JSON.stringify(given)} does not`);
  }
  if (setting.range === undefined) return given;
  const [least, most] = setting.range;
  const number = Number(given);
  if (!/^\d+$/.test(given) || number < least || number > most) {
    throw new TypeError(`has to be a whole number from ${least} to ${most}, not ${JSON.stringify(given)}`);
  }
  return number;
}
