/** The command line is wrong: exit code 2. The hint says how it is right. */
export class UsageError extends Error {
  override readonly name: string = "UsageError";
  readonly code = "USAGE";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string) {
    super(message);
    this.hint = hint;
  }
}

/** The command could not do what it was asked to, and the reason is no bug: exit code 1. */
export class CommandError extends Error {
  override readonly name: string = "CommandError";
  readonly code: string;
  readonly hint: string | undefined;
  /** For programs: numbers, paths, ids. */
  readonly details: unknown;

  constructor(
    code: string,
    message: string,
    options: { readonly hint?: string; readonly cause?: unknown; readonly details?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.details = options.details;
  }
}

/** The user ended the command, by Ctrl-C or by cancelling a prompt: exit code 130. */
export class Interrupted extends Error {
  override readonly name: string = "Interrupted";
  readonly code = "INTERRUPTED";

  /** @param message - Default `interrupted`; empty when the person knows already. */
  constructor(message = "interrupted") {
    super(message);
  }
}

export const exitCodes = { done: 0, failed: 1, usage: 2, interrupted: 130 } as const;

/** What a person, or with `--json` a program, is told about a failure. */
export interface Report {
  readonly exitCode: number;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
  /** Only for bugs. */
  readonly stack?: string;
  readonly details?: unknown;
}

/** Expected failures become code, message and hint; whatever else was thrown is a bug and keeps its stack. */
export function reportOf(error: unknown): Report {
  if (error instanceof Interrupted)
    return { exitCode: exitCodes.interrupted, code: error.code, message: error.message };
  if (error instanceof Error && "code" in error && typeof error.code === "string" && isExpected(error)) {
    const hint = "hint" in error && typeof error.hint === "string" ? error.hint : undefined;
    return {
      exitCode: error instanceof UsageError ? exitCodes.usage : exitCodes.failed,
      code: error.code,
      message: error.message,
      ...(hint === undefined ? {} : { hint }),
      ...("details" in error && error.details !== undefined ? { details: error.details } : {}),
    };
  }
  return {
    exitCode: exitCodes.failed,
    code: "BUG",
    message: error instanceof Error ? error.message : String(error),
    hint: "this is a bug in soorma: please report it with the lines above",
    stack: error instanceof Error ? Bun.inspect(error) : `thrown: ${Bun.inspect(error)}`,
  };
}

// By name: core may be installed twice, and loading it only to ask costs start-up time.
function isExpected(error: Error): boolean {
  return error instanceof UsageError || error instanceof CommandError || error.name === "SoormaError";
}
