import type { DispatchOptions, TaskAssignment } from "../plans/dispatcher.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Timer } from "../runtime.ts";

interface Settle {
  resolve(result: unknown): void;
  reject(error: unknown): void;
}

/** An attempt that a planner wants done. */
export class Job {
  readonly assignment: TaskAssignment;
  readonly options: DispatchOptions;
  readonly key: string;
  /**
   * - `waiting`: for an agent that has room;
   * - `offered`: to `agent`, whose answer is on its way;
   * - `sought`: an earlier driver began it, and who may have it was asked;
   * - `running`: `agent` has it;
   * - `ended`: whoever wanted to know how it ended was told.
   */
  state: "waiting" | "offered" | "sought" | "running" | "ended" = "waiting";
  agent: AgentRecord | undefined;
  /** Who was asked while it was sought. */
  asked: readonly AgentRecord[] = [];
  /** Ends the search for who has it. */
  timer: Timer | undefined;
  /** Its handler only waits; it does not count as one of what its agent does. */
  isSuspended = false;
  /** Of the latest note of suspension. */
  order = 0;
  /** Agents that refused it for a reason of their own; offered to them last. */
  tried: Set<string> | undefined;
  /** Joins of its delegated tasks that are held open. */
  joins: Set<AbortController> | undefined;
  readonly #settle: Settle;

  constructor(key: string, assignment: TaskAssignment, options: DispatchOptions, settle: Settle) {
    this.key = key;
    this.assignment = assignment;
    this.options = options;
    this.#settle = settle;
  }

  resolve(result: unknown): void {
    this.#settle.resolve(result);
  }

  reject(error: unknown): void {
    this.#settle.reject(error);
  }
}
