import type { PlanLog } from "../plans/log.ts";
import type { Runtime } from "../runtime.ts";

/**
 * The log as a planner uses it. Remembers when the state node last took something from this planner, which then was not
 * taken for gone: nobody can have taken its plans over before that.
 */
export class ConfirmedLog {
  readonly log: PlanLog;
  readonly #runtime: Runtime;
  #confirmedAt = Number.NEGATIVE_INFINITY;

  constructor(log: PlanLog, runtime: Runtime) {
    this.#runtime = runtime;
    this.log = {
      ...log,
      append: (...params) => this.#confirmedBy(() => log.append(...params)),
      lease: (...params) => this.#confirmedBy(() => log.lease(...params)),
    };
  }

  /** Milliseconds for which somebody else may have taken over what this planner drives, at the most. */
  get unconfirmedMs(): number {
    return this.#runtime.monotonic() - this.#confirmedAt;
  }

  async #confirmedBy<T>(call: () => Promise<T>): Promise<T> {
    // The answer may have been long on its way, and says nothing of the time since it was given.
    const askedAt = this.#runtime.monotonic();
    const answer = await call();
    this.#confirmedAt = Math.max(this.#confirmedAt, askedAt);
    return answer;
  }
}
