import type { PlanState, TaskState } from "@soorma/core";
import { createAsker } from "../../ui/ask.ts";
import { CommandError, UsageError } from "../../ui/errors.ts";
import { openWaits } from "../../ui/plan-graph.ts";
import { listOf, suggest } from "../../ui/suggest.ts";
import { oneLine } from "../../ui/text.ts";
import { connect } from "../connect.ts";
import type { RunCommand } from "../spec.ts";
import { findPlanId } from "./find.ts";

interface AnswerOptions {
  readonly task?: string;
  readonly key?: string;
  readonly text?: boolean;
  readonly json?: boolean;
}

/** A question that waits for a person. */
interface Question {
  readonly task: TaskState;
  readonly key: string;
  readonly prompt: string;
}

export const runAnswer: RunCommand = async ({ args: [given, answer], options, io }) => {
  const { task: name, key: wanted, text = false, json = false } = options as AnswerOptions;
  await using client = await connect(io);
  const planId = await findPlanId(client, given);
  const { task, key, prompt: asked } = choose(await client.tracker.getPlan(planId), name, wanted);
  const prompt = oneLine(asked);
  const title = oneLine(task.name);
  if (answer === undefined && !io.interactive) {
    throw new UsageError(`an answer is needed: “${prompt}”`, `soorma plans answer ${planId} '<JSON or text>'`);
  }
  const said =
    answer ??
    (await createAsker(io, `${title} of ${planId}`, "Cancelled: nothing was answered.").text({ message: prompt }));
  const value = text ? said : parseLoosely(said);
  await client.tracker.answer(planId, value, { taskId: task.taskId, key });
  io.out(json ? JSON.stringify({ planId, task: task.name, answer: value }) : `answered “${prompt}” of ${title}`);
  return undefined;
};

function choose(plan: PlanState, name: string | undefined, wanted: string | undefined): Question {
  const open = plan.tasks.flatMap((task) =>
    openWaits(task, Date.now()).flatMap(({ key, on }): Question[] =>
      on.kind === "input" ? [{ task, key, prompt: on.prompt }] : [],
    ),
  );
  const asked = name === undefined ? open : open.filter(({ task }) => task.name === name || task.taskId === name);
  const matching = wanted === undefined ? asked : asked.filter(({ key }) => key === wanted);
  const [only] = matching;
  if (only && matching.length === 1) return only;
  const names = [...new Set(open.map(({ task }) => task.name))];
  if (only) {
    const isOneTask = matching.every(({ task }) => task === only.task);
    const which = matching.map(({ task, key, prompt }) => `“${prompt}” ${isOneTask ? `(${key})` : `of ${task.name}`}`);
    throw new UsageError(
      `${matching.length} questions of plan ${plan.planId} wait for an answer: ${oneLine(which.join(", "))}`,
      isOneTask
        ? `say which one with --key, such as --key '${oneLine(only.key)}'`
        : `say which task's with --task, such as --task '${oneLine(only.task.name)}'`,
    );
  }
  if (asked.length > 0) {
    const keys = asked.map(({ key }) => key);
    throw new CommandError("PLAN_INVALID", `no question "${wanted}" of plan ${plan.planId} waits for an answer`, {
      hint: suggest(wanted ?? "", keys, `these wait: ${listOf(keys)}`),
    });
  }
  const otherwise = names.length > 0 ? `these wait: ${listOf(names)}` : `\`soorma plans show ${plan.planId}\` draws it`;
  throw new CommandError(
    "PLAN_INVALID",
    name === undefined
      ? `no task of plan ${plan.planId} waits for an answer (the plan is ${plan.status})`
      : `task "${name}" of plan ${plan.planId} does not wait for an answer`,
    { hint: name === undefined ? otherwise : suggest(name, names, otherwise) },
  );
}

/** JSON if it is JSON, else the text a person typed. */
function parseLoosely(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}
