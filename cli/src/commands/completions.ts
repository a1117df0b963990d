import { installation, scripts, shells } from "../completion/scripts.ts";
import { UsageError } from "../ui/errors.ts";
import { suggest } from "../ui/suggest.ts";
import type { RunCommand } from "./spec.ts";

export const runCompletions: RunCommand = async ({ args: [given = ""], io }) => {
  const shell = shells.find((name) => name === given);
  if (shell === undefined) {
    throw new UsageError(
      `there are no completions for the shell "${given}"`,
      suggest(given, shells, `there are for ${shells.join(", ")}`),
    );
  }
  io.out(scripts[shell].trimEnd());
  // Only where nobody reads it in already.
  if (io.stdoutColumns !== undefined) io.err(installation[shell]);
  return undefined;
};
