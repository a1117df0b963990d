import { mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Diagnostic } from "./diagnostics.ts";
import type { Sentinel } from "./sentinel.ts";

export interface TscRunsOptions {
  readonly root: string;
  /** The file of TypeScript's command. */
  readonly compiler: string;
  /** For what TypeScript remembers from one run to the next. */
  readonly buildFolder: string;
  readonly sentinel: Sentinel;
  /** Milliseconds after which a run is given up. */
  readonly patienceMs: number;
}

/** Runs of `tsc` over the whole project, one at a time. */
export interface TscRuns {
  /**
   * What a run says that began after this call. Calls that come close together share one; one that comes during a run
   * begins a new one, for all who wait.
   *
   * @throws {Error} When the run did not come to an end, and told nothing.
   */
  diagnose(): Promise<readonly Diagnostic[]>;
  close(): void;
}

/** Agents that share a saved file ask one after the other. */
const gatherMs = 20;

export function createTscRuns({ root, compiler, buildFolder, sentinel, patienceMs }: TscRunsOptions): TscRuns {
  let child: Bun.Subprocess<"ignore", "pipe", "ignore"> | undefined;
  let current: Promise<readonly Diagnostic[]> | undefined;
  let run = 0;
  let isPending = false;
  let isClosed = false;

  const end = (): void => {
    try {
      if (child) process.kill(-child.pid, "SIGKILL");
    } catch {
      // Gone already.
    }
    child = undefined;
  };

  const start = async (): Promise<readonly Diagnostic[]> => {
    const mine = ++run;
    end();
    isPending = true;
    await Bun.sleep(gatherMs);
    isPending = false;
    if (isClosed) return [];
    mkdirSync(buildFolder, { recursive: true });
    const memo = join(buildFolder, "types.tsbuildinfo");
    const flags = ["--noEmit", "--incremental", "--tsBuildInfoFile", memo, "--pretty", "false"];
    const started = Bun.spawn([process.execPath, "--bun", compiler, "-p", root, ...flags], {
      cwd: root,
      stdin: "ignore",
      stdout: "pipe",
      stderr: "ignore",
      // With what it starts itself, it is ended as a group.
      detached: true,
    });
    child = started;
    sentinel.add(started.pid);
    const timer = setTimeout(end, patienceMs);
    const text = await started.stdout.text();
    await started.exited;
    clearTimeout(timer);
    sentinel.remove(started.pid);
    // Overtaken: whoever waited for this one gets the verdict on what is saved now.
    if (mine !== run && current) return await current;
    child = undefined;
    if (isClosed) return [];
    if (started.signalCode !== null) throw new Error(`tsc did not finish within ${patienceMs / 1000} s, or was ended`);
    const found = parseDiagnostics(text, root);
    // It may complain of a file that is none of an agent's, or of none at all, but not without a word.
    if (started.exitCode !== 0 && !text.includes("error TS"))
      throw new Error(`tsc ended with exit code ${started.exitCode} and told nothing`);
    return found;
  };

  return {
    async diagnose() {
      if (!isPending || !current) current = start();
      return await current;
    },
    close() {
      isClosed = true;
      run++;
      current = undefined;
      end();
    },
  };
}

/** `src/a.ts(4,47): error TS2551: …`; what is indented goes on about the one before. */
function parseDiagnostics(text: string, root: string): Diagnostic[] {
  const found: Diagnostic[] = [];
  for (const line of text.split("\n")) {
    const [, file, row, column, message] = /^(.+)\((\d+),(\d+)\): error (TS\d+: .*)$/.exec(line) ?? [];
    if (file !== undefined && message !== undefined) {
      found.push({ file: resolve(root, file), line: Number(row), column: Number(column), message });
      continue;
    }
    const last = found.at(-1);
    if (last && line.startsWith("  ")) found[found.length - 1] = { ...last, message: `${last.message}\n${line}` };
  }
  return found;
}
