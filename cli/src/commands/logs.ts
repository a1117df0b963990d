import type { LogLevel } from "@soorma/core";
import { parseGrep } from "../dev/log-filter.ts";
import { findProject } from "../dev/project.ts";
import { showLogs } from "../dev/show-logs.ts";
import { UsageError } from "../ui/errors.ts";
import type { RunCommand } from "./spec.ts";

interface LogsOptions {
  readonly follow?: boolean;
  readonly since?: number;
  readonly level?: LogLevel;
  readonly grep?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

export const runLogs: RunCommand = async ({ args: [agent], options, io }) => {
  const { follow = false, since, level, grep, dir, json = false } = options as LogsOptions;
  const filter = {
    ...(agent === undefined ? {} : { agent }),
    ...(since === undefined ? {} : { sinceMs: since }),
    ...(level === undefined ? {} : { level }),
    ...(grep === undefined ? {} : { grep: grepOf(grep) }),
  };
  return await showLogs(findProject(io.cwd, dir), { json, follow, filter }, io);
};

function grepOf(text: string): RegExp {
  try {
    return parseGrep(text);
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    throw new UsageError(message, "put a backslash before a character that is meant as it is: --grep 'f\\('");
  }
}
