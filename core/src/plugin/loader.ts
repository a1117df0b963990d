import { homedir } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { SoormaError } from "../errors.ts";
import { nearest } from "../nearest.ts";
import {
  findPackage,
  isDirectory,
  listPlugins,
  type PackageOnDisk,
  type PluginMetadata,
  readPackage,
} from "./packages.ts";
import type { Plugin, PluginKind } from "./plugin.ts";

/** The plugin interface this version of core speaks. */
export const pluginApi = 1;

export interface PluginLoaderOptions {
  /** Folders to look from, the first that has the package wins: usually the project, then whoever brings defaults. */
  readonly from: readonly string[];
}

export interface PluginLoader {
  /**
   * Finds and imports a plugin, and checks that it is one.
   *
   * `redis` of kind `registry` is `@soorma/registry-redis`, then `soorma-registry-redis`, then a package called
   * `redis` that says in its package.json that it is a plugin. A name with a scope is a package; one that
   * begins with `.`, `/`, `~/` or `file:` is a file or a package's folder, relative to the first of the loader's folders.
   * A plugin passed as a value is checked and returned.
   *
   * @throws {SoormaError} `PLUGIN_NOT_FOUND`, `PLUGIN_INVALID`.
   */
  load<K extends PluginKind>(kind: K, plugin: string | Plugin<K>): Promise<Plugin<K>>;
}

interface Located {
  /** For messages: the package's name and folder, or the file. */
  readonly where: string;
  readonly entry: string;
  readonly metadata: PluginMetadata | undefined;
}

/** Finds plugins by name, wherever they come from: nothing here knows the name of one. */
export function createPluginLoader(options: PluginLoaderOptions): PluginLoader {
  const from = options.from.map((dir) => resolve(dir));

  const locate = async (kind: PluginKind, name: string): Promise<Located> => {
    if (/^(\.{0,2}\/|~\/|file:|\.{1,2}$)/.test(name)) return locatePath(kind, name, from[0] ?? "/");
    const candidates = candidatesOf(kind, name);
    for (const candidate of candidates) {
      for (const dir of from) {
        const found = await findPackage(candidate, dir);
        if (!found) continue;
        // Anybody may own an npm package of this name; it only counts, and its code only runs, if it wants to be one.
        if (candidates.length > 1 && candidate === name && !found.metadata) continue;
        return locatePackage(found);
      }
    }
    throw await notFound(kind, name, candidates, from);
  };

  return {
    async load(kind, plugin) {
      if (typeof plugin !== "string") return checkPlugin(kind, plugin, "the value passed");
      if (plugin === "") throw new TypeError(`the name of a ${kind} plugin is empty`);
      const { where, entry, metadata } = await locate(kind, plugin);
      checkMetadata(kind, metadata, where);
      const loaded = checkPlugin(kind, await importDefault(entry, where), where);
      if (metadata && metadata.name !== loaded.name) {
        throw invalid(
          where,
          `its package.json calls the plugin "${metadata.name}", its default export "${loaded.name}"`,
        );
      }
      return loaded;
    },
  };
}

function candidatesOf(kind: string, name: string): string[] {
  if (name.startsWith("@") || name.includes("/")) return [name];
  return [`@soorma/${kind}-${name}`, `soorma-${kind}-${name}`, name];
}

async function locatePath(kind: string, name: string, base: string): Promise<Located> {
  const path = name.startsWith("file:")
    ? fileURLToPath(name)
    : resolve(base, name.startsWith("~/") ? `${homedir()}/${name.slice(2)}` : name);
  if (await isDirectory(path)) {
    const found = await readPackage(path);
    if (found) return locatePackage(found);
  }
  try {
    return { where: path, entry: Bun.resolveSync(path, base), metadata: undefined };
  } catch (cause) {
    throw new SoormaError("PLUGIN_NOT_FOUND", `no ${kind} plugin at ${path}: there is no module or package there`, {
      cause,
      details: { kind, name, looked: [path] },
      hint: `Paths are relative to ${base}.`,
    });
  }
}

function locatePackage(found: PackageOnDisk): Located {
  const where = `${found.name} (${found.dir})`;
  try {
    // A package can always name itself, so its own `exports` decide, also for a folder outside of any node_modules.
    return { where, entry: Bun.resolveSync(found.name, found.dir), metadata: found.metadata };
  } catch {
    try {
      return { where, entry: Bun.resolveSync(found.dir, found.dir), metadata: found.metadata };
    } catch (cause) {
      throw invalid(where, `the entry that its package.json names cannot be resolved: ${messageOf(cause)}`, { cause });
    }
  }
}

async function notFound(
  kind: string,
  name: string,
  candidates: readonly string[],
  from: readonly string[],
): Promise<SoormaError> {
  const installed = (await Promise.all(from.map(listPlugins))).flat().filter((plugin) => plugin.kind === kind);
  const names = [...new Set(installed.map((plugin) => plugin.name))];
  const meant = nearest(name, names);
  const packages = candidates.filter((candidate) => candidates.length === 1 || candidate !== name);
  return new SoormaError(
    "PLUGIN_NOT_FOUND",
    `no ${kind} plugin "${name}": looked for ${packages.join(" and ")} from ${from.join(" and ")}`,
    {
      details: { kind, name, looked: [...packages], from: [...from], installed: names },
      hint: [
        meant ? `Did you mean "${meant}"?` : "",
        `Install it with \`bun add ${packages[0]}\`, or give the path or the full name of a package.`,
        names.length > 0 ? `Installed ${kind} plugins: ${names.join(", ")}.` : "",
      ]
        .filter(Boolean)
        .join(" "),
    },
  );
}

function checkMetadata(kind: string, metadata: PluginMetadata | undefined, where: string): void {
  if (!metadata) return;
  if (metadata.kind !== kind) throw invalid(where, `it is a plugin of kind ${metadata.kind}, and ${kind} is wanted`);
  if (metadata.api !== pluginApi) throw wrongApi(where, metadata.api);
}

async function importDefault(entry: string, where: string): Promise<unknown> {
  let module: Record<string, unknown>;
  try {
    module = (await import(pathToFileURL(entry).href)) as Record<string, unknown>;
  } catch (cause) {
    throw invalid(where, `importing ${entry} failed: ${messageOf(cause)}`, {
      cause,
      hint: "If it is a package that is missing, install the plugin's dependencies with `bun install`.",
    });
  }
  if ("default" in module) return module.default;
  const names = Object.keys(module);
  throw invalid(where, `it has no default export${names.length > 0 ? `, only ${names.join(", ")}` : ""}`, {
    hint: "A plugin's module has `export default definePlugin({ … })`.",
  });
}

function checkPlugin<K extends PluginKind>(kind: K, value: unknown, where: string): Plugin<K> {
  if (typeof value !== "object" || value === null) {
    throw invalid(where, `its default export is ${value === null ? "null" : `a ${typeof value}`}, not a plugin`);
  }
  const plugin = value as Partial<Record<keyof Plugin, unknown>>;
  if (plugin.api === undefined) throw invalid(where, 'it does not say its "api" version, so it is no plugin');
  if (plugin.api !== pluginApi) throw wrongApi(where, plugin.api);
  if (plugin.kind !== kind)
    throw invalid(where, `it is a plugin of kind ${String(plugin.kind)}, and ${kind} is wanted`);
  if (typeof plugin.name !== "string" || !/^[a-z0-9][a-z0-9-]*$/.test(plugin.name)) {
    throw invalid(
      where,
      `its "name" is ${JSON.stringify(plugin.name)}, and must be lower-case letters, digits and "-"`,
    );
  }
  for (const key of ["supports", "options"] as const) {
    if (typeof plugin[key] !== "object" || plugin[key] === null) throw invalid(where, `its "${key}" is no object`);
  }
  if (typeof plugin.create !== "function") throw invalid(where, 'its "create" is no function');
  return value as Plugin<K>;
}

function wrongApi(where: string, api: unknown): SoormaError {
  return invalid(where, `it is written for plugin interface ${String(api)}, and this version speaks ${pluginApi}`, {
    hint: "Update the plugin or Soorma, so that both speak the same.",
  });
}

function invalid(where: string, what: string, options: { cause?: unknown; hint?: string } = {}): SoormaError {
  return new SoormaError("PLUGIN_INVALID", `cannot load the plugin ${where}: ${what}`, options);
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
