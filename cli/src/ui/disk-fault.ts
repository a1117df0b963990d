import { CommandError } from "./errors.ts";

const whys: Readonly<Record<string, string>> = {
  ENOENT: "its folder does not exist",
  EISDIR: "a folder is in the way",
  EACCES: "it may not be written",
  EPERM: "it may not be written",
  EROFS: "the disk is only for reading",
  EEXIST: "a file is in the way",
  ENOTDIR: "a file is in the way",
  ENOSPC: "the disk is full",
  EDQUOT: "the disk is full",
  ENAMETOOLONG: "the path is too long",
};

/** Why the system did not write something, for people; `undefined` for what did not come from the system. */
export function diskFault(error: unknown): string | undefined {
  if (!(error instanceof Error && "code" in error && typeof error.code === "string" && "syscall" in error))
    return undefined;
  const why = whys[error.code];
  return why === undefined ? error.code : `${why} (${error.code})`;
}

/** Why something was not written, whatever the error is. */
export function whyUnwritten(error: unknown): string {
  return diskFault(error) ?? (error instanceof Error ? error.message : String(error));
}

/**
 * Writes what has to be there before anything is started.
 *
 * @throws {CommandError} `FILE_UNWRITABLE` when the disk does not take it.
 */
export function writtenFirst<T>(
  path: string,
  write: () => T,
  hint = "mend that, then run it again: what runs is noted there",
): T {
  try {
    return write();
  } catch (cause) {
    const why = diskFault(cause);
    if (why === undefined) throw cause;
    throw new CommandError("FILE_UNWRITABLE", `${path} cannot be written: ${why}; nothing was started`, {
      cause,
      hint,
    });
  }
}

/** What to throw when output was not taken: `OUTPUT_UNWRITABLE` if the system refused it. */
export function outputFault(what: string, cause: unknown): unknown {
  const why = diskFault(cause);
  if (why === undefined) return cause;
  return new CommandError("OUTPUT_UNWRITABLE", `${what} cannot be written: ${why}`, {
    cause,
    hint: "make room, or send the output elsewhere, then run it again",
  });
}
