import { existsSync } from "node:fs";
import { join } from "node:path";
import { SoormaError } from "@soorma/core/errors";
import type { Config } from "./config-schema.ts";

export type { Config } from "./config-schema.ts";

export const configFileName = "soorma.config.ts";

/** Types a project's configuration; returns it as it is. */
export function defineConfig(config: Config): Config {
  return config;
}

/**
 * Reads and checks a project's `soorma.config.ts`; a project without one has an empty configuration.
 *
 * @throws {SoormaError} `CONFIG_INVALID`: the file throws (with file and line), exports nothing, or has a wrong value
 * (with its path, and the nearest known key).
 */
export async function loadConfig(root: string): Promise<Config> {
  const path = join(root, configFileName);
  if (!existsSync(path)) return {};
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
  const { configFault } = await import("./config-schema.ts");
  const fault = configFault(module.default);
  if (fault) {
    throw new SoormaError("CONFIG_INVALID", `${configFileName}: ${fault.path} ${fault.message}`, {
      ...(fault.hint === undefined ? {} : { hint: fault.hint }),
      details: { path: fault.path },
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
