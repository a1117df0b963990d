import { versionText } from "./commands/version.ts";
import { exitCodes, reportOf } from "./ui/errors.ts";
import { createProcessIo, type Io } from "./ui/io.ts";

/**
 * Runs one command line and resolves with its exit code: 0 done, 1 expected failure (or a bug, which keeps its stack),
 * 2 wrong usage, 130 interrupted.
 */
export async function main(argv: readonly string[]): Promise<number> {
  using io = createProcessIo();
  return await runCommandLine(argv, io);
}

/** The same with a terminal of one's choice. */
export async function runCommandLine(argv: readonly string[], io: Io): Promise<number> {
  try {
    // Asked for by scripts and prompts: nothing else is loaded for it.
    if (isVersionRequest(argv)) {
      io.out(versionText(argv.includes("--json")));
      return exitCodes.done;
    }
    // A part of a mesh, started by `soorma dev` with arguments no person types.
    if (argv[0] === "node") return await (await import("./dev/node.ts")).runNode(io);
    // What the Tab key waits for: commander is not loaded for it.
    if (argv[0] === "complete") return await (await import("./completion/complete.ts")).runComplete(argv.slice(1), io);
    const { runProgram } = await import("./program.ts");
    return await runProgram(argv, io);
  } catch (error) {
    return await tell(error, argv, io);
  }
}

function isVersionRequest(argv: readonly string[]): boolean {
  const [first, ...rest] = argv;
  return (
    (first === "version" || first === "--version" || first === "-V") && rest.every((argument) => argument === "--json")
  );
}

async function tell(error: unknown, argv: readonly string[], io: Io): Promise<number> {
  const report = reportOf(error);
  if (argv.includes("--json")) {
    const { exitCode, ...rest } = report;
    io.err(JSON.stringify({ error: rest }));
    return exitCode;
  }
  const { colorsFor } = await import("./ui/colors.ts");
  const { printable } = await import("./ui/text.ts");
  const colors = colorsFor(io);
  if (report.exitCode === exitCodes.interrupted) {
    if (report.message !== "") io.err(colors.dim(report.message));
    return report.exitCode;
  }
  if (report.stack !== undefined) io.err(printable(report.stack));
  // The code ends the sentence; what is below it, as the mark under a character, stays as it is.
  const [sentence = "", ...below] = printable(report.message).split("\n");
  const code = report.stack === undefined ? colors.dim(` [${report.code}]`) : "";
  const [, words = "", colon = ""] = /^(.*?)(:?)$/.exec(sentence) ?? [];
  io.err([`${colors.red("error")}: ${words}${code}${colon}`, ...below].join("\n"));
  if (report.hint !== undefined) io.err(`${colors.cyan("hint")}: ${printable(report.hint)}`);
  return report.exitCode;
}
