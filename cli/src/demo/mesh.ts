import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { resolveConfig } from "../config/resolve.ts";
import type { AgentEntry } from "../dev/agents.ts";
import { openMeshLog } from "../dev/mesh-log.ts";
import { meshParts } from "../dev/mesh-parts.ts";
import { meshPlugins } from "../dev/mesh-plugins.ts";
import { findProject, makeSocketFolder } from "../dev/project.ts";
import { claimProject, type ProcessStatus } from "../dev/run-state.ts";
import { createSupervisor } from "../dev/supervisor.ts";
import { whyUnwritten } from "../ui/disk-fault.ts";
import { CommandError } from "../ui/errors.ts";

export interface DemoMeshOptions {
  /** Processes of the one worker program. */
  readonly workers: number;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Leave the temporary project, with its log and data, where it is. */
  readonly keep: boolean;
  /** A process ended, came back, or could not start. */
  onTrouble(name: string, line: string): void;
}

/** Broker, state node, planner, workers and tool as processes of a temporary project. */
export interface DemoMesh {
  /** The temporary project. */
  readonly folder: string;
  /** A folder in it, for whatever else the demo needs. */
  readonly scratch: string;
  readonly meshFile: string;
  readonly processes: readonly ProcessStatus[];
  /** Rejects with `AGENTS_GONE` when nobody is left to do some kind of work and nobody comes back. */
  readonly broken: Promise<never>;
  /** @throws {CommandError} `START_FAILED`, or what broker or state node said stopped them. */
  start(): Promise<void>;
  /** The last lines of processes that failed or ended and were started again. */
  troubledLines(): readonly { readonly name: string; readonly lines: readonly string[] }[];
  /** Ends everything and removes the folder. With `atOnce` nobody finishes what they are doing. Twice is fine. */
  stop(options?: { readonly atOnce?: boolean }): Promise<void>;
}

const keptLines = 15;
const drainMs = 3_000;
/** Milliseconds after which an agent that does not run is not expected back. Restarts begin after 100. */
const goneAfterMs = 3_000;
const checkMs = 250;

export async function createDemoMesh({ workers, env, keep, onTrouble }: DemoMeshOptions): Promise<DemoMesh> {
  const folder = makeFolder();
  const project = findProject(folder, folder);
  const { settings } = resolveConfig({ config: {}, env: {} });
  const claim = await claimProject(project.runFile, () => {});
  makeSocketFolder(project.socketFolder);
  const log = openMeshLog(project.logFile);
  const tails = new Map<string, string[]>();
  let stopping: Promise<void> | undefined;

  const supervisor = createSupervisor({
    project,
    claim,
    env,
    ...meshParts({ project, settings, plugins: await meshPlugins(project, { settings, origins: new Map() }), claim }),
    loadAgents: async () => agentsOf(workers),
    drainMs,
    backoffMs: 100,
    print(entry, tone) {
      log.write(entry);
      const { name, stream, line } = entry;
      // Nobody edits these agents while they run.
      const told =
        stream === "soorma" ? line.replace(/(?:\n?waiting for a change|, or when a file is saved)$/, "") : line;
      if (told === "") return;
      tails.set(name, [...(tails.get(name) ?? []), Bun.stripANSI(told)].slice(-keptLines));
      if (stream === "soorma" && tone === "bad" && !stopping) onTrouble(name, told);
    },
  });
  const processes = (): readonly ProcessStatus[] => supervisor.summary().processes;

  const broken = Promise.withResolvers<never>();
  // Only of interest while somebody waits for an answer.
  broken.promise.catch(() => {});
  const failedSince = new Map<string, number>();
  const check = (): void => {
    const now = performance.now();
    for (const { name, state } of processes()) {
      if (state !== "failed") failedSince.delete(name);
      else if (!failedSince.has(name)) failedSince.set(name, now);
    }
    const isGone = ({ name }: ProcessStatus): boolean => now - (failedSince.get(name) ?? now) > goneAfterMs;
    for (const kind of ["planner", "worker", "tool"]) {
      const able = processes().filter(({ name }) => name.startsWith(kind));
      const [first] = able;
      if (!first || !able.every(isGone)) continue;
      const names = able.map(({ name }) => name).join(", ");
      const message = `${names} ended and did not come back: ${first.problem ?? "nobody knows why"}`;
      broken.reject(new CommandError("AGENTS_GONE", message, { hint: "run it again; --keep keeps the logs" }));
    }
  };
  let checking: ReturnType<typeof setInterval> | undefined;

  return {
    folder,
    broken: broken.promise,
    scratch: join(folder, "documents"),
    meshFile: project.meshFile,
    get processes() {
      return processes();
    },
    async start() {
      await supervisor.start();
      if (!stopping) checking = setInterval(check, checkMs);
      const failed = processes().find((process) => process.state !== "ready");
      if (!failed) return;
      throw new CommandError(
        "START_FAILED",
        `${failed.name} did not become ready${failed.problem ? `: ${failed.problem}` : ""}`,
      );
    },
    troubledLines() {
      return processes()
        .filter(({ state, restarts }) => restarts > 0 || state === "failed" || state === "starting")
        .flatMap(({ name }) => {
          const lines = tails.get(name);
          return lines ? [{ name, lines }] : [];
        });
    },
    stop({ atOnce = false } = {}) {
      clearInterval(checking);
      if (atOnce) void supervisor.kill();
      stopping ??= (async () => {
        try {
          await supervisor.stop();
        } finally {
          claim.release();
          log[Symbol.dispose]();
          rmSync(project.socketFolder, { recursive: true, force: true });
          if (!keep) rmSync(folder, { recursive: true, force: true });
        }
      })();
      return stopping;
    },
  };
}

function makeFolder(): string {
  const parent = tmpdir();
  try {
    return realpathSync(mkdtempSync(join(parent, "soorma-demo-")));
  } catch (cause) {
    const why = existsSync(parent) ? whyUnwritten(cause) : "it does not exist";
    throw new CommandError("TEMP_FOLDER", `no temporary folder can be made in ${parent}: ${why}`, {
      cause,
      hint: "name another place with TMPDIR",
    });
  }
}

function agentsOf(workers: number): AgentEntry[] {
  const file = (name: string): string => join(import.meta.dir, "agents", `${name}.ts`);
  return [
    { name: "planner", agent: "planner", file: file("planner"), env: {} },
    ...Array.from({ length: workers }, (_, i) => ({
      name: `worker-${i + 1}`,
      agent: "worker",
      file: file("worker"),
      env: {},
    })),
    { name: "tool", agent: "tool", file: file("tool"), env: {} },
  ];
}
