import { existsSync, mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AgentEntry } from "../dev/agents.ts";
import { openMeshLog } from "../dev/mesh-log.ts";
import { meshParts } from "../dev/mesh-parts.ts";
import { findProject, makeSocketFolder } from "../dev/project.ts";
import { claimProject, type ProcessStatus } from "../dev/run-state.ts";
import { createSupervisor } from "../dev/supervisor.ts";
import { CommandError } from "../ui/errors.ts";
import { reasonOf } from "./documents.ts";

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
  /** @throws {CommandError} `START_FAILED`, or what broker or state node said stopped them. */
  start(): Promise<void>;
  /** The last lines of processes that failed or ended and were started again. */
  troubledLines(): readonly { readonly name: string; readonly lines: readonly string[] }[];
  /** Ends everything and removes the folder. With `atOnce` nobody finishes what they are doing. Twice is fine. */
  stop(options?: { readonly atOnce?: boolean }): Promise<void>;
}

const keptLines = 15;
const drainMs = 3_000;

export async function createDemoMesh({ workers, env, keep, onTrouble }: DemoMeshOptions): Promise<DemoMesh> {
  const folder = makeFolder();
  const project = findProject(folder, folder);
  const claim = await claimProject(project.runFile, () => {});
  makeSocketFolder(project.socketFolder);
  const log = openMeshLog(project.logFile);
  const tails = new Map<string, string[]>();
  let stopping: Promise<void> | undefined;

  const supervisor = createSupervisor({
    project,
    claim,
    env,
    ...meshParts({ project, port: undefined, claim }),
    loadAgents: async () => agentsOf(workers),
    drainMs,
    backoffMs: 100,
    print({ name, stream, line }, tone) {
      log.write({ name, stream, line, timeMs: Date.now() });
      const tail = tails.get(name) ?? [];
      tails.set(name, [...tail, Bun.stripANSI(line)].slice(-keptLines));
      // Nobody edits these agents.
      if (stream === "soorma" && tone === "bad" && !stopping) onTrouble(name, line.replace(/, or when .*$/, ""));
    },
  });
  const processes = (): readonly ProcessStatus[] => supervisor.summary().processes;

  return {
    folder,
    scratch: join(folder, "documents"),
    meshFile: project.meshFile,
    get processes() {
      return processes();
    },
    async start() {
      await supervisor.start();
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
      if (atOnce) supervisor.kill();
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
    const why = existsSync(parent) ? reasonOf(cause) : "it does not exist";
    throw new CommandError("TEMP_FOLDER", `no temporary folder can be made in ${parent}: ${why}`, {
      cause,
      hint: "name another place with TMPDIR",
    });
  }
}

function agentsOf(workers: number): AgentEntry[] {
  const file = (name: string): string => join(import.meta.dir, "agents", `${name}.ts`);
  return [
    { name: "planner", file: file("planner"), env: {} },
    ...Array.from({ length: workers }, (_, i) => ({ name: `worker-${i + 1}`, file: file("worker"), env: {} })),
    { name: "tool", file: file("tool"), env: {} },
  ];
}
