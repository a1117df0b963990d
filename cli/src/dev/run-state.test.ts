import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { claimProject } from "./run-state.ts";

test("a disk that does not take the state of a run is told with the file, why, and that nothing was started", async () => {
  const root = mkdtempSync(join(tmpdir(), "soorma-run-state-"));
  try {
    writeFileSync(join(root, ".soorma"), "");
    const runFile = join(root, ".soorma", "run.json");
    await expect(claimProject(runFile, () => {})).rejects.toMatchObject({
      code: "FILE_UNWRITABLE",
      message: `${runFile} cannot be written: a file is in the way (EEXIST); nothing was started`,
      hint: expect.stringContaining("run it again"),
    });
    expect(readdirSync(root)).toEqual([".soorma"]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
