import { existsSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SoormaError } from "@soorma/core/errors";
import { writeFileAtomically } from "./dev/atomic-file.ts";
import { isRunning } from "./dev/process-identity.ts";
import type { MeshFile } from "./mesh-file-schema.ts";

export type { MeshFile } from "./mesh-file-schema.ts";

/** Names the mesh file, so that a process finds its mesh wherever it was started. */
export const meshFileVariable = "SOORMA_MESH";

const hint = "start one with `soorma dev`";

export interface FindMeshFileOptions {
  /** Default: this process's. */
  readonly cwd?: string;
  /** Default: this process's. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** Where a project's mesh file is while its mesh runs. */
export function meshFileOf(projectFolder: string): string {
  return join(projectFolder, ".soorma", "run", "mesh.json");
}

/**
 * The path of the running mesh's file: what `SOORMA_MESH` names, else the nearest `.soorma/run/mesh.json` upwards.
 *
 * @throws {SoormaError} `MESH_NOT_FOUND`
 */
export function findMeshFile(options: FindMeshFileOptions = {}): string {
  const cwd = options.cwd ?? process.cwd();
  const named = (options.env ?? process.env)[meshFileVariable];
  if (named) {
    const path = resolve(cwd, named);
    if (existsSync(path)) return path;
    throw new SoormaError("MESH_NOT_FOUND", `${meshFileVariable} names ${path}, which does not exist`, { hint });
  }
  for (let folder = resolve(cwd); ; folder = dirname(folder)) {
    const path = meshFileOf(folder);
    if (existsSync(path)) return path;
    if (dirname(folder) === folder) break;
  }
  throw new SoormaError("MESH_NOT_FOUND", `no mesh runs in ${cwd} or in a folder above it`, { hint });
}

/**
 * Reads and checks a mesh file.
 *
 * @throws {SoormaError} `MESH_NOT_FOUND` when there is none, or when the process that supervised its mesh is gone;
 * `CONFIG_INVALID` when it is not a mesh file of a version known here.
 */
export async function readMeshFile(path: string): Promise<MeshFile> {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new SoormaError("MESH_NOT_FOUND", `there is no mesh file ${path}`, { hint, cause });
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new SoormaError("CONFIG_INVALID", `the mesh file ${path} is not JSON`, {
      cause,
      hint: "`soorma dev` writes it anew when it is started again",
    });
  }
  // Loaded here: a supervisor only writes mesh files, and need not wait for the schema library.
  const { faultOf } = await import("./mesh-file-schema.ts");
  const fault = faultOf(value);
  if (fault !== undefined) {
    throw new SoormaError("CONFIG_INVALID", `the mesh file ${path} is not one this version understands: ${fault}`, {
      hint: "run the same version of soorma everywhere in the project",
    });
  }
  const mesh = value as MeshFile;
  if (!isRunning(mesh.supervisor)) {
    throw new SoormaError(
      "MESH_NOT_FOUND",
      `the mesh of ${path} is gone: its supervisor, process ${mesh.supervisor.pid}, does not run any more`,
      { hint },
    );
  }
  return mesh;
}

/** Puts a mesh file in place at once. */
export function writeMeshFile(path: string, mesh: MeshFile): void {
  writeFileAtomically(path, `${JSON.stringify(mesh, undefined, 2)}\n`);
}

/** Takes a mesh file away; there need not be one. */
export function removeMeshFile(path: string): void {
  rmSync(path, { force: true });
}
