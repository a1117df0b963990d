import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { diskFault } from "../../ui/disk-fault.ts";
import { CommandError } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import { removeEmpty } from "../place.ts";
import type { ProjectFile } from "../template.ts";

/** What a command is about to do to a project's files. */
export interface Changes {
  readonly created: readonly ProjectFile[];
  readonly changed: readonly ProjectFile[];
}

/** What could not be done without guessing, and the lines that do it. */
export interface LeftToDo {
  readonly file: string;
  readonly reason: string;
  readonly lines: readonly string[];
}

/** @throws {CommandError} `FILE_EXISTS` when one of the files to create is there already. */
export function checkNew(root: string, files: readonly ProjectFile[]): void {
  const taken = files.find(({ path }) => existsSync(join(root, path)));
  if (!taken) return;
  throw new CommandError("FILE_EXISTS", `${taken.path} exists already; nothing was changed`, {
    hint: "choose another name, or remove the file first",
  });
}

/** @throws {CommandError} `NOT_A_PROJECT` when the folder's package does not use soorma. */
export function checkUsesSoorma(root: string): void {
  let manifest: Record<string, unknown> = {};
  try {
    manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<string, unknown>;
  } catch {
    // Told below.
  }
  const uses = ["dependencies", "devDependencies", "peerDependencies"].some((field) => {
    const list = manifest[field];
    return typeof list === "object" && list !== null && "soorma" in list;
  });
  if (uses) return;
  throw new CommandError("NOT_A_PROJECT", `the package.json in ${root} does not depend on soorma`, {
    hint: "run it in a project of `soorma init`, or `bun add soorma` first",
  });
}

/**
 * Writes everything and tells what was done.
 *
 * @throws {CommandError} `FILE_UNWRITABLE` when a file cannot be written: then none is. `NOT_WIRED` when something is left to do.
 */
export function finishChanges(
  root: string,
  changes: Changes,
  options: { readonly io: Io; readonly json: boolean; readonly dryRun: boolean; readonly left?: LeftToDo },
): void {
  const { io, json, dryRun, left } = options;
  if (!dryRun) writeChanges(root, changes);
  const created = changes.created.map(({ path }) => path);
  const changed = changes.changed.map(({ path }) => path);
  if (json && !left) io.out(JSON.stringify({ created, changed }));
  else if (!json) {
    for (const path of created) io.out(`created  ${path}`);
    for (const path of changed) io.out(`changed  ${path}`);
  }
  if (!left) return;
  throw new CommandError(
    "NOT_WIRED",
    `${created.join(" and ")} ${dryRun ? "would be" : "were"} created, but ${left.file} was left as it is: ${left.reason}`,
    { hint: `add this to ${left.file}:\n${left.lines.map((line) => `  ${line}`).join("\n")}` },
  );
}

/** New files first, since a running `soorma dev` reads what imports them. */
function writeChanges(root: string, { created, changed }: Changes): void {
  const undo: (() => void)[] = [];
  let at = "";
  try {
    for (const { path, text } of created) {
      at = path;
      const file = join(root, path);
      const made = mkdirSync(dirname(file), { recursive: true });
      if (made !== undefined) undo.push(() => removeEmpty(dirname(file), made));
      writeFileSync(file, "", { flag: "wx" });
      undo.push(() => rmSync(file));
      writeFileSync(file, text);
    }
    for (const { path, text } of changed) {
      at = path;
      const file = join(root, path);
      const before = readFileSync(file);
      undo.push(() => writeFileSync(file, before));
      writeFileSync(file, text);
    }
  } catch (cause) {
    for (const step of undo.reverse()) {
      try {
        step();
      } catch {
        // What cannot be taken back either stays.
      }
    }
    const why = diskFault(cause);
    if (why === undefined) throw cause;
    throw new CommandError("FILE_UNWRITABLE", `${at} cannot be written: ${why}; nothing was changed`, {
      cause,
      hint: "mend that, then run it again",
    });
  }
}
