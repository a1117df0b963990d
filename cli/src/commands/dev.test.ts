import { expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runHere } from "../fixtures/run-here.ts";

test("a Ctrl-C that comes while the project is being read ends it before anything is started", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "soorma-dev-"));
  try {
    writeFileSync(join(cwd, "package.json"), "{}");
    const { stdout, stderr, exitCode } = await runHere(["dev", "--infra-only"], { cwd, signal: AbortSignal.abort() });
    expect({ stdout, stderr, exitCode }).toEqual({ stdout: "", stderr: "interrupted\n", exitCode: 130 });
    expect(existsSync(join(cwd, ".soorma/run/supervisor.json"))).toBe(false);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
});
