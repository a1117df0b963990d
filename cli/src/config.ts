import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SoormaError } from "@soorma/core/errors";
import type { Config } from "./config/define.ts";
import { keyLines } from "./config/key-lines.ts";
import { type Flag, type Resolved, resolveConfig } from "./config/resolve.ts";

import { configFileName } from "./config/settings.ts";

export { type Config, defineConfig } from "./config/define.ts";
export type { Settings } from "./config/resolve.ts";
export { configFileName } from "./config/settings.ts";

export interface LoadOptions {
  /** Of `--env`. Default: `SOORMA_ENV`. */
  readonly environment?: string | undefined;
  /** Where variables that override the file are looked for. Default: none are. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly flags?: readonly Flag[];
}

/** What is in force, and where it comes from. */
export interface LoadedConfig extends Resolved {
  /** Absolute; absent when the project has none. */
  readonly file?: string;
}

/**
 * What is in force in a project: `soorma.config.ts`, if there is one, with the chosen environment, variables and flags over it.
 *
 * @throws {SoormaError} `CONFIG_INVALID`: the file throws (with file and line), exports nothing, or has a wrong value
 * (with its path, and the nearest known key); a variable or a flag that is wrong.
 */
export async function loadConfig(root: string, options: LoadOptions = {}): Promise<LoadedConfig> {
  const file = join(root, configFileName);
  const there = existsSync(file);
  const lines = there ? keyLines(readFileSync(file, "utf8")) : undefined;
  const config = there ? await readConfig(file, lines) : {};
  const resolved = resolveConfig({ ...options, env: options.env ?? {}, config, ...(lines ? { lines } : {}) });
  return there ? { ...resolved, file } : resolved;
}

async function readConfig(path: string, lines: ReadonlyMap<string, number> | undefined): Promise<Config> {
  let module: Record<string, unknown>;
  try {
    // A module is read once a process; this makes a saved file be read again.
    delete require.cache[path];
    module = (await import(path)) as Record<string, unknown>;
  } catch (cause) {
    throw new SoormaError("CONFIG_INVALID", `${configFileName} cannot be loaded: ${placed(cause)}`, { cause });
  }
  if (module.default === undefined) {
    throw new SoormaError("CONFIG_INVALID", `${path} has no default export`, {
      hint: "write `export default defineConfig({ … })`",
    });
  }
  const { configFault } = await import("./config/schema.ts");
  const fault = configFault(module.default);
  if (fault) {
    const line = lines?.get(fault.path);
    const place = line === undefined ? configFileName : `${configFileName}:${line}`;
    throw new SoormaError("CONFIG_INVALID", `${place}: ${fault.path} ${fault.message}`, {
      ...(fault.hint === undefined ? {} : { hint: fault.hint }),
      details: { path: fault.path, ...(line === undefined ? {} : { line }) },
    });
  }
  return module.default as Config;
}

/** The message of what a module threw, with file and line. Syntax errors come with their code frame. */
function placed(error: unknown): string {
  if (!(error instanceof Error)) return Bun.inspect(error);
  const inner = error instanceof AggregateError ? (error.errors[0] as unknown) : error;
  return Bun.inspect(inner).trim();
}
