import { join } from "node:path";
import { type AgentEntry, shortPath } from "./agents.ts";
import { bundleAgent, linkedPackages } from "./bundle.ts";
import { areEqual, changedBetween, type FileStamps, stampsOf } from "./file-stamps.ts";
import { type Exit, exitText, type ManagedProcess, type ProcessSpec, type StartOptions } from "./managed-process.ts";
import type { ProcessState, ProcessStatus } from "./run-state.ts";
import type { Standbys } from "./standbys.ts";
import type { TypeChecker, TypeVerdict } from "./type-check.ts";

export interface AgentRunnerOptions {
  readonly root: string;
  /** Bundles go there; absent: the agent's file itself is run. */
  readonly buildFolder: string | undefined;
  start(spec: ProcessSpec, options?: StartOptions): ManagedProcess;
  specOf(entry: AgentEntry, file: string): ProcessSpec;
  /** Processes that wait for a file to be saved. Absent: each start begins from nothing. */
  readonly standbys: Standbys | undefined;
  /** What a process loads while it stands by. */
  readonly standbyModule: string;
  /** Absent: types are not checked. */
  readonly types: TypeChecker | undefined;
  /** Where its debugger listens. Two processes cannot both have it: the old one ends before the new one starts. */
  readonly debuggerUrl: string | undefined;
  /** For the person who watches. */
  say(name: string, line: string, tone: "plain" | "good" | "bad"): void;
  /** State or files changed. */
  onChange(): void;
  /** Milliseconds before the first restart after a crash. */
  readonly backoffMs: number;
}

/** Keeps one agent running through saved files, mistakes and crashes. */
export interface AgentRunner {
  readonly entry: AgentEntry;
  /** The files it is made of; a change of one of them is a reason to call `refresh`. */
  readonly files: ReadonlySet<string>;
  readonly status: ProcessStatus;
  /** Facts the agent reported when it became ready. */
  readonly info: Readonly<Record<string, unknown>>;
  /** The process that works. */
  readonly process: ManagedProcess | undefined;
  /**
   * Checks the files, starts the agent from them, and lets the process that ran before drain when the new one is ready.
   * While the files have a fault, or the new process ends before it is ready, the old one goes on running. Types are
   * checked while the new process loads its code; its agents join the mesh when both are done, and the files are still
   * as they were checked.
   * Resolves when an agent runs, or is known not to; a later call overtakes an earlier one.
   *
   * @param cause - `retry`: nothing was saved, so what it says is shown only if that is new. `start`: there is no older
   *   version, so it runs with wrong types, too. Default: `saved`.
   */
  refresh(cause?: RefreshCause): Promise<void>;
  stop(): Promise<void>;
  kill(): void;
}

type RefreshCause = "start" | "saved" | "retry";

const fine: Promise<TypeVerdict> = Promise.resolve({ ok: true });

/** What there is to start, and what is known of it. */
interface Attempt {
  readonly run: string;
  /** The files as they were before they were checked. */
  readonly stamps: FileStamps;
  readonly judged: Promise<TypeVerdict>;
  /** How often the files were written between the check and the start. */
  readonly round: number;
}

const mostRounds = 3;

const longestBackoffMs = 30_000;
/** A crash after this long is not counted together with the one before. */
const forgivenAfterMs = 60_000;

/** Milliseconds that the output of a process which may crash like the one before is held back. */
const holdMs = 250;

export function createAgentRunner(entry: AgentEntry, options: AgentRunnerOptions): AgentRunner {
  const { root, say, standbys, types } = options;
  const alive = new Set<ManagedProcess>();
  let current: ManagedProcess | undefined;
  let candidate: ManagedProcess | undefined;
  let files: ReadonlySet<string> = new Set([entry.file]);
  /** The files as they were when their code was last let work. */
  let accepted: FileStamps = new Map();
  let info: Readonly<Record<string, unknown>> = {};
  let state: ProcessState = "starting";
  let problem: string | undefined;
  let starts = 0;
  let turn = 0;
  /** Crashes in a row, and how many of them left the same words behind. */
  let crashes = 0;
  let same = 0;
  let lastWords: string | undefined;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const settle = (next: ProcessState, why?: string): void => {
    state = next;
    problem = why;
    options.onChange();
  };

  const held = types !== undefined;

  const watch = (started: ManagedProcess): ManagedProcess => {
    alive.add(started);
    void started.exited.then((exit) => {
      alive.delete(started);
      if (current === started) onCrash(started, exit);
    });
    return started;
  };

  const launch = (file: string): ManagedProcess => {
    starts++;
    const spec = options.specOf(entry, file);
    // What a crash says is held back until it is known not to be what the last one said.
    const waiting = crashes > 0 ? undefined : standbys?.take(entry.name);
    if (waiting) {
      waiting.go();
      return watch(waiting);
    }
    standbys?.drop(entry.name);
    return watch(options.start(spec, { held, ...(crashes > 0 ? { holdMs } : {}) }));
  };

  const standBy = (file: string): void => {
    if (stopped || options.debuggerUrl !== undefined) return;
    const spec = options.specOf(entry, file);
    standbys?.want(entry.name, () => options.start(spec, { standby: options.standbyModule, held }));
  };

  const onCrash = (process: ManagedProcess, exit: Exit): void => {
    current = undefined;
    if (stopped) return;
    if (Date.now() - process.startedAtMs > forgivenAfterMs) crashes = 0;
    failed(exit, `ended with ${exitText(exit)}`);
  };

  /** It does not run, and is tried again: later and later, or when a file is saved. */
  const failed = (exit: Exit, why: string, cause = ""): void => {
    const words = exit.lastLines.filter((line) => !line.startsWith("{")).map((line) => line.replace(/\d+/g, "#"));
    same = crashes > 0 && words.join("\n") === lastWords ? same + 1 : 0;
    lastWords = words.join("\n");
    if (same === 0) exit.showHeld();
    const delayMs = Math.min(longestBackoffMs, options.backoffMs * 2 ** crashes++);
    const again = same === 0 ? "" : `, the same as before (${same + 1} times)`;
    settle("failed", why);
    say(entry.name, `${why}${again}${cause}; starts again in ${delayMs / 1000} s, or when a file is saved`, "bad");
    // A replacement is on its way already.
    if (!candidate) retry = setTimeout(() => void runner.refresh("retry"), delayMs);
  };

  const relative = (text: string): string => text.replaceAll(`${root}/`, "");

  const refuse = (text: string): void => {
    const after = current ? "the old one keeps running" : "waiting for a change";
    settle(current ? "ready" : "failed", firstLine(text));
    say(entry.name, `${relative(text)}\n${after}`, "bad");
  };

  /**
   * Starts the files' code, and lets it work once its types are known to be right.
   *
   * @returns `again` when the files were written meanwhile, `wrong` when that was told, `undefined` when overtaken.
   */
  const begin = async (
    { run, stamps, judged, round }: Attempt,
    overtaken: () => boolean,
  ): Promise<Awaited<ManagedProcess["started"]> | "again" | "wrong" | undefined> => {
    const fresh = launch(run);
    candidate = fresh;
    if (!types) return await fresh.started;
    let verdict = await judged;
    if (verdict.ok && !overtaken()) await fresh.loaded;
    if (overtaken()) return;
    // What it loaded may be newer than what was checked.
    const isOld = verdict.ok && !areEqual(stampsOf(files), stamps);
    const isAgain = isOld && round < mostRounds;
    // Its own code writes them each time: what counts is what they are after that.
    if (isOld && !isAgain) verdict = await types.check(files);
    if (overtaken()) return;
    if (verdict.ok && !isAgain) {
      accepted = stamps;
      fresh.work();
      return await fresh.started;
    }
    starts--;
    candidate = undefined;
    void fresh.stop();
    standBy(run);
    if (verdict.ok) return "again";
    refuse(verdict.problem);
    return "wrong";
  };

  const attempt = async (cause: RefreshCause, round: number): Promise<void> => {
    const mine = ++turn;
    const overtaken = (): boolean => stopped || mine !== turn;
    const startedMs = performance.now();
    if (retry) clearTimeout(retry);
    if (cause === "saved") crashes = 0;
    // Its files are already old.
    void candidate?.stop();
    candidate = undefined;

    const earlier = stampsOf(files);
    const bundle = await bundleAgent(
      entry.file,
      options.buildFolder === undefined ? undefined : join(options.buildFolder, entry.name),
      linkedPackages(root),
    );
    if (overtaken()) return;
    files = bundle.ok ? new Set(bundle.files) : new Set([...files, ...bundle.files]);
    if (!bundle.ok) {
      refuse(bundle.problem);
      return;
    }
    options.onChange();
    const stamps = stampsOf(files);
    if (changedBetween(earlier, stamps).length > 0 && round < mostRounds) return await attempt(cause, round + 1);
    const judged = types && cause !== "start" && !areEqual(accepted, stamps) ? types.check(files) : fine;

    const next: Attempt = { run: bundle.run, stamps, judged, round };

    const before = current;
    if (before && options.debuggerUrl !== undefined) {
      const verdict = await judged;
      if (overtaken()) return;
      if (!verdict.ok) {
        refuse(verdict.problem);
        return;
      }
      current = undefined;
      await before.stop();
      if (overtaken()) return;
    }
    if (!before && crashes === 0) settle("starting");
    let result = await begin(next, overtaken);
    if (overtaken()) return;
    if (typeof result === "object" && !result.ready && before && current === before && needsOldOneGone(result.exit)) {
      // Something it listens on is still the old one's.
      current = undefined;
      await before.stop();
      if (overtaken()) return;
      result = await begin(next, overtaken);
      if (overtaken()) return;
    }
    if (result === "again") return await attempt(cause, round + 1);
    if (typeof result !== "object") return;
    if (!result.ready) {
      candidate = undefined;
      const { exit } = result;
      const why = exit.report?.message ?? `ended with ${exitText(exit)} before it was ready`;
      const cause = exit.code === 0 ? ": does it `await` its `run()`?" : "";
      if (current) {
        exit.showHeld();
        refuse(`${why}${cause}`);
      } else {
        failed(exit, why, cause);
      }
      return;
    }
    const old = current;
    const fresh = candidate;
    current = fresh;
    candidate = undefined;
    info = result.info;
    settle("ready");
    if (before) {
      const tookMs = Math.round(performance.now() - startedMs);
      say(entry.name, `reloaded ${shortPath(root, entry.file)} in ${tookMs} ms`, "good");
    }
    standBy(bundle.run);
    if (!old) return;
    // The new one takes what comes; the old one finishes what it has.
    void old.stop();
  };

  const runner: AgentRunner = {
    entry,
    get files() {
      return files;
    },
    get info() {
      return info;
    },
    get process() {
      return current;
    },
    get status() {
      const process = current ?? candidate;
      return {
        name: entry.name,
        role: "agent" as const,
        state,
        restarts: Math.max(0, starts - 1),
        ...(process?.identity ? { process: process.identity, startedAtMs: process.startedAtMs } : {}),
        ...(problem === undefined ? {} : { problem }),
        ...(options.debuggerUrl === undefined ? {} : { debugger: options.debuggerUrl }),
      };
    },
    async refresh(cause = "saved") {
      await attempt(cause, 0);
    },
    async stop() {
      stopped = true;
      if (retry) clearTimeout(retry);
      state = "stopping";
      standbys?.drop(entry.name);
      await Promise.all([...alive].map((process) => process.stop()));
      state = "stopped";
    },
    kill() {
      stopped = true;
      if (retry) clearTimeout(retry);
      for (const process of alive) process.kill();
    },
  };
  return runner;
}

function needsOldOneGone(exit: Exit): boolean {
  return exit.lastLines.some((line) => line.includes("EADDRINUSE") || line.includes("ADDRESS_IN_USE"));
}

function firstLine(text: string): string {
  return text.split("\n", 1)[0] ?? text;
}
