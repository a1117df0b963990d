import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { silentLogger } from "@soorma/core";
import { Client, connectMesh } from "soorma";
import { limited } from "./limited.ts";
import { finish, installed, packPackages, spawn } from "./packed.ts";
import { median, quantile } from "./statistics.ts";
import type { BenchRow } from "./transport.ts";

/**
 * From an agent's file being saved under `soorma dev` to the first answer by its new code, with packages as they are
 * published, and with TypeScript installed: nothing answers before its types are known to be right. Somebody asks all the
 * time.
 */
export async function run(saves = 40): Promise<BenchRow[]> {
  using packed = await packPackages();
  const project = await packed.init("answers", "tool");
  const typed = await latencies(project, saves, []);
  const plain = await latencies(project, saves, ["--no-types"]);
  return [
    limited("saved file to new code answering, 95th percentile", "ms", quantile(typed, 0.95), 200),
    limited("the same, median", "ms", median(typed)),
    limited("the same without types, 95th percentile", "ms", quantile(plain, 0.95), 200),
    limited("the same without types, median", "ms", median(plain)),
  ];
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
  await finish(spawn(project, [installed, "dev", "--detach", ...flags]));
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
    await finish(spawn(project, [installed, "dev", "--stop"]));
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

if (import.meta.main) console.table(await run(Number(process.argv[2] ?? 40)));
