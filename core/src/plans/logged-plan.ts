import { isSoormaError } from "../errors.ts";
import { type Runtime, randomId } from "../runtime.ts";
import { PlanHistory, take } from "./history.ts";
import type { PlanChange, PlanEntry, PlanLog } from "./log.ts";
import { isPassing, type LogAccess } from "./log-access.ts";
import { PlanFold } from "./reducer.ts";

export interface LoggedPlanOptions {
  readonly log: PlanLog;
  /** To the same log, patiently. */
  readonly access: LogAccess;
  readonly runtime: Runtime;
  /** Who drives the plan. */
  readonly agentId: string;
}

/** What was new in the log. */
export type CaughtUp =
  | { readonly foreign: readonly PlanEntry[] }
  /** Somebody else drives the plan. */
  | { readonly drivenBy: string };

/** A plan as its driver sees it: a fold that runs ahead of the log by what is about to be appended. */
export class LoggedPlan {
  readonly planId: string;
  readonly #options: LoggedPlanOptions;
  readonly #history: PlanHistory;
  #fold: PlanFold;
  #epoch: number;

  /** `entries`: the plan's log so far; none for a plan that is to be created. */
  constructor(planId: string, entries: readonly PlanEntry[], options: LoggedPlanOptions) {
    this.planId = planId;
    this.#options = options;
    this.#history = new PlanHistory(planId, entries);
    this.#fold = entries.length > 0 ? PlanFold.of(planId, entries) : new PlanFold(planId);
    this.#epoch = this.#fold.epoch;
  }

  get fold(): PlanFold {
    return this.#fold;
  }

  get epoch(): number {
    return this.#epoch;
  }

  /** Version of the latest entry known to be in the log; 0 before the plan is. */
  get version(): number {
    return this.#history.version;
  }

  /** Everything up to this version is in the fold. */
  get readUpTo(): number {
    return this.#history.readUpTo;
  }

  get skipped(): boolean {
    return this.#history.skipped;
  }

  /**
   * Appends what the fold has taken already. Waits for a log that is away.
   *
   * @returns whether entries of others lie before these.
   * @throws {SoormaError} `PLAN_CONFLICT`, `PLAN_FENCED`; what the log refuses for good.
   */
  async append(changes: readonly PlanChange[]): Promise<boolean> {
    const nowMs = this.#options.runtime.now();
    let hasGap = false;
    await this.#options.access.append(this.#history.version, changes, this.#epoch, (part, version) => {
      if (this.#history.appended(part, version, nowMs)) hasGap = true;
    });
    return hasGap;
  }

  /**
   * Appends the first changes, `plan.created` before all. Not patient: whoever submitted the goal waits, and may ask another
   * planner.
   *
   * @returns the version the log is at, which may have added something: that its parent has ended, say. `isWhole` is false
   * when only `plan.created` could be appended; the fold is then of that.
   * @throws {SoormaError} `PLAN_CONFLICT` when the plan is there already.
   */
  async create(changes: readonly PlanChange[]): Promise<{ readonly isWhole: boolean; readonly version: number }> {
    const { log, runtime } = this.#options;
    const nowMs = runtime.now();
    this.#epoch = 1;
    try {
      const version = await log.append(this.planId, 0, changes, { operationId: randomId(runtime) });
      this.#history.appended(changes, changes.length, nowMs);
      return { isWhole: true, version };
    } catch (error) {
      if (changes.length === 1 || isPassing(error) || isSoormaError(error, "PLAN_CONFLICT")) throw error;
    }
    // The goal itself may be fine, and its plan is not: that is for the log to tell.
    const { version } = await this.create(changes.slice(0, 1));
    this.#fold = this.#history.rebuild();
    return { isWhole: false, version };
  }

  /**
   * Takes in what others changed.
   *
   * @param isAhead - The fold has taken what is not in the log, and is built again.
   * @param isFenced - The log says that the epoch is over.
   */
  async catchUp(isAhead: boolean, isFenced = false): Promise<CaughtUp> {
    const before = this.#epoch;
    const foreign = this.#history.take(await this.#options.access.read(this.#history.readUpTo));
    for (const entry of foreign) {
      if (entry.type !== "plan.driven") continue;
      // The epoch stays what it was: a claim of this engine's that comes right now has to see that it is a later one.
      if (entry.driver !== this.#options.agentId) return { drivenBy: entry.driver };
      this.#epoch = entry.epoch;
    }
    if (isFenced && this.#epoch === before) return { drivenBy: "another engine" };
    if (isAhead) {
      this.#fold = this.#history.rebuild();
      return { foreign };
    }
    return { foreign: foreign.filter((entry) => take(this.#fold, entry, entry.timeMs)) };
  }
}
