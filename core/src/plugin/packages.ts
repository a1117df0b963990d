import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/** What a package says about the plugin in it, readable without running its code. */
export interface PluginMetadata {
  readonly kind: string;
  readonly name: string;
  readonly api: number;
}

export interface PackageOnDisk {
  readonly dir: string;
  /** The package's name; the folder's when its package.json has none. */
  readonly name: string;
  readonly version: string | undefined;
  readonly metadata: PluginMetadata | undefined;
}

export interface InstalledPlugin extends PluginMetadata {
  readonly package: string;
  readonly version: string | undefined;
  readonly dir: string;
}

/** The package installed under `name` that a module in `fromDir` would get, as Node's resolution has it. */
export async function findPackage(name: string, fromDir: string): Promise<PackageOnDisk | undefined> {
  for (const modules of modulesFolders(fromDir)) {
    const found = await readPackage(join(modules, name));
    if (found) return found;
  }
  return undefined;
}

/** `undefined` when `dir` has no package.json that is JSON. */
export async function readPackage(dir: string): Promise<PackageOnDisk | undefined> {
  let manifest: unknown;
  try {
    manifest = await Bun.file(join(dir, "package.json")).json();
  } catch {
    return undefined;
  }
  if (typeof manifest !== "object" || manifest === null) return undefined;
  const { name, version, soorma } = manifest as Record<string, unknown>;
  return {
    dir,
    name: typeof name === "string" ? name : basename(dir),
    version: typeof version === "string" ? version : undefined,
    metadata: parseMetadata(soorma),
  };
}

export async function isDirectory(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isDirectory(),
    () => false,
  );
}

/**
 * The plugins installed for `dir`: those in its `node_modules` and in the ones above it, the nearest of a name.
 *
 * Reads package.json files only; sorted by kind, then name, then package.
 */
export async function listPlugins(dir: string): Promise<InstalledPlugin[]> {
  const found = new Map<string, InstalledPlugin>();
  for (const modules of modulesFolders(dir)) {
    for (const name of await packageNames(modules)) {
      if (found.has(name)) continue;
      const onDisk = await readPackage(join(modules, name));
      if (!onDisk?.metadata) continue;
      found.set(name, { ...onDisk.metadata, package: name, version: onDisk.version, dir: onDisk.dir });
    }
  }
  const key = (plugin: InstalledPlugin) => `${plugin.kind} ${plugin.name} ${plugin.package}`;
  return [...found.values()].sort((a, b) => (key(a) < key(b) ? -1 : 1));
}

function parseMetadata(value: unknown): PluginMetadata | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const { kind, name, api } = value as Record<string, unknown>;
  // A project's package.json may keep settings under the same key: only a kind and a name make it a plugin.
  if (typeof kind !== "string" || typeof name !== "string" || typeof api !== "number") return undefined;
  return { kind, name, api };
}

function* modulesFolders(fromDir: string): Generator<string> {
  for (let dir = fromDir; ; dir = dirname(dir)) {
    if (basename(dir) !== "node_modules") yield join(dir, "node_modules");
    if (dirname(dir) === dir) return;
  }
}

async function packageNames(modules: string): Promise<string[]> {
  const entries = await readdir(modules).catch(() => []);
  const names: string[] = [];
  for (const entry of entries) {
    if (entry.startsWith(".")) continue;
    if (!entry.startsWith("@")) names.push(entry);
    else for (const name of await readdir(join(modules, entry)).catch(() => [])) names.push(`${entry}/${name}`);
  }
  return names;
}
