import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { version } from "../version.ts";
import { mergeManifests } from "./manifest.ts";
import { type PluginChoice, pluginConfig, pluginDependencies } from "./plugin-choice.ts";
import { type Include, type PluginKind, type ProjectType, projectTypeFacts } from "./project-types.ts";
import { render, type TemplateValues } from "./render.ts";

export interface ProjectFile {
  /** Relative to the project, with slashes. */
  readonly path: string;
  readonly text: string;
}

export interface ProjectChoice {
  readonly type: ProjectType;
  readonly name: string;
  readonly description: string;
  readonly capabilities: readonly string[];
  readonly includes: readonly Include[];
  /** Of a plugin. */
  readonly kind?: PluginKind;
  /** What the agents run on, where it is not the default. */
  readonly plugins?: PluginChoice;
}

const manifestFile = "package.json";

/** All files of a new project, filled in, sorted by path. */
export function projectFiles(choice: ProjectChoice): ProjectFile[] {
  const values: TemplateValues = {
    text: {
      name: choice.name,
      description: choice.description,
      capability: choice.capabilities[0] ?? choice.name,
      goal: `${choice.name}.goal`,
      soormaVersion: version,
      kind: choice.kind ?? "",
    },
    lists: { capabilities: choice.capabilities },
  };
  const wanted = choice.includes.filter((include) => projectTypeFacts[choice.type].includes.includes(include));
  const kind = choice.kind === undefined ? [] : [`${choice.type}-${choice.kind}`];
  const layers = ["shared", choice.type, ...kind, ...wanted.map((include) => `with/${include}`)].map(filesIn);
  const files = new Map<string, string>();
  const manifests: string[] = [];
  for (const { path, source } of layers.flat()) {
    // Belongs to the part that the client script is.
    if (path === "_client.ts" && !wanted.includes("client")) continue;
    const target = targetOf(path);
    const text = render(target, source, values);
    if (target === manifestFile) manifests.push(text);
    else files.set(target, text);
  }
  if (choice.plugins) {
    files.set("soorma.config.ts", pluginConfig(choice.plugins));
    manifests.push(JSON.stringify({ dependencies: pluginDependencies(choice.plugins) }));
  }
  files.set(manifestFile, mergeManifests(manifests));
  return [...files].map(([path, text]) => ({ path, text })).sort((a, b) => (a.path < b.path ? -1 : 1));
}

/**
 * Where a template's file goes: packing leaves dotfiles out, and tools that read this repository or the published package
 * would take the others for theirs.
 */
function targetOf(path: string): string {
  // What publint refuses in a package.json that is not the package's own.
  if (path === "_package.json") return manifestFile;
  if (path === "_client.ts") return "src/client.ts";
  if (path === "_biome.json") return "biome.json";
  return path.replace(/^_/, ".");
}

function filesIn(layer: string): { path: string; source: string }[] {
  const folder = join(templatesFolder(), layer);
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => {
      const file = join(entry.parentPath, entry.name);
      return { path: file.slice(folder.length + 1), source: readFileSync(file, "utf8") };
    });
}

/** At the root of the repository while soorma is being developed; beside the sources in the published package. */
function templatesFolder(): string {
  const packageFolder = join(import.meta.dir, "..", "..");
  // First, because packing puts a copy beside the sources for a moment.
  const repository = join(packageFolder, "..", "templates");
  return existsSync(join(repository, "shared", "_gitignore")) ? repository : join(packageFolder, "templates");
}
