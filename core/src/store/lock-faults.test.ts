import { expect, mock, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemRuntime } from "../runtime.ts";

// This file has a process of its own, as it changes what all modules of one have of the file system.
test("of three that start over a stale lock one gets it, whatever comes between two of their steps", async () => {
  const real = { ...fs };
  let between: (() => void)[] = [];
  /** Whatever takes the lock out of the way, with others before and after it. */
  const around = (remove: () => void, path: unknown): void => {
    const [before, after] = String(path).endsWith("owner.lock") ? between : [];
    if (before) between = [];
    before?.();
    remove();
    after?.();
  };
  mock.module("node:fs", () => ({
    ...real,
    renameSync: (from: fs.PathLike, to: fs.PathLike) => around(() => real.renameSync(from, to), from),
    rmSync: (path: fs.PathLike, options?: fs.RmOptions) => around(() => real.rmSync(path, options), path),
  }));
  const { acquireLockFile } = await import("./lock-file.ts");
  const folder = real.mkdtempSync(join(tmpdir(), "soorma-lock-"));
  real.writeFileSync(join(folder, "owner.lock"), JSON.stringify({ pid: 2 ** 22 + 1, startedAt: "", host: "x" }));
  const won: string[] = [];
  const start = (name: string) => (): void => {
    try {
      acquireLockFile(folder, systemRuntime);
      won.push(name);
    } catch {}
  };
  between = [start("one that was quicker"), start("one that finds no lock")];
  start("the first")();
  expect(won).toHaveLength(1);
  expect(real.readdirSync(folder)).toEqual(["owner.lock"]);
  real.rmSync(folder, { recursive: true });
});
