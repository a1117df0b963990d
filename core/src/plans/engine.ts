import { isSoormaError, SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Runtime, sleep } from "../runtime.ts";
import type { TaskDispatcher } from "./dispatcher.ts";
import { type DriverOptions, PlanDriver } from "./driver.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { ClaimedPlan, PlanChange, PlanEntry, PlanLog, PlanOrigin, PlanState, RetryPolicy } from "./log.ts";
import { LogAccess } from "./log-access.ts";
import { NoteClock } from "./note-clock.ts";
import { isTerminal, PlanFold } from "./reducer.ts";
import { defaultRetry } from "./timing.ts";

export interface PlanEngineOptions {
  readonly log: PlanLog;
  readonly dispatcher: TaskDispatcher;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Drives, and stands behind everything this engine appends; of two running engines each needs its own. */
  readonly agentId: string;
  /** For tasks that do not say. */
  readonly retry?: RetryPolicy;
  /** Assignments and progress are logged this often at most, unless a result takes them along. Default 100. */
  readonly progressIntervalMs?: number;
  /**
   * That plans are answered is logged this often, milliseconds: several together, and not while whoever got the answer begins
   * the next plan. A plan that is taken over before is answered again, under the same id. Default 0: at once.
   */
  readonly answeredIntervalMs?: number;
}

/**
 * Runs plans on a log. Any number at a time; each goes on until it ends, the engine stops, or another engine has it.
 *
 * The lease that keeps others from claiming them is the caller's to renew.
 */
export interface PlanEngine extends AsyncDisposable {
  /**
   * Takes a goal on. When this resolves, `plan.created` is in the log and the plan will not be lost. It does not wait for
   * `makeTasks`; what that returns at once is in the same append.
   *
   * Accepting a plan again is fine: it goes on here if it was accepted here.
   *
   * @returns false when it is in the log and somebody else's, or nobody's and to be claimed.
   * @throws {SoormaError} `STORE_UNAVAILABLE` and the log's other refusals; the goal is then not accepted, and accepting
   * it again under the same `planId` cannot double it. `NODE_STOPPED`.
   */
  accept(origin: PlanOrigin, planId: string, handlers: PlanHandlers): Promise<boolean>;
  /**
   * Goes on with a plan that this engine's agent claimed. Attempts that its log shows as running are asked for at their
   * agents, not begun anew; waits and backoffs last for what is left of them. A plan that has ended is answered if it was
   * not yet. Waits as long as the log is unavailable.
   *
   * @returns false when it is not this engine's any more.
   * @throws {SoormaError} `PLAN_NOT_FOUND`, `NODE_STOPPED`.
   */
  take(claimed: ClaimedPlan, handlersFor: (origin: PlanOrigin) => PlanHandlers): Promise<boolean>;
  /** Looks for changes that others made to the plans driven here. For when the log may not have told of all of them. */
  refresh(): void;
  /**
   * Ends a plan and aborts what runs of it.
   *
   * This and the two below work for plans of other engines too.
   *
   * @returns false when the plan had ended before. @throws {SoormaError} `PLAN_NOT_FOUND`
   */
  cancel(planId: string, reason: string): Promise<boolean>;
  /** Lets running tasks finish and begins no other. @returns false when it was paused or had ended. */
  pause(planId: string, reason?: string): Promise<boolean>;
  /** @returns false when it was not paused. */
  unpause(planId: string): Promise<boolean>;
  /**
   * Waits for the end of a plan this engine drives; its last state. Undefined for a plan that is open and that it does
   * not drive, or let go of. Rejects when the log refuses even to record the plan's failure.
   *
   * @throws {SoormaError} `PLAN_NOT_FOUND`, `NODE_STOPPED`.
   */
  ended(planId: string): Promise<PlanState | undefined>;
  /** Ids of the plans this engine drives, or answers. */
  driving(): string[];
  /**
   * Lets go of all plans where they are: their logs are what another engine needs. Running attempts go on at their
   * agents; who has them is logged before this resolves.
   */
  stop(): Promise<void>;
}

/** Plans that are noted to have changed while they are not driven here, perhaps because they are just being claimed. */
const mostNoted = 1_000;

/** Milliseconds between looks for a plan that may be in the log though its creation seemed to fail: it may be on its way. */
const lookAgainMs = [100, 1_000, 5_000, 15_000];

export function createPlanEngine(options: PlanEngineOptions): PlanEngine {
  const { log, runtime, logger, agentId } = options;
  const driverOptions: DriverOptions = {
    ...options,
    retry: { ...defaultRetry, ...options.retry },
    notes: new NoteClock(runtime, options.progressIntervalMs ?? 100),
    answers: new NoteClock(runtime, options.answeredIntervalMs ?? 0),
  };
  const drivers = new Map<string, PlanDriver>();
  const noted = new Map<string, number>();
  const stop = new AbortController();

  const foreignChanges = log.onForeignChange(agentId, (planId, version) => {
    const driver = drivers.get(planId);
    if (driver && !driver.isOver) {
      driver.foreign(version);
      return;
    }
    noted.set(planId, version);
    const [oldest] = noted.keys();
    if (noted.size > mostNoted && oldest !== undefined) noted.delete(oldest);
  });

  const keep = (driver: PlanDriver): void => {
    drivers.set(driver.planId, driver);
    void driver.gone.then(() => {
      if (drivers.get(driver.planId) === driver) drivers.delete(driver.planId);
    });
  };

  /** @returns whether this engine's agent drives the plan, as these entries say. */
  const goOn = (planId: string, entries: readonly PlanEntry[], handlers: PlanHandlers): boolean => {
    const driver = new PlanDriver(planId, entries, handlers, driverOptions);
    if (driver.fold.driver !== agentId) return false;
    keep(driver);
    driver.start();
    driver.foreign(noted.get(planId) ?? 0);
    noted.delete(planId);
    return true;
  };

  const checkRunning = (planId: string): void => {
    if (stop.signal.aborted) throw stopped(planId);
  };

  const access = (planId: string): LogAccess => new LogAccess({ log, planId, runtime, logger, signal: stop.signal });

  /**
   * After a failed `plan.created`: the log may have it all the same, with only the answer lost. It is this engine's then, and
   * nobody else claims what is driven by somebody alive.
   */
  const lookFor = async (planId: string, handlers: PlanHandlers): Promise<void> => {
    try {
      for (const pauseMs of lookAgainMs) {
        await sleep(runtime, pauseMs, stop.signal);
        if (drivers.has(planId)) return;
        const entries = await access(planId)
          .read()
          .catch((error) => {
            if (isSoormaError(error, "PLAN_NOT_FOUND")) return undefined;
            throw error;
          });
        if (!entries || stop.signal.aborted || drivers.has(planId)) continue;
        if (goOn(planId, entries, handlers)) logger.info("plan.found", { planId });
        return;
      }
    } catch (error) {
      if (!stop.signal.aborted) logger.warn("plan.unfound", { planId, error });
    }
  };

  const accept = async (origin: PlanOrigin, planId: string, handlers: PlanHandlers): Promise<boolean> => {
    checkRunning(planId);
    const known = drivers.get(planId);
    if (known && !known.isOver) return known.created;
    const driver = new PlanDriver(planId, [], handlers, driverOptions);
    if (!known) keep(driver);
    try {
      if (await driver.create(origin)) {
        // The one before it was still letting go of what it could not create.
        if (drivers.get(planId) !== driver) keep(driver);
        return true;
      }
    } catch (error) {
      void lookFor(planId, handlers);
      throw error;
    }
    // It was there before: perhaps accepted here, and the answer was lost.
    const entries = await log.read(planId);
    if (drivers.get(planId) === driver) drivers.delete(planId);
    if (stop.signal.aborted || drivers.has(planId)) return true;
    return goOn(planId, entries, handlers);
  };

  const take = async (
    { planId, epoch, entries }: ClaimedPlan,
    handlersFor: (origin: PlanOrigin) => PlanHandlers,
  ): Promise<boolean> => {
    checkRunning(planId);
    const known = drivers.get(planId);
    if (known && !known.isOver && epoch <= known.epoch + 1) {
      // Claimed from itself, after its lease had run out: there is a new epoch.
      known.refresh();
      return true;
    }
    // Somebody else drove it in between, and this engine did not notice: it was stopped, say.
    if (known) await (known.isOver ? known.gone : known.yield());
    // What was claimed may be older than what happened here since: an answer to a claim may be long on its way.
    const log = known || !entries ? await access(planId).read() : entries;
    checkRunning(planId);
    if (drivers.has(planId)) return true;
    const [first] = log;
    if (first?.type !== "plan.created") throw new SoormaError("PLAN_NOT_FOUND", `there is no plan ${planId}`);
    return goOn(planId, log, handlersFor(first.origin));
  };

  const command = async (planId: string, change: PlanChange): Promise<boolean> => {
    checkRunning(planId);
    const legal = await drivers.get(planId)?.command(change);
    if (legal !== undefined) return legal;
    return (await access(planId).record(change)).accepted;
  };

  const ended = async (planId: string): Promise<PlanState | undefined> => {
    const driver = drivers.get(planId);
    if (driver) return driver.ended;
    checkRunning(planId);
    const fold = PlanFold.of(planId, await access(planId).read());
    return isTerminal(fold.status) ? fold.state() : undefined;
  };

  const stopAll = async (): Promise<void> => {
    stop.abort(stopped());
    foreignChanges[Symbol.dispose]();
    await Promise.all(Array.from(drivers.values(), (driver) => driver.stop()));
  };

  return {
    accept,
    take,
    refresh: () => {
      for (const driver of drivers.values()) driver.refresh();
    },
    cancel: (planId, reason) => command(planId, { type: "plan.cancelled", reason }),
    pause: (planId, reason) => command(planId, { type: "plan.paused", ...(reason === undefined ? {} : { reason }) }),
    unpause: (planId) => command(planId, { type: "plan.resumed" }),
    ended,
    driving: () => [...drivers.keys()],
    stop: stopAll,
    [Symbol.asyncDispose]: stopAll,
  };
}

function stopped(planId?: string): SoormaError {
  return new SoormaError(
    "NODE_STOPPED",
    `the plan engine has stopped${planId ? ` and takes on no plan ${planId}` : ""}`,
  );
}
