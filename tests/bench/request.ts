import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
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

/**
 * A request through the SDK (envelope, contract, handler) between two processes, against Moleculer on its TCP
 * transporter and NATS request/reply: the same payload, all on this Bun, taking turns.
 */
export async function run(): Promise<BenchRow[]> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const log = silentLogger;
  const runtime = systemRuntime;
  const store = createMemoryStore();
  const transport = await createFromPlugin(zeromq, { dir: folder }, { log, runtime });
  const broker = await startBroker({ transport, store, listen: `ipc://${folder}/broker`, runtime, log });
  const natsPort = await freePort();
  const hasNats = Bun.which("nats-server") !== null;
  const server = hasNats
    ? Bun.spawn(["nats-server", "-a", "127.0.0.1", "-p", String(natsPort)], { stdout: "ignore", stderr: "ignore" })
    : undefined;
  try {
    const peers = hasNats ? (["soorma", "moleculer", "nats"] as const) : (["soorma", "moleculer"] as const);
    const figures: Record<string, Figures[]> = { soorma: [], moleculer: [], nats: [] };
    for (let round = 0; round < rounds; round++) {
      for (const peer of peers) {
        figures[peer]?.push(await pair(peer, folder, peer === "nats" ? natsPort : await freePort()));
      }
    }
    const middle = (peer: string, pick: (f: Figures) => number): number => median((figures[peer] ?? []).map(pick));
    return peers
      .filter((peer) => peer !== "soorma")
      .flatMap((peer): BenchRow[] => [
        row(
          `request, median, against ${peer}`,
          "µs",
          middle("soorma", (f) => f.medianUs),
          middle(peer, (f) => f.medianUs),
          1,
        ),
        row(
          `request, 95th percentile, against ${peer}`,
          "µs",
          middle("soorma", (f) => f.p95Us),
          middle(peer, (f) => f.p95Us),
          undefined,
        ),
        row(
          `requests, 50 in flight, against ${peer}`,
          "requests/s",
          middle("soorma", (f) => f.rate),
          middle(peer, (f) => f.rate),
          undefined,
        ),
      ]);
  } finally {
    await broker.close();
    server?.kill();
    await server?.exited;
    rmSync(folder, { recursive: true, force: true });
  }
}

function row(name: string, unit: string, ours: number, theirs: number, target: number | undefined): BenchRow {
  return { name, unit, ours, theirs, ratio: unit === "µs" ? theirs / ours : ours / theirs, target };
}

async function pair(peer: string, folder: string, port: number): Promise<Figures> {
  const argv = (role: string): string[] => [
    process.execPath,
    join(import.meta.dir, "request", `${peer}.ts`),
    role,
    folder,
    String(count),
    String(port),
  ];
  const answer = Bun.spawn(argv("answer"), { stdout: "pipe", stderr: "inherit" });
  try {
    const reader = answer.stdout.getReader();
    await reader.read();
    reader.releaseLock();
    const ask = Bun.spawn(argv("ask"), { stdout: "pipe", stderr: "inherit" });
    return JSON.parse(await ask.stdout.text()) as Figures;
  } finally {
    answer.kill("SIGKILL");
    await answer.exited;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

if (import.meta.main) console.table(await run());
