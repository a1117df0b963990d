import { checkAddition, checkPlan, type PlanDraft } from "./graph.ts";
import type { PlanHandlers, TransitionDraft } from "./handlers.ts";
import type { PlannedTask, PlanState, TaskState } from "./log.ts";
import { checkAnswer, goalFailure, plannerFailure, resultsByName } from "./outcome.ts";
import { isTerminal, isTopLevel } from "./task-node.ts";
import type { Turns } from "./turns.ts";

/** Asks a planner's handlers what only they know: the tasks, what follows from a task's end, the answer. */
export class Planning {
  readonly #turns: Turns;
  readonly #handlers: PlanHandlers;
  readonly #signal: () => AbortSignal;
  readonly #onStarted: () => void;
  #askedToPlan = false;
  #askedToComplete = false;
  /** The task whose end the planner is asked about: one at a time, in the order of their ends. */
  #deciding: string | undefined;

  constructor(turns: Turns, handlers: PlanHandlers, signal: () => AbortSignal, onStarted: () => void) {
    this.#turns = turns;
    this.#handlers = handlers;
    this.#signal = signal;
    this.#onStarted = onStarted;
  }

  /** Adds to the turn what follows from the plan's state by itself. */
  advance(): void {
    const { fold } = this.#turns;
    if (fold.ending) {
      if (fold.openCount === 0) this.#turns.propose({ type: "plan.undone" });
    } else if (!fold.started) {
      if (!this.#askedToPlan) this.#turns.after(() => this.plan());
    } else if (fold.status === "running") {
      if (fold.undecided.size > 0) this.#decide();
      if (fold.openCount === 0 && fold.undecided.size === 0 && !this.#askedToComplete) this.#conclude();
    }
  }

  /** Has the goal broken down. At most once. */
  plan(): void {
    if (this.#askedToPlan) return;
    this.#askedToPlan = true;
    void this.#plan();
  }

  async #plan(): Promise<void> {
    const { planId, fold } = this.#turns;
    const { origin } = fold;
    const signal = this.#signal;
    try {
      const options = {
        planId,
        get signal() {
          return signal();
        },
      };
      const draft = await this.#handlers.makeTasks(origin, options);
      const tasks = checkPlan(draft, planId);
      this.#turns.step(() => this.#start(draft, tasks));
    } catch (error) {
      const failure = plannerFailure(error, origin, "onGoal");
      this.#turns.step(() => this.#turns.propose({ type: "plan.failed", failure }));
    }
  }

  #start(draft: PlanDraft, tasks: readonly PlannedTask[]): void {
    const { budget, grows, state, causes, reused = {}, undecided = [] } = draft;
    const { fold } = this.#turns;
    const isLegal = this.#turns.propose({
      type: "plan.started",
      tasks,
      ...(budget === undefined ? {} : { budget }),
      ...(grows === undefined ? {} : { grows }),
      ...(state === undefined ? {} : { state }),
      ...(causes === undefined ? {} : { causes }),
    });
    // It may be in the log already, with only a part of what follows.
    if (!isLegal && !fold.started) return;
    const open = new Set(undecided);
    for (const { taskId, name } of tasks) {
      if (!Object.hasOwn(reused, name)) continue;
      const more = open.has(name) ? { undecided: true } : {};
      this.#turns.propose({ type: "task.reused", taskId, result: reused[name], ...more });
    }
    if (budget?.maxDurationMs !== undefined) this.#turns.after(this.#onStarted);
  }

  #decide(): void {
    const { fold } = this.#turns;
    if (!this.#handlers.onTransition) {
      for (const taskId of fold.undecided) this.#turns.propose({ type: "plan.transitioned", taskId });
    } else if (this.#deciding === undefined) {
      const [taskId] = fold.undecided;
      this.#turns.after(() => {
        const task = taskId === undefined ? undefined : this.#turns.fold.task(taskId);
        if (task && this.#deciding === undefined) void this.#ask(task);
      });
    }
  }

  async #ask(task: TaskState): Promise<void> {
    this.#deciding = task.taskId;
    const { fold } = this.#turns;
    try {
      const draft = (await this.#handlers.onTransition?.(task, fold.state())) ?? {};
      if (draft.complete) checkAnswer(draft.complete.result);
      this.#turns.step(() => this.#transition(task.taskId, draft));
    } catch (error) {
      this.#turns.step(() => this.#couldNot(error, "onTransition"));
    }
  }

  #couldNot(error: unknown, handler: "onTransition" | "onComplete"): void {
    const { fold } = this.#turns;
    this.#turns.propose({ type: "plan.failed", failure: plannerFailure(error, fold.origin, handler) });
  }

  #transition(taskId: string, draft: TransitionDraft): void {
    const { fold } = this.#turns;
    this.#turns.after(() => {
      this.#deciding = undefined;
      // The next one's turn.
      if (fold.undecided.size > 0) this.#turns.step(() => {});
    });
    // Paused meanwhile: it cannot be completed now, and is asked for again then.
    if (!fold.undecided.has(taskId) || (draft.complete && fold.status === "paused")) return;
    // Before the decision, which goes into the log together with what it comes to.
    if (draft.complete) this.#leaveOut(taskId);
    let tasks: PlannedTask[] | undefined;
    try {
      if (draft.tasks?.length && !draft.complete) tasks = checkAddition(draft.tasks, fold);
    } catch (error) {
      this.#couldNot(error, "onTransition");
      return;
    }
    this.#turns.propose({
      type: "plan.transitioned",
      taskId,
      ...(draft.to === undefined ? {} : { to: draft.to }),
      ...(tasks ? { tasks } : {}),
      ...(draft.handled === undefined ? {} : { handled: draft.handled }),
    });
    if (draft.fail) this.#turns.propose({ type: "plan.failed", failure: draft.fail });
    else if (draft.complete) this.#turns.propose({ type: "plan.completed", result: draft.complete.result });
    else if (draft.pause !== undefined) this.#turns.propose({ type: "plan.paused", reason: draft.pause });
  }

  /** The planner has its answer, by the end of this task: nobody waits for what is still open, or asks about other ends. */
  #leaveOut(taskId: string): void {
    const { fold } = this.#turns;
    for (const { taskId: open, status } of fold.openCount > 0 ? fold.state().tasks.filter(isTopLevel) : []) {
      if (isTerminal(status)) continue;
      const reason = "the planner completed the plan without it";
      this.#turns.propose({ type: "task.cancelled", taskId: open, reason });
    }
    for (const other of [...fold.undecided]) {
      if (other !== taskId) this.#turns.propose({ type: "plan.transitioned", taskId: other });
    }
  }

  /** All tasks ended. */
  #conclude(): void {
    const { fold } = this.#turns;
    if (fold.unhandledFailures > 0) {
      this.#turns.propose({ type: "plan.failed", failure: goalFailure(fold.state()) });
    } else if (this.#handlers.onComplete) {
      const state = fold.state();
      this.#turns.after(() => void this.#complete(state));
    } else {
      const result = resultsByName(fold.state().tasks);
      try {
        this.#handlers.checkAnswer?.(result);
      } catch (error) {
        this.#couldNot(error, "onComplete");
        return;
      }
      this.#turns.propose({ type: "plan.completed", result });
    }
  }

  async #complete(state: PlanState): Promise<void> {
    if (this.#askedToComplete) return;
    this.#askedToComplete = true;
    // Not legal if the plan is paused, or a task of it was revived, by then: it is asked for again.
    try {
      const result = checkAnswer(await this.#handlers.onComplete?.(resultsByName(state.tasks), state));
      this.#turns.step(() => {
        this.#askedToComplete = false;
        this.#turns.propose({ type: "plan.completed", result });
      });
    } catch (error) {
      this.#turns.step(() => this.#couldNot(error, "onComplete"));
    }
  }
}
