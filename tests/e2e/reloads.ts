/**
 * Saves an agent's file many times under `soorma dev`, types checked, and tells what is there before and after:
 * `bun tests/e2e/reloads.ts 1000`.
 */
import { readdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { startSoorma, tempFolder, until } from "./cli-run.ts";
import { makeTypedProject } from "./dev-project.ts";

/** What a mesh takes up. */
export interface Holding {
  /** Children of the supervisor, and theirs. */
  readonly processes: number;
  /** Open file descriptors of supervisor, broker, state node and TypeScript's server. */
  readonly files: Readonly<Record<string, number>>;
  /** Resident memory of the same, bytes. */
  readonly memory: Readonly<Record<string, number>>;
  readonly sockets: number;
}

interface RunFile {
  readonly supervisor: { readonly pid: number };
  readonly processes: readonly { name: string; state: string; restarts: number; process?: { pid: number } }[];
  readonly standbys?: readonly { readonly pid: number }[];
  readonly typeServer?: { readonly pid: number };
}

/** Reloads before the first look: caches and pools have their size by then. */
const warmUp = 10;
/** Nothing changed for so many milliseconds: it rests. */
const restMs = 1_000;
/** More than a heap that was just not collected yet may differ by. */
export const mostGrowthBytes = 48 * 1024 * 1024;

/**
 * Reloads an agent so many times, one after the other, and looks when everything has come to rest.
 *
 * @param saved - `packages`: what is installed changes instead, so that only the process that stands by is another.
 */
export async function reloadMany(
  count: number,
  saved: "agent" | "packages" = "agent",
): Promise<{ before: Holding; after: Holding }> {
  using folder = tempFolder();
  const project = join(folder.path, "project");
  makeTypedProject(project);
  const save = (version: number): void =>
    writeFileSync(
      join(project, "src/agents/one.ts"),
      `import { Tool } from "soorma";
const tool = new Tool({ name: "one" });
tool.onInvoke("version", () => ${version});
await tool.run();`,
    );
  save(0);
  const child = startSoorma(["dev", "--json"], { cwd: project });
  void child.stdout.text();
  void child.stderr.text();
  const runFile = (): RunFile | undefined => {
    try {
      return JSON.parse(readFileSync(join(project, ".soorma/run/supervisor.json"), "utf8")) as RunFile;
    } catch {
      return undefined;
    }
  };
  const agent = () => runFile()?.processes.find(({ name }) => name === "one");
  try {
    let version = 0;
    await until("the agent", () => agent()?.state === "ready");
    const reload = async (): Promise<void> => {
      const before = agent()?.process?.pid;
      save(++version);
      await until(`reload ${version}`, () => {
        const now = agent();
        return now?.state === "ready" && now.process?.pid !== before;
      });
    };
    const renew = async (): Promise<void> => {
      const before = runFile()?.standbys?.[0]?.pid;
      writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", version: `1.0.${++version}` }));
      await until(`standby ${version}`, () => {
        const next = runFile()?.standbys?.[0]?.pid;
        return next !== undefined && next !== before && hasSocketFile(next);
      });
    };
    for (let i = 0; i < warmUp; i++) await reload();
    const before = await atRest(project, runFile);
    for (let i = 0; i < count; i++) await (saved === "agent" ? reload() : renew());
    return { before, after: await atRest(project, runFile) };
  } finally {
    child.kill("SIGTERM");
    await child.exited;
  }
}

/** Waits until the versions before are gone and the next process stands by. */
async function atRest(project: string, runFile: () => RunFile | undefined): Promise<Holding> {
  const supervisor = runFile()?.supervisor.pid ?? 0;
  await until("everything to come to rest", () => {
    const { processes = [], standbys = [], typeServer } = runFile() ?? {};
    const own = new Set([
      ...processes.map(({ process }) => process?.pid),
      ...standbys.map(({ pid }) => pid),
      typeServer?.pid,
    ]);
    // Besides them there is the sentinel; a version before that has not ended yet would be one more.
    const others = childrenOf(supervisor).filter((pid) => !own.has(pid));
    const [standby] = standbys;
    return standby !== undefined && hasSocketFile(standby.pid) && typeServer !== undefined && others.length <= 1;
  });
  const named = (runFile()?.processes ?? []).filter(({ name }) => name === "broker" || name === "state");
  const pids = Object.fromEntries([
    ["supervisor", supervisor],
    ...named.map(({ name, process }) => [name, process?.pid ?? 0] as const),
    ["types", runFile()?.typeServer?.pid ?? 0],
  ]) as Record<string, number>;
  const of = (read: (pid: number) => number): Record<string, number> =>
    Object.fromEntries(Object.entries(pids).map(([name, pid]) => [name, read(pid)]));
  const mesh = JSON.parse(readFileSync(join(project, ".soorma/run/mesh.json"), "utf8")) as {
    transport: { options: { dir: string } };
  };
  const look = (): Holding => ({
    processes: childrenOf(supervisor).length,
    files: of((pid) => readdirSync(`/proc/${pid}/fd`).length),
    memory: of((pid) => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]) * 1024),
    sockets: readdirSync(mesh.transport.options.dir).length,
  });
  // A connection to a process that ended is closed a moment later.
  let last = look();
  let since = performance.now();
  await until("nothing to change any more", () => {
    const now = look();
    if (!Bun.deepEquals({ ...now, memory: {} }, { ...last, memory: {} })) since = performance.now();
    last = now;
    return performance.now() - since > restMs;
  });
  return last;
}

/** Whether a process listens at a path: one that stands by does some time after it was started. See proc_pid_net(5). */
function hasSocketFile(pid: number): boolean {
  try {
    const listening = new Set(
      readFileSync(`/proc/${pid}/net/unix`, "utf8")
        .split("\n")
        .map((line) => line.trim().split(/\s+/))
        .flatMap(([, , , , , , inode, path]) => (path?.startsWith("/") ? [`socket:[${inode}]`] : [])),
    );
    return readdirSync(`/proc/${pid}/fd`).some((fd) => listening.has(readlinkSync(`/proc/${pid}/fd/${fd}`)));
  } catch {
    // It ended, or closed one meanwhile.
    return false;
  }
}

function childrenOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readdirSync("/proc").filter((entry) => /^\d+$/.test(entry))) {
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (state !== "Z") parents.set(Number(name), Number(parent));
    } catch {
      // Ended meanwhile.
    }
  }
  const found: number[] = [];
  for (const wanted = [pid]; wanted.length > 0; ) {
    const parent = wanted.pop();
    for (const [child, of] of parents) {
      if (of !== parent) continue;
      found.push(child);
      wanted.push(child);
    }
  }
  return found;
}

if (import.meta.main) {
  const count = Number(process.argv[2] ?? 1_000);
  const startMs = performance.now();
  const { before, after } = await reloadMany(count);
  console.log(
    JSON.stringify({ count, seconds: Math.round((performance.now() - startMs) / 1000), before, after }, null, 2),
  );
}
