import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const repository = join(import.meta.dir, "..", "..");

/** The command of a project's own soorma: what its link in `node_modules/.bin` leads to. */
export const installed = "node_modules/soorma/bin/soorma.ts";

/** All packages as they are published, and a folder for projects that install them. */
export interface Packed extends Disposable {
  readonly folder: string;
  /** Makes a project of a type and installs its dependencies; resolves with its path. */
  init(name: string, type: string): Promise<string>;
}

/** Packs every package. What is made is removed when it is disposed of. */
export async function packPackages(): Promise<Packed> {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "bench-")));
  const remove = (): void => rmSync(folder, { recursive: true, force: true });
  const packages = join(folder, "packages");
  try {
    await finish(spawn(repository, ["cli/scripts/pack.ts", packages]));
  } catch (error) {
    remove();
    throw error;
  }
  return {
    folder,
    async init(name, type) {
      const args = ["init", name, "--type", type, "--yes", "--no-git", "--packages", packages];
      await finish(spawn(folder, [join(repository, "cli", "bin", "soorma.ts"), ...args]));
      return join(folder, name);
    },
    [Symbol.dispose]: remove,
  };
}

/** Starts Bun with these arguments. */
export function spawn(cwd: string, argv: readonly string[]) {
  return Bun.spawn([process.execPath, ...argv], { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe" });
}

/** Resolves with what it wrote. @throws {Error} with that when its exit code is not 0. */
export async function finish(child: ReturnType<typeof spawn>): Promise<string> {
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  if (child.exitCode !== 0) throw new Error(`it ended with ${child.exitCode}: ${out}${err}`);
  return out;
}
