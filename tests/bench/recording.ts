import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBroker } from "@soorma/broker";
import { silentLogger, systemRuntime } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import { createMemoryStore } from "@soorma/core/store";
import zeromq from "@soorma/transport-zeromq";
import type { Figures } from "./request/measure.ts";
import { median } from "./statistics.ts";
import type { BenchRow } from "./transport.ts";

const rounds = 5;
const count = 10_000;

/** A request between two processes while a third one records the mesh, beside the same with nobody recording, taking turns. */
export async function run(): Promise<BenchRow[]> {
  const figures: Record<"recorded" | "alone", Figures[]> = { recorded: [], alone: [] };
  const kept: string[] = [];
  for (let round = 0; round < rounds; round++) {
    figures.alone.push((await measureOnce(false)).figures);
    const recorded = await measureOnce(true);
    figures.recorded.push(recorded.figures);
    kept.push(recorded.kept);
  }
  console.error(`  recorded in each round: ${kept.join("; ")}`);
  const middle = (of: "recorded" | "alone", pick: (f: Figures) => number): number => median(figures[of].map(pick));
  const row = (name: string, unit: string, pick: (f: Figures) => number): BenchRow => {
    const [ours, theirs] = [middle("recorded", pick), middle("alone", pick)];
    return { name, unit, ours, theirs, ratio: unit === "µs" ? theirs / ours : ours / theirs, target: undefined };
  };
  return [
    row("request while recorded, median, against not recorded", "µs", (f) => f.medianUs),
    row("request while recorded, 95th percentile, against not recorded", "µs", (f) => f.p95Us),
    row("requests while recorded, 50 in flight, against not recorded", "requests/s", (f) => f.rate),
  ];
}

async function measureOnce(isRecorded: boolean): Promise<{ figures: Figures; kept: string }> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const log = silentLogger;
  const runtime = systemRuntime;
  const store = createMemoryStore();
  const transport = await createFromPlugin(zeromq, { dir: folder }, { log, runtime });
  const broker = await startBroker({ transport, store, listen: `ipc://${folder}/broker`, runtime, log });
  const start = (script: string, ...args: string[]) =>
    Bun.spawn([process.execPath, join(import.meta.dir, "request", script), ...args], {
      stdout: "pipe",
      stderr: "inherit",
    });
  const answer = start("soorma.ts", "answer", folder, String(count));
  const recorder = isRecorded ? start("recorder.ts", folder) : undefined;
  try {
    await nextLine(answer.stdout);
    if (recorder) await nextLine(recorder.stdout);
    const figures = JSON.parse(await start("soorma.ts", "ask", folder, String(count)).stdout.text()) as Figures;
    recorder?.kill("SIGTERM");
    return { figures, kept: recorder ? await nextLine(recorder.stdout) : "" };
  } finally {
    for (const child of [answer, recorder]) child?.kill("SIGKILL");
    await Promise.all([answer.exited, recorder?.exited]);
    await broker.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Each line comes in a chunk of its own: there is nothing else to say at the time. */
async function nextLine(stream: ReadableStream<Uint8Array>): Promise<string> {
  const reader = stream.getReader();
  const { value } = await reader.read();
  reader.releaseLock();
  return new TextDecoder().decode(value).trim();
}

if (import.meta.main) console.table(await run());
