import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { limited } from "./limited.ts";
import { finish, installed, type Packed, packPackages, spawn } from "./packed.ts";
import { median } from "./statistics.ts";
import type { BenchRow } from "./transport.ts";

const pluginCount = 20;
const agentCount = 3;

/**
 * What a person waits for, with packages as they are published: `soorma version` with and without plugins installed,
 * `soorma dev` from a cold start until every agent is ready, and from `soorma init` to an answered task.
 */
export async function run(runs = 15): Promise<BenchRow[]> {
  using packed = await packPackages();
  // The first one fills the package manager's cache.
  const project = await packed.init("few", "team");
  return [
    ...(await versions(project, runs)),
    ...(await coldStarts(project, runs)),
    await firstAnswer(packed),
    limited("packages of a scaffolded project", "packages", packageCount(join(project, "node_modules")), 40),
  ];
}

async function versions(project: string, runs: number): Promise<BenchRow[]> {
  const [none, many, bare]: [number[], number[], number[]] = [[], [], []];
  for (let i = 0; i < runs; i++) {
    none.push(await time(project, [installed, "version"]));
    addPlugins(project);
    many.push(await time(project, [installed, "version"]));
    removePlugins(project);
    bare.push(await time(project, ["-e", "0"]));
  }
  const [without, withPlugins, bun] = [median(none), median(many), median(bare)];
  return [
    {
      name: "soorma version, beside bun -e 0",
      unit: "ms",
      ours: without,
      theirs: bun,
      ratio: bun / without,
      target: undefined,
      verdict: `within 60 ms: ${without <= 60 ? "yes" : "NO"}`,
    },
    limited(`soorma version, ${pluginCount} plugins installed`, "ms", withPlugins, 60),
  ];
}

/** Packages that say they are plugins, and that complain when somebody runs their code. */
function addPlugins(project: string): void {
  for (let i = 0; i < pluginCount; i++) {
    const folder = join(project, "node_modules", `soorma-transport-dummy-${i}`);
    mkdirSync(folder, { recursive: true });
    const soorma = { kind: "transport", name: `dummy-${i}`, api: 1 };
    writeFileSync(join(folder, "package.json"), JSON.stringify({ name: `soorma-transport-dummy-${i}`, soorma }));
    writeFileSync(join(folder, "index.js"), "throw new Error('nobody asked for this plugin');\n");
  }
}

function removePlugins(project: string): void {
  for (let i = 0; i < pluginCount; i++) {
    rmSync(join(project, "node_modules", `soorma-transport-dummy-${i}`), { recursive: true });
  }
}

async function coldStarts(project: string, runs: number): Promise<BenchRow[]> {
  const agents = join(project, "src", "agents");
  const files = readdirSync(agents)
    .filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts"))
    .sort();
  if (files.length < agentCount) throw new Error(`${project} has fewer than ${agentCount} agents`);
  for (const file of files.slice(agentCount)) rmSync(join(agents, file));
  const [walls, processors]: [number[], number[]] = [[], []];
  for (let i = 0; i < runs; i++) {
    rmSync(join(project, ".soorma"), { recursive: true, force: true });
    const startMs = performance.now();
    const child = spawn(project, [installed, "dev", "--json"]);
    try {
      const line = await firstLine(child.stdout);
      walls.push(performance.now() - startMs);
      const { processes } = JSON.parse(line) as { processes: readonly { role: string; state: string }[] };
      const ready = processes.filter(({ role, state }) => role === "agent" && state === "ready");
      if (ready.length !== agentCount) throw new Error(`${ready.length} of ${agentCount} agents are ready: ${line}`);
      processors.push(processorMs(child.pid));
    } finally {
      child.kill("SIGTERM");
      await child.exited;
    }
  }
  return [
    limited(`soorma dev, ${agentCount} agents, from nothing to ready`, "ms", median(walls), 700),
    limited("the same, processor time of all six processes", "ms", median(processors)),
  ];
}

async function firstAnswer(packed: Packed): Promise<BenchRow> {
  const times: number[] = [];
  for (let i = 0; i < 3; i++) {
    const name = `first-${i}`;
    const startMs = performance.now();
    const project = await packed.init(name, "worker");
    await finish(spawn(project, [installed, "dev", "--detach"]));
    try {
      const answer = await finish(spawn(project, [installed, "goal", `${name}.goal`, '{"text":"one two three"}']));
      times.push(performance.now() - startMs);
      if (!answer.includes("3")) throw new Error(`this is not the number of words: ${answer}`);
    } finally {
      await finish(spawn(project, [installed, "dev", "--stop"]));
    }
  }
  return limited("soorma init, with install, to the first answered task", "ms", median(times), 10_000);
}

function packageCount(modules: string): number {
  return readdirSync(modules, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith("."))
    .reduce((sum, { name }) => sum + (name.startsWith("@") ? readdirSync(join(modules, name)).length : 1), 0);
}

async function time(cwd: string, argv: readonly string[]): Promise<number> {
  const startMs = performance.now();
  await finish(spawn(cwd, argv));
  return performance.now() - startMs;
}

async function firstLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    text += decoder.decode(chunk, { stream: true });
    const end = text.indexOf("\n");
    if (end >= 0) return text.slice(0, end);
  }
  throw new Error(`it ended without a line: ${text}`);
}

/** Processor time that a process and those it started have used, in steps of 10 ms. */
function processorMs(pid: number): number {
  const fields = /\) (.*)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1]?.split(" ") ?? [];
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
  const own = (Number(fields[11]) + Number(fields[12])) * 10;
  return children.reduce((sum, child) => sum + processorMs(Number(child)), own);
}

if (import.meta.main) console.table(await run());
