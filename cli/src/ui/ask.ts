import * as clack from "@clack/prompts";
import { Interrupted, UsageError } from "./errors.ts";
import type { Io } from "./io.ts";

interface TextQuestion {
  readonly message: string;
  /** Taken when nothing is typed. */
  readonly fallback?: string;
  /** Returns what is wrong. */
  readonly validate?: (value: string) => string | undefined;
}

interface Choice<T extends string> {
  readonly value: T;
  /** Default: the value. */
  readonly label?: string;
  readonly hint: string;
}

/** Asks a person. Cancelling any question rejects with {@link Interrupted}. */
export interface Asker {
  text(question: TextQuestion): Promise<string>;
  select<T extends string>(message: string, choices: readonly Choice<T>[]): Promise<T>;
  /** Any number of them, none too. */
  selectMany<T extends string>(message: string, choices: readonly Choice<T>[]): Promise<T[]>;
  confirm(message: string): Promise<boolean>;
}

/** Prompts go to stderr: stdout is for the answer. */
export function createAsker(io: Io, title: string, cancelled = "Cancelled: nothing was created."): Asker {
  const { common, gone } = promptingOn(io);
  clack.intro(title, common);
  const answered = async <T>(answer: Promise<T | typeof clack.CANCEL_SYMBOL>): Promise<T> => {
    const value = await Promise.race([answer, gone]);
    if (!clack.isCancel(value)) return value;
    clack.cancel(cancelled, common);
    throw new Interrupted("");
  };
  return {
    text: async ({ message, fallback, validate }) => {
      const value = await answered(
        clack.text({
          ...common,
          message,
          ...(fallback === undefined ? {} : { placeholder: fallback, defaultValue: fallback }),
          validate: (text) => validate?.(text === undefined || text === "" ? (fallback ?? "") : text),
        }),
      );
      return value || (fallback ?? "");
    },
    select: async <T extends string>(message: string, choices: readonly Choice<T>[]) => {
      const options = choices.map(({ value, hint }) => ({ value: value as string, hint }));
      return (await answered(clack.select<string>({ ...common, message, options }))) as T;
    },
    selectMany: async <T extends string>(message: string, choices: readonly Choice<T>[]) => {
      const options = choices.map(({ value, label = value, hint }) => ({ value: value as string, label, hint }));
      return (await answered(clack.multiselect<string>({ ...common, message, options, required: false }))) as T[];
    },
    confirm: (message) => answered(clack.confirm({ ...common, message, initialValue: true })),
  };
}

/**
 * Asks before what is named is removed; enter is no.
 *
 * @param what - `all of memory (3 entries)`
 * @throws {UsageError} where nobody can be asked; {@link Interrupted} unless the answer is yes.
 */
export async function confirmRemoval(io: Io, what: string): Promise<void> {
  if (!io.interactive) throw new UsageError(`${what} would be removed`, "say --yes if that is what you want");
  const { common, gone } = promptingOn(io);
  const answer = clack.confirm({ ...common, message: `Remove ${what}?`, initialValue: false });
  if ((await Promise.race([answer, gone])) !== true) throw new Interrupted("nothing was removed");
}

function promptingOn(io: Io) {
  // Of a terminal that is closed a prompt itself hears nothing, and would wait for its answer for ever.
  const gone = Promise.withResolvers<never>();
  gone.promise.catch(() => {});
  const leave = (): void => gone.reject(new Interrupted());
  io.signal.addEventListener("abort", () => setImmediate(leave), { once: true });
  for (const event of ["end", "close", "error"]) process.stdin.on(event, leave);
  process.stderr.on("error", leave);
  return { common: { input: process.stdin, output: process.stderr, signal: io.signal }, gone: gone.promise };
}
