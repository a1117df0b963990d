import type { GoalRun } from "@soorma/core";
import { printAnswer } from "../../ui/answer.ts";
import { Interrupted } from "../../ui/errors.ts";
import type { Io } from "../../ui/io.ts";
import { connect } from "../connect.ts";
import type { RunCommand } from "../spec.ts";
import { findPlanId } from "./find.ts";

interface ReplayOptions extends FollowOptions {
  readonly from?: string;
}

export interface FollowOptions {
  readonly wait?: boolean;
  readonly timeout?: number;
  readonly json?: boolean;
}

const defaultTimeoutSeconds = 300;

export const runReplay: RunCommand = async ({ args: [given], options, io }) => {
  const { from, ...follow } = options as ReplayOptions;
  await using client = await connect(io);
  const planId = await findPlanId(client, given);
  const run = await client.replay(planId, from === undefined ? {} : { from });
  await tell(run, follow, io);
  return undefined;
};

/** Says which plan it is now, or waits for its answer. */
export async function tell(
  run: GoalRun,
  { wait = false, timeout = defaultTimeoutSeconds, json = false }: FollowOptions,
  io: Io,
): Promise<void> {
  const { planId, goalId } = run;
  if (!wait) {
    io.out(
      json ? JSON.stringify({ planId, goalId }) : `runs as plan ${planId}; \`soorma plans watch ${planId}\` follows it`,
    );
    return;
  }
  try {
    const result = await run.result({ signal: io.signal, timeoutMs: timeout * 1000 });
    if (json) io.out(JSON.stringify({ planId, goalId, result }));
    else printAnswer(result, io);
  } catch (error) {
    if (io.signal.aborted) throw new Interrupted(`interrupted; plan ${planId} goes on`);
    throw error;
  }
}
