import { commands } from "../commands/table.ts";
import { exitCodes } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { oneLine } from "../ui/text.ts";
import { completionOf } from "./candidates.ts";
import { createSources } from "./sources.ts";

/** A person waits for what the Tab key does. */
const patienceMs = 2_000;

/**
 * `soorma complete -- <words>`, which the scripts of `soorma completions` call: prints candidates as lines of value, tab and
 * description, and `:files` or `:folders` where the shell is to add those. Whatever goes wrong, it prints nothing.
 */
export async function runComplete(argv: readonly string[], io: Io): Promise<number> {
  const words = argv[0] === "--" ? argv.slice(1) : argv;
  const late = Promise.withResolvers<undefined>();
  const timer = setTimeout(() => late.resolve(undefined), patienceMs);
  const sources = createSources(io);
  const answer = async (): Promise<void> => {
    const { candidates, files } = await completionOf(commands, words, sources);
    for (const { value, description = "" } of candidates) io.out(`${value}\t${oneLine(description)}`);
    if (files !== undefined) io.out(files === "any" ? ":files\t" : ":folders\t");
    await sources[Symbol.asyncDispose]();
  };
  try {
    await Promise.race([answer(), late.promise]);
  } catch {
    // Nothing runs here, or nothing can be read: there is nothing to offer.
  } finally {
    clearTimeout(timer);
  }
  return exitCodes.done;
}
