import * as clack from "@clack/prompts";
import { Interrupted } from "./errors.ts";
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
  const common = { input: process.stdin, output: process.stderr, signal: io.signal };
  clack.intro(title, common);
  const gone = whenGone(io);
  const answered = async <T>(answer: Promise<T | typeof clack.CANCEL_SYMBOL>): Promise<T> => {
    const value = await Promise.race([answer, gone]);
    if (!clack.isCancel(value)) return value;
    clack.cancel(cancelled, common);
    // It is said already.
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

/** Rejects when the terminal is closed: of that a prompt itself hears nothing, and would wait for its answer for ever. */
function whenGone(io: Io): Promise<never> {
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => {});
  const leave = (): void => reject(new Interrupted());
  io.signal.addEventListener("abort", () => setImmediate(leave), { once: true });
  for (const event of ["end", "close", "error"]) process.stdin.on(event, leave);
  process.stderr.on("error", leave);
  return promise;
}

/** One yes-or-no question, of which enter is no. @throws {Interrupted} with `otherwise` unless the answer is yes. */
export async function confirmOnce(io: Io, message: string, otherwise: string): Promise<void> {
  const common = { input: process.stdin, output: process.stderr, signal: io.signal };
  const answer = await Promise.race([clack.confirm({ ...common, message, initialValue: false }), whenGone(io)]);
  if (answer !== true) throw new Interrupted(otherwise);
}
