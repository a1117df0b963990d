import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startBroker } from "@soorma/broker";
import { silentLogger, systemRuntime } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import { createMemoryStore } from "@soorma/core/store";
import zeromq from "@soorma/transport-zeromq";
import type { FailoverFigures } from "./failover/experiment.ts";
import type { BenchRow } from "./transport.ts";

type Signal = "SIGKILL" | "SIGSTOP";

/** Milliseconds after which a client of ours may not count on a lost worker any more. */
const limitsMs = { SIGKILL: 50, SIGSTOP: 1_000 };

/** How the peers are run: which script, and on which medium. */
const peers = {
  "Moleculer, TCP": { script: "moleculer.ts", nats: false },
  "Moleculer, NATS": { script: "moleculer.ts", nats: true },
  "NATS queue group": { script: "nats.ts", nats: true },
} as const;

/**
 * Two workers that answer requests and a client that asks 200 times a second with 2 s time, all with default settings;
 * then one worker is killed, or stopped and continued later.
 */
export async function run(seconds = 20): Promise<BenchRow[]> {
  const server = await startNats();
  try {
    const rows: BenchRow[] = [];
    for (const signal of ["SIGKILL", "SIGSTOP"] as const) {
      const ours = worst(await inTurn(3, () => runSoorma(signal, 4)));
      console.error(`${signal}, Soorma, the worst of three: ${describe(ours, 4)}`);
      for (const [name, { script, nats }] of Object.entries(peers)) {
        if (nats && !server) continue;
        const ports = nats && server ? [server.port] : [await freePort(), await freePort(), await freePort()];
        const theirs = await runPeer(script, ports, signal, seconds);
        console.error(`${signal}, ${name}: ${describe(theirs, seconds)}`);
        rows.push(...compare(signal, name, ours, theirs, seconds));
      }
    }
    return rows;
  } finally {
    server?.subprocess.kill();
    await server?.subprocess.exited;
  }
}

/** One run of the experiment with Soorma: a broker in this process, everybody else in processes of their own. */
export async function runSoorma(signal: Signal, seconds: number): Promise<FailoverFigures> {
  const folder = mkdtempSync(join(tmpdir(), "bench-"));
  const log = silentLogger;
  const runtime = systemRuntime;
  const store = createMemoryStore();
  const transport = await createFromPlugin(zeromq, { dir: folder }, { log, runtime });
  const broker = await startBroker({ transport, store, listen: `ipc://${folder}/broker`, runtime, log });
  try {
    return await runPeer("soorma.ts", [0], signal, seconds, folder);
  } finally {
    await broker.close();
    await store.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runPeer(
  script: string,
  ports: readonly number[],
  signal: Signal,
  seconds: number,
  folder = "-",
): Promise<FailoverFigures> {
  const spawn = (...args: string[]) =>
    Bun.spawn([process.execPath, join(import.meta.dir, "failover", script), ...args], {
      stdin: "ignore",
      stdout: "pipe",
      stderr: "inherit",
    });
  const place = [folder, ports.join(",")];
  const workers = (["one", "two"] as const).map((role) => spawn(role, ...place));
  try {
    for (const { stdout } of workers) {
      const reader = stdout.getReader();
      await reader.read();
      reader.releaseLock();
    }
    const client = spawn("ask", ...place, String(workers[0]?.pid), signal, String(seconds));
    return JSON.parse(await client.stdout.text()) as FailoverFigures;
  } finally {
    for (const worker of workers) worker.kill("SIGKILL");
    for (const worker of workers) await worker.exited;
  }
}

function compare(
  signal: Signal,
  peer: string,
  ours: FailoverFigures,
  theirs: FailoverFigures,
  seconds: number,
): BenchRow[] {
  const noticed = (figures: FailoverFigures): number => figures.noticedMs ?? seconds * 1_000;
  const within = limitsMs[signal];
  const share = { ours: perThousand(ours), theirs: perThousand(theirs) };
  return [
    // Where nobody is told and nothing failed, there is no time to compare with.
    ...(theirs.noticedMs === 0
      ? []
      : [
          {
            name: `${signal} noticed, against ${peer}${theirs.noticedMs === null ? " (never did)" : ""}`,
            unit: "ms",
            ours: noticed(ours),
            theirs: noticed(theirs),
            ratio: noticed(theirs) / noticed(ours),
            target: undefined,
            verdict: `within ${within} ms: ${noticed(ours) <= within ? "yes" : "NO"}`,
          },
        ]),
    {
      name: `${signal}, failed of 1,000 calls, against ${peer}`,
      unit: "calls",
      ...share,
      ratio: share.theirs === share.ours ? 1 : share.theirs / share.ours,
      target: undefined,
      verdict: `none: ${ours.failed + ours.failedLater + ours.wrong === 0 ? "yes" : "NO"}`,
    },
  ];
}

function perThousand({ failed, calls }: FailoverFigures): number {
  return (failed * 1_000) / calls;
}

function worst(runs: readonly FailoverFigures[]): FailoverFigures {
  const most = (pick: (f: FailoverFigures) => number): number => Math.max(...runs.map(pick));
  return {
    calls: runs.reduce((sum, { calls }) => sum + calls, 0),
    failed: runs.reduce((sum, { failed }) => sum + failed, 0),
    noticedMs: runs.some(({ noticedMs }) => noticedMs === null) ? null : most(({ noticedMs }) => noticedMs ?? 0),
    slowestMs: most(({ slowestMs }) => slowestMs),
    wrong: most(({ wrong }) => wrong),
    failedLater: most(({ failedLater }) => failedLater),
    returned: runs.every(({ returned }) => returned),
  };
}

function describe({ noticedMs, calls, failed, slowestMs }: FailoverFigures, seconds: number): string {
  const noticed = noticedMs === null ? `not noticed in ${seconds} s` : `noticed after ${Math.round(noticedMs)} ms`;
  return `${noticed}, ${failed} of ${calls} calls failed, the slowest took ${Math.round(slowestMs)} ms`;
}

async function inTurn<T>(times: number, run: () => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < times; i++) results.push(await run());
  return results;
}

async function startNats(): Promise<{ readonly subprocess: Bun.Subprocess; readonly port: number } | undefined> {
  if (Bun.which("nats-server") === null) return undefined;
  const port = await freePort();
  const argv = ["nats-server", "-a", "127.0.0.1", "-p", String(port)];
  return { subprocess: Bun.spawn(argv, { stdout: "ignore", stderr: "ignore" }), port };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}

if (import.meta.main) console.table(await run());
