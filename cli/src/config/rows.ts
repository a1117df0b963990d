import { resolve } from "node:path";
import { shortPath } from "../dev/agents.ts";
import type { MeshPlugins } from "../dev/mesh-plugins.ts";
import type { AgentConfig } from "./define.ts";
import { type Origin, originText, type Resolved } from "./resolve.ts";
import { pluginKinds, type Setting, settings } from "./settings.ts";

/** One value in force. */
export interface ConfigRow {
  readonly path: string;
  /** Absent when there is none. Secrets are hidden. */
  readonly value: unknown;
  /** For people, when there is no value: what that means. */
  readonly absent?: string;
  readonly origin: Origin | Found;
}

/** What no configuration says. */
type Found = { readonly kind: "project" } | { readonly kind: "plugin"; readonly name: string };

export interface RowsInput {
  readonly root: string;
  readonly resolved: Resolved;
  /** Agents as they are run: from the configuration, or found in the project. */
  readonly agents: Readonly<Record<string, AgentConfig>>;
  readonly plugins: MeshPlugins;
  /** A plugin's options with its own defaults, by kind. */
  readonly options: Readonly<Record<"transport" | "registry", Readonly<Record<string, unknown>>>>;
}

/** Everything that is in force, in the order of the file. */
export function configRows({ root, resolved, agents, plugins, options }: RowsInput): ConfigRow[] {
  const { settings: inForce, origins } = resolved;
  const rows: ConfigRow[] = [];
  const add = (path: string, value: unknown, otherwise: Origin | Found, absent?: string): void => {
    const origin = origins.get(path) ?? otherwise;
    rows.push({ path, value: hidden(path, value), origin, ...(absent === undefined ? {} : { absent }) });
  };
  for (const [name, { entry, instances = 1, env = {} }] of Object.entries(agents)) {
    add(`agents.${name}.entry`, shortPath(root, resolve(root, entry)), { kind: "project" });
    add(`agents.${name}.instances`, instances, { kind: "default" });
    for (const [key, value] of Object.entries(env)) add(`agents.${name}.env.${key}`, value, { kind: "default" });
  }
  const section = (name: string): void => {
    for (const { path, absent } of settings as readonly Setting[]) {
      if (!path.startsWith(`${name}.`)) continue;
      const [, key = ""] = path.split(".");
      const value = (inForce[name as "mesh"] as Readonly<Record<string, unknown>>)[key];
      add(path, value, { kind: "default" }, absent);
    }
  };
  section("mesh");
  // What `soorma dev` adds to a plugin's options is neither the plugin's nor the user's, but follows from the address.
  const addresses = ["mesh.address", "dev.port"].map((path) => origins.get(path));
  const filledIn = addresses.find((origin) => origin && origin.kind !== "default") ?? { kind: "default" };
  for (const kind of pluginKinds) {
    add(`plugins.${kind}.name`, inForce.plugins[kind].name, { kind: "default" });
    const given = plugins[kind].options;
    for (const [key, value] of Object.entries(options[kind])) {
      const otherwise: Origin | Found = key in given ? filledIn : { kind: "plugin", name: plugins[kind].name };
      add(`plugins.${kind}.options.${key}`, value, otherwise);
    }
  }
  for (const name of ["memory", "tracker", "dev"]) section(name);
  return rows;
}

/** For people: where a row's value comes from. */
export function rowOrigin({ origin }: ConfigRow): string {
  if (origin.kind === "project") return "found in the project";
  if (origin.kind === "plugin") return `default of ${origin.name}`;
  return originText(origin);
}

const secretNames = /secret|password|passwd|token|credential|api_?key|private|[_-]key$/i;

function hidden(path: string, value: unknown): unknown {
  if (secretNames.test(path.slice(path.lastIndexOf(".") + 1))) return value === undefined ? undefined : "(hidden)";
  if (typeof value === "string") return value.replace(/(\/\/[^/:@\s]*):[^/@\s]+@/g, "$1:(hidden)@");
  if (Array.isArray(value)) return value.map((inner) => hidden("", inner));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, hidden(key, inner)]));
}
