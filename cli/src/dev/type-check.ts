import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { Sentinel } from "./sentinel.ts";

/** What the project's TypeScript says of some files: nothing, or what is wrong, with code frames. */
type TypeVerdict = { readonly ok: true } | { readonly ok: false; readonly problem: string };

/** Checks types with the project's own TypeScript, one run at a time, behind everything else that runs. */
export interface TypeChecker {
  /** Calls that come close together share a run; one that comes during a run begins a new one, for all who wait. */
  check(files: ReadonlySet<string>): Promise<TypeVerdict>;
  close(): void;
}

export interface TypeCheckerOptions {
  readonly root: string;
  /** For what TypeScript remembers from one run to the next. */
  readonly buildFolder: string;
  readonly sentinel: Sentinel;
}

const gatherMs = 50;
/** What somebody waits for goes first: the agents, and whatever else the machine does. */
const niceness = 5;

interface Diagnostic {
  readonly file: string;
  readonly line: number;
  readonly column: number;
  readonly message: string;
}

/** @returns `undefined` where there is no `tsconfig.json`, or no TypeScript installed. */
export function createTypeChecker({ root, buildFolder, sentinel }: TypeCheckerOptions): TypeChecker | undefined {
  const compiler = existsSync(join(root, "tsconfig.json")) ? compilerOf(root) : undefined;
  if (compiler === undefined) return undefined;
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
    // Agents that share the saved file become ready one after the other.
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
    try {
      setPriority(started.pid, niceness);
    } catch {
      // It ended already, or may not be made to wait.
    }
    const text = await started.stdout.text();
    await started.exited;
    sentinel.remove(started.pid);
    // Overtaken: whoever waited for this one gets the verdict on what is saved now.
    if (mine !== run && current) return await current;
    child = undefined;
    return parseDiagnostics(text, root);
  };

  return {
    async check(files) {
      if (!isPending || !current) current = start();
      const found = (await current).filter(({ file }) => files.has(file));
      return found.length === 0 ? { ok: true } : { ok: false, problem: found.map(frameOf).join("\n\n") };
    },
    close() {
      isClosed = true;
      run++;
      current = undefined;
      end();
    },
  };
}

function compilerOf(root: string): string | undefined {
  try {
    const manifest = Bun.resolveSync("typescript/package.json", root);
    const { bin } = JSON.parse(readFileSync(manifest, "utf8")) as { bin?: { tsc?: string } };
    return bin?.tsc === undefined ? undefined : join(dirname(manifest), bin.tsc);
  } catch {
    return undefined;
  }
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

/** Message, place and the line itself with a mark under the fault. */
function frameOf({ file, line, column, message }: Diagnostic): string {
  const text = lineOf(file, line);
  const place = `${message}\n  at ${file}:${line}:${column}`;
  if (text === undefined) return place;
  const word = /^[\w$]+/.exec(text.slice(column - 1))?.[0].length ?? 1;
  const mark = " ".repeat(String(line).length + 3 + column - 1);
  return `${place}\n${line} | ${text}\n${mark}${"^".repeat(word)}`;
}

function lineOf(file: string, line: number): string | undefined {
  try {
    return readFileSync(file, "utf8").split("\n")[line - 1];
  } catch {
    return undefined;
  }
}
