import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { CommandError } from "../ui/errors.ts";
import type { ProjectFile } from "./template.ts";

/** A project that is being built where nobody looks, and appears at its place all at once. */
export interface Site extends Disposable {
  /** Where it is being built: beside its place, so that it can be renamed there. */
  readonly folder: string;
  write(files: readonly ProjectFile[]): void;
  /** Moves everything to its place. */
  finish(): void;
  /** Takes away whatever was created, unless it was finished. */
  [Symbol.dispose](): void;
}

/** @throws {CommandError} when something that is not empty is there, or the folder above cannot be written. */
export function checkPlace(target: string): void {
  if (!existsSync(target)) return;
  if (!statSync(target).isDirectory()) {
    throw new CommandError("TARGET_EXISTS", `${target} exists and is a file`, { hint: "choose another name or --dir" });
  }
  const count = readdirSync(target).length;
  if (count > 0) {
    throw new CommandError("TARGET_EXISTS", `the folder ${target} exists and is not empty: it has ${count} entries`, {
      hint: "choose another name or --dir; nothing was changed",
    });
  }
}

export function openSite(target: string): Site {
  checkPlace(target);
  const parent = dirname(target);
  const folder = join(parent, `.${basename(target)}.${crypto.randomUUID().slice(0, 8)}`);
  let madeParent: string | undefined;
  try {
    madeParent = mkdirSync(parent, { recursive: true });
    mkdirSync(folder);
  } catch (cause) {
    const reason = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new CommandError("TARGET_NOT_WRITABLE", `the project cannot be created in ${parent}: ${reason}`, { cause });
  }
  let finished = false;
  return {
    folder,
    write(files) {
      for (const file of files) {
        const path = join(folder, file.path);
        mkdirSync(dirname(path), { recursive: true });
        writeFileSync(path, file.text);
      }
    },
    finish() {
      // Somebody else may have put something there meanwhile.
      checkPlace(target);
      if (existsSync(target)) {
        // It may be some shell's working folder, so it stays and only its content comes. All of this is synchronous:
        // no signal is handled in between.
        for (const name of readdirSync(folder)) renameSync(join(folder, name), join(target, name));
        rmdirSync(folder);
      } else {
        renameSync(folder, target);
      }
      finished = true;
    },
    [Symbol.dispose]() {
      if (finished) return;
      rmSync(folder, { recursive: true, force: true });
      // Made only for this project, and only if still empty.
      for (let made = madeParent ? parent : undefined; made && madeParent; made = dirname(made)) {
        try {
          rmdirSync(made);
        } catch {
          break;
        }
        if (made === madeParent) break;
      }
    },
  };
}
