import { join } from "node:path";
import { type AgentEntry, shortPath } from "./agents.ts";
import { bundleAgent } from "./bundle.ts";
import { type Exit, exitText, type ManagedProcess, type ProcessSpec } from "./managed-process.ts";
import type { ProcessState, ProcessStatus } from "./run-state.ts";

export interface AgentRunnerOptions {
  readonly root: string;
  /** Bundles go there; absent: the agent's file itself is run. */
  readonly buildFolder: string | undefined;
  start(spec: ProcessSpec): ManagedProcess;
  specOf(entry: AgentEntry, file: string): ProcessSpec;
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
  /**
   * Checks the files, starts the agent from them, and ends the process that ran before when the new one is ready.
   * While the files have a fault, or the new process ends before it is ready, the old one goes on running.
   * Resolves when one of that is settled; a later call overtakes an earlier one.
   */
  refresh(): Promise<void>;
  stop(): Promise<void>;
  kill(): void;
}

const longestBackoffMs = 30_000;
/** A crash after this long is not counted together with the one before. */
const forgivenAfterMs = 60_000;

export function createAgentRunner(entry: AgentEntry, options: AgentRunnerOptions): AgentRunner {
  const { root, say } = options;
  const alive = new Set<ManagedProcess>();
  let current: ManagedProcess | undefined;
  let candidate: ManagedProcess | undefined;
  let files: ReadonlySet<string> = new Set([entry.file]);
  let info: Readonly<Record<string, unknown>> = {};
  let state: ProcessState = "starting";
  let problem: string | undefined;
  let starts = 0;
  let turn = 0;
  let crashes = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const settle = (next: ProcessState, why?: string): void => {
    state = next;
    problem = why;
    options.onChange();
  };

  const launch = (file: string): ManagedProcess => {
    const started = options.start(options.specOf(entry, file));
    alive.add(started);
    starts++;
    void started.exited.then((exit) => {
      alive.delete(started);
      if (current === started) onCrash(started, exit);
    });
    return started;
  };

  const onCrash = (process: ManagedProcess, exit: Exit): void => {
    current = undefined;
    if (stopped) return;
    if (performance.timeOrigin + performance.now() - process.startedAtMs > forgivenAfterMs) crashes = 0;
    const delayMs = Math.min(longestBackoffMs, options.backoffMs * 2 ** crashes++);
    say(
      entry.name,
      `ended with ${exitText(exit)}; starts again in ${delayMs / 1000} s, or when a file is saved`,
      "bad",
    );
    settle("failed", `ended with ${exitText(exit)}`);
    // A replacement is on its way already.
    if (!candidate) retry = setTimeout(() => void runner.refresh(), delayMs);
  };

  const runner: AgentRunner = {
    entry,
    get files() {
      return files;
    },
    get info() {
      return info;
    },
    get status() {
      const process = current ?? candidate;
      return {
        name: entry.name,
        role: "agent" as const,
        state,
        restarts: Math.max(0, starts - 1),
        ...(process === undefined ? {} : { process: process.identity, startedAtMs: process.startedAtMs }),
        ...(problem === undefined ? {} : { problem }),
      };
    },
    async refresh() {
      const mine = ++turn;
      const overtaken = (): boolean => stopped || mine !== turn;
      if (retry) clearTimeout(retry);
      // Its files are already old.
      void candidate?.stop();
      candidate = undefined;

      const bundle = await bundleAgent(
        entry.file,
        options.buildFolder === undefined ? undefined : join(options.buildFolder, entry.name),
      );
      if (overtaken()) return;
      files = bundle.ok ? new Set(bundle.files) : new Set([...files, ...bundle.files]);
      if (!bundle.ok) {
        const after = current ? "the old one keeps running" : "waiting for a change";
        say(entry.name, `${bundle.problem.replaceAll(`${root}/`, "")}\n${after}`, "bad");
        settle(current ? "ready" : "failed", firstLine(bundle.problem));
        return;
      }
      options.onChange();

      const before = current;
      candidate = launch(bundle.run);
      if (!before) settle("starting");
      let result = await candidate.started;
      if (overtaken()) return;
      if (!result.ready && before && current === before && needsOldOneGone(result.exit)) {
        // Something it listens on is still the old one's.
        current = undefined;
        await before.stop();
        if (overtaken()) return;
        candidate = launch(bundle.run);
        result = await candidate.started;
        if (overtaken()) return;
      }
      if (!result.ready) {
        candidate = undefined;
        const { exit } = result;
        const why = exit.report?.message ?? `ended with ${exitText(exit)} before it was ready`;
        const cause = exit.code === 0 ? ": does it `await` its `run()`?" : "";
        const after = current ? "the old one keeps running" : "waiting for a change";
        say(entry.name, `${why}${cause}\n${after}`, "bad");
        settle(current ? "ready" : "failed", why);
        return;
      }
      current = candidate;
      candidate = undefined;
      info = result.info;
      if (before) say(entry.name, `reloaded ${shortPath(root, entry.file)}`, "good");
      settle("ready");
      // Drains what it has; the new one takes what comes.
      void before?.stop();
    },
    async stop() {
      stopped = true;
      if (retry) clearTimeout(retry);
      state = "stopping";
      await Promise.all([...alive].map((process) => process.stop()));
      state = "stopped";
    },
    kill() {
      stopped = true;
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
