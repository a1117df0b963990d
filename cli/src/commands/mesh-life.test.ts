import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { identify } from "../dev/process-identity.ts";
import { meshFileOf, writeMeshFile } from "../mesh-file.ts";
import { watchMeshLife } from "./mesh-life.ts";

test("a command that follows a mesh learns that it was stopped", async () => {
  const project = mkdtempSync(join(tmpdir(), "soorma-life-"));
  const child = Bun.spawn(["cat"], { stdin: "pipe", stdout: "ignore" });
  try {
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
    using life = watchMeshLife({ cwd: project, env: {} });
    child.kill();
    await child.exited;
    const error = await life.ended.catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: "MESH_ENDED", hint: "start it again with `soorma dev`" });
  } finally {
    child.kill();
    rmSync(project, { recursive: true, force: true });
  }
});
