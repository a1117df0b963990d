import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { identify } from "./dev/process-identity.ts";
import { findMeshFile, type MeshFile, meshFileOf, readMeshFile, removeMeshFile, writeMeshFile } from "./mesh-file.ts";

let folder: string;

beforeEach(() => {
  folder = realpathSync(mkdtempSync(join(tmpdir(), "soorma-mesh-file-")));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

function meshOf(overrides: Partial<MeshFile> = {}): MeshFile {
  const supervisor = identify(process.pid);
  if (!supervisor) throw new Error("this process does not find itself");
  return {
    version: 1,
    transport: { name: "zeromq", options: {} },
    registry: { name: "broker", options: { address: "ipc:///tmp/x" } },
    broker: { address: "ipc:///tmp/x", pid: process.pid },
    state: { pid: process.pid },
    supervisor,
    startedAtMs: 1,
    ...overrides,
  };
}

test("a mesh file is read as it was written, and nothing else is left beside it", async () => {
  const path = meshFileOf(folder);
  writeMeshFile(path, meshOf());
  expect(await readMeshFile(path)).toEqual(meshOf());
  expect(readdirSync(dirname(path))).toEqual(["mesh.json"]);
});

test("the nearest mesh file upwards is found", () => {
  writeMeshFile(meshFileOf(folder), meshOf());
  const deep = join(folder, "a", "b");
  mkdirSync(deep, { recursive: true });
  expect(findMeshFile({ cwd: deep, env: {} })).toBe(meshFileOf(folder));
  writeMeshFile(meshFileOf(join(folder, "a")), meshOf());
  expect(findMeshFile({ cwd: deep, env: {} })).toBe(meshFileOf(join(folder, "a")));
});

test("SOORMA_MESH goes before the folder", () => {
  writeMeshFile(meshFileOf(folder), meshOf());
  const other = join(folder, "other.json");
  writeMeshFile(other, meshOf());
  expect(findMeshFile({ cwd: folder, env: { SOORMA_MESH: other } })).toBe(other);
  expect(() => findMeshFile({ cwd: folder, env: { SOORMA_MESH: join(folder, "none.json") } })).toThrow(/none.json/);
});

test("without a mesh the error says how to start one", async () => {
  expect(() => findMeshFile({ cwd: folder, env: {} })).toThrow(
    expect.objectContaining({ code: "MESH_NOT_FOUND", hint: "start one with `soorma dev`" }),
  );
  await expect(readMeshFile(meshFileOf(folder))).rejects.toMatchObject({ code: "MESH_NOT_FOUND" });
});

test("the mesh of a supervisor that is gone is not found", async () => {
  const path = meshFileOf(folder);
  writeMeshFile(path, meshOf({ supervisor: { pid: process.pid, startTime: "another" } }));
  await expect(readMeshFile(path)).rejects.toMatchObject({ code: "MESH_NOT_FOUND" });
});

test("a mesh file that is none is refused with the place of the fault", async () => {
  const path = join(folder, "mesh.json");
  writeFileSync(path, JSON.stringify({ ...meshOf(), broker: { address: 7 } }));
  await expect(readMeshFile(path)).rejects.toThrow(/\/broker/);
  writeFileSync(path, "{");
  await expect(readMeshFile(path)).rejects.toMatchObject({ code: "CONFIG_INVALID" });
  removeMeshFile(path);
  removeMeshFile(path);
});
