import { join } from "node:path";
import { isSoormaError, SoormaError } from "@soorma/core/errors";
import { originText, type PluginChoice } from "../config/resolve.ts";
import { type ConfiguredKind, defaultPlugins } from "../config/settings.ts";
import type { LoadedConfig } from "../config.ts";
import type { Project } from "./project.ts";

/** The plugins of a mesh with all their options, and where the broker is to listen, if one is needed. */
export interface MeshPlugins {
  readonly transport: PluginChoice;
  readonly registry: PluginChoice;
  /** In the transport's short form. Absent: another registry does without a broker. */
  readonly listen?: string;
}

/**
 * Adds to the configured plugins what only `soorma dev` knows: folder and address of sockets. A plugin that is not the default, or has
 * options, is loaded from the project and asked whether it takes them.
 *
 * @throws {SoormaError} `CONFIG_INVALID` or `PLUGIN_*`, naming the path in the configuration.
 */
export async function meshPlugins(
  project: Pick<Project, "root" | "socketFolder">,
  loaded: Pick<LoadedConfig, "settings" | "origins">,
): Promise<MeshPlugins> {
  const { mesh, dev, plugins } = loaded.settings;
  const names = await Promise.all([pluginName("transport", project, loaded), pluginName("registry", project, loaded)]);
  const isDefault = {
    transport: names[0] === defaultPlugins.transport,
    registry: names[1] === defaultPlugins.registry,
  };
  const transport = isDefault.transport
    ? { ...plugins.transport, options: { dir: project.socketFolder, ...plugins.transport.options } }
    : plugins.transport;
  const given = mesh.address ?? (dev.port === undefined ? undefined : `tcp://127.0.0.1:${dev.port}`);
  if (!isDefault.registry) {
    if (given !== undefined) {
      const path = mesh.address === undefined ? "dev.port" : "mesh.address";
      throw wrong(
        loaded,
        path,
        `says where a broker listens, and the registry "${names[1]}" needs none`,
        "leave it out",
      );
    }
    await checkOptions("registry", plugins.registry, project, loaded);
    await checkOptions("transport", transport, project, loaded);
    return { transport, registry: plugins.registry };
  }
  // The form people type: a restarted broker is reached by it, too, while the full address names the one process.
  const listen = given ?? (isDefault.transport ? `ipc://${join(project.socketFolder, "broker")}` : undefined);
  if (listen === undefined) {
    throw wrong(
      loaded,
      "mesh.address",
      `is missing: the transport "${names[0]}" does not say where a broker listens`,
      "give an address in that transport's own form",
    );
  }
  if (plugins.registry.options.address !== undefined) {
    throw wrong(loaded, "plugins.registry.options.address", "is what mesh.address says", "set mesh.address");
  }
  const registry = { ...plugins.registry, options: { ...plugins.registry.options, address: listen } };
  await checkOptions("registry", registry, project, loaded);
  await checkOptions("transport", transport, project, loaded);
  return { transport, registry, listen };
}

type Given = Pick<LoadedConfig, "settings" | "origins">;

/** What a plugin calls itself: a path or a package may be the default one, too. */
async function pluginName(kind: ConfiguredKind, project: Pick<Project, "root">, loaded: Given): Promise<string> {
  const { name } = loaded.settings.plugins[kind];
  return name === defaultPlugins[kind] ? name : (await load(kind, name, project, loaded)).name;
}

async function load(kind: ConfiguredKind, name: string, { root }: Pick<Project, "root">, loaded: Given) {
  // Only a mesh that is made of something else pays for this.
  const { createPluginLoader } = await import("@soorma/core/plugins");
  try {
    return await createPluginLoader({ from: [root, import.meta.dir] }).load(kind, name);
  } catch (error) {
    if (!isSoormaError(error)) throw error;
    const { code, message, hint, details } = error;
    throw new SoormaError(code, `${placeOf(loaded, `plugins.${kind}.name`)}: plugins.${kind}.name: ${message}`, {
      cause: error,
      ...(hint === undefined ? {} : { hint }),
      ...(details === undefined ? {} : { details }),
    });
  }
}

async function checkOptions(
  kind: ConfiguredKind,
  choice: PluginChoice,
  project: Pick<Project, "root">,
  loaded: Given,
): Promise<void> {
  const configured = loaded.settings.plugins[kind];
  if (configured.name === defaultPlugins[kind] && Object.keys(configured.options).length === 0) return;
  const plugin = await load(kind, choice.name, project, loaded);
  if ("interprocess" in plugin.supports && !plugin.supports.interprocess) {
    throw wrong(
      loaded,
      `plugins.${kind}.name`,
      `is "${plugin.name}", which does not reach other processes, and every agent is one`,
      "take another transport; this one is for tests",
    );
  }
  const { parsePluginOptions } = await import("@soorma/core/plugins");
  try {
    parsePluginOptions(plugin, choice.options);
  } catch (error) {
    if (!isSoormaError(error, "PLUGIN_OPTIONS_INVALID")) throw error;
    const [first] = (error.details?.errors ?? []) as { path: string; message: string }[];
    const path = `plugins.${kind}.options${first?.path ? `.${first.path}` : ""}`;
    throw wrong(loaded, path, first?.message ?? error.message, error.hint, error);
  }
}

function wrong(loaded: Given, path: string, message: string, hint?: string, cause?: unknown): SoormaError {
  return new SoormaError("CONFIG_INVALID", `${placeOf(loaded, path)}: ${path} ${message}`, {
    ...(hint === undefined ? {} : { hint }),
    ...(cause === undefined ? {} : { cause }),
    details: { path },
  });
}

/** For people: the file and line, variable or flag that said it, or would have to. */
function placeOf({ origins }: Given, path: string): string {
  return originText(origins.get(path) ?? { kind: "file" });
}
