import { createActivity } from "../demo/activity.ts";
import type { Asked } from "../demo/ask.ts";
import { defaultQuestion } from "../demo/documentation.ts";
import { createDemoMesh, type DemoMesh } from "../demo/mesh.ts";
import { createPlainProgress, progressLines } from "../demo/progress.ts";
import { keyWords } from "../demo/question.ts";
import { reportLines, type Timings } from "../demo/show.ts";
import { leftOutLines, readFolder, readOwn, resolveFolder, type Source } from "../demo/source.ts";
import { type Colors, colorsFor } from "../ui/colors.ts";
import { CommandError, UsageError } from "../ui/errors.ts";
import type { Io } from "../ui/io.ts";
import { createLive, type Live } from "../ui/live.ts";
import { count } from "../ui/text.ts";
import type { RunCommand } from "./spec.ts";

interface DemoOptions {
  readonly question?: string;
  readonly workers?: number;
  readonly timeout?: number;
  readonly json?: boolean;
  readonly keep?: boolean;
}

const defaultWorkers = 2;
const defaultTimeoutSeconds = 120;
const longestQuestion = 2_000;
/** Broker, state node, planner and tool. */
const otherProcesses = 4;
/** Asked of a folder that is not Soorma's own. */
const strangersQuestion = "How do I install it and get started?";

export const runDemo: RunCommand = async ({ args: [folder], options: given, io }) => {
  const startedMs = performance.now();
  const { workers = defaultWorkers, timeout = defaultTimeoutSeconds, ...options } = given as DemoOptions;
  const { json = false, keep = false } = options;
  const question = checkQuestion(options.question ?? (folder === undefined ? defaultQuestion : strangersQuestion));
  const colors = colorsFor(io);
  // For a program stderr is the error, if there is one, and nothing else.
  using live = createLive(json ? { ...io, liveStderr: false, err() {} } : io);

  const deadline = AbortSignal.timeout(timeout * 1000);
  const signal = AbortSignal.any([io.signal, deadline]);
  const activity = createActivity();
  // What is wrong with a folder is told before anything is started.
  const named =
    folder === undefined
      ? undefined
      : await orAbort(readFolder(resolveFolder(io.cwd, folder), folder, signal), signal).catch(toTimeout);
  const mesh = await createDemoMesh({
    workers,
    env: io.env,
    keep,
    onTrouble: (name, line) => live.print(colors.yellow(`${name} ${line}`)),
  });
  using _again = io.onStopSignal((_signal, times) => {
    if (times > 1) void mesh.stop({ atOnce: true });
  });

  let isAnswered = false;
  try {
    await orAbort(Promise.race([run(), mesh.broken]), signal);
    isAnswered = true;
  } catch (error) {
    live.clear();
    if (!json && !io.signal.aborted) tellTrouble(mesh, live, colors);
    return toTimeout(error);
  } finally {
    if (isAnswered) live.set([colors.dim("stopping …")]);
    await mesh.stop({ atOnce: !isAnswered });
    live.clear();
    if (keep) live.print(colors.dim(`kept in ${mesh.folder}`));
  }
  return undefined;

  async function run(): Promise<void> {
    const source = named ?? (await readOwn(mesh.scratch, signal));
    tellSource(source, live, colors);
    if (named && options.question === undefined) {
      live.print(colors.dim(`asking "${question}"; ask what you like with --question`));
    }
    live.print(
      `${count(source.files.length, "file")} of ${source.name} · ${count(workers + otherProcesses, "process")} on one mesh`,
    );
    live.set([colors.dim(`starting broker, state node, planner, ${count(workers, "worker")} and tool …`)]);
    // Loaded while the processes start.
    const [{ ask, connectClient }] = await Promise.all([import("../demo/ask.ts"), mesh.start()]);
    await using client = await connectClient(mesh);
    const startUpMs = performance.now() - startedMs;
    const plain = createPlainProgress((line) => live.print(line));
    const asked = await ask(
      client,
      mesh,
      { folder: source.folder, files: source.files, question },
      {
        signal,
        activity,
        onProgress(view) {
          if (live.enabled) live.set(progressLines(view(), colors));
          else plain(view);
        },
      },
    );
    const timings: Timings = { startUpMs, ...activity.phases(), totalMs: performance.now() - startedMs };
    live.clear();
    for (const { file, reason } of asked.result.problems)
      live.print(colors.yellow(`could not read ${file}: ${reason}`));
    if (json) io.out(JSON.stringify(jsonOf(question, source, asked, timings)));
    else tellAnswer(question, asked, timings, colors, io);
  }

  /** What was given up because of the deadline failed because of it, whatever it says itself. */
  function toTimeout(error: unknown): never {
    if (io.signal.aborted || !deadline.aborted) throw error;
    const { doneCount, taskCount } = activity;
    const far = taskCount === 0 ? "no task was given out yet" : `${doneCount} of ${taskCount} tasks were done`;
    throw new CommandError("TIMEOUT", `the demo was not done within ${timeout} s: ${far}`, {
      hint: `give it more time, --timeout ${Math.max(defaultTimeoutSeconds, Math.ceil(timeout * 3))}, or a smaller folder`,
    });
  }
};

function checkQuestion(given: string): string {
  const question = given.replace(/\s+/g, " ").trim();
  const hint = `ask in a sentence: soorma demo --question "${defaultQuestion}"`;
  if (question === "") throw new UsageError("the question is empty", hint);
  if (question.length > longestQuestion) {
    throw new UsageError(`the question has ${question.length} characters; the limit is ${longestQuestion}`, hint);
  }
  if (keyWords(question).length === 0) {
    throw new UsageError(`there is no word to search for in the question "${question}"`, hint);
  }
  return question;
}

/** Rejects as soon as the signal aborts, whatever the work is waiting for. */
async function orAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = (): void => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([work, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
    // Given up: what it fails with now is of no interest.
    work.catch(() => {});
  }
}

function tellSource(source: Source, live: Live, colors: Colors): void {
  const { warnings, notes } = leftOutLines(source);
  for (const line of warnings) live.print(colors.yellow(line));
  for (const line of notes) live.print(colors.dim(line));
}

/** The logs of processes that failed; of the others nobody needs them. */
function tellTrouble(mesh: DemoMesh, live: Live, colors: Colors): void {
  for (const { name, lines } of mesh.troubledLines()) {
    live.print(colors.bold(`last lines of ${name}:`));
    for (const line of lines) live.print(`  ${line}`);
  }
}

function tellAnswer(question: string, asked: Asked, timings: Timings, colors: Colors, io: Io): void {
  const isTerminal = process.stdout.isTTY === true;
  const plain = isTerminal ? colors : colorsFor({ env: { NO_COLOR: "1" }, liveStderr: false });
  const columns = isTerminal ? Math.min(100, Math.max(40, process.stdout.columns ?? 80)) : 100;
  io.out(["", ...reportLines({ question, ...asked, timings, columns, colors: plain })].join("\n"));
}

function jsonOf(question: string, source: Source, { result, agents }: Asked, timings: Timings): unknown {
  const { answer, citations, missing, files, passages, words, problems } = result;
  const whole = Object.entries(timings).map(([name, ms]) => [name, Math.round(ms * 10) / 10]);
  return {
    question,
    folder: source.folder,
    answer,
    citations,
    missing,
    read: { files, passages, words },
    unread: [...source.unreadable, ...problems],
    skipped: source.skipped,
    beyond: source.beyond,
    agents,
    timings: Object.fromEntries(whole),
  };
}
