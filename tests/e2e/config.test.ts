import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { curveKeypair } from "@soorma/transport-zeromq/sockets";
import { soorma, startSoorma, tempFolder, until } from "./cli-run.ts";

let folder: ReturnType<typeof tempFolder>;
let project: string;
beforeEach(() => {
  folder = tempFolder();
  project = join(folder.path, "project");
  mkdirSync(join(project, "src/agents"), { recursive: true });
  mkdirSync(join(project, "node_modules/@soorma"), { recursive: true });
  const root = join(import.meta.dir, "..", "..");
  symlinkSync(join(root, "cli"), join(project, "node_modules/soorma"));
  symlinkSync(join(root, "core"), join(project, "node_modules/@soorma/core"));
  symlinkSync(join(root, "plugins/transport-zeromq"), join(project, "node_modules/@soorma/transport-zeromq"));
  put("package.json", JSON.stringify({ name: "settings", type: "module" }));
  put("src/agents/planner.ts", planner);
  put("src/agents/worker.ts", worker);
});
afterEach(async () => {
  await run("dev", "--stop");
  folder[Symbol.dispose]();
}, 60_000);

function put(path: string, text: string): void {
  mkdirSync(join(project, path, ".."), { recursive: true });
  writeFileSync(join(project, path), text);
}

const run = (...args: string[]) => soorma(args, { cwd: project, env: { SOORMA_ENV: undefined } });

/** Starts the mesh in the background; the test's end stops it. */
async function start(...flags: string[]): Promise<string> {
  const { stdout, stderr, exitCode } = await run("dev", "--detach", ...flags);
  if (exitCode !== 0) throw new Error(stderr);
  return stdout;
}

const planner = `
import { Planner } from "soorma";
const planner = new Planner({ name: "probe-planner" });
planner.onGoal("probe.goal", (goal) => ({ tasks: [{ name: "probe", assignedTo: "probe", data: goal.data, retry: { maxAttempts: 1 } }] }));
await planner.run();
`;
const worker = `
import { Worker } from "soorma";
const worker = new Worker({ name: "probe-worker", capabilities: ["probe"] });
worker.onTask("probe", async (task, context) => {
  if (task.data.bytes) {
    const { bytes, size = 100_000 } = task.data;
    for (let at = 0; at * size < bytes; at++) await context.memory.store("big:" + at, "x".repeat(size));
  }
  const { SOORMA_ENV: environment, FROM: from, SOORMA_DRAIN_MS: drainMs } = process.env;
  return { environment, from, drainMs, tenant: worker.record().tenant };
});
await worker.run();
`;

async function probe(data: unknown = {}) {
  const { stdout, stderr, exitCode } = await run("goal", "probe.goal", JSON.stringify(data), "--timeout", "45");
  return { answer: exitCode === 0 ? (JSON.parse(stdout) as { probe: unknown }).probe : undefined, stderr };
}

test("a mesh runs on plugins of the project: registry by path, transport by name, without a broker", async () => {
  const fixtures = join(import.meta.dir, "fixtures");
  put("plugins/ledger.ts", readFileSync(join(fixtures, "registry-ledger.ts"), "utf8"));
  put("node_modules/soorma-transport-pigeon/index.ts", readFileSync(join(fixtures, "transport-pigeon.ts"), "utf8"));
  put(
    "node_modules/soorma-transport-pigeon/package.json",
    JSON.stringify({
      name: "soorma-transport-pigeon",
      version: "3.2.1",
      exports: "./index.ts",
      soorma: { kind: "transport", name: "pigeon", api: 1 },
    }),
  );
  const [ledger, loft] = [join(folder.path, "ledger.jsonl"), join(folder.path, "loft")];
  mkdirSync(loft);
  put(
    "soorma.config.ts",
    `import { defineConfig } from "soorma/config";
export default defineConfig({
  mesh: { tenantId: "acme", leaseMs: 20_000, renewMs: 200, dataFolder: "kept" },
  agents: { planner: "src/agents/planner.ts", worker: { entry: "src/agents/worker.ts", env: { FROM: "file" } } },
  plugins: { registry: { name: "./plugins/ledger.ts", options: { file: ${JSON.stringify(ledger)} } } },
  environments: {
    birds: {
      agents: { worker: { env: { FROM: "overlay" } } },
      plugins: { transport: { name: "pigeon", options: { loft: ${JSON.stringify(loft)} } } },
    },
  },
});`,
  );
  expect(await start("--env", "birds")).toContain("· registry ./plugins/ledger.ts ·");
  expect((await probe()).answer).toEqual({
    environment: "birds",
    from: "overlay",
    drainMs: "10000",
    tenant: "acme",
  });

  const status = JSON.parse((await run("dev", "--status", "--json")).stdout) as { processes: { name: string }[] };
  expect(status.processes.map(({ name }) => name).sort()).toEqual(["planner", "state", "worker"]);
  const [first] = readFileSync(ledger, "utf8").split("\n");
  expect(JSON.parse(first ?? "{}")).toMatchObject({ leaseMs: 20_000, up: { tenant: "acme" } });
  await until("a renewal", () => existsSync(`${ledger}.renewals`));
  expect(existsSync(join(project, "kept/data.mdb"))).toBe(true);
  expect(existsSync(join(project, ".soorma/data"))).toBe(false);

  const listed = JSON.parse((await run("plugin", "list", "--env", "birds", "--json")).stdout) as object[];
  expect(listed).toContainEqual(
    expect.objectContaining({
      kind: "transport",
      name: "pigeon",
      package: "soorma-transport-pigeon",
      version: "3.2.1",
      source: "project",
      inUse: true,
    }),
  );
  expect(listed).toContainEqual(expect.objectContaining({ kind: "registry", source: "path", inUse: true }));
  expect(listed).toContainEqual(expect.objectContaining({ name: "zeromq", source: "project", inUse: false }));
}, 60_000);

test("an encrypted mesh at a TCP port, with limits for messages and data", async () => {
  const { publicKey, secretKey } = curveKeypair();
  const server = Bun.listen({ hostname: "127.0.0.1", port: 0, socket: { data() {} } });
  const { port } = server;
  server.stop(true);
  put(
    "soorma.config.ts",
    `export default {
  mesh: { maxMessageBytes: 300_000, dataLimitBytes: 2_200_000 },
  plugins: { transport: { options: ${JSON.stringify({ security: "curve", publicKey, secretKey })} } },
  dev: { port: ${port}, drainMs: 1_234 },
};`,
  );
  expect(await start()).toContain(`· broker tcp://127.0.0.1:${port} ·`);
  expect((await probe()).answer).toEqual({ drainMs: "1234", tenant: "default" });

  expect((await probe({ bytes: 1, size: 400_000 })).stderr).toContain("MESSAGE_TOO_LARGE");
  const full = await probe({ bytes: 5_000_000, size: 250_000 });
  expect(full.stderr).toContain("STORE_FULL");

  // Whoever has the addresses and not the keys is not let in, and no process shows the key to other users.
  const mesh = JSON.parse(readFileSync(join(project, ".soorma/run/mesh.json"), "utf8")) as {
    registry: { options: object };
  };
  expect(statSync(join(project, ".soorma/run/mesh.json")).mode & 0o077).toBe(0);
  const processes = Bun.spawnSync(["ps", "-eo", "args"]).stdout.toString();
  expect(processes).not.toContain(secretKey);
  const open = {
    ...mesh,
    transport: { name: "zeromq", options: {} },
    registry: { name: "broker", options: { ...mesh.registry.options, timeoutMs: 500 } },
  };
  put("open.json", JSON.stringify(open));
  const refused = await soorma(["plans", "list"], { cwd: project, env: { SOORMA_MESH: join(project, "open.json") } });
  expect(refused.exitCode).toBe(1);
  expect(refused.stderr).toContain("REGISTRY_UNAVAILABLE");

  const shown = (await run("config", "plugins.transport", "--json")).stdout;
  expect(shown).toContain(publicKey);
  expect(shown).not.toContain(secretKey);
}, 60_000);

test("dev waits, restarts and cleans as it is told, and says what a saved change needs a new start for", async () => {
  put("src/agents/planner.ts", "await new Promise(() => setInterval(() => {}, 1_000));");
  // It crashes as soon as it is known to be ready: before that it would not be restarted, but told to be wrong.
  put(
    "src/agents/worker.ts",
    `${worker}
import { readFileSync } from "node:fs";
setInterval(() => {
  const { processes } = JSON.parse(readFileSync(".soorma/run/supervisor.json", "utf8"));
  if (processes.some((one) => one.name === "worker" && one.state === "ready")) process.exit(3);
}, 10);`,
  );
  const settings = (tenantId: string) =>
    `export default { mesh: { tenantId: "${tenantId}", dataFolder: "kept" }, dev: { readyMs: 300, restartMs: 40 } };`;
  put("soorma.config.ts", settings("one"));
  put("kept/mine.txt", "not soorma's");
  const dev = startSoorma(["dev"], { cwd: project });
  const output = { text: "" };
  void (async () => {
    const decoder = new TextDecoder();
    for await (const chunk of dev.stderr) output.text += decoder.decode(chunk, { stream: true });
  })();
  const sees = (text: string) => until(text, () => output.text.includes(text));
  try {
    await sees("is not ready after 0.3 s");
    await sees("starts again in 0.04 s");
    put("soorma.config.ts", settings("two"));
    await sees("mesh.tenantId: what was changed holds when soorma dev is started again");
    await until("the store", () => existsSync(join(project, "kept/data.mdb")));
  } finally {
    dev.kill("SIGKILL");
    await dev.exited;
  }
  const { exitCode, stderr } = await run("dev", "--stop", "--clean", "--yes");
  expect([exitCode, stderr]).toEqual([0, expect.stringContaining("removed plans, memory and logs")]);
  expect(readdirSync(join(project, "kept"))).toEqual(["mine.txt"]);
}, 60_000);

test("what is wrong with the configuration is told before anything starts, and nothing is left", async () => {
  put("soorma.config.ts", `export default {\n  plugins: {\n    transport: { options: { heartbeat: 5 } },\n  },\n};`);
  const { stderr, exitCode } = await run("dev");
  expect(exitCode).toBe(1);
  expect(stderr).toContain(
    'soorma.config.ts:3: plugins.transport.options.heartbeat is not an option, did you mean "heartbeatMs"?',
  );
  expect(existsSync(join(project, ".soorma"))).toBe(false);
});

test("plugins are listed without running their code, with what is wrong with them", async () => {
  const install = (name: string, soorma: object): void => {
    put(`node_modules/${name}/package.json`, JSON.stringify({ name, version: "1.0.0", exports: "./index.ts", soorma }));
    put(`node_modules/${name}/index.ts`, `throw new Error("${name} was run");`);
  };
  install("soorma-registry-bomb", { kind: "registry", name: "bomb", api: 1 });
  install("@stranger/oven", { kind: "transport", name: "oven", api: 2 });
  put("node_modules/soorma-other/package.json", JSON.stringify({ name: "soorma-other", soorma: { agents: {} } }));
  const { stdout, stderr, exitCode } = await run("plugin", "list");
  expect([stderr, exitCode]).toEqual(["", 0]);
  const rows = stdout.split("\n").map((line) => line.split(/ {2,}/));
  const row = (name: string) => rows.find((cells) => cells[1] === name);
  expect(rows[0]).toEqual(["KIND", "NAME", "PACKAGE", "WHERE"]);
  expect(row("bomb")).toEqual(["registry", "bomb", "soorma-registry-bomb 1.0.0", "node_modules/soorma-registry-bomb"]);
  expect(row("broker")).toEqual([
    "registry",
    "broker",
    expect.stringMatching(/^@soorma\/registry-broker \d/),
    "comes with soorma",
    "in use",
  ]);
  expect(row("oven")?.slice(2)).toEqual([
    "@stranger/oven 1.0.0",
    "node_modules/@stranger/oven",
    "written for plugin interface 2, and this version speaks 1",
  ]);
  expect(row("zeromq")?.slice(3)).toEqual(["node_modules/@soorma/transport-zeromq", "in use"]);
  expect(rows.some((cells) => cells[2]?.startsWith("soorma-other"))).toBe(false);
});

test("soorma config prints what is in force, and where it comes from", async () => {
  put(
    "soorma.config.ts",
    `export default {\n  mesh: { leaseMs: 20_000 },\n  environments: {\n    ci: { dev: { drainMs: 50 } },\n  },\n};`,
  );
  const env = { SOORMA_DEV_READY_MS: "500" };
  const { stdout, stderr } = await soorma(["config", "--env", "ci", "--port", "7711"], { cwd: project, env });
  expect(stderr).toBe(`${join(project, "soorma.config.ts")}, environment ci\n`);
  const rows = new Map(stdout.split("\n").map((line) => [line.split(/ {2,}/)[0], line.split(/ {2,}/).slice(1)]));
  expect(rows.get("agents.worker.entry")).toEqual(["src/agents/worker.ts", "found in the project"]);
  expect(rows.get("mesh.leaseMs")).toEqual(["20000", "soorma.config.ts:2"]);
  expect(rows.get("mesh.renewMs")).toEqual(["3000", "default"]);
  expect(rows.get("plugins.transport.options.heartbeatMs")).toEqual(["200", "default of zeromq"]);
  expect(rows.get("plugins.registry.options.address")).toEqual(["tcp://127.0.0.1:7711", "--port"]);
  expect(rows.get("dev.port")).toEqual(["7711", "--port"]);
  expect(rows.get("dev.drainMs")).toEqual(["50", "soorma.config.ts:4 (environment ci)"]);
  expect(rows.get("dev.readyMs")).toEqual(["500", "SOORMA_DEV_READY_MS"]);

  const one = await run("config", "mesh.leaseMs", "--json");
  expect(JSON.parse(one.stdout)).toEqual({
    file: join(project, "soorma.config.ts"),
    environment: null,
    settings: {
      "mesh.leaseMs": { value: 20_000, from: { kind: "file", line: 2, text: "soorma.config.ts:2" } },
    },
  });
  const none = await run("config", "mesh.laese");
  expect([none.exitCode, none.stdout]).toEqual([1, ""]);
  expect(none.stderr).toContain("did you mean mesh.leaseMs?");
});
