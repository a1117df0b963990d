import { isSoormaError, SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import { type Runtime, randomId } from "../runtime.ts";
import type { TaskDispatcher } from "./dispatcher.ts";
import { type DriverOptions, PlanDriver, type PlanHandlers } from "./driver.ts";
import type { PlanChange, PlanEntry, PlanLog, PlanOrigin, PlanState, RetryPolicy } from "./log.ts";
import { LogAccess } from "./log-access.ts";
import { isTerminal, PlanFold } from "./reducer.ts";
import { defaultRetry } from "./timing.ts";

export interface PlanEngineOptions {
  readonly log: PlanLog;
  readonly dispatcher: TaskDispatcher;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Stands behind everything this engine appends; of two running engines each needs its own. */
  readonly agentId: string;
  /** For tasks that do not say. */
  readonly retry?: RetryPolicy;
  /** Assignments and progress are logged this often at most, unless a result takes them along. Default 100. */
  readonly progressIntervalMs?: number;
}

/** Runs plans on a log. Any number at a time; each goes on until it ends, the engine stops, or another engine has it. */
export interface PlanEngine extends AsyncDisposable {
  /**
   * Takes a goal on. When this resolves, `plan.created` is in the log and the plan will not be lost.
   *
   * Accepting a plan again is fine: it goes on here if it was accepted here or nobody has begun it.
   *
   * @returns false when another engine has it.
   * @throws {SoormaError} `STORE_UNAVAILABLE` and the log's other refusals; the goal is then not accepted, and accepting
   * it again under the same `planId` cannot double it. `NODE_STOPPED`.
   */
  accept(origin: PlanOrigin, planId: string, handlers: PlanHandlers): Promise<boolean>;
  /**
   * Goes on with a plan from its log. Tasks whose attempt has no result in it get another attempt. For a plan that
   * has ended only `onEnd` is called. Waits as long as the log is unavailable.
   *
   * @throws {SoormaError} `PLAN_NOT_FOUND`, `NODE_STOPPED`.
   */
  resume(planId: string, handlersFor: (origin: PlanOrigin) => PlanHandlers): Promise<void>;
  /**
   * Ends a plan and aborts what runs of it.
   *
   * This and the two below work for plans of other engines too, which notice it with their next append.
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
  /** Ids of the plans this engine drives. */
  driving(): string[];
  /** Lets go of all plans where they are: their logs are what `resume` needs. Aborts running attempts. */
  stop(): Promise<void>;
}

export function createPlanEngine(options: PlanEngineOptions): PlanEngine {
  const { log, runtime, logger, agentId } = options;
  const driverOptions: DriverOptions = {
    ...options,
    retry: { ...defaultRetry, ...options.retry },
    progressIntervalMs: options.progressIntervalMs ?? 100,
  };
  const drivers = new Map<string, PlanDriver>();
  const stop = new AbortController();

  const drive = (fold: PlanFold, handlers: PlanHandlers): void => {
    const { planId } = fold;
    if (drivers.has(planId)) return;
    const driver = new PlanDriver(fold, handlers, driverOptions);
    drivers.set(planId, driver);
    void driver.gone.then(() => drivers.delete(planId));
    driver.start();
  };

  const checkRunning = (planId: string): void => {
    if (stop.signal.aborted) throw stopped(planId);
  };

  const accept = async (origin: PlanOrigin, planId: string, handlers: PlanHandlers): Promise<boolean> => {
    checkRunning(planId);
    if (drivers.has(planId)) return true;
    const created: PlanChange = { type: "plan.created", origin };
    let entries: PlanEntry[];
    try {
      const version = await log.append(planId, 0, [created], randomId(runtime));
      entries = [{ ...created, version, timeMs: runtime.now(), by: agentId }];
    } catch (error) {
      if (!isSoormaError(error, "PLAN_CONFLICT")) throw error;
      entries = await log.read(planId);
      if (entries.length > 1 && entries[0]?.by !== agentId) return false;
    }
    // If stopped meanwhile, the plan is in the log and accepted; it goes on when it is resumed.
    if (!stop.signal.aborted) drive(PlanFold.of(planId, entries), handlers);
    return true;
  };

  const access = (planId: string): LogAccess => new LogAccess({ log, planId, runtime, logger, signal: stop.signal });

  const resume = async (planId: string, handlersFor: (origin: PlanOrigin) => PlanHandlers): Promise<void> => {
    checkRunning(planId);
    if (drivers.has(planId)) return;
    const fold = PlanFold.of(planId, await access(planId).read());
    checkRunning(planId);
    drive(fold, handlersFor(fold.origin));
  };

  const command = async (planId: string, change: PlanChange): Promise<boolean> => {
    for (;;) {
      checkRunning(planId);
      const driver = drivers.get(planId);
      if (driver) {
        const legal = await driver.command(change);
        if (legal !== undefined) return legal;
        // It let go of the plan: what counts is in the log.
      }
      const fold = PlanFold.of(planId, await access(planId).read());
      const version = fold.version;
      if (isTerminal(fold.status) || !fold.propose(change, runtime.now())) return false;
      try {
        await access(planId).append(version, [change]);
        return true;
      } catch (error) {
        // Someone else's change came in between: look again whether this one is still legal.
        if (!isSoormaError(error, "PLAN_CONFLICT")) throw error;
      }
    }
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
    await Promise.all(Array.from(drivers.values(), (driver) => driver.stop()));
  };

  return {
    accept,
    resume,
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
