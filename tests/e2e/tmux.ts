import { existsSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { bin, cleanEnv, until } from "./cli-run.ts";

/** Terminals with a screen that can be read; a test that needs one is skipped, and counted, where tmux is missing. */
export const tmuxProgram = Bun.which("tmux");

export interface Terminal extends AsyncDisposable {
  /** What a person sees now; a line that was wrapped is one line, and empty ones at the end are left out. */
  screen(): Promise<string[]>;
  /** Waits until something is on the screen; resolves with all that is. */
  sees(text: string | RegExp): Promise<string[]>;
  /** Types text as it is. */
  type(text: string): Promise<void>;
  /** Presses keys by the names tmux gives them: `Enter`, `C-c`. */
  press(...keys: string[]): Promise<void>;
  resize(columns: number, rows: number): Promise<void>;
  /** Resolves with the exit code when the command has ended; 128 and the signal's number when one ended it. */
  ended(): Promise<number>;
}

let count = 0;

/** Runs the CLI in a terminal of its own. */
export async function openTerminal(
  cwd: string,
  args: readonly string[],
  { columns = 100, rows = 40, env = {} }: { columns?: number; rows?: number; env?: Record<string, string> } = {},
): Promise<Terminal> {
  const server = `soorma-test-${process.pid}-${count++}`;
  const ending = join(tmpdir(), `${server}.exit`);
  const tmux = async (...command: string[]): Promise<string> => {
    const child = Bun.spawn([tmuxProgram ?? "tmux", "-L", server, "-f", "/dev/null", ...command], {
      cwd,
      env: cleanEnv({ TERM: "xterm-256color", ...env }),
      stdin: "ignore",
      stdout: "pipe",
      stderr: "pipe",
    });
    const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
    if ((await child.exited) !== 0) throw new Error(`tmux ${command.join(" ")}: ${stderr}`);
    return stdout;
  };
  const quoted = [process.execPath, bin, ...args].map((word) => `'${word.replaceAll("'", `'\\''`)}'`).join(" ");
  await tmux(
    // tmux itself does not always learn how its command ended.
    ...["new-session", "-d", "-s", "t", "-x", String(columns), "-y", String(rows)],
    ...[`${quoted}; echo $? > '${ending}'`, ";", "set-option", "-g", "remain-on-exit", "on"],
  );
  const screen = async (): Promise<string[]> => {
    const lines = (await tmux("capture-pane", "-p", "-J", "-t", "t")).split("\n").map((line) => line.trimEnd());
    while (lines.at(-1) === "") lines.pop();
    return lines;
  };
  return {
    screen,
    async sees(text) {
      let lines: string[] = [];
      const found = (line: string): boolean => (typeof text === "string" ? line.includes(text) : text.test(line));
      await until(`${text} on the screen`, async () => {
        lines = await screen();
        return lines.some(found);
      }).catch((error: unknown) => {
        throw new Error(`${error instanceof Error ? error.message : error}; there was:\n${lines.join("\n")}`);
      });
      return lines;
    },
    type: async (text) => void (await tmux("send-keys", "-t", "t", "-l", text)),
    press: async (...keys) => void (await tmux("send-keys", "-t", "t", ...keys)),
    resize: async (width, height) =>
      void (await tmux("resize-window", "-t", "t", "-x", String(width), "-y", String(height))),
    async ended() {
      return await until("the end of the command", async () => {
        const code = existsSync(ending) ? readFileSync(ending, "utf8").trim() : "";
        return code === "" ? undefined : { code: Number(code) };
      }).then(({ code }) => code);
    },
    async [Symbol.asyncDispose]() {
      await tmux("kill-server").catch(() => {});
      rmSync(ending, { force: true });
    },
  };
}
