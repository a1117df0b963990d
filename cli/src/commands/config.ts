import { createPluginLoader, parsePluginOptions } from "@soorma/core/plugins";
import { type ConfigRow, configRows, rowOrigin } from "../config/rows.ts";
import { type ConfiguredKind, pluginKinds } from "../config/settings.ts";
import { configFileName, loadConfig } from "../config.ts";
import { agentDefinitions } from "../dev/agents.ts";
import { meshPlugins } from "../dev/mesh-plugins.ts";
import { findProject } from "../dev/project.ts";
import { colorsForStdout } from "../ui/colors.ts";
import { CommandError } from "../ui/errors.ts";
import { suggest } from "../ui/suggest.ts";
import { table } from "../ui/table.ts";
import { oneLine } from "../ui/text.ts";
import type { RunCommand } from "./spec.ts";

interface ConfigOptions {
  readonly env?: string;
  readonly port?: number;
  readonly dir?: string;
  readonly json?: boolean;
}

export const runConfig: RunCommand = async ({ args: [path], options: given, io }) => {
  const options = given as ConfigOptions;
  const project = findProject(io.cwd, options.dir);
  const flags = options.port === undefined ? [] : [{ path: "dev.port", flag: "--port", value: options.port } as const];
  const loaded = await loadConfig(project.root, { environment: options.env, env: io.env, flags });
  const plugins = await meshPlugins(project, loaded);
  const loader = createPluginLoader({ from: [project.root, import.meta.dir] });
  const optionsOf = async (kind: ConfiguredKind): Promise<Record<string, unknown>> => {
    const { name, options: chosen } = plugins[kind];
    return parsePluginOptions(await loader.load(kind, name), chosen) as Record<string, unknown>;
  };
  const [transport, registry] = await Promise.all(pluginKinds.map(optionsOf));
  const rows = configRows({
    root: project.root,
    resolved: loaded,
    agents: agentDefinitions(project.root, loaded.settings),
    plugins,
    options: { transport: transport ?? {}, registry: registry ?? {} },
  });
  const shown = path === undefined ? rows : rows.filter((row) => row.path === path || row.path.startsWith(`${path}.`));
  if (path !== undefined && shown.length === 0) {
    throw new CommandError("SETTING_NOT_FOUND", `there is no setting ${oneLine(path)}`, {
      hint: suggest(path, parents(rows), "`soorma config` prints all of them"),
    });
  }
  const { environment } = loaded.settings;
  if (options.json) {
    io.out(
      JSON.stringify({
        file: loaded.file ?? null,
        environment: environment ?? null,
        settings: Object.fromEntries(
          shown.map((row) => [row.path, { value: row.value ?? null, from: { ...row.origin, text: rowOrigin(row) } }]),
        ),
      }),
    );
    return undefined;
  }
  io.err(
    `${loaded.file ?? `no ${configFileName} in ${project.root}`}${environment === undefined ? "" : `, environment ${environment}`}`,
  );
  const colors = colorsForStdout(io);
  const cells = shown.map((row) => [
    row.path,
    row.value === undefined ? colors.dim(row.absent ?? "none") : valueText(row.value),
    row.origin.kind === "default" || row.origin.kind === "plugin" ? colors.dim(rowOrigin(row)) : rowOrigin(row),
  ]);
  const columns = [
    // Whole: cut, several settings of a plugin would look the same.
    { title: "SETTING" },
    { title: "VALUE", least: 10 },
    { title: "FROM", least: 7, rank: 1 },
  ] as const;
  const width = io.stdoutColumns ?? Number.POSITIVE_INFINITY;
  for (const line of table(columns, cells, { width, colors })) io.out(line);
  return undefined;
};

/** Every path there is, whole sections too. */
function parents(rows: readonly ConfigRow[]): Set<string> {
  const all = new Set<string>();
  for (const { path } of rows) {
    const parts = path.split(".");
    for (let length = 1; length <= parts.length; length++) all.add(parts.slice(0, length).join("."));
  }
  return all;
}

function valueText(value: unknown): string {
  return oneLine(typeof value === "string" ? value : JSON.stringify(value));
}
