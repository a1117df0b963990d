import { resolve } from "node:path";
import { CommandError, Interrupted, UsageError } from "./errors.ts";
import type { Io } from "./io.ts";
import { parseJsonArgument } from "./json.ts";

/**
 * JSON out of an argument: `-` stands for what comes on stdin, `@file` for what is in a file, anything else for itself.
 * Neither can be JSON, so nothing is ambiguous.
 *
 * @throws {UsageError} with the place of the first character that is wrong; {@link readTextArgument}'s errors.
 */
export async function readJsonArgument(
  argument: string,
  what: string,
  io: Pick<Io, "cwd" | "signal">,
  otherwise?: string,
): Promise<unknown> {
  const text = await readTextArgument(argument, what, io);
  if (text.trim() === "" && text !== argument) {
    throw new UsageError(`${what} is empty: nothing came from ${sourceOf(argument)}`, `for no data at all, pass {}`);
  }
  return parseJsonArgument(text, argument === text ? what : `${what} (from ${sourceOf(argument)})`, otherwise);
}

/**
 * The same for text.
 *
 * @throws {CommandError} `FILE_UNREADABLE`; {@link Interrupted} by Ctrl-C while stdin is waited for.
 */
export async function readTextArgument(
  argument: string,
  what: string,
  io: Pick<Io, "cwd" | "signal">,
): Promise<string> {
  if (argument === "-") {
    const interrupted = Promise.withResolvers<never>();
    interrupted.promise.catch(() => {});
    const onAbort = (): void => interrupted.reject(new Interrupted());
    io.signal.addEventListener("abort", onAbort, { once: true });
    if (io.signal.aborted) onAbort();
    return await Promise.race([Bun.stdin.text(), interrupted.promise]);
  }
  if (!argument.startsWith("@")) return argument;
  const path = resolve(io.cwd, argument.slice(1));
  try {
    return await Bun.file(path).text();
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new CommandError("FILE_UNREADABLE", `${what} cannot be read from ${path}: ${why}`, {
      hint: "`@file` names a file, from the working folder on",
      cause,
    });
  }
}

function sourceOf(argument: string): string {
  return argument === "-" ? "stdin" : argument.slice(1);
}
