import { type FSWatcher, readFileSync, statSync, watch } from "node:fs";
import { dirname, join } from "node:path";

/** Tells which of the files it was given changed their content. */
export interface Watcher extends Disposable {
  /** Replaces the files watched. A folder stands for the list of its entries; what does not exist yet may appear. */
  setFiles(files: Iterable<string>): void;
}

/** Editors write a file in several steps; what comes within this time is one change. */
const settleMs = 15;

/**
 * Watches files by their folders: an editor that replaces a file instead of writing to it would take a watch on the
 * file away with the old one.
 */
export function createWatcher(onChange: (paths: ReadonlySet<string>) => void): Watcher {
  const folders = new Map<string, { readonly watcher: FSWatcher; readonly identity: string }>();
  let needed: ReadonlySet<string> = new Set();
  let contents = new Map<string, string>();
  let timer: ReturnType<typeof setTimeout> | undefined;

  const settle = (): void => {
    timer = undefined;
    watchFolders();
    const changed = new Set<string>();
    for (const [path, before] of contents) {
      const after = fingerprint(path);
      if (after === before) continue;
      contents.set(path, after);
      changed.add(path);
    }
    if (changed.size > 0) onChange(changed);
  };
  const schedule = (): void => {
    if (timer) clearTimeout(timer);
    timer = setTimeout(settle, settleMs);
  };

  /** A folder that is missing is waited for in the nearest one upwards. */
  const watchFolders = (): void => {
    const wanted = new Set([...needed].map(nearestFolder));
    for (const [folder, { watcher, identity }] of folders) {
      // Of one that was made anew in its place the watch hears nothing.
      if (wanted.has(folder) && folderIdentity(folder) === identity) continue;
      watcher.close();
      folders.delete(folder);
    }
    for (const folder of wanted) {
      const identity = folderIdentity(folder);
      if (folders.has(folder) || identity === undefined) continue;
      try {
        folders.set(folder, { watcher: watch(folder, schedule), identity });
        // What came into it before nobody was told of.
        schedule();
      } catch {
        // Gone again, or no more watches left: the file is not reloaded, which is all that can be said of it.
      }
    }
  };

  return {
    setFiles(files) {
      const wanted = new Set(files);
      // What is known stays as it was last reported: a change that comes in between is not lost.
      contents = new Map([...wanted].map((path) => [path, contents.get(path) ?? fingerprint(path)]));
      needed = new Set([...wanted].flatMap((path) => [dirname(path), path]));
      watchFolders();
    },
    [Symbol.dispose]() {
      if (timer) clearTimeout(timer);
      for (const { watcher } of folders.values()) watcher.close();
      folders.clear();
      contents.clear();
    },
  };
}

function nearestFolder(path: string): string {
  let at = path;
  while (folderIdentity(at) === undefined && dirname(at) !== at) at = dirname(at);
  return at;
}

/** What tells a folder from one that is made later in its place; `undefined` for what is none. */
function folderIdentity(path: string): string | undefined {
  try {
    const stat = statSync(path, { bigint: true });
    return stat.isDirectory() ? `${stat.dev} ${stat.ino} ${stat.birthtimeNs}` : undefined;
  } catch {
    return undefined;
  }
}

function fingerprint(path: string): string {
  try {
    return Bun.hash(readFileSync(path)).toString(36);
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EISDIR") return `folder:${entries(path)}`;
    return "";
  }
}

function entries(path: string): string {
  try {
    return [...new Bun.Glob("*").scanSync({ cwd: join(path), onlyFiles: true, dot: false })].sort().join("/");
  } catch {
    return "";
  }
}
