import { CommandError } from "../ui/errors.ts";
import { type Exit, exitText, type ManagedProcess, type ProcessSpec } from "./managed-process.ts";
import type { ProcessState, ProcessStatus } from "./run-state.ts";

export interface InfraOptions {
  start(spec: ProcessSpec): ManagedProcess;
  say(name: string, line: string, tone: "plain" | "good" | "bad"): void;
  onChange(): void;
  /** Milliseconds before the first restart. */
  readonly backoffMs: number;
}

/** Broker or state node: has to be there, so it is started again whenever it ends. */
export interface Infra {
  readonly status: ProcessStatus;
  readonly pid: number | undefined;
  readonly info: Readonly<Record<string, unknown>>;
  /** @throws {CommandError} what it said stopped it, or how it ended. */
  start(): Promise<Readonly<Record<string, unknown>>>;
  stop(): Promise<void>;
  kill(): void;
}

const longestBackoffMs = 5_000;

export function createInfra(spec: ProcessSpec, options: InfraOptions): Infra {
  let current: ManagedProcess | undefined;
  let info: Readonly<Record<string, unknown>> = {};
  let state: ProcessState = "starting";
  let problem: string | undefined;
  let starts = 0;
  let failures = 0;
  let retry: ReturnType<typeof setTimeout> | undefined;
  let stopped = false;

  const settle = (next: ProcessState, why?: string): void => {
    state = next;
    problem = why;
    options.onChange();
  };

  const launch = async (): Promise<Exit | undefined> => {
    const process = options.start(spec);
    current = process;
    starts++;
    options.onChange();
    const result = await process.started;
    if (!result.ready) {
      current = undefined;
      return result.exit;
    }
    info = result.info;
    failures = 0;
    settle("ready");
    void process.exited.then((exit) => {
      current = undefined;
      restartAfter(exit);
    });
    return undefined;
  };

  const restartAfter = (exit: Exit): void => {
    if (stopped) return;
    const delayMs = Math.min(longestBackoffMs, options.backoffMs * 2 ** failures++);
    const why = exit.report?.message ?? `ended with ${exitText(exit)}`;
    options.say(spec.name, `${why}; starts again in ${delayMs / 1000} s`, "bad");
    settle("failed", why);
    retry = setTimeout(async () => {
      const again = await launch();
      if (again) restartAfter(again);
      else if (!stopped) options.say(spec.name, "runs again", "good");
    }, delayMs);
  };

  return {
    get status() {
      return {
        name: spec.name,
        role: spec.role,
        state,
        restarts: Math.max(0, starts - 1),
        ...(current?.identity ? { process: current.identity, startedAtMs: current.startedAtMs } : {}),
        ...(problem === undefined ? {} : { problem }),
      };
    },
    get pid() {
      return current?.identity?.pid;
    },
    get info() {
      return info;
    },
    async start() {
      const exit = await launch();
      if (!exit) return info;
      const { report } = exit;
      if (report && report.stack === undefined) {
        throw new CommandError(report.code, `the ${spec.name} cannot start: ${report.message}`, {
          ...(report.hint === undefined ? {} : { hint: report.hint }),
        });
      }
      throw new CommandError("START_FAILED", `the ${spec.name} cannot start: it ended with ${exitText(exit)}`, {
        hint: "its output above says why; `soorma dev --logs` shows it again",
      });
    },
    async stop() {
      stopped = true;
      if (retry) clearTimeout(retry);
      if (current) state = "stopping";
      await current?.stop();
      state = "stopped";
    },
    kill() {
      stopped = true;
      if (retry) clearTimeout(retry);
      current?.kill();
    },
  };
}
