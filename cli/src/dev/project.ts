import { createHash } from "node:crypto";
import { existsSync, lstatSync, mkdirSync, realpathSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { meshFileOf } from "../mesh-file.ts";
import { writtenFirst } from "../ui/disk-fault.ts";
import { CommandError } from "../ui/errors.ts";

/** Where everything of one project is. */
export interface Project {
  readonly root: string;
  readonly dataFolder: string;
  readonly brokerFolder: string;
  readonly buildFolder: string;
  readonly logFile: string;
  readonly meshFile: string;
  readonly runFile: string;
  /** For socket files. Short, because the path of a socket has 107 bytes at most; of this project alone. */
  readonly socketFolder: string;
}

const configFile = "soorma.config.ts";
const marks = [configFile, "package.json", ".soorma"];

/**
 * The project a folder belongs to: the nearest one upwards that has a `soorma.config.ts`, a `package.json` or a
 * `.soorma`.
 *
 * @throws {CommandError} `PROJECT_NOT_FOUND`
 */
export function findProject(cwd: string, folder?: string): Project {
  if (folder !== undefined) {
    const root = resolve(cwd, folder);
    if (existsSync(root) && statSync(root).isDirectory()) return projectAt(realpathSync(root));
    throw new CommandError("PROJECT_NOT_FOUND", `${root} is no folder`, { hint: "give --dir the folder of a project" });
  }
  for (let at = resolve(cwd); ; at = dirname(at)) {
    if (marks.some((mark) => existsSync(join(at, mark)))) return projectAt(realpathSync(at));
    if (dirname(at) === at) break;
  }
  throw new CommandError("PROJECT_NOT_FOUND", `${cwd} is not in a project: no ${configFile} or package.json upwards`, {
    hint: "create one with `soorma init`, or name its folder with --dir",
  });
}

function projectAt(root: string): Project {
  const own = join(root, ".soorma");
  return {
    root,
    dataFolder: join(own, "data"),
    brokerFolder: join(own, "broker"),
    buildFolder: join(own, "build"),
    logFile: join(own, "logs", "mesh.jsonl"),
    meshFile: meshFileOf(root),
    runFile: join(own, "run", "supervisor.json"),
    socketFolder: socketFolderOf(root),
  };
}

/** The same project, with its memory and plans elsewhere. @param dataFolder - Relative to the project. */
export function withDataFolder(project: Project, dataFolder: string): Project {
  return { ...project, dataFolder: resolve(project.root, dataFolder) };
}

/** Where a project's socket files are. */
export function socketFolderOf(root: string): string {
  const id = createHash("sha256").update(root).digest("hex").slice(0, 10);
  return join(temporaryRoot(), `soorma-${process.getuid?.() ?? 0}-${id}`);
}

/** macOS has a temporary folder of 49 characters a user; /tmp is there, too. */
function temporaryRoot(): string {
  const runtime = process.env.XDG_RUNTIME_DIR;
  if (runtime && runtime.length <= 32 && existsSync(runtime)) return runtime;
  return existsSync("/tmp") ? "/tmp" : tmpdir();
}

/**
 * Makes the folder for socket files anew, for this user alone.
 *
 * @throws {CommandError} `SOCKET_FOLDER_TAKEN`; `FILE_UNWRITABLE` when the disk does not take it.
 */
export function makeSocketFolder(folder: string): void {
  const taken = (cause?: unknown): CommandError =>
    new CommandError("SOCKET_FOLDER_TAKEN", `${folder} belongs to somebody else`, {
      cause,
      hint: "set plugins.transport.options.dir to a folder of yours, or have it removed",
    });
  const make = (): void => {
    try {
      removeSocketFolder(folder);
      mkdirSync(folder, { mode: 0o700 });
    } catch (cause) {
      const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
      throw ["EACCES", "EPERM", "EEXIST", "ENOTEMPTY"].includes(String(code)) && existsSync(folder)
        ? taken(cause)
        : cause;
    }
  };
  writtenFirst(folder, make, "mend that, or set plugins.transport.options.dir to a folder elsewhere");
  // In a folder everybody may write to, somebody else may have been faster.
  const made = lstatSync(folder);
  if (!made.isDirectory() || (process.getuid && made.uid !== process.getuid())) throw taken();
}

/** Takes the socket files away; there need not be any. */
export function removeSocketFolder(folder: string): void {
  rmSync(folder, { recursive: true, force: true });
}
