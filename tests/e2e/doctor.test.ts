import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { soorma, startSoorma, tempFolder, until } from "./cli-run.ts";

interface Finding {
  readonly name: string;
  readonly status: "ok" | "warn" | "fail";
  readonly found: string;
  readonly fix?: string;
}

let folder: ReturnType<typeof tempFolder>;
let project: string;
beforeEach(() => {
  folder = tempFolder();
  project = join(folder.path, "project");
  mkdirSync(join(project, "src/agents"), { recursive: true });
  mkdirSync(join(project, "node_modules"));
  symlinkSync(join(import.meta.dir, "..", "..", "cli"), join(project, "node_modules/soorma"));
  writeFileSync(join(project, "package.json"), JSON.stringify({ name: "patient", type: "module" }));
  writeFileSync(join(project, "src/agents/worker.ts"), `import { Worker } from "soorma";\nexport const w = Worker;\n`);
});
afterEach(() => folder[Symbol.dispose]());

async function doctor(env: Readonly<Record<string, string | undefined>> = {}) {
  const { stdout, exitCode } = await soorma(["doctor", "--json"], { cwd: project, env });
  const answer = JSON.parse(stdout) as { ok: boolean; findings: Finding[] };
  const find = (name: string) => answer.findings.find((finding) => finding.name === name);
  return { ...answer, exitCode, find };
}

test("a project that is fine has nothing broken, every part was tried, and nothing is written", async () => {
  const before = readdirSync(project);
  const { ok, findings, exitCode, find } = await doctor();
  expect(findings.filter(({ status }) => status === "fail")).toEqual([]);
  expect([ok, exitCode]).toEqual([true, 0]);
  for (const name of ["bun", "libzmq", "lmdb", "loopback", "socket path", "clock", "disk", "dependencies", "agents"]) {
    expect(find(name)).toBeDefined();
  }
  expect(find("libzmq")?.found).toContain("a message through a unix socket");
  expect(find("agents")?.found).toBe("worker");
  expect(readdirSync(project)).toEqual(before);
});

test("what is broken is named, with what to do, and the exit code is 1", async () => {
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  try {
    writeFileSync(join(project, "soorma.config.ts"), `export default { dev: { port: ${server.port} } };`);
    writeFileSync(join(project, "src/agents/broken.ts"), "const = 1;\n");
    const { ok, exitCode, find, findings } = await doctor({ SOORMA_DEV_PROT: "1", SOORMA_MESH: "/nowhere/mesh.json" });
    expect([ok, exitCode]).toEqual([false, 1]);
    expect(find("port")).toMatchObject({ status: "fail", found: expect.stringContaining(`process ${process.pid}`) });
    expect(find("agent broken")).toMatchObject({ status: "fail", found: expect.stringContaining("broken.ts:1:7") });
    const variables = findings.filter(({ name }) => name === "variables");
    expect(variables.map(({ status, fix }) => [status, fix])).toEqual([
      ["warn", "did you mean SOORMA_DEV_PORT?"],
      ["fail", "unset SOORMA_MESH"],
    ]);
  } finally {
    server.stop(true);
  }
});

test("a wrong configuration, a missing plugin and missing dependencies are told side by side with the machine's state", async () => {
  writeFileSync(join(project, "soorma.config.ts"), "export default { mesh: { laese: 1 } };");
  expect((await doctor()).find("configuration")).toMatchObject({
    status: "fail",
    found: "soorma.config.ts:1: mesh.laese is not known here",
    fix: 'did you mean "leaseMs"?',
  });
  writeFileSync(join(project, "soorma.config.ts"), `export default { plugins: { registry: "reddis" } };`);
  const { find, findings } = await doctor({ TMPDIR: join(folder.path, "none") });
  expect(find("plugins")).toMatchObject({ status: "fail", fix: expect.stringContaining("bun add") });
  expect(find("temporary folder")).toMatchObject({ status: "fail", fix: expect.stringContaining("TMPDIR") });
  expect(find("lmdb")?.status).toBe("fail");
  expect(find("clock")?.status).not.toBe("fail");
  expect(findings.length).toBeGreaterThan(12);
  writeFileSync(join(project, "package.json"), "{");
  expect((await doctor()).find("dependencies")).toMatchObject({ status: "fail", fix: "mend package.json" });
});

test("sockets that cannot be made are told: no folder for them, or one whose path is too long", async () => {
  const { find } = await doctor({ XDG_RUNTIME_DIR: "/proc" });
  expect(find("temporary folder")?.status).toBe("fail");
  expect(find("libzmq")).toMatchObject({ status: "fail", fix: expect.any(String) });
  expect(find("lmdb")?.status).toBe("ok");
  const dir = join(folder.path, "x".repeat(100));
  mkdirSync(dir);
  const options = JSON.stringify({ dir });
  writeFileSync(
    join(project, "soorma.config.ts"),
    `export default { plugins: { transport: { options: ${options} } } };`,
  );
  expect((await doctor()).find("socket path")).toMatchObject({ status: "fail", fix: expect.stringContaining("dir") });
});

test("a mesh that runs is told, and what a killed one left, too", async () => {
  const dev = startSoorma(["dev", "--infra-only"], { cwd: project });
  try {
    await until(
      "the ready line",
      async () =>
        existsSync(join(project, ".soorma/run/mesh.json")) &&
        (await doctor()).find("mesh")?.found.startsWith("ready: process "),
    );
    dev.kill("SIGKILL");
    await dev.exited;
    const { find, exitCode } = await doctor();
    expect(find("mesh")).toMatchObject({
      status: "warn",
      found: expect.stringContaining(`process ${dev.pid}, did not end in order`),
      fix: expect.stringContaining("start `soorma dev`"),
    });
    expect(exitCode).toBe(0);
  } finally {
    dev.kill("SIGKILL");
    // Its parts notice by themselves that it is gone.
    await until("the end of the mesh", async () => !(await doctor()).find("mesh")?.found.includes("still running"));
  }
}, 60_000);

test("a syntax error is shown with the mark under it", async () => {
  writeFileSync(join(project, "src/agents/broken.ts"), "const = 1;\n");
  const { stdout, exitCode } = await soorma(["doctor"], { cwd: project });
  expect(exitCode).toBe(1);
  expect(stdout).toMatch(/^✗ agent broken +\S.*\n +at src\/agents\/broken\.ts:1:7\n {20}1 \| const = 1;\n {30}\^\n\n/m);
  expect(stdout).toContain("→ mend the file");
});

test("for a person: a mark, what was found, and an arrow to what to do", async () => {
  writeFileSync(join(project, "soorma.config.ts"), "export default { mesh: { laese: 1 } };");
  const { stdout, stderr } = await soorma(["doctor"], { cwd: project });
  expect(stdout).toMatch(/^✓ bun +1\.\d+\.\d+$/m);
  expect(stdout).toMatch(
    /^✗ configuration +soorma\.config\.ts:1: mesh\.laese is not known here\n +→ did you mean "leaseMs"\?$/m,
  );
  expect(stderr).toContain(`1 broken, 0 doubtful in ${project}`);
});
