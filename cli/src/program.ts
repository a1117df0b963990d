import { nearest } from "@soorma/core/nearest";
import { Command, CommanderError, InvalidArgumentError, Option } from "commander";
import type { CommandGroup, CommandSpec } from "./commands/spec.ts";
import { commands } from "./commands/table.ts";
import { Interrupted, UsageError } from "./ui/errors.ts";
import type { Io } from "./ui/io.ts";
import { version } from "./version.ts";

/** Parses the command line and runs the command. Rejects with what the command threw, or a {@link UsageError}. */
export async function runProgram(argv: readonly string[], io: Io): Promise<number> {
  const result = { exitCode: 0 };
  const program = createProgram(io, (exitCode) => {
    result.exitCode = exitCode;
  });
  try {
    checkTypo(argv);
    await program.parseAsync([...argv], { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0 || error.code === "commander.help") return error.exitCode === 0 ? 0 : 2;
      throw usageErrorOf(error, argv);
    }
    // Whatever a command fails with after Ctrl-C, it failed because of it.
    if (io.signal.aborted && !(error instanceof Interrupted)) throw new Interrupted();
    throw error;
  }
  return result.exitCode;
}

/** For whoever types `soorma` and nothing else. */
const firstSteps = [
  ["soorma init", "asks what to create, and says how to go on"],
  ["soorma dev", "in a project: runs its agents, and reloads what is saved"],
] as const;

/** All commands, as commander knows them. The command reference is made of this, too. */
function createProgram(io: Io, done: (exitCode: number) => void = () => {}): Command {
  const program = new Command("soorma");
  // Before adding commands: they inherit both.
  program.exitOverride();
  program.configureOutput({
    writeOut: (text) => io.out(text.trimEnd()),
    writeErr: (text) => io.err(text.trimEnd()),
    // Errors are told in one place, with their hint.
    outputError: () => {},
  });
  program
    .description("Build, run and ship systems of cooperating AI agents.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand("help [command]", "show the help of a command")
    .showSuggestionAfterError(false)
    .configureHelp({ showGlobalOptions: false });
  addExamples(program, firstSteps);
  addCommands(program, commands, io, done);
  return program;
}

function addExamples(command: Command, examples: NonNullable<CommandSpec["examples"]>): void {
  const lines = examples.map(([line, what]) => `  ${line}\n      ${what}`);
  command.addHelpText("after", `\nExamples:\n${lines.join("\n")}`);
}

function addCommands(
  parent: Command,
  specs: readonly (CommandSpec | CommandGroup)[],
  io: Io,
  done: (exitCode: number) => void,
  byDefault?: string,
): void {
  for (const spec of specs) {
    const command = parent.command(spec.name, { isDefault: spec.name === byDefault });
    command.summary(spec.summary).description(spec.description ?? `${capitalized(spec.summary)}.`);
    command.helpOption("-h, --help", "show this help");
    if (spec.examples) addExamples(command, spec.examples);
    if ("commands" in spec) {
      command.showSuggestionAfterError(false).helpCommand(false);
      addCommands(command, spec.commands, io, done, spec.default);
    } else {
      completeCommand(command, spec, io, done);
    }
  }
}

function completeCommand(command: Command, spec: CommandSpec, io: Io, done: (exitCode: number) => void): void {
  for (const { name, description } of spec.arguments ?? []) command.argument(name, description);
  for (const option of spec.options ?? []) {
    const made = new Option(option.flags, option.description);
    if (option.choices) made.choices(option.choices);
    const parse = option.collect ?? option.parse;
    if (parse) {
      made.argParser((text: string, previous: unknown) => {
        try {
          return parse(text, previous);
        } catch (error) {
          throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
        }
      });
    }
    if (option.hidden) made.hideHelp();
    command.addOption(made);
  }
  command.action(async () => {
    const run = await spec.load();
    const code = await run({ args: command.processedArgs as (string | undefined)[], options: command.opts(), io });
    done(code ?? 0);
  });
}

/** What an argument list means: the words of the command and its spec; the group when a command of it is missing. */
function calledBy(argv: readonly string[]): { words: string[]; spec: CommandSpec | CommandGroup | undefined } {
  const words: string[] = [];
  let specs: readonly (CommandSpec | CommandGroup)[] = commands;
  let spec: CommandSpec | CommandGroup | undefined;
  for (const word of argv) {
    const found = specs.find(({ name }) => name === word);
    if (!found) break;
    words.push(word);
    spec = found;
    if (!("commands" in found)) break;
    specs = found.commands;
  }
  return { words, spec };
}

/**
 * A command of a group that is mistyped would be taken as an argument of the one the group means by default, which then waits, or
 * answers, as if nothing was wrong.
 *
 * @throws {UsageError} naming the command.
 */
function checkTypo(argv: readonly string[]): void {
  const { words, spec } = calledBy(argv);
  const given = argv[words.length];
  if (!spec || !("commands" in spec) || given === undefined || !/^[a-z]+$/.test(given)) return;
  const takes = spec.commands.find(({ name }) => name === spec.default);
  const guess = nearest(
    given,
    spec.commands.map(({ name }) => name),
  );
  // A word that merely begins like a command may be meant as it is: `soorma memory settings`.
  if (guess === undefined || Math.abs(guess.length - given.length) > 1 || !takes?.arguments) return;
  const called = ["soorma", ...words].join(" ");
  throw new UsageError(
    `there is no command "${[...words, given].join(" ")}"`,
    `did you mean \`${called} ${guess}\`? Otherwise say \`${called} ${takes.name} ${given}\``,
  );
}

function usageErrorOf(error: CommanderError, argv: readonly string[]): UsageError {
  const message = error.message.replace(/^error: /, "").replace(/\.$/, "");
  const word = /'([^']+)'/.exec(message)?.[1] ?? "";
  const { words, spec } = calledBy(argv);
  const byDefault = spec && "commands" in spec ? spec.commands.find(({ name }) => name === spec.default) : undefined;
  const command = spec && !("commands" in spec) ? spec : byDefault;
  const called = ["soorma", ...words].join(" ");
  const help = `see \`${called} --help\``;
  const unknown = (given: string): UsageError => {
    const known = (spec && "commands" in spec ? spec.commands : commands).map(({ name }) => name);
    const guess = nearest(given, known);
    return new UsageError(
      `there is no command "${[...words, given].join(" ")}"`,
      guess ? `did you mean \`${called} ${guess}\`?` : `the commands are ${known.join(", ")}`,
    );
  };
  const next = argv[words.length];
  // What a group does when no command of it is named would otherwise complain of one that is mistyped.
  if (spec && "commands" in spec && next !== undefined && !next.startsWith("-")) return unknown(next);
  switch (error.code) {
    case "commander.unknownCommand":
      return unknown(word);
    case "commander.unknownOption": {
      const flag = word.split("=")[0] ?? word;
      const guess = nearest(flag, command ? flagsOf(command) : ["--help", "--version"]);
      return new UsageError(`${called} has no option "${flag}"`, guess ? `did you mean ${guess}?` : help);
    }
    case "commander.invalidArgument": {
      const [, given] = /argument '([^']*)' is invalid/.exec(message) ?? [];
      const option = command?.options?.find((candidate) => message.includes(`'${candidate.flags}'`));
      const guess = option?.choices && given !== undefined ? nearest(given, option.choices) : undefined;
      return new UsageError(message, guess ? `did you mean ${guess}?` : help);
    }
    default:
      return new UsageError(message, help);
  }
}

function flagsOf(command: CommandSpec): string[] {
  const own = (command.options ?? []).flatMap((option) => option.flags.match(/--?[a-z-]+/g) ?? []);
  return [...own.filter((flag) => flag.startsWith("--")), "--help"];
}

function capitalized(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}
