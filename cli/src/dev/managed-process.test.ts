import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ProcessSpec, startProcess } from "./managed-process.ts";

let root: string;
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "soorma-process-")));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const sentinel = { add() {}, remove() {}, close() {} };

function spec(code: string, cwd = root): ProcessSpec {
  const file = join(root, "agent.ts");
  writeFileSync(file, code);
  return { name: "one", role: "agent", argv: [file], cwd, env: process.env, drainMs: 1_000 };
}

test("a process has ended when it has, though one that it left in a group of its own holds its output open", async () => {
  const lines: string[] = [];
  const started = startProcess(
    spec(`
      const child = Bun.spawn(["sleep", "60"], { detached: true, stdio: ["ignore", "inherit", "inherit"] });
      child.unref();
      console.log(child.pid);
      process.exit(3);
    `),
    { sentinel, onLine: (_spec, _stream, line) => lines.push(line) },
  );
  try {
    expect(await started.exited).toMatchObject({ code: 3, wasReady: false });
    expect(await started.started).toMatchObject({ ready: false });
  } finally {
    process.kill(Number(lines[0]), "SIGKILL");
  }
  expect(lines).toHaveLength(1);
});

test("a process that the system does not start has ended, with why", async () => {
  const started = startProcess(spec("", join(root, "gone")), { sentinel, onLine() {} });
  const { report, ...exit } = await started.exited;
  expect(exit).toMatchObject({ code: null, signal: null, wasReady: false, lastLines: [] });
  expect(report?.message).toContain("ENOENT");
  expect(await started.started).toMatchObject({ ready: false });
  await started.loaded;
  await started.stop();
  started.kill();
});
