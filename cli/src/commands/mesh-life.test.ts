import { afterEach, expect, jest, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { identify } from "../dev/process-identity.ts";
import { meshFileOf, readMeshFile, removeMeshFile, writeMeshFile } from "../mesh-file.ts";
import { watchMeshLife } from "./mesh-life.ts";

const project = mkdtempSync(join(tmpdir(), "soorma-life-"));
afterEach(() => {
  jest.useRealTimers();
  rmSync(project, { recursive: true, force: true });
});

/** The mesh of a supervisor that does nothing. */
function startMesh() {
  const child = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
  const supervisor = identify(child.pid);
  if (!supervisor) throw new Error("the child is not in the process table");
  const path = meshFileOf(project);
  mkdirSync(dirname(path), { recursive: true });
  writeMeshFile(path, {
    version: 1,
    transport: { name: "zeromq", options: {} },
    registry: { name: "broker", options: { address: "ipc:///nowhere" } },
    broker: { address: "ipc:///nowhere", pid: 1 },
    state: { pid: 1 },
    supervisor,
    startedAtMs: 1,
  });
  return {
    path,
    async kill() {
      child.kill();
      await child.exited;
    },
    [Symbol.dispose]: () => child.kill(),
  };
}

test("a command that follows a mesh learns that it was stopped", async () => {
  using mesh = startMesh();
  using life = watchMeshLife({ cwd: project, env: {} });
  await mesh.kill();
  const error = await life.ended.catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: "MESH_ENDED", hint: "start it again with `soorma dev`" });
});

test("a mesh has not ended while it is being stopped", async () => {
  using mesh = startMesh();
  // What it needs is loaded then, and a look takes no turn of the loop.
  await readMeshFile(mesh.path);
  jest.useFakeTimers();
  using life = watchMeshLife({ cwd: project, env: {} });
  let isOver = false;
  life.ended.catch(() => {
    isOver = true;
  });
  const look = async (): Promise<void> => {
    jest.advanceTimersByTime(1_000);
    for (let turns = 0; turns < 20; turns++) await null;
  };
  await look();
  removeMeshFile(mesh.path);
  await look();
  await look();
  expect(isOver).toBe(false);
  await mesh.kill();
  await look();
  expect(isOver).toBe(true);
});
