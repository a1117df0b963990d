import { mkdirSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { startBroker } from "@soorma/broker";
import { silentLogger, systemRuntime } from "@soorma/core";
import { createFromPlugin } from "@soorma/core/plugins";
import { createMemoryStore } from "@soorma/core/store";
import zeromq from "@soorma/transport-zeromq";
import type { Given, Kind } from "./measure.ts";

/** Newest at the time of writing. Fetched for the bench alone: the program is 200 MB and is no dependency of anything. */
const restateVersion = "1.7.12";

export type PeerName = "soorma" | "restate" | "bullmq";

/** A peer whose processes run, to be asked by one more. */
export interface Peer extends AsyncDisposable {
  readonly pids: Readonly<Record<string, number>>;
  readonly ports: readonly number[];
  readonly folder: string;
}

/** What a bench started, ended in reverse order. */
export class Processes implements AsyncDisposable {
  readonly pids: Record<string, number> = {};
  readonly #children: Record<string, Bun.Subprocess> = {};
  readonly #ends: (() => Promise<void>)[] = [];

  onEnd(end: () => Promise<void>): void {
    this.#ends.unshift(end);
  }

  /** Starts a program and waits for `isReady`; of our scripts, until they say so. */
  async start(name: string, argv: readonly string[], isReady?: () => Promise<boolean>, env = {}): Promise<void> {
    const child = Bun.spawn([...argv], {
      stdout: isReady ? "ignore" : "pipe",
      stderr: isReady ? "ignore" : "inherit",
      env: { ...process.env, ...env },
    });
    this.pids[name] = child.pid;
    this.#children[name] = child;
    this.onEnd(async () => {
      // A profile is written at the end.
      child.kill(process.env.BENCH_PROFILE ? "SIGTERM" : "SIGKILL");
      await child.exited;
    });
    if (!isReady) {
      const told = Promise.withResolvers<void>();
      // Read on afterwards: a process whose output nobody takes comes to a halt.
      void (async () => {
        const decoder = new TextDecoder();
        for await (const chunk of child.stdout as ReadableStream<Uint8Array>) {
          if (decoder.decode(chunk).includes("ready")) told.resolve();
        }
        told.reject(new Error(`${argv.join(" ")} ended before it was ready`));
      })();
      return told.promise;
    }
    const until = Date.now() + 60_000;
    while (!(await isReady().catch(() => false))) {
      if (child.exitCode !== null) throw new Error(`${argv[0]} ended with ${child.exitCode}`);
      if (Date.now() > until) throw new Error(`${argv[0]} was not ready in 60 s`);
      await Bun.sleep(50);
    }
  }

  async kill(name: string): Promise<void> {
    this.#children[name]?.kill("SIGKILL");
    await this.#children[name]?.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const end of this.#ends) await end();
  }
}

/** The arguments of one of the peers' scripts. With a folder in BENCH_PROFILE ours write what takes their time there. */
export function script(peer: PeerName, role: string, given: Partial<Given>): string[] {
  const folder = process.env.BENCH_PROFILE;
  const profile =
    peer === "soorma" && folder ? ["--cpu-prof", `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${role}.cpuprofile`] : [];
  return [process.execPath, ...profile, join(import.meta.dir, `${peer}.ts`), role, JSON.stringify(given)];
}

export const starts: Readonly<Record<PeerName, (folder: string, kind: Kind) => Promise<Peer>>> = {
  /** Broker, state node, planner and worker. */
  async soorma(folder, kind) {
    const processes = new Processes();
    await startMesh(processes, folder);
    for (const role of ["worker", "planner"]) await processes.start(role, script("soorma", role, { folder, kind }));
    return peer(processes, folder, []);
  },

  /** Its server as it comes, which flushes its log before it acknowledges, and the handlers in one process. */
  async restate(folder, kind) {
    const processes = new Processes();
    const [ingress, admin, node, endpoint] = await freePorts(4);
    const ports = [ingress ?? 0, endpoint ?? 0];
    const at = (port: number | undefined): string => `127.0.0.1:${port}`;
    const responds = async (url: string): Promise<boolean> => (await fetch(url)).ok;
    await processes.start(
      "server",
      [await restateServer(folder), "--no-logo", "--node-name", "bench", "--base-dir", join(folder, "restate-data")],
      async () =>
        (await responds(`http://${at(admin)}/health`)) && (await responds(`http://${at(ingress)}/restate/health`)),
      {
        RESTATE_LISTEN_MODE: "tcp",
        RESTATE_BIND_ADDRESS: at(node),
        RESTATE_INGRESS__BIND_ADDRESS: at(ingress),
        RESTATE_ADMIN__BIND_ADDRESS: at(admin),
        RESTATE_DISABLE_TELEMETRY: "true",
        RESTATE_LOG_FILTER: "error",
      },
    );
    await processes.start("handlers", script("restate", "serve", { folder, kind, ports }), undefined, {
      RESTATE_LOGGING: "ERROR",
    });
    const registered = await fetch(`http://${at(admin)}/deployments`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ uri: `http://${at(endpoint)}` }),
    });
    if (!registered.ok) throw new Error(`restate refused the handlers: ${await registered.text()}`);
    return peer(processes, folder, ports);
  },

  /** Redis that flushes its append-only file with every command, as its documentation says for durability. */
  async bullmq(folder, kind) {
    const processes = new Processes();
    const [port = 0] = await freePorts(1);
    mkdirSync(join(folder, "redis"), { recursive: true });
    await processes.start(
      "redis",
      [
        "redis-server",
        "--port",
        String(port),
        "--bind",
        "127.0.0.1",
        "--dir",
        join(folder, "redis"),
        "--save",
        "",
      ].concat(["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]),
      async () => {
        const client = new Bun.RedisClient(`redis://127.0.0.1:${port}`, { autoReconnect: false });
        try {
          return (await client.ping()) === "PONG";
        } finally {
          client.close();
        }
      },
    );
    await processes.start("worker", script("bullmq", "work", { folder, kind, ports: [port] }));
    return peer(processes, folder, [port]);
  },
};

/** A broker in this process, which is idle while plans run, and a state node in one of its own, on disk. */
export async function startMesh(processes: Processes, folder: string): Promise<void> {
  const [log, runtime] = [silentLogger, systemRuntime];
  const transport = await createFromPlugin(zeromq, { dir: folder }, { log, runtime });
  const store = createMemoryStore();
  const broker = await startBroker({ transport, store, listen: `ipc://${folder}/broker`, runtime, log });
  processes.onEnd(() => broker.close());
  await processes.start("state", script("soorma", "state", { folder }));
}

function peer(processes: Processes, folder: string, ports: readonly number[]): Peer {
  return { pids: processes.pids, ports, folder, [Symbol.asyncDispose]: () => processes[Symbol.asyncDispose]() };
}

/** Installs the server from the registry, if it was not, and tells its path. */
async function restateServer(folder: string): Promise<string> {
  const name = `@restatedev/restate-server-${process.platform}-${process.arch}`;
  // Beside the runs' folders: they come and go, and the installation is linked from the package manager's cache.
  const home = join(folder, "..", "restate");
  const path = join(home, "node_modules", name, "bin", "restate-server");
  if (await Bun.file(path).exists()) return path;
  mkdirSync(home, { recursive: true });
  await Bun.write(join(home, "package.json"), "{}");
  const add = Bun.spawn([process.execPath, "add", "--exact", "--ignore-scripts", `${name}@${restateVersion}`], {
    cwd: home,
    stdout: "ignore",
    stderr: "pipe",
  });
  if ((await add.exited) !== 0) throw new Error(`${name} could not be installed: ${await add.stderr.text()}`);
  return path;
}

/** Ports that were free a moment ago. */
async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}
