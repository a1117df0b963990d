import { open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { markedAs } from "./decode.ts";

export const mostFiles = 2_000;
export const largestFileBytes = 2 * 1024 * 1024;
/** Files and folders looked at, at most: somebody may name their whole disk. */
const mostEntries = 200_000;
/** Enough to tell text from anything else. */
const probedBytes = 8 * 1024;
const probesAtOnce = 32;

const extensions = /\.(?:md|markdown|mdx|txt)$/i;
const skippedFolders: ReadonlySet<string> = new Set(["node_modules"]);

export interface LeftOut {
  /** Relative to the folder. */
  readonly file: string;
  readonly reason: string;
}

export interface Documents {
  /** Relative to the folder, sorted. */
  readonly files: readonly string[];
  /** Left out on purpose: too large, not text. */
  readonly skipped: readonly LeftOut[];
  /** Files and folders that cannot be read. */
  readonly unreadable: readonly LeftOut[];
  /** Documents beyond the first {@link mostFiles}. */
  readonly beyond: number;
  /** There was more in the folder than is looked at. */
  readonly isPartial: boolean;
}

/**
 * The Markdown and text files of a folder and the folders in it, without `node_modules` and whatever begins with a dot.
 * Links to folders are not followed.
 */
export async function findDocuments(folder: string, signal?: AbortSignal): Promise<Documents> {
  const skipped: LeftOut[] = [];
  const unreadable: LeftOut[] = [];
  const candidates: string[] = [];
  let seen = 0;
  let isPartial = false;

  const walk = async (inner: string): Promise<void> => {
    signal?.throwIfAborted();
    const entries = await readdir(join(folder, inner), { withFileTypes: true }).catch((error: unknown) => {
      unreadable.push({ file: inner === "" ? "." : `${inner}/`, reason: reasonOf(error) });
      return [];
    });
    entries.sort((a, b) => (a.name < b.name ? -1 : 1));
    const folders: string[] = [];
    for (const entry of entries) {
      if (++seen > mostEntries) {
        isPartial = true;
        return;
      }
      if (entry.name.startsWith(".")) continue;
      const path = inner === "" ? entry.name : `${inner}/${entry.name}`;
      if (entry.isDirectory()) {
        if (!skippedFolders.has(entry.name)) folders.push(path);
      } else if (extensions.test(entry.name)) candidates.push(path);
    }
    for (const path of folders) if (!isPartial) await walk(path);
  };
  await walk("");

  const readable: (string | undefined)[] = [];
  let next = 0;
  const lane = async (): Promise<void> => {
    for (let at = next++; at < candidates.length; at = next++) {
      signal?.throwIfAborted();
      const file = candidates[at] as string;
      const result = await probe(join(folder, file));
      if (result === "ok") readable[at] = file;
      else if ("skip" in result) skipped.push({ file, reason: result.skip });
      else unreadable.push({ file, reason: result.fault });
    }
  };
  await Promise.all(Array.from({ length: probesAtOnce }, lane));
  const files = readable.filter((file) => file !== undefined);
  const byFile = (a: LeftOut, b: LeftOut): number => (a.file < b.file ? -1 : 1);
  return {
    files: files.slice(0, mostFiles),
    skipped: skipped.sort(byFile),
    unreadable: unreadable.sort(byFile),
    beyond: Math.max(0, files.length - mostFiles),
    isPartial,
  };
}

async function probe(path: string): Promise<"ok" | { readonly skip: string } | { readonly fault: string }> {
  try {
    const info = await stat(path);
    // Opening a pipe would wait for somebody to write to it.
    if (!info.isFile()) return { skip: "not a regular file" };
    if (info.size > largestFileBytes) {
      return { skip: `${(info.size / 1024 / 1024).toFixed(1)} MiB, more than ${largestFileBytes / 1024 / 1024} MiB` };
    }
    if (info.size === 0) return { skip: "empty" };
    await using file = await open(path, "r");
    const { bytesRead, buffer } = await file.read(new Uint8Array(probedBytes), 0, probedBytes, 0);
    const head = buffer.subarray(0, bytesRead);
    return head.includes(0) && markedAs(head) === undefined ? { skip: "binary" } : "ok";
  } catch (error) {
    return { fault: reasonOf(error) };
  }
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: "permission denied",
  EPERM: "permission denied",
  ENOENT: "a link to something that is not there",
  ELOOP: "a link that leads to itself",
  EIO: "the disk could not read it",
};

/** Why something cannot be read, in words. */
export function reasonOf(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  return reasons[code] ?? (error instanceof Error ? error.message : String(error));
}
