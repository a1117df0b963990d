import { isSoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { ClaimedPlan, PlanLog } from "../plans/log.ts";
import { atMost, type Runtime, type Timer } from "../runtime.ts";

/** Plans claimed with one call. */
const batchSize = 100;

/** When something hints at plans to claim, these milliseconds later it is asked whether there are. */
const askAgainAfterMs = [250, 1_000, 2_000] as const;

export interface PlannerLeaseOptions {
  readonly log: Pick<PlanLog, "lease" | "release" | "claim">;
  /** Name that all instances share. */
  readonly planner: string;
  /** Agent id of this instance. */
  readonly driver: string;
  readonly runtime: Runtime;
  readonly logger: Logger;
  readonly leaseMs: number;
  readonly renewMs: number;
  /** A plan that is this instance's to drive from now on. */
  readonly onClaimed: (plan: ClaimedPlan) => Promise<unknown>;
}

/**
 * Keeps the lease by which others know that this planner is alive, and takes over the plans of instances that are not.
 *
 * The lease protects nothing: what keeps two instances from driving one plan is the epoch of the log.
 */
export class PlannerLease {
  readonly #o: PlannerLeaseOptions;
  #renewal: Timer | undefined;
  #asking: Timer | undefined;
  #claiming: Promise<void> | undefined;
  #claimAgain = false;
  /** The last claim failed. It may have been made all the same, and what it gave is nobody else's to claim. */
  #isUnanswered = false;
  #held: Promise<void> | undefined;
  #stopped = false;

  constructor(options: PlannerLeaseOptions) {
    this.#o = options;
  }

  /** Takes the lease and what there is to claim. */
  start(): void {
    this.#renewOften();
    this.askSoon();
  }

  /** Resolves when this instance has, or had, a lease: only then is what it accepts safe from its siblings. */
  held(): Promise<void> {
    this.#held ??= this.#renew().catch((error) => {
      this.#held = undefined;
      throw error;
    });
    return this.#held;
  }

  /** Looks for plans to claim now, and a few times more: what makes them claimable may take a moment to be noticed. */
  askSoon(): void {
    void this.#renewQuietly();
    this.#askAgain(0);
  }

  /** Gives the lease back, so that siblings need not wait for its end. Call it when nothing is driven any more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#renewal?.cancel();
    this.#asking?.cancel();
    const { log, driver, runtime, logger } = this.#o;
    const failed = (error: unknown): void => logger.debug("lease.unreleased", { error });
    if (this.#held) await atMost(runtime, 1_000, log.release(driver).catch(failed));
  }

  #renewOften(): void {
    this.#renewal = this.#o.runtime.setTimer(() => {
      void this.#renewQuietly();
      this.#renewOften();
    }, this.#o.renewMs);
  }

  #askAgain(index: number): void {
    const delayMs = askAgainAfterMs[index];
    this.#asking?.cancel();
    if (delayMs === undefined || this.#stopped) return;
    this.#asking = this.#o.runtime.setTimer(() => {
      void this.#renewQuietly();
      this.#askAgain(index + 1);
    }, delayMs);
  }

  async #renewQuietly(): Promise<void> {
    try {
      await (this.#held ? this.#renew() : this.held());
    } catch (error) {
      if (!this.#stopped) this.#o.logger.warn("lease.unrenewed", { error });
    }
  }

  async #renew(): Promise<void> {
    const { log, planner, driver, leaseMs } = this.#o;
    if (this.#stopped) return;
    const { claimable } = await log.lease(planner, driver, leaseMs);
    if (claimable > 0 || this.#isUnanswered) this.#claimAll();
  }

  #claimAll(): void {
    if (this.#stopped) return;
    if (this.#claiming) {
      this.#claimAgain = true;
      return;
    }
    this.#claiming = this.#claim()
      .catch((error) => {
        this.#isUnanswered = true;
        if (!this.#stopped) this.#o.logger.warn("claim.failed", { error });
      })
      .finally(() => {
        this.#claiming = undefined;
        if (!this.#claimAgain) return;
        this.#claimAgain = false;
        this.#claimAll();
      });
  }

  /** A batch is claimed while the one before is being resumed, so that neither the log nor this thread waits. */
  async #claim(): Promise<void> {
    const { log, planner, driver, logger } = this.#o;
    let resuming: Promise<unknown> = Promise.resolve();
    let count = 0;
    for (let more = true; more && !this.#stopped; ) {
      const claim = await log.claim(planner, driver, batchSize);
      this.#isUnanswered = false;
      more = claim.more;
      count += claim.plans.length;
      await resuming;
      resuming = Promise.all(claim.plans.map((plan) => this.#take(plan)));
      // Nothing was left of what there was: siblings claim as well.
      if (claim.plans.length === 0) break;
    }
    await resuming;
    if (count > 0) logger.info("plans.claimed", { count });
  }

  async #take(plan: ClaimedPlan): Promise<void> {
    try {
      await this.#o.onClaimed(plan);
    } catch (error) {
      if (isSoormaError(error, "NODE_STOPPED")) return;
      this.#o.logger.error("plan.untaken", { planId: plan.planId, error });
    }
  }
}
