import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { basename, dirname, join } from "node:path";
import { diskFault } from "../ui/disk-fault.ts";
import { CommandError } from "../ui/errors.ts";
import { count } from "../ui/text.ts";
import type { ProjectFile } from "./template.ts";

/** A project that is being built where nobody looks, and appears at its place all at once. */
export interface Site extends Disposable {
  /** Where it is being built: beside its place, or within it where that is an empty folder, so that it can be renamed there. */
  readonly folder: string;
  write(files: readonly ProjectFile[]): void;
  /** Moves everything to its place. */
  finish(): void;
  /** Takes away whatever was created, unless it was finished. */
  [Symbol.dispose](): void;
}

/** @throws {CommandError} `TARGET_EXISTS` when something that is not empty is there; `TARGET_NOT_WRITABLE` when it cannot be read. */
export function checkPlace(target: string): void {
  checkEmpty(target, undefined);
}

/** @param own - An entry of the folder that is no hindrance. */
function checkEmpty(target: string, own: string | undefined): void {
  // Not what a link leads to: one that leads nowhere is in the way, too.
  const found = attempt(target, () => lstatSync(target, { throwIfNoEntry: false }));
  if (!found) return;
  const refuse = (what: string): CommandError =>
    new CommandError("TARGET_EXISTS", what, { hint: "choose another name or --dir; nothing was changed" });
  if (!existsSync(target)) throw refuse(`${target} exists and is a link that leads nowhere`);
  if (!statSync(target).isDirectory()) throw refuse(`${target} exists and is a file`);
  const entries = attempt(target, () => readdirSync(target)).filter((name) => name !== own).length;
  if (entries > 0) throw refuse(`the folder ${target} exists and is not empty: it has ${count(entries, "entry")}`);
}

/** What the disk says instead of doing it becomes an error that says what to do next. */
function attempt<T>(place: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    const why = diskFault(cause);
    if (why === undefined) throw cause;
    throw new CommandError("TARGET_NOT_WRITABLE", `the project cannot be created in ${place}: ${why}`, {
      cause,
      hint: "mend that, or choose another place with --dir; nothing was changed",
    });
  }
}

/** @throws {CommandError} as {@link checkPlace}; `TARGET_NOT_WRITABLE` when the disk takes no files, now or later. */
export function openSite(target: string): Site {
  checkPlace(target);
  // Into a folder that is there already things are moved from within: it may be the only one that can be written, or another disk.
  const isThere = existsSync(target);
  const parent = isThere ? target : dirname(target);
  const own = `.${basename(target)}.${crypto.randomUUID().slice(0, 8)}`;
  const folder = join(parent, own);
  let madeParent: string | undefined;
  const remove = (): void => {
    // On a disk only for reading even taking away what is not there fails.
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    // Made only for this project.
    if (madeParent !== undefined) removeEmpty(parent, madeParent);
  };
  try {
    attempt(parent, () => {
      madeParent = mkdirSync(parent, { recursive: true });
      mkdirSync(folder);
    });
  } catch (error) {
    remove();
    throw error;
  }
  let finished = false;
  return {
    folder,
    write(files) {
      attempt(parent, () => {
        for (const file of files) {
          const path = join(folder, file.path);
          mkdirSync(dirname(path), { recursive: true });
          writeFileSync(path, file.text);
        }
      });
    },
    finish() {
      // Somebody else may have put something there meanwhile.
      checkEmpty(target, isThere ? own : undefined);
      attempt(target, () => {
        if (existsSync(target)) {
          // It may be some shell's working folder, so it stays and only its content comes. All of this is synchronous:
          // no signal is handled in between.
          for (const name of readdirSync(folder)) renameSync(join(folder, name), join(target, name));
          rmdirSync(folder);
        } else {
          renameSync(folder, target);
        }
      });
      finished = true;
    },
    [Symbol.dispose]() {
      if (!finished) remove();
    },
  };
}

/** Removes folders as long as they are empty: `deepest`, then those above it up to `top`. */
export function removeEmpty(deepest: string, top: string): void {
  for (let folder = deepest; ; folder = dirname(folder)) {
    try {
      rmdirSync(folder);
    } catch {
      return;
    }
    if (folder === top) return;
  }
}
