import type { Io } from "../ui/io.ts";

export interface OptionSpec {
  /** As commander reads it: `--type <kind>`, `--no-git`. */
  readonly flags: string;
  readonly description: string;
  readonly choices?: readonly string[];
  readonly parse?: (text: string) => unknown;
  /** Of an option that may be given more than once: what it is, with one more. `previous` is absent the first time. */
  readonly collect?: (text: string, previous: unknown) => unknown;
  readonly hidden?: boolean;
}

interface CommandInput {
  readonly args: readonly (string | undefined)[];
  /** By the long flag's camelCase name. What is not given is absent. */
  readonly options: Readonly<Record<string, unknown>>;
  readonly io: Io;
}

/** Returns the exit code; nothing means 0. */
export type RunCommand = (input: CommandInput) => Promise<number | undefined>;

export interface CommandSpec {
  readonly name: string;
  readonly summary: string;
  readonly description?: string;
  readonly arguments?: readonly { readonly name: string; readonly description: string }[];
  readonly options?: readonly OptionSpec[];
  /** Shown at the end of `--help`: command line and what it does. */
  readonly examples?: readonly (readonly [command: string, what: string])[];
  /** The command's code is loaded when it is called, so that no command pays for another one's imports. */
  load(): Promise<RunCommand>;
}

/** Commands under a common name: `soorma plans list`. */
export interface CommandGroup extends Pick<CommandSpec, "name" | "summary" | "description" | "examples"> {
  readonly commands: readonly CommandSpec[];
  /** Name of the one that is meant when none is named. */
  readonly default?: string;
}

export const json: OptionSpec = { flags: "--json", description: "print the answer, or the error, as JSON" };

export function parseSeconds(text: string): number {
  const seconds = Number(text);
  if (!(seconds > 0) || seconds > 2_000_000) throw new TypeError(`${text} is no number of seconds above 0`);
  return seconds;
}

/** Reads some of `known`, separated by commas; "none" is the empty list. */
export function parseList<T extends string>(known: readonly T[]): (text: string) => T[] {
  return (text) => {
    const words = text.split(",").map((word) => word.trim());
    if (words.every((word) => word === "none" || word === "")) return [];
    return [...new Set(words)].map((word) => {
      const found = known.find((name) => name === word);
      if (found === undefined) throw new TypeError(`"${word}" is none of ${known.join(", ")}`);
      return found;
    });
  };
}

/** As core's, which would have to be loaded for them. */
export const topics = [
  "business-facts",
  "action-requests",
  "action-results",
  "billing-events",
  "notification-events",
  "system-events",
  "plan-events",
  "task-events",
];

export function parseCount(text: string): number {
  const count = Number(text);
  if (!/^\d+$/.test(text) || count < 1 || count > 10_000) throw new TypeError(`${text} is no number: 1 to 10000`);
  return count;
}
