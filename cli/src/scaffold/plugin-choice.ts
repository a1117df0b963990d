import { UsageError } from "../ui/errors.ts";
import { version } from "../version.ts";
import type { PluginKind } from "./project-types.ts";

/** What a project's agents run on, as `soorma.config.ts` says it; what is left out is the default. */
export interface PluginChoice {
  readonly transport?: string;
  readonly registry?: string;
  /** Where the broker listens, in the form of a transport that is not the default. */
  readonly address?: string;
}

/** Plugins that come with soorma, and run agents in processes of their own. The first is the default. */
export const shippedPlugins: Readonly<Record<PluginKind, readonly [{ name: string; hint: string }]>> = {
  transport: [{ name: "zeromq", hint: "ZeroMQ sockets, straight between processes" }],
  registry: [{ name: "broker", hint: "the broker that `soorma dev` runs" }],
};

const shortName = /^[a-z0-9][a-z0-9-]*$/;
const packageName = /^(@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/;

/** Why a text names no plugin; `undefined` when it does. */
export function pluginFault(text: string): string | undefined {
  if (/^\.{0,2}\//.test(text) || packageName.test(text)) return undefined;
  return "give a short name (nats), the name of a package, or a path that begins with ./ or ../";
}

/** @throws {UsageError} when it names no plugin. */
export function checkPlugin(kind: PluginKind, text: string): string {
  const fault = pluginFault(text);
  if (fault !== undefined) throw new UsageError(`"${text}" is no ${kind} plugin`, fault);
  return text;
}

export function isDefaultPlugin(kind: PluginKind, name: string): boolean {
  return shippedPlugins[kind][0].name === name;
}

/** The `soorma.config.ts` that chooses plugins. */
export function pluginConfig({ transport, registry, address }: PluginChoice): string {
  const chosen = [
    ...(transport === undefined ? [] : [`transport: ${JSON.stringify(transport)}`]),
    ...(registry === undefined ? [] : [`registry: ${JSON.stringify(registry)}`]),
  ];
  const lines = [
    ...(address === undefined ? [] : [`  mesh: { address: ${JSON.stringify(address)} },`]),
    ...(chosen.length === 0 ? [] : [`  plugins: { ${chosen.join(", ")} },`]),
  ];
  return `import { defineConfig } from "soorma/config";\n\nexport default defineConfig({\n${lines.join("\n")}\n});\n`;
}

/** The packages of chosen plugins. One that is found by a path is in none. */
export function pluginDependencies({ transport, registry }: PluginChoice): Record<string, string> {
  const chosen = [
    ["transport", transport],
    ["registry", registry],
  ] as const;
  return Object.fromEntries(
    chosen.flatMap(([kind, name]) => {
      if (name === undefined || /^\.{0,2}\//.test(name)) return [];
      const own = name.startsWith("@soorma/");
      return [[shortName.test(name) ? `soorma-${kind}-${name}` : name, own ? version : "latest"]];
    }),
  );
}
