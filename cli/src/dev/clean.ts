import { existsSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import type { Io } from "../ui/io.ts";
import { previousLog } from "./mesh-log.ts";
import { type Project, removeSocketFolder } from "./project.ts";

/** What a project's mesh keeps, as far as it is there. What runs is told by the claim, which is not among it. */
function kept(project: Project): string[] {
  const { dataFolder, brokerFolder, buildFolder, logFile } = project;
  return [dataFolder, brokerFolder, buildFolder, dirname(logFile)].filter((path) => existsSync(path));
}

/** Asks before a project's data is removed. @throws {UsageError} without a terminal; {@link Interrupted} at a no. */
export async function confirmClean(project: Project, yes: boolean, io: Io): Promise<void> {
  if (yes || kept(project).length === 0) return;
  const { confirmRemoval } = await import("../ui/ask.ts");
  await confirmRemoval(io, `all plans, memory and logs of ${project.root}`);
}

/** The files of a store. Its folder is the user's choice, so what else is in it is theirs. */
function removeStore(folder: string): void {
  for (const name of ["data.mdb", "lock.mdb", "owner.lock", "journal"]) rmSync(join(folder, name), { force: true });
  if (readdirSync(folder).length === 0) rmdirSync(folder);
}

/** Removes plans, memory, the broker's records, logs and bundles. Nothing may run in the project. */
export function cleanProject(project: Project): void {
  for (const path of kept(project)) {
    // Below .soorma everything is ours, whatever became of it.
    if (path === project.dataFolder && !path.startsWith(join(project.root, ".soorma/"))) removeStore(path);
    else rmSync(path, { recursive: true, force: true });
  }
  rmSync(previousLog(project.logFile), { force: true });
  removeSocketFolder(project.socketFolder);
}
