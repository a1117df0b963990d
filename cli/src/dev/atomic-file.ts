import { linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";

/**
 * Replaces a file so that a reader sees the old content or the new, never a part of it.
 *
 * @param mode - Who may do what, less the umask. Default: its owner alone.
 */
export function writeFileAtomically(path: string, text: string, mode = 0o600): void {
  const temporary = temporaryNextTo(path);
  try {
    writeFileSync(temporary, text, { mode });
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Creates a file with all its content at once; false when it exists already. */
export function createFileExclusively(path: string, text: string): boolean {
  const temporary = temporaryNextTo(path);
  try {
    writeFileSync(temporary, text, { mode: 0o600 });
    // Unlike a rename, a link fails when the name is taken.
    linkSync(temporary, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

function temporaryNextTo(path: string): string {
  mkdirSync(dirname(path), { recursive: true });
  return `${path}.${process.pid}.${crypto.randomUUID().slice(0, 8)}`;
}
