import { SoormaError } from "../errors.ts";
import type { PlanChange, PlanLog } from "../plans/log.ts";
import { isTerminal, type OpenWait, type PlanFold } from "../plans/reducer.ts";
import type { Tracker } from "./contract.ts";

export interface OrdersOptions {
  readonly log: PlanLog;
  readonly nextId: () => string;
  /** The plan as it is now. */
  readonly refresh: (planId: string) => Promise<PlanFold>;
}

type Orders = Pick<Tracker, "cancelPlan" | "pausePlan" | "resumePlan" | "answer" | "reviveTask" | "discardDeadLetter">;

const isInput = ({ on }: OpenWait): boolean => on.kind === "input";

/** What a person may want of a plan that somebody else drives. */
export function createOrders({ log, nextId, refresh }: OrdersOptions): Orders {
  const order = async (planId: string, change: PlanChange): Promise<boolean> =>
    (await log.record(planId, change, { operationId: nextId() })).accepted;

  const orderTask = async (planId: string, taskId: string, change: PlanChange, what: string): Promise<void> => {
    if (await order(planId, change)) return;
    const fold = await refresh(planId);
    const task = fold.task(taskId);
    const why = task ? `it is ${task.status}${task.handled ? " and dealt with" : ""}` : "there is no such task";
    throw new SoormaError(
      "PLAN_REFUSED",
      `task ${task ? `"${task.name}"` : taskId} of plan ${planId}, which is ${fold.ending ?? fold.status}, cannot be ${what}: ${why}`,
      { details: { planId, taskId, planStatus: fold.status, ...(task ? { status: task.status } : {}) } },
    );
  };

  return {
    cancelPlan: (planId, reason = "cancelled by a person") => order(planId, { type: "plan.cancelled", reason }),
    pausePlan: (planId, reason) => order(planId, { type: "plan.paused", ...(reason === undefined ? {} : { reason }) }),
    resumePlan: (planId) => order(planId, { type: "plan.resumed" }),

    async answer(planId, value, { taskId, key } = {}) {
      const fold = await refresh(planId);
      const open = fold.openWaits.filter(isInput);
      const meant = open.filter(
        (wait) => (taskId === undefined || wait.taskId === taskId) && (key === undefined || wait.key === key),
      );
      const [only] = meant;
      if (!only) throw nothingWaits(fold, open, taskId, key);
      if (meant.length > 1) {
        throw new SoormaError(
          "PLAN_REFUSED",
          `${meant.length} questions of plan ${planId} wait for an answer: ${named(fold, meant)}`,
          {
            hint: "Say which one is meant, with `taskId` and, if one task asks several, `key`.",
            details: { planId, waits: meant.map((wait) => ({ taskId: wait.taskId, key: wait.key })) },
          },
        );
      }
      const signal: PlanChange = { type: "task.signalled", taskId: only.taskId, key: only.key, value };
      if (await order(planId, signal)) return;
      throw nothingWaits(await refresh(planId), [], only.taskId, only.key);
    },

    reviveTask: (planId, taskId) => orderTask(planId, taskId, { type: "task.revived", taskId }, "tried again"),
    discardDeadLetter: (planId, taskId, reason) =>
      orderTask(
        planId,
        taskId,
        { type: "task.discarded", taskId, ...(reason === undefined ? {} : { reason }) },
        "discarded",
      ),
  };
}

function named(fold: PlanFold, waits: readonly OpenWait[]): string {
  return waits
    .slice(0, 20)
    .map(({ taskId, key, on }) => {
      const prompt = on.kind === "input" ? ` (“${on.prompt.slice(0, 80)}”)` : "";
      return `"${fold.task(taskId)?.name ?? taskId}" with key "${key}"${prompt}`;
    })
    .join(", ");
}

/** What to do when no question of the plan is open. */
function whatInstead(fold: PlanFold, taskId: string | undefined): string {
  const { tasks } = fold.state();
  const answered = tasks.some(
    (task) =>
      (taskId === undefined || task.taskId === taskId) &&
      task.waits?.some(({ on, signalled }) => on.kind === "input" && signalled),
  );
  const before = answered ? "It has been answered already; the first answer stands. " : "";
  return isTerminal(fold.status)
    ? `${before}The plan has ended and takes no answers; \`client.replay("${fold.planId}")\` does it again.`
    : `${before}\`getPlan("${fold.planId}")\` shows in \`tasks[].waits\` what is waited for.`;
}

function nothingWaits(
  fold: PlanFold,
  open: readonly OpenWait[],
  taskId: string | undefined,
  key: string | undefined,
): SoormaError {
  const name = taskId === undefined ? undefined : (fold.task(taskId)?.name ?? taskId);
  const who =
    name === undefined ? `nothing in plan ${fold.planId} waits` : `task "${name}" of plan ${fold.planId} does not wait`;
  const which = key === undefined ? "" : ` with key "${key}"`;
  const late = fold
    .state()
    .tasks.filter((task) => taskId === undefined || task.taskId === taskId)
    .flatMap(({ waits = [] }) => waits)
    .find((wait) => wait.on.kind === "input" && wait.timedOut && (key === undefined || wait.key === key));
  const why = late?.on.kind === "input" ? `: the time to answer “${late.on.prompt.slice(0, 80)}” is over` : "";
  return new SoormaError("PLAN_REFUSED", `${who} for an answer${which}${why}; the plan is ${fold.status}`, {
    hint: open.length > 0 ? `These wait: ${named(fold, open)}.` : whatInstead(fold, taskId),
    details: { planId: fold.planId, status: fold.status },
  });
}
