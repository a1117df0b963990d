import { expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findProject } from "../dev/project.ts";
import { claimProject } from "../dev/run-state.ts";
import { runHere } from "../fixtures/run-here.ts";

test.each(["--infra-only", "--detach"])(
  "a Ctrl-C that comes while the project is being read ends it before anything is started: %s",
  async (flag) => {
    const cwd = mkdtempSync(join(tmpdir(), "soorma-dev-"));
    try {
      writeFileSync(join(cwd, "package.json"), "{}");
      const { stdout, stderr, exitCode } = await runHere(["dev", flag], { cwd, signal: AbortSignal.abort() });
      expect({ stdout, stderr, exitCode }).toEqual({ stdout: "", stderr: "interrupted\n", exitCode: 130 });
      expect(existsSync(join(cwd, ".soorma/run/supervisor.json"))).toBe(false);
    } finally {
      rmSync(cwd, { recursive: true, force: true });
    }
  },
);

test("a folder for logs that cannot be made is told with why, by soorma dev in the background too", async () => {
  const cwd = mkdtempSync(join(tmpdir(), "soorma-dev-"));
  try {
    writeFileSync(join(cwd, "package.json"), "{}");
    mkdirSync(join(cwd, ".soorma"));
    writeFileSync(join(cwd, ".soorma/logs"), "");
    const { signal } = new AbortController();
    for (const flag of ["--infra-only", "--detach"]) {
      const { stderr, exitCode } = await runHere(["dev", flag], { cwd, signal });
      expect(stderr).toStartWith(`error: ${join(cwd, ".soorma/logs/")}`);
      expect(stderr).toContain(": a file is in the way (EEXIST); nothing was started [FILE_UNWRITABLE]\n");
      expect(exitCode).toBe(1);
    }
    expect(existsSync(join(cwd, ".soorma/run/supervisor.json"))).toBe(false);
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
});

test("a second one in the background is refused, and leaves the output of the first where it is", async () => {
  const cwd = realpathSync(mkdtempSync(join(tmpdir(), "soorma-dev-")));
  try {
    writeFileSync(join(cwd, "package.json"), "{}");
    const { runFile, logFile } = findProject(cwd, undefined);
    const claim = await claimProject(runFile, () => {});
    const output = join(logFile, "../supervisor.log");
    mkdirSync(join(logFile, ".."), { recursive: true });
    writeFileSync(output, "of the first\n");
    const { signal } = new AbortController();
    const { stderr, exitCode } = await runHere(["dev", "--detach"], { cwd, signal });
    expect(stderr).toContain(`soorma dev runs in this project already: process ${process.pid}`);
    expect(exitCode).toBe(1);
    expect(readFileSync(output, "utf8")).toBe("of the first\n");
    claim.release();
  } finally {
    rmSync(cwd, { recursive: true, force: true });
  }
});
