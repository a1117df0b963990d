import { join } from "node:path";
import { cleanEnv } from "../e2e/cli-run.ts";

const repository = join(import.meta.dir, "..", "..");

export interface Outcome {
  readonly code: number | null;
  /** What it wrote, on stdout first. */
  readonly output: string;
  readonly stdout: string;
}

/** Runs a program to its end, with nobody at a terminal. */
export async function run(command: readonly string[], cwd: string): Promise<Outcome> {
  const child = Bun.spawn([...command], { cwd, env: cleanEnv(), stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { code: child.exitCode, output: stdout + stderr, stdout };
}

/** Packs everything that is published, as it would be, into a folder that is made for it. */
export async function packInto(folder: string): Promise<void> {
  const { code, output } = await run([process.execPath, "cli/scripts/pack.ts", folder], repository);
  if (code !== 0) throw new Error(`packing failed:\n${output}`);
}
