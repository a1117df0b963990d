import { statSync } from "node:fs";

/** What is different after a file was written, by its path; a file that is not there has an empty one. */
export type FileStamps = ReadonlyMap<string, string>;

export function stampsOf(paths: Iterable<string>): FileStamps {
  return new Map([...paths].map((path) => [path, stampOf(path)]));
}

/** The files of both that differ. */
export function changedBetween(before: FileStamps, after: FileStamps): string[] {
  return [...after].flatMap(([path, stamp]) => (before.has(path) && before.get(path) !== stamp ? [path] : []));
}

/** Whether both are of the same files, and none was written between them. */
export function areEqual(one: FileStamps, other: FileStamps): boolean {
  return one.size === other.size && [...one].every(([path, stamp]) => other.get(path) === stamp);
}

function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false });
  return stat ? `${stat.ino} ${stat.size} ${stat.mtimeNs} ${stat.ctimeNs}` : "";
}
