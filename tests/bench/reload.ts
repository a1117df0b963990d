import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { silentLogger } from "@soorma/core";
import { Client, connectMesh } from "soorma";
import { limited } from "./limited.ts";
import type { BenchRow } from "./transport.ts";

const repository = join(import.meta.dir, "..", "..");
const installed = "node_modules/soorma/bin/soorma.ts";

/**
 * From an agent's file being saved under `soorma dev` to the first answer by its new code, with packages as they are
 * published, and with TypeScript installed: types are checked behind the reload. Somebody asks all the time.
 */
export async function run(saves = 40): Promise<BenchRow[]> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "bench-reload-")));
  try {
    const packages = join(folder, "packages");
    await finish(repository, ["cli/scripts/pack.ts", packages]);
    const init = ["init", "answers", "--type", "tool", "--yes", "--no-git", "--packages", packages];
    await finish(folder, [join(repository, "cli", "bin", "soorma.ts"), ...init]);
    const project = join(folder, "answers");
    const typed = await latencies(project, saves, []);
    const plain = await latencies(project, saves, ["--no-types"]);
    return [
      limited("saved file to new code answering, 95th percentile", "ms", quantile(typed, 0.95), 200),
      limited("the same, median", "ms", quantile(typed, 0.5)),
      limited("the same without types, 95th percentile", "ms", quantile(plain, 0.95), 200),
      limited("the same without types, median", "ms", quantile(plain, 0.5)),
    ];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

async function latencies(project: string, saves: number, flags: readonly string[]): Promise<number[]> {
  const file = join(project, "src", "agents", "versioned.ts");
  mkdirSync(join(project, "src", "agents"), { recursive: true });
  const save = (version: number): void =>
    writeFileSync(
      file,
      `import { Tool } from "soorma";
const tool = new Tool({ name: "versioned", capabilities: ["versions"] });
tool.onInvoke("version", () => ({ version: ${version} }));
await tool.run();
`,
    );
  save(0);
  await finish(project, [installed, "dev", "--detach", ...flags]);
  try {
    await using client = await Client.connect({
      name: "asking",
      mesh: connectMesh({ meshFile: join(project, ".soorma", "run", "mesh.json"), log: silentLogger }),
    });
    const answering = async (): Promise<number> =>
      ((await client.bus.request("version", {}, { timeoutMs: 5_000 })) as { version: number }).version;
    const times: number[] = [];
    for (let version = 1; version <= saves; version++) {
      await standbyOf(project);
      const startMs = performance.now();
      save(version);
      while ((await answering()) !== version) await Bun.sleep(1);
      times.push(performance.now() - startMs);
    }
    return times;
  } finally {
    await finish(project, [installed, "dev", "--stop"]);
  }
}

/** Nobody saves again before they have looked at what came of it: a process stands by for each agent by then. */
async function standbyOf(project: string): Promise<void> {
  const agents = (state: State): number => state.processes.filter(({ role }) => role === "agent").length;
  for (;;) {
    const state = JSON.parse(readFileSync(join(project, ".soorma", "run", "supervisor.json"), "utf8")) as State;
    if ((state.standbys?.length ?? 0) >= Math.min(4, agents(state))) break;
    await Bun.sleep(20);
  }
  await Bun.sleep(thinkMs);
}

/** A fast save after the one before: long enough for a process to have become one that stands by. */
const thinkMs = 1_000;

interface State {
  readonly processes: readonly { readonly role: string }[];
  readonly standbys?: readonly unknown[];
}

async function finish(cwd: string, argv: readonly string[]): Promise<void> {
  const child = Bun.spawn([process.execPath, ...argv], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`it ended with ${child.exitCode}: ${out}${err}`);
}

function quantile(values: readonly number[], of: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * of))] ?? Number.NaN;
}

if (import.meta.main) console.table(await run(Number(process.argv[2] ?? 40)));
