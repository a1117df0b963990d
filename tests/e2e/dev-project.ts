import { afterAll, beforeAll, expect } from "bun:test";
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Finished, soorma, tempFolder } from "./cli-run.ts";

const repository = join(import.meta.dir, "..", "..");
const cli = join(repository, "cli");

export interface DevProject {
  /** A folder of the tests' own, outside of the project. */
  readonly folder: string;
  readonly path: string;
  /** Runs a command in the project. */
  run(...args: string[]): Promise<Finished>;
  /** Runs one that has to succeed in silence, and resolves with what it says as JSON. */
  json<T>(...args: string[]): Promise<T>;
}

/**
 * A project in which `soorma` is this repository's, with its mesh running while the tests of a file do. Call it outside of
 * tests. `files`, by their paths, is asked when the tests begin.
 */
export function devProject(name: string, files: () => Readonly<Record<string, string>>): DevProject {
  const folder = tempFolder();
  const path = join(folder.path, name);
  const run = (...args: string[]): Promise<Finished> => soorma(args, { cwd: path });

  beforeAll(async () => {
    mkdirSync(join(path, "node_modules"), { recursive: true });
    symlinkSync(cli, join(path, "node_modules/soorma"));
    writeFileSync(join(path, "package.json"), JSON.stringify({ name, type: "module" }));
    for (const [file, text] of Object.entries(files())) {
      mkdirSync(dirname(join(path, file)), { recursive: true });
      writeFileSync(join(path, file), text);
    }
    const { stderr, exitCode } = await run("dev", "--detach");
    expect(stderr).not.toContain("error");
    expect(exitCode).toBe(0);
  }, 60_000);

  afterAll(async () => {
    await run("dev", "--stop");
    folder[Symbol.dispose]();
  }, 60_000);

  return {
    folder: folder.path,
    path,
    run,
    async json<T>(...args: string[]): Promise<T> {
      const { stdout, stderr, exitCode } = await run(...args, "--json");
      expect({ stderr, exitCode }).toEqual({ stderr: "", exitCode: 0 });
      return JSON.parse(stdout) as T;
    },
  };
}

/** A project in which `soorma` is this repository's, with TypeScript, and a `tsconfig.json` for what is in `src`. */
export function makeTypedProject(path: string): void {
  mkdirSync(join(path, "src/agents"), { recursive: true });
  mkdirSync(join(path, "node_modules"));
  symlinkSync(cli, join(path, "node_modules/soorma"));
  for (const name of ["typescript", "bun-types"])
    symlinkSync(join(repository, "node_modules", name), join(path, "node_modules", name));
  const { compilerOptions } = JSON.parse(readFileSync(join(repository, "tsconfig.json"), "utf8")) as {
    compilerOptions: object;
  };
  writeFileSync(join(path, "tsconfig.json"), JSON.stringify({ compilerOptions, include: ["src"] }));
  writeFileSync(join(path, "package.json"), JSON.stringify({ name: basename(path), type: "module" }));
}
