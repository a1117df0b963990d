import { expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { identify } from "./process-identity.ts";
import { claimProject, readRunState } from "./run-state.ts";

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

test("of two that start over what a killed one left, one gets the project", async () => {
  const root = mkdtempSync(join(tmpdir(), "soorma-run-state-"));
  const left = Bun.spawn(["sleep", "60"], { detached: true });
  try {
    const runFile = join(root, "run.json");
    const supervisor = { pid: 2 ** 22 + 1, startTime: "" };
    const status = { name: "one", role: "agent", state: "ready", process: identify(left.pid), restarts: 0 };
    writeFileSync(runFile, JSON.stringify({ version: 1, supervisor, phase: "ready", processes: [status] }));
    const stale: number[] = [];
    const claim = () => claimProject(runFile, (state) => stale.push(state.supervisor.pid));
    const claims = await Promise.allSettled([claim(), claim(), claim()]);
    const refused = claims.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(refused).toMatchObject([{ code: "ALREADY_RUNNING" }, { code: "ALREADY_RUNNING" }]);
    expect(stale).toEqual([supervisor.pid, supervisor.pid, supervisor.pid]);
    expect(readRunState(runFile)?.state.supervisor.pid).toBe(process.pid);
    expect(readdirSync(root)).toEqual(["run.json"]);
    expect(left.killed || left.signalCode).toBeTruthy();
  } finally {
    left.kill("SIGKILL");
    rmSync(root, { recursive: true, force: true });
  }
});

test("a disk that does not let go of the state of a run does not keep its supervisor from ending", async () => {
  const root = mkdtempSync(join(tmpdir(), "soorma-run-state-"));
  try {
    const runFile = join(root, "run.json");
    const claim = await claimProject(runFile, () => {});
    rmSync(runFile);
    mkdirSync(runFile);
    claim.release();
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
});
