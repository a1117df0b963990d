import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger, systemRuntime } from "@soorma/core";
import { openLmdbStore } from "@soorma/core/store";
import { findProject } from "../dev/project.ts";
import { checkProject } from "./project.ts";

let root: string;
let dataFolder: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-doctor-")));
  dataFolder = join(root, ".soorma/data");
  mkdirSync(dataFolder, { recursive: true });
  writeFileSync(join(root, "package.json"), "{}");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function dataFinding() {
  const { findings } = await checkProject({ project: findProject(root, root), environment: undefined, env: {} });
  return findings.find(({ name }) => name === "data");
}

test("who has the data open and is none of the project's is told", async () => {
  const store = await openLmdbStore({ path: dataFolder, runtime: systemRuntime, log: silentLogger });
  try {
    expect(await dataFinding()).toMatchObject({ status: "fail", fix: expect.stringContaining(`${process.pid}`) });
  } finally {
    await store.close();
  }
});

test("a process that has the number of one that was killed with the data open is no culprit", async () => {
  const killed = { pid: process.pid, startedAt: "11111111-1111-1111-1111-111111111111/1", host: "here" };
  writeFileSync(join(dataFolder, "owner.lock"), JSON.stringify(killed));
  expect(await dataFinding()).toBeUndefined();
});
