import { colorsFor } from "../ui/colors.ts";
import type { Io } from "../ui/io.ts";
import { oneLine } from "../ui/text.ts";

export type Outcome = "done" | "skipped" | "failed";

/** What bun says, in one way or another, when a registry cannot be reached. */
const unreachable =
  /ConnectionRefused|ConnectionClosed|ConnectionReset|FailedToOpenSocket|ENOTFOUND|EAI_AGAIN|DNSResol|UnknownHost|NetworkUnreachable|Timeout|unable to connect/i;
/** What it says when a registry can be reached and has no such package. */
const unknownPackage = /GET \S+\/((?:@|%40)?[^/\s]+(?:%2f[^/\s]+)?) - 404/gi;

/** Never fails the command: a project without its dependencies is still a project. */
export async function installDependencies(folder: string, io: Io): Promise<Outcome> {
  const colors = colorsFor(io);
  io.err(colors.dim("installing the dependencies …"));
  const output = await run([process.execPath, "install"], folder, io);
  if (output.exitCode === 0) return "done";
  if (io.signal.aborted) return "failed";
  const lines = output.text.trim().split("\n");
  const unknown = [...output.text.matchAll(unknownPackage)].map(([, name = ""]) => oneLine(decodeURIComponent(name)));
  if (unreachable.test(output.text)) {
    const reason = lines.find((line) => unreachable.test(line)) ?? "";
    io.err(`${colors.yellow("warning")}: the package registry cannot be reached: ${oneLine(reason)}`);
  } else if (unknown.length > 0) {
    io.err(`${colors.yellow("warning")}: the package registry has no ${unknown.join(", no ")}`);
    if (unknown.includes("soorma"))
      io.err("  give --packages a folder of packed files: `bun run pack` in a clone of Soorma makes them");
  } else {
    io.err(`${colors.yellow("warning")}: \`bun install\` ended with exit code ${output.exitCode}:`);
    for (const line of lines.slice(-8)) io.err(`  ${oneLine(line)}`);
  }
  io.err("The project is complete but for its dependencies: run `bun install` in it when that is mended.");
  return "failed";
}

/** Makes the project a git repository, unless it is inside one. Never fails the command. */
export async function initGit(folder: string, io: Io): Promise<Outcome> {
  const colors = colorsFor(io);
  if (Bun.which("git", { PATH: io.env.PATH ?? "" }) === null) {
    io.err(`${colors.yellow("warning")}: git is not installed, so the project is no git repository yet:`);
    io.err("  install it (git-scm.com) and run `git init` in the project");
    return "failed";
  }
  // Inside somebody's repository a second one would only be in the way.
  const around = await run(["git", "rev-parse", "--show-toplevel"], folder, io);
  if (around.exitCode === 0) {
    io.err(`it is in the git repository ${oneLine(around.text)}, so it gets none of its own`);
    return "skipped";
  }
  const made = await run(["git", "init", "--quiet"], folder, io);
  if (made.exitCode === 0) return "done";
  if (io.signal.aborted) return "failed";
  io.err(`${colors.yellow("warning")}: \`git init\` failed: ${oneLine(made.text)}`);
  return "failed";
}

async function run(command: string[], cwd: string, io: Io): Promise<{ exitCode: number; text: string }> {
  if (io.signal.aborted) return { exitCode: 1, text: "" };
  const child = Bun.spawn(command, { cwd, stdin: "ignore", stdout: "pipe", stderr: "pipe", signal: io.signal });
  const [out, err] = await Promise.all([child.stdout.text(), child.stderr.text(), child.exited]);
  return { exitCode: child.exitCode ?? 1, text: `${out}${err}` };
}
