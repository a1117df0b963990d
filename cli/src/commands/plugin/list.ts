import { existsSync } from "node:fs";
import { homedir } from "node:os";
import { resolve } from "node:path";
import { type InstalledPlugin, listPlugins, pluginApi } from "@soorma/core/plugins";
import { pluginKinds } from "../../config/settings.ts";
import { loadConfig } from "../../config.ts";
import { shortPath } from "../../dev/agents.ts";
import { findProject, type Project } from "../../dev/project.ts";
import { colorsForStdout } from "../../ui/colors.ts";
import { CommandError } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import type { RunCommand } from "../spec.ts";

interface ListOptions {
  readonly env?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

interface Listed {
  readonly kind: string;
  readonly name: string;
  readonly package: string | null;
  readonly version: string | null;
  readonly dir: string;
  /** Installed for the project, part of soorma, or a path in the configuration. */
  readonly source: "project" | "soorma" | "path";
  readonly inUse: boolean;
  /** Why it cannot be used. */
  readonly problem?: string;
}

export const runPluginList: RunCommand = async ({ options: given, io }) => {
  const options = given as ListOptions;
  const project = projectHere(io, options.dir);
  const plugins = await listAll(project, options.env, io);
  if (options.json) {
    io.out(JSON.stringify(plugins));
    return undefined;
  }
  const colors = colorsForStdout(io);
  const rows = plugins.map((plugin) => [
    oneLine(plugin.kind),
    oneLine(plugin.name),
    plugin.package === null ? "-" : oneLine(`${plugin.package} ${plugin.version ?? ""}`),
    plugin.source === "soorma" ? "comes with soorma" : oneLine(shortPath(project?.root ?? io.cwd, plugin.dir)),
    plugin.problem === undefined ? (plugin.inUse ? colors.green("in use") : "") : colors.red(plugin.problem),
  ]);
  const columns = [
    { title: "KIND" },
    { title: "NAME", least: 8 },
    { title: "PACKAGE", least: 12, rank: 1 },
    { title: "WHERE", least: 12 },
    { title: "" },
  ] as const;
  const width = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  for (const line of table(columns, rows, { width, colors })) io.out(line);
  return undefined;
};

/** Plugins that come with soorma can be listed anywhere. */
function projectHere(io: Io, dir: string | undefined): Project | undefined {
  try {
    return findProject(io.cwd, dir);
  } catch (error) {
    if (dir === undefined && error instanceof CommandError && error.code === "PROJECT_NOT_FOUND") return undefined;
    throw error;
  }
}

async function listAll(project: Project | undefined, environment: string | undefined, io: Io): Promise<Listed[]> {
  const { settings } = await loadConfig(project?.root ?? io.cwd, { environment, env: io.env });
  const own = project ? await listPlugins(project.root) : [];
  // A package of the project is taken instead of the one of the same name that comes with soorma.
  const shadowed = new Set(own.map((plugin) => plugin.package));
  const bundled = (await listPlugins(import.meta.dir)).filter((plugin) => !shadowed.has(plugin.package));
  const chosen = new Map<string, string>(pluginKinds.map((kind) => [kind, settings.plugins[kind].name]));
  const used = new Set<string>();
  const listed = (plugin: InstalledPlugin, source: Listed["source"]): Listed => {
    const key = `${plugin.kind} ${plugin.name}`;
    const wanted = chosen.get(plugin.kind);
    // The project's own goes before the one of the same name that comes with soorma.
    const inUse = (wanted === plugin.name || wanted === plugin.package) && !used.has(key);
    if (inUse) used.add(key);
    return {
      kind: plugin.kind,
      name: plugin.name,
      package: plugin.package,
      version: plugin.version ?? null,
      dir: plugin.dir,
      source,
      inUse,
      ...(plugin.api === pluginApi
        ? {}
        : { problem: `written for plugin interface ${plugin.api}, and this version speaks ${pluginApi}` }),
    };
  };
  const paths = pluginKinds.flatMap((kind): Listed[] => {
    const { name } = settings.plugins[kind];
    if (!project || !/^(\.|\/|~\/|file:)/.test(name)) return [];
    const dir = resolve(project.root, name.replace(/^file:\/\//, "").replace(/^~(?=\/)/, homedir()));
    const problem = existsSync(dir) || existsSync(`${dir}.ts`) ? {} : { problem: "is not there" };
    return [{ kind, name, package: null, version: null, dir, source: "path", inUse: true, ...problem }];
  });
  return [
    ...own.map((plugin) => listed(plugin, "project")),
    ...bundled.map((plugin) => listed(plugin, "soorma")),
    ...paths,
  ].sort((a, b) => (`${a.kind} ${a.name}` < `${b.kind} ${b.name}` ? -1 : 1));
}
