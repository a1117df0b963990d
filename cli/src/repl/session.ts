import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { format } from "node:util";
import { colorsFor } from "../ui/colors.ts";
import type { Io } from "../ui/io.ts";
import { type CompletionSources, complete } from "./completion.ts";
import { type Evaluator, type Statement, unfinished } from "./evaluator.ts";
import { showError, showValue } from "./show.ts";

export interface SessionOptions {
  readonly io: Io;
  readonly evaluator: Evaluator;
  readonly completion: CompletionSources;
  /** Kept here from one session to the next. */
  readonly historyFile: string;
  readonly json: boolean;
  readonly help: readonly string[];
}

const prompt = "> ";
const goesOn = "… ";
const historySize = 1_000;
/** Only its owner may read it: it holds whatever was typed. */
const fileMode = 0o600;

/** Reads statements in a terminal until Ctrl-D. */
export async function runSession({
  io,
  evaluator,
  completion,
  historyFile,
  json,
  help,
}: SessionOptions): Promise<void> {
  const colors = colorsFor(io);
  const readline = createInterface({
    input: process.stdin,
    output: process.stderr,
    terminal: true,
    prompt,
    history: readHistory(historyFile),
    historySize,
    removeHistoryDuplicates: true,
    completer: (line: string) => complete(line, completion),
  });
  const closed = Promise.withResolvers<void>();
  let isClosed = false;
  let text = "";
  /** Ends the wait for the statement that runs. */
  let interrupt: (() => void) | undefined;
  let running = Promise.resolve();
  const ask = (): void => {
    if (isClosed || interrupt) return;
    readline.setPrompt(text === "" ? prompt : goesOn);
    readline.prompt();
  };
  /** Above the line that is being typed. */
  const print = (write: () => void): void => {
    if (!interrupt && !isClosed) io.errRaw("\r\x1b[J");
    write();
    if (!interrupt && !isClosed) readline.prompt(true);
  };
  const fail = (error: unknown): void => {
    for (const line of showError(error, colors)) io.err(line);
  };
  const evaluate = async (line: string): Promise<void> => {
    if (text === "" && line.trim() === ".exit") return readline.close();
    if (text === "" && line.trim() === ".help") return help.forEach((one) => void io.err(one));
    text = text === "" ? line : `${text}\n${line}`;
    let statement: Statement | typeof unfinished;
    try {
      statement = evaluator.compile(text);
    } catch (error) {
      text = "";
      return fail(error);
    }
    if (statement === unfinished) return;
    text = "";
    const interrupted = Promise.withResolvers<typeof unfinished>();
    interrupt = () => interrupted.resolve(unfinished);
    try {
      const value = await Promise.race([evaluator.run(statement), interrupted.promise]);
      if (value === unfinished) io.err(colors.dim("interrupted; what was begun goes on"));
      else if (value !== undefined) {
        evaluator.define("_", value);
        io.out(showValue(value, { json, colors: colors.isColorSupported && io.stdoutColumns !== undefined }));
      }
    } catch (error) {
      evaluator.define("_error", error);
      fail(error);
    }
    interrupt = undefined;
  };

  readline.on("line", (line) => {
    running = running.then(() => evaluate(line)).then(ask);
  });
  readline.on("history", (history: string[]) => writeHistory(historyFile, history));
  readline.on("SIGINT", () => {
    if (interrupt) return interrupt();
    if (text === "" && readline.line === "") io.errRaw(`${colors.dim("(Ctrl-D or .exit ends it)")}`);
    io.errRaw("\n");
    text = "";
    // Takes away what was typed.
    readline.write(null as unknown as string, { ctrl: true, name: "e" });
    readline.write(null as unknown as string, { ctrl: true, name: "u" });
    ask();
  });
  const leave = (): void => {
    isClosed = true;
    interrupt?.();
    closed.resolve();
  };
  readline.on("close", leave);
  // Of a terminal that was closed readline hears nothing, and cannot give it back either.
  for (const event of ["end", "close", "error"]) process.stdin.on(event, leave);
  process.stderr.on("error", leave);
  io.signal.addEventListener(
    "abort",
    () => {
      leave();
      try {
        readline.close();
      } catch {}
    },
    { once: true },
  );
  const onRejection = (error: unknown): void => print(() => fail(error));
  process.on("unhandledRejection", onRejection);
  using _console = replaceConsole((given) => print(() => io.out(format(...given))));
  ask();
  await closed.promise;
  await running;
  process.off("unhandledRejection", onRejection);
  io.errRaw("\n");
}

/** What handlers that were registered here print shall not end up within the line that is being typed. */
function replaceConsole(print: (given: readonly unknown[]) => void): Disposable {
  const { console } = globalThis;
  const replaced = Object.assign(Object.create(console) as Console, {
    log: (...given: unknown[]) => print(given),
    info: (...given: unknown[]) => print(given),
    debug: (...given: unknown[]) => print(given),
    warn: (...given: unknown[]) => print(given),
    error: (...given: unknown[]) => print(given),
  });
  globalThis.console = replaced;
  return {
    [Symbol.dispose]() {
      globalThis.console = console;
    },
  };
}

/** Newest first, as readline wants it. */
function readHistory(file: string): string[] {
  if (!existsSync(file)) return [];
  return readFileSync(file, "utf8").split("\n").filter(Boolean).slice(-historySize).reverse();
}

function writeHistory(file: string, history: readonly string[]): void {
  try {
    writeFileSync(
      file,
      history
        .toReversed()
        .map((line) => `${line}\n`)
        .join(""),
      { mode: fileMode },
    );
  } catch {
    // Then it is not kept.
  }
}
