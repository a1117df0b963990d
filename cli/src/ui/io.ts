import { writeSync } from "node:fs";
import { outputFault } from "./disk-fault.ts";
import { createPresses } from "./presses.ts";

type StopSignal = "SIGINT" | "SIGTERM" | "SIGHUP";

/** Everything a command may know about the terminal and the process it runs in. */
export interface Io {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** A person can be asked: stdin and stderr are terminals, and this is not a CI machine. */
  readonly interactive: boolean;
  /** stderr is a terminal, so lines may be redrawn. */
  readonly liveStderr: boolean;
  /** Width of the terminal that stdout is, if it is one. */
  readonly stdoutColumns: number | undefined;
  /** Aborts at the first Ctrl-C, SIGTERM or SIGHUP. */
  readonly signal: AbortSignal;
  /** Called at each of these, with how many came so far; disposing ends it. */
  onStopSignal(listener: (signal: StopSignal, count: number) => void): Disposable;
  /** The answer, one line. False when nobody reads it any more: `soorma … | head -1`. */
  out(line: string): boolean;
  /** Everything else, one line. */
  err(line: string): void;
  /** Everything else, as it is: for redrawn lines. */
  errRaw(text: string): void;
}

const stopSignals: readonly StopSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** The real terminal. Disposing gives the signals back. */
export function createProcessIo(): Io & Disposable {
  const controller = new AbortController();
  const listeners = new Set<(signal: StopSignal, count: number) => void>();
  let count = 0;
  const isPress = createPresses();
  const handlers = stopSignals.map((name) => {
    const handler = (): void => {
      if (name === "SIGINT" && !isPress()) return;
      count++;
      if (count === 1) controller.abort(name);
      for (const listener of [...listeners]) listener(name, count);
    };
    process.on(name, handler);
    return [name, handler] as const;
  });
  const live = process.stderr.isTTY === true && process.env.TERM !== "dumb";
  return {
    cwd: process.cwd(),
    env: process.env,
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true && !process.env.CI,
    liveStderr: live,
    get stdoutColumns() {
      return process.stdout.isTTY === true && process.env.TERM !== "dumb" ? process.stdout.columns || 80 : undefined;
    },
    signal: controller.signal,
    onStopSignal(listener) {
      listeners.add(listener);
      return { [Symbol.dispose]: () => void listeners.delete(listener) };
    },
    out: (line) => writeAll(1, `${line}\n`),
    err: (line) => tell(`${line}\n`),
    errRaw: tell,
    [Symbol.dispose]() {
      for (const [name, handler] of handlers) process.off(name, handler);
    },
  };
}

/** What cannot be told ends nothing: a disk that is full must not take a mesh down with the file its stderr goes to. */
function tell(text: string): void {
  try {
    writeAll(2, text);
  } catch {
    // There is no other place to say it.
  }
}

/**
 * Writes everything before it returns, so that no output is lost when the process ends right after.
 *
 * @returns False when the reader went away, which is not an error: `soorma … | head -1`.
 * @throws {CommandError} `OUTPUT_UNWRITABLE` when the disk does not take it.
 */
export function writeAll(fd: 1 | 2, text: string): boolean {
  const bytes = new TextEncoder().encode(text);
  for (let sent = 0; sent < bytes.length; ) {
    try {
      sent += writeSync(fd, bytes, sent);
    } catch (error) {
      const code = error instanceof Error && "code" in error ? error.code : undefined;
      if (code === "EPIPE" || code === "EIO") return false;
      // A full non-blocking pipe: give its reader a moment. There is no way to wait for it synchronously.
      if (code === "EAGAIN") Bun.sleepSync(1);
      else throw outputFault(fd === 1 ? "stdout" : "stderr", error);
    }
  }
  return true;
}
