import { isSoormaError, SoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { Runtime, Timer } from "../runtime.ts";
import { publishAnswer } from "./answering.ts";
import type { TaskDispatcher } from "./dispatcher.ts";
import type { PlanHandlers } from "./handlers.ts";
import type { PlanChange, PlanEntry, PlanLog, PlanOrigin, PlanState, RetryPolicy } from "./log.ts";
import { LogAccess } from "./log-access.ts";
import { LoggedPlan } from "./logged-plan.ts";
import type { NoteClock } from "./note-clock.ts";
import { deadlineFailure, overtimeFailure, unloggable } from "./outcome.ts";
import { Planning } from "./planning.ts";
import type { PlanFold } from "./reducer.ts";
import { isTerminal } from "./task-node.ts";
import { TaskRunner } from "./task-runner.ts";
import type { Turns } from "./turns.ts";

export type { PlanHandlers, TransitionDraft } from "./handlers.ts";

export interface DriverOptions {
  readonly log: PlanLog;
  readonly dispatcher: TaskDispatcher;
  readonly runtime: Runtime;
  readonly logger: Logger;
  /** Who appends, and drives. */
  readonly agentId: string;
  /** For what a task's own policy leaves open. */
  readonly retry: Required<RetryPolicy>;
  /** When assignments and progress are logged, unless a result takes them along. */
  readonly notes: NoteClock;
  /** When it is logged that plans are answered. */
  readonly answers: NoteClock;
}

/** Microtasks that a goal's handler has before its plan is created without its tasks. */
const hops = 32;

/**
 * Drives one plan: decides what happens next, appends it, and only then lets it happen.
 *
 * Everything that happens to the plan becomes a step in a queue. A turn takes all waiting steps, tries them on the fold,
 * and appends what they changed as one batch, one batch at a time; what shall follow (calling an agent, answering) is
 * kept until the batch is in the log. When someone else changed the plan first, the turn is taken back: what is new is
 * read and the same steps are tried on what the log says now. When someone else drives the plan, it is let go of.
 */
export class PlanDriver implements Turns {
  readonly planId: string;
  /** The plan's last state; undefined when this driver let go of it before its end. Rejects when it cannot be logged. */
  readonly ended: Promise<PlanState | undefined>;
  /** Resolves when the driver has let go of the plan and nothing of it is under way here any more, `onEnd` included. */
  readonly gone: Promise<void>;
  readonly #options: DriverOptions;
  readonly #handlers: PlanHandlers;
  readonly #plan: LoggedPlan;
  readonly #access: LogAccess;
  readonly #tasks: TaskRunner;
  readonly #planning: Planning;
  readonly #ended = Promise.withResolvers<PlanState | undefined>();
  readonly #gone = Promise.withResolvers<void>();
  readonly #created = Promise.withResolvers<boolean>();
  readonly #commands = new Set<(legal: boolean | undefined) => void>();
  readonly #flushNotes = (): void => this.#logNotes();
  #handlerSignal: AbortController | undefined;
  #limit: Timer | undefined;
  /** The plan's time was over when this driver took it: nothing of it begins any more. */
  #isOverdue = false;
  /** Nothing of the plan is to happen here any more: it ended, or is not ours. Why. */
  #over: (() => unknown) | undefined;
  /** Version up to which somebody else is known to have changed the plan. */
  #foreignVersion = 0;
  #steps: (() => void)[] = [];
  #changes: PlanChange[] = [];
  #effects: (() => void)[] = [];
  #reconcile = true;
  #turning: Promise<void> | undefined;
  #refused = false;

  /** `entries`: the plan's log so far; none for a plan that is to be created. */
  constructor(planId: string, entries: readonly PlanEntry[], handlers: PlanHandlers, options: DriverOptions) {
    this.planId = planId;
    this.#options = options;
    this.#handlers = handlers;
    const { runtime, logger, log, notes } = options;
    this.#access = new LogAccess({ log, planId, runtime, logger });
    this.#plan = new LoggedPlan(planId, entries, { ...options, access: this.#access });
    this.#tasks = new TaskRunner(this, options, () => notes.add(this.#flushNotes));
    this.#planning = new Planning(
      this,
      handlers,
      () => this.#signal(),
      () => this.#armLimit(),
    );
    this.ended = this.#ended.promise;
    this.gone = this.#gone.promise;
    // Whoever wants to know waits for it; nobody has to.
    this.ended.catch(() => {});
    this.#created.promise.catch(() => {});
  }

  get fold(): PlanFold {
    return this.#plan.fold;
  }

  get skipped(): boolean {
    return this.#plan.skipped;
  }

  /**
   * Creates the plan, and drives it. Resolves once it is in the log; with false if it was there before, and then this
   * driver is not needed. If its planner is quick its tasks are in the same append.
   */
  create(origin: PlanOrigin): Promise<boolean> {
    this.propose({ type: "plan.created", origin, driver: this.#options.agentId });
    this.#planning.plan();
    this.#armLimit();
    this.#turn();
    return this.created;
  }

  /** Goes on from where the log ends. */
  start(): void {
    this.#created.resolve(true);
    this.#isOverdue = this.#armLimit() <= 0;
    this.#turn();
  }

  /** It ended, or this driver let go of it; `gone` comes later. */
  get isOver(): boolean {
    return this.#over !== undefined;
  }

  /** Whether the plan is in the log. */
  get created(): Promise<boolean> {
    return this.#created.promise;
  }

  /** Somebody else changed the plan. */
  foreign(version: number): void {
    if (this.#over || version <= this.#plan.readUpTo) return;
    this.#foreignVersion = Math.max(this.#foreignVersion, version);
    this.#turn();
  }

  /** Looks for what others changed, told or not. */
  refresh(): void {
    this.foreign(this.#plan.version + 1);
  }

  /**
   * Appends a change from outside. Resolves with whether it was legal, once it is in the log; with undefined when the
   * driver let go of the plan before it knew.
   */
  command(change: PlanChange): Promise<boolean | undefined> {
    if (this.#over) return Promise.resolve(undefined);
    return new Promise((resolve) => {
      const done = (legal: boolean | undefined): void => {
        this.#commands.delete(done);
        resolve(legal);
      };
      this.#commands.add(done);
      this.step(() => {
        const legal = this.propose(change);
        this.after(() => done(legal));
      });
    });
  }

  /** Hands the plan over where it is: running attempts go on at their agents. Resolves as `gone` does. */
  async stop(): Promise<void> {
    if (!this.#over) {
      const notes = this.#tasks.takeNotes();
      this.#letGo(new SoormaError("NODE_STOPPED", `the engine that drives plan ${this.planId} stopped`), notes);
    } else {
      this.#access.stop(new SoormaError("NODE_STOPPED", "the engine stopped"));
    }
    await this.gone;
  }

  /** The epoch it believes in. */
  get epoch(): number {
    return this.#plan.epoch;
  }

  /** Lets go of the plan because another engine drove it meanwhile. Resolves as `gone` does. */
  async yield(): Promise<void> {
    this.#fenced("another engine");
    await this.gone;
  }

  step(step: () => void): void {
    if (this.#over) return;
    this.#steps.push(step);
    this.#turn();
  }

  after(effect: () => void): void {
    this.#effects.push(effect);
  }

  propose(change: PlanChange): boolean {
    if (!this.fold.propose(change, this.#options.runtime.now())) return false;
    this.#changes.push(change);
    switch (change.type) {
      case "task.succeeded":
      case "task.failed":
      case "task.cancelled":
        this.#tasks.ended(change.taskId);
        break;
      case "plan.failed":
      case "plan.cancelled":
        this.after(() => this.#tasks.abortUnwanted());
    }
    return true;
  }

  #turn(): void {
    this.#turning ??= this.#takeTurns();
  }

  async #takeTurns(): Promise<void> {
    try {
      // Whatever else arrives in this tick goes into the same batch; and so does what a quick planner returns.
      await undefined;
      if (this.#plan.version === 0) {
        for (let hop = 0; hop < hops && this.#steps.length === 0; hop++) await undefined;
      }
      while (!this.#over && (await this.#takeTurn()));
    } catch (error) {
      this.#abandon(error);
    }
    this.#turning = undefined;
    if (this.#over) return;
    // What came in after the last look.
    if (this.#steps.length > 0 || this.#foreignVersion > this.#plan.readUpTo) this.#turn();
  }

  /** @returns whether there is more to do. */
  async #takeTurn(): Promise<boolean> {
    if (this.#plan.version > 0 && this.#foreignVersion > this.#plan.readUpTo) {
      await this.#catchUp(false);
      if (this.#over) return false;
    }
    const steps = this.#steps;
    this.#steps = [];
    for (const step of steps) step();
    this.#advance();
    const changes = this.#changes;
    const effects = this.#effects;
    this.#changes = [];
    this.#effects = [];
    if (changes.length > 0 && !(await this.#append(changes, steps))) return true;
    // Stopped while the answer was on its way: whoever takes the plan sees to what follows.
    if (this.#over) return false;
    for (const effect of effects) effect();
    if (isTerminal(this.fold.status)) {
      void this.#finish();
      return false;
    }
    return this.#steps.length > 0 || this.#foreignVersion > this.#plan.readUpTo;
  }

  /** Adds to the turn what follows from the plan's state by itself. */
  #advance(): void {
    if (this.#reconcile) {
      this.#reconcile = false;
      if (!isTerminal(this.fold.status)) this.#tasks.adopt();
    }
    if (this.#isOverdue) {
      // What came while nobody drove the plan may be all it waited for.
      if (this.fold.started && this.fold.openCount === 0) this.#planning.advance();
      this.#expire();
    }
    for (let before = -1; before < this.#changes.length && !isTerminal(this.fold.status); ) {
      before = this.#changes.length;
      this.#tasks.advance();
      this.#planning.advance();
    }
  }

  /** Resolves with false when nothing of it may take effect: the fold is then what the log says now. */
  async #append(changes: readonly PlanChange[], steps: readonly (() => void)[]): Promise<boolean> {
    if (this.#plan.version === 0) return this.#create(changes, steps);
    try {
      const hasGap = await this.#plan.append(changes);
      this.#refused = false;
      // Usually somebody says so, too; but a wait that is missed would last for ever.
      if (hasGap && this.fold.openWaits.length > 0) this.#foreignVersion = this.#plan.version;
      return true;
    } catch (error) {
      if (this.#over) return false;
      const isFenced = isSoormaError(error, "PLAN_FENCED");
      if (isFenced || isSoormaError(error, "PLAN_CONFLICT")) {
        this.#steps = [...steps, ...this.#steps];
      } else {
        if (this.#refused || isSoormaError(error, "PLAN_NOT_FOUND")) throw error;
        this.#refused = true;
        this.#options.logger.error("plan.append.refused", { planId: this.planId, changes: changes.length, error });
        const failure = unloggable(this.planId, error);
        this.#steps.unshift(() => {
          if (this.propose({ type: "plan.failed", failure })) return;
          // It is being taken back: what cannot be logged is that task's failure, and the others go on.
          for (const change of changes) {
            if (change.type !== "task.succeeded") continue;
            const { taskId, attempt } = change;
            this.propose({ type: "task.failed", taskId, attempt, failure });
          }
        });
      }
      await this.#catchUp(true, isFenced);
      return false;
    }
  }

  async #create(changes: readonly PlanChange[], steps: readonly (() => void)[]): Promise<boolean> {
    try {
      const { isWhole, version } = await this.#plan.create(changes);
      this.#created.resolve(true);
      if (version > this.#plan.version) await this.#catchUp(false);
      if (!isWhole) this.#steps = [...steps, ...this.#steps];
      return isWhole;
    } catch (error) {
      if (this.#over) return false;
      if (isSoormaError(error, "PLAN_CONFLICT")) this.#created.resolve(false);
      this.#letGo(error);
      return false;
    }
  }

  /** Takes in what others changed. `isAhead`: the fold has taken what is not in the log. */
  async #catchUp(isAhead: boolean, isFenced = false): Promise<void> {
    this.#foreignVersion = 0;
    try {
      const found = await this.#plan.catchUp(isAhead, isFenced);
      if (this.#over) return;
      if ("drivenBy" in found) return this.#fenced(found.drivenBy);
      if (isAhead) this.#reconcile = true;
      else for (const entry of found.foreign) this.#steps.push(() => this.#tasks.foreign(entry));
    } catch (error) {
      if (!this.#over) throw error;
    }
  }

  #fenced(driver: string): void {
    this.#options.logger.warn("plan.driven.elsewhere", { planId: this.planId, by: driver, epoch: this.#plan.epoch });
    this.#letGo(new SoormaError("PLAN_FENCED", `plan ${this.planId} is driven by ${driver}`));
  }

  /** The earlier of deadline and budget's end, if there is one. @returns milliseconds until then. */
  #armLimit(): number {
    const { origin, budget, createdAtMs, status, ending } = this.fold;
    this.#limit?.cancel();
    if (isTerminal(status) || ending) return Number.POSITIVE_INFINITY;
    const { runtime } = this.#options;
    const nowMs = runtime.now();
    const { maxDurationMs = Number.POSITIVE_INFINITY } = budget ?? {};
    // The stamp is another machine's clock: it may shorten the plan's time, never stretch it.
    const overtimeMs = Math.min(createdAtMs + maxDurationMs - nowMs, maxDurationMs);
    const leftMs = Math.min((origin.deadline ?? Number.POSITIVE_INFINITY) - nowMs, overtimeMs);
    if (leftMs < Number.POSITIVE_INFINITY) {
      this.#limit = runtime.setTimer(() => this.step(() => this.#expire()), leftMs);
    }
    return leftMs;
  }

  #expire(): void {
    const { fold } = this;
    if (isTerminal(fold.status) || fold.ending) return;
    const { origin, budget, createdAtMs } = fold;
    const overtime = createdAtMs + (budget?.maxDurationMs ?? Number.POSITIVE_INFINITY);
    const state = fold.state();
    const isDeadline = (origin.deadline ?? Number.POSITIVE_INFINITY) <= overtime;
    this.propose({ type: "plan.failed", failure: isDeadline ? deadlineFailure(state) : overtimeFailure(state) });
  }

  #logNotes(): void {
    let notes: PlanChange[] | undefined;
    this.step(() => {
      // Taken only now: while the log is away, what is outdated by newer progress is never written.
      notes ??= this.#tasks.takeNotes();
      for (const note of notes) this.propose(note);
    });
  }

  /** What handlers get; made only for those that look at it. */
  #signal(): AbortSignal {
    this.#handlerSignal ??= new AbortController();
    if (this.#over) this.#handlerSignal.abort(this.#over());
    return this.#handlerSignal.signal;
  }

  async #finish(): Promise<void> {
    this.fold.moveTo(this.#plan.version);
    const state = this.fold.state();
    this.#close(() => new SoormaError("CANCELLED", state.failure?.message ?? `plan ${this.planId} is ${state.status}`));
    this.#ended.resolve(state);
    if (!state.answered) {
      const options = { ...this.#options, handlers: this.#handlers, access: this.#access };
      await publishAnswer(state, this.#plan.version, this.#plan.epoch, options);
    }
    this.#gone.resolve();
  }

  #abandon(error: unknown): void {
    this.#options.logger.error("plan.abandoned", { planId: this.planId, error });
    this.#ended.reject(error);
    this.#created.reject(error);
    this.#letGo(new SoormaError("NODE_STOPPED", `plan ${this.planId} was let go of: its log failed`, { cause: error }));
  }

  /** Lets go of an open plan. `notes` are logged if that is possible now. */
  #letGo(reason: unknown, notes: readonly PlanChange[] = []): void {
    this.#close(() => reason);
    this.#access.stop(reason);
    this.#ended.resolve(undefined);
    this.#created.reject(reason);
    void this.#leave(notes);
  }

  async #leave(notes: readonly PlanChange[]): Promise<void> {
    await this.#turning;
    if (notes.length > 0 && this.#plan.version > 0) {
      const { log } = this.#options;
      await log
        .append(this.planId, this.#plan.version, notes, { epoch: this.#plan.epoch })
        .catch((error) => this.#options.logger.debug("plan.notes.lost", { planId: this.planId, error }));
    }
    this.#gone.resolve();
  }

  /** `reason` is asked only if somebody wants to know: most plans end with nothing under way. */
  #close(reason: () => unknown): void {
    this.#over ??= reason;
    this.#handlerSignal?.abort(reason());
    this.#tasks.stop(reason);
    this.#limit?.cancel();
    this.#options.notes.delete(this.#flushNotes);
    for (const done of [...this.#commands]) done(undefined);
  }
}
