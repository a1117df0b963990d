import type { Client } from "@soorma/core";
import { colorsForStdout } from "../../ui/colors.ts";
import { CommandError, UsageError } from "../../ui/errors.ts";
import { listOf, suggest } from "../../ui/suggest.ts";
import { table } from "../../ui/table.ts";
import { oneLine } from "../../ui/text.ts";
import { formatDuration } from "../../ui/time.ts";
import { connect } from "../connect.ts";
import { oneShot } from "../one-shot.ts";
import type { RunCommand } from "../spec.ts";
import { findPlanId } from "./find.ts";
import { type FollowOptions, tell } from "./replay.ts";

interface DeadOptions {
  readonly goal?: string;
  readonly since?: number;
  readonly limit?: number;
  readonly json?: boolean;
}

const defaultLimit = 20;

export const runDead = oneShot(async ({ options, io }) => {
  const { goal, since, limit = defaultLimit, json = false } = options as DeadOptions;
  await using client = await connect(io);
  const letters = await client.tracker.deadLetters({
    limit,
    ...(goal === undefined ? {} : { goalType: goal }),
    ...(since === undefined ? {} : { sinceMs: since }),
  });
  if (json) {
    io.out(JSON.stringify(letters));
    return undefined;
  }
  if (letters.length === 0) {
    io.err("no dead letters");
    return undefined;
  }
  const colors = colorsForStdout(io);
  const now = Date.now();
  const rows = letters.map(({ planId, name, goalType, attempt, failure, failedAtMs }) => [
    planId,
    oneLine(name),
    oneLine(goalType),
    colors.dim(`${formatDuration(now - failedAtMs)} ago, attempt ${attempt}`),
    colors.red(oneLine(`${failure.code}: ${failure.message}`)),
  ]);
  const shown = [
    { title: "PLAN" },
    { title: "TASK", least: 6 },
    { title: "GOAL", least: 6, rank: 2 },
    { title: "FAILED", rank: 1 },
    { title: "WHY", least: 12 },
  ];
  for (const line of table(shown, rows, { width: io.stdoutColumns ?? Number.POSITIVE_INFINITY, colors })) io.out(line);
  return undefined;
});

export const runRetry: RunCommand = async ({ args: [given, name], options, io }) => {
  await using client = await connect(io);
  const planId = await findPlanId(client, given);
  const dead = await deadOf(client, planId, name);
  const [only] = dead;
  if (!only || dead.length > 1) {
    throw new UsageError(
      `plan ${planId} has ${dead.length} dead letters: ${listOf(dead.map((letter) => letter.name))}`,
      `say which one: soorma plans retry ${planId} ${only ? oneLine(only.name) : "<task>"}`,
    );
  }
  await tell(await client.retryDeadLetter(planId, only.taskId), options as FollowOptions, io);
  return undefined;
};

export const runDiscard: RunCommand = async ({ args: [given, name], options, io }) => {
  const { reason, json = false } = options as { readonly reason?: string; readonly json?: boolean };
  await using client = await connect(io);
  const planId = await findPlanId(client, given);
  const dead = await deadOf(client, planId, name);
  for (const { taskId } of dead) await client.tracker.discardDeadLetter(planId, taskId, reason);
  const names = dead.map((letter) => letter.name);
  io.out(
    json
      ? JSON.stringify({ planId, discarded: names })
      : `discarded ${names.map(oneLine).join(", ")} of plan ${planId}`,
  );
  return undefined;
};

type DeadLetters = Awaited<ReturnType<Client["tracker"]["deadLetters"]>>;

/** The dead letters of a plan, or the one of them that is meant. */
async function deadOf(client: Client, planId: string, name: string | undefined): Promise<DeadLetters> {
  const all = await client.tracker.deadLetters({ planId, limit: Number.POSITIVE_INFINITY });
  const found = name === undefined ? all : all.filter((letter) => letter.name === name || letter.taskId === name);
  if (found.length > 0) return found;
  const names = all.map((letter) => letter.name);
  const otherwise = names.length > 0 ? `its dead letters are: ${listOf(names)}` : "`soorma plans dead` lists them all";
  throw new CommandError(
    "PLAN_INVALID",
    name === undefined ? `plan ${planId} has no dead letters` : `task "${name}" of plan ${planId} is no dead letter`,
    { hint: name === undefined ? otherwise : suggest(name, names, otherwise) },
  );
}
