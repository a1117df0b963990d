import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const bin = join(import.meta.dir, "..", "..", "cli", "bin", "soorma.ts");

export interface Finished {
  readonly stdout: string;
  readonly stderr: string;
  readonly exitCode: number | null;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/** The environment of a test run, without what would change what the CLI does. */
export function cleanEnv(extra: Readonly<Record<string, string | undefined>> = {}): Record<string, string | undefined> {
  const {
    SOORMA_MESH: _mesh,
    SOORMA_PACKAGES: _packages,
    FORCE_COLOR: _force,
    NO_COLOR: _no,
    CI: _ci,
    ...rest
  } = process.env;
  return { ...rest, ...extra };
}

/** Runs the CLI to its end, as a person would from a script: no terminal anywhere. */
export async function soorma(args: readonly string[], options: RunOptions): Promise<Finished> {
  const child = startSoorma(args, options);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { stdout, stderr, exitCode: child.exitCode };
}

export function startSoorma(args: readonly string[], { cwd, env }: RunOptions) {
  return Bun.spawn([process.execPath, bin, ...args], {
    cwd,
    env: cleanEnv(env),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
}

/** A folder of its own for a test, gone after it. Its path has no symbolic link in it. */
export function tempFolder(): Disposable & { readonly path: string } {
  const path = realpathSync(mkdtempSync(join(tmpdir(), "soorma-e2e-")));
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) };
}

/** Waits until a condition holds; says what was waited for when it does not within 30 s. */
export async function until<T>(what: string, check: () => T | Promise<T>, timeoutMs = 30_000): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const found = await check();
    if (found) return found as NonNullable<T>;
    if (performance.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`);
    await Bun.sleep(10);
  }
}

/** Whether there is such a process; one that has ended and was not waited for counts. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
