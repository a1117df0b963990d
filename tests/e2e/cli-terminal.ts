import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { bin, cleanEnv } from "./cli-run.ts";

/** Drives terminals; a test that needs one is skipped, and counted as skipped, where it is not installed. */
export const expectProgram = Bun.which("expect");

/**
 * Drives the CLI in a real terminal. Each step waits for a text and types an answer; the exit code of the command is
 * the last line of what is returned.
 */
export async function inTerminal(
  cwd: string,
  args: readonly string[],
  steps: readonly (readonly [wait: string, type: string | typeof hangUp])[],
): Promise<{ screen: string; exitCode: number }> {
  const quote = (text: string): string => `"${text.replace(/[\\"$[\]]/g, "\\$&")}"`;
  const script = [
    "set timeout 20",
    "log_user 1",
    // Without a size the wizard would wrap after every character.
    'set stty_init "rows 40 columns 100"',
    `spawn -noecho ${[process.execPath, bin, ...args].map(quote).join(" ")}`,
    ...steps.flatMap(([wait, type]) => [
      // On one line it would be read as a single pattern.
      `expect {\n${quote(wait)} {}\ntimeout { puts "NOT SEEN: ${wait}"; exit 99 }\neof { puts "ENDED EARLY"; exit 98 }\n}`,
      // Written as an escape of Tcl, so that it is the key and not the characters.
      type === hangUp ? "close" : `send -- "${type}"`,
    ]),
    ...(steps.at(-1)?.[1] === hangUp ? [] : ["expect {\neof {}\ntimeout { exit 97 }\n}"]),
    "exit [lindex [wait] 3]",
  ].join("\n");
  const file = join(cwd, "..", `${cwd.split("/").at(-1)}.exp`);
  writeFileSync(file, script);
  const child = Bun.spawn([expectProgram ?? "expect", "-f", file], {
    cwd,
    env: cleanEnv({ TERM: "xterm-256color" }),
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const screen = Bun.stripANSI(await child.stdout.text());
  await child.exited;
  await Bun.file(file).delete();
  return { screen, exitCode: child.exitCode ?? -1 };
}

/** Instead of an answer: the terminal's window is closed. */
export const hangUp = Symbol("hang up");
export const space = " ";
export const enter = "\\r";
export const down = "\\033\\[B";
export const interrupt = "\\003";
