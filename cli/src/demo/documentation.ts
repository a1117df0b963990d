import { cpSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";

export const defaultQuestion = "How do agents find each other, and what happens when the broker dies?";

/** This package's folder. */
const home = resolve(import.meta.dir, "..", "..");

/** Documents of a clone that are not about using Soorma. */
const besides = /^(?:CHANGELOG\.md$|templates\/|tests\/|cli\/templates\/)/;

/** Soorma's own documentation. */
export interface Documentation {
  readonly folder: string;
  /** For people. */
  readonly name: string;
  isWanted(file: string): boolean;
}

/**
 * The clone this code runs from, else a copy of what the installed packages brought.
 *
 * @param scratch - Where the copy goes.
 */
export function ownDocumentation(scratch: string): Documentation {
  const root = dirname(home);
  if (isClone(root)) {
    return { folder: root, name: "Soorma's own documentation", isWanted: (file) => !besides.test(file) };
  }
  for (const name of ["soorma", ...ownDependencies()]) copyDocuments(name, join(scratch, name));
  return { folder: scratch, name: "the documentation of the installed packages", isWanted: () => true };
}

/** A workspace that this package is a member of, not a project that depends on it. */
function isClone(root: string): boolean {
  const manifest = readManifest(root);
  return Array.isArray(manifest?.workspaces) && manifest.workspaces.includes("cli") && existsSync(join(root, "cli"));
}

function ownDependencies(): string[] {
  const dependencies = readManifest(home)?.dependencies;
  return Object.keys(typeof dependencies === "object" && dependencies ? dependencies : {}).filter((name) =>
    name.startsWith("@soorma/"),
  );
}

function copyDocuments(name: string, target: string): void {
  const folder = name === "soorma" ? home : folderOf(name);
  if (folder === undefined) return;
  for (const file of new Bun.Glob("**/*.md").scanSync({ cwd: folder })) {
    if (/(?:^|\/)(?:node_modules|templates)\//.test(file) || /^CHANGELOG/i.test(file)) continue;
    mkdirSync(dirname(join(target, file)), { recursive: true });
    cpSync(join(folder, file), join(target, file));
  }
}

function folderOf(name: string): string | undefined {
  try {
    // A package's exports need not name its package.json: up from the module it is entered by.
    let at = dirname(Bun.resolveSync(name, home));
    while (readManifest(at)?.name !== name && dirname(at) !== at) at = dirname(at);
    return dirname(at) === at ? undefined : at;
  } catch {
    return undefined;
  }
}

function readManifest(folder: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "package.json"), "utf8")) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}
