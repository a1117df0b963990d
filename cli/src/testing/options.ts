import type { TaskSpec } from "@soorma/core";
import type { Recording } from "@soorma/core/recording";
import type { LinkFaults } from "@soorma/transport-inproc";
import type { Agents } from "./agent-source.ts";

export interface TestMeshOptions {
  /**
   * The agents that run: names that `soorma dev` gives them, paths of their files, or functions that make and run them by
   * the names they shall have. Paths are relative to the test file. Default: all agents of the test's project.
   */
  readonly agents?: Agents;
  /** Decides whatever chance decides: ids, delays, which message is lost. Default 1, or that of {@link forEachSeed}. */
  readonly seed?: number;
  /** What goes wrong between any two processes, once all of them are ready. Default: nothing. */
  readonly faults?: LinkFaults;
  /**
   * A recording (`soorma record`) or the path of one. Each agent in it that does not run here is stubbed, and answers as it did;
   * what it was never asked fails with `CALL_NOT_RECORDED`.
   */
  readonly recording?: string | Recording;
  /** Paths in what recorded agents are asked that may differ from the recording: `data.requestId`, or `id` wherever it is. */
  readonly ignore?: readonly string[];
  /** Virtual milliseconds that anything may be waited for before it is an error. Default 90_000_000, a day and an hour. */
  readonly maxMs?: number;
  /** Real milliseconds after which it is an error, too. Default 4_000, below the time that `bun test` gives a test. */
  readonly maxRealMs?: number;
  /**
   * Real milliseconds that virtual time stands still for code that waits for something outside of the mesh: a file, a
   * network, a timer of its own. After that, time goes on without it. Default 1_000.
   */
  readonly outsideMs?: number;
  /** Wall clock of the mesh when it starts, milliseconds since the epoch. Default 2026-01-01. */
  readonly startMs?: number;
  /** Of all its nodes. Default `default`. */
  readonly tenantId?: string;
  /** Of all its nodes. Default: none. */
  readonly userId?: string;
}

export interface TaskOptions extends Pick<TaskSpec, "retry" | "timeoutMs" | "priority"> {
  /** The task's name. Default: what it is assigned to. */
  readonly name?: string;
}

export interface AnswerOptions {
  /** Which of the plans that wait for a person. Default: the only one. */
  readonly planId?: string;
  /** Which of its tasks. Default: the only one that waits. */
  readonly taskId?: string;
  /** Which wait of that task. Default: the only one. */
  readonly key?: string;
}
