import { existsSync, readFileSync, realpathSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import type { BunPlugin } from "bun";

/** What bundling an agent's file told: that it can be run and what it is made of, or what is wrong with it. */
export type BundleResult =
  | { readonly ok: true; readonly run: string; readonly files: readonly string[] }
  | { readonly ok: false; readonly problem: string; readonly files: readonly string[] };

/**
 * Follows an agent's imports through the project, and through packages that are linked into it from a folder beside it,
 * as in a workspace; installed packages are left alone. That finds syntax errors and missing files
 * before the running process is touched, and tells which files it belongs to.
 *
 * @param outputFolder - Writes a bundle there and names it as what to run; otherwise the file itself is run.
 */
export async function bundleAgent(
  file: string,
  outputFolder?: string,
  linked: readonly string[] = [],
): Promise<BundleResult> {
  if (!existsSync(file)) return { ok: false, problem: `${file} does not exist`, files: [file] };
  try {
    const { success, logs, outputs, metafile } = await Bun.build({
      entrypoints: [file],
      target: "bun",
      packages: "external",
      metafile: true,
      throw: false,
      plugins: linked.length > 0 ? [followLinks(linked)] : [],
      ...(outputFolder === undefined ? {} : { outdir: outputFolder, sourcemap: "inline" }),
    });
    const named = logs.flatMap((log) => (log.position?.file ? [log.position.file] : []));
    if (!success) {
      return { ok: false, problem: logs.map((log) => frameOf(log)).join("\n\n"), files: [file, ...named] };
    }
    // Paths in a metafile are relative to the working folder.
    const files = Object.keys(metafile?.inputs ?? {}).map((path) => resolve(process.cwd(), path));
    const entry = outputs.find((output) => output.kind === "entry-point");
    return {
      ok: true,
      run: outputFolder === undefined ? file : (entry?.path ?? join(outputFolder, "agent.js")),
      files,
    };
  } catch (error) {
    return { ok: false, problem: Bun.inspect(error), files: [file] };
  }
}

/** Packages of the project whose files are no installed ones, by name. Soorma itself is none of the user's. */
export function linkedPackages(root: string): string[] {
  const manifest = readManifest(root);
  return Object.keys({ ...manifest.dependencies, ...manifest.devDependencies }).filter((name) => {
    if (name === "soorma" || name.startsWith("@soorma/")) return false;
    try {
      return !realpathSync(join(root, "node_modules", name)).includes("/node_modules/");
    } catch {
      return false;
    }
  });
}

function readManifest(root: string): Partial<Record<"dependencies" | "devDependencies", Record<string, string>>> {
  try {
    return JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as ReturnType<typeof readManifest>;
  } catch {
    return {};
  }
}

function followLinks(names: readonly string[]): BunPlugin {
  const any = names.map((name) => name.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("|");
  return {
    name: "linked packages",
    setup(build) {
      build.onResolve({ filter: new RegExp(`^(${any})(/|$)`) }, ({ path, importer }) => ({
        path: realpathSync(Bun.resolveSync(path, dirname(importer))),
      }));
    },
  };
}

/** Message, place and the line itself with a mark under the fault. */
function frameOf(log: BuildMessage | ResolveMessage): string {
  const { position } = log;
  if (!position) return log.message;
  const number = String(position.line);
  const mark = " ".repeat(number.length + 3 + Math.max(0, position.column - 1));
  return [
    `${log.message}`,
    `  at ${position.file}:${position.line}:${position.column}`,
    `${number} | ${position.lineText}`,
    `${mark}${"^".repeat(Math.max(1, position.length))}`,
  ].join("\n");
}
