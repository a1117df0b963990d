import type { AgentHandle, Client } from "@soorma/core";
import { isSoormaError } from "@soorma/core/errors";
import { printAnswer } from "../ui/answer.ts";
import { CommandError } from "../ui/errors.ts";
import { readJsonArgument } from "../ui/json-source.ts";
import { listOf, suggest } from "../ui/suggest.ts";
import { connect } from "./connect.ts";
import { oneShot } from "./one-shot.ts";
import { withType } from "./payload.ts";

interface CallOptions {
  readonly timeout?: number;
  readonly json?: boolean;
}

const defaultTimeoutSeconds = 30;

export const runCall = oneShot(async ({ args: [to = "", operation = "", data = "{}"], options, io }) => {
  const { timeout = defaultTimeoutSeconds, json = false } = options as CallOptions;
  const parsed = await readJsonArgument(data, "the operation's data", io);
  await using client = await connect(io);
  const agent = chooseAgent(await client.registry.query({}), to, operation);
  const startedMs = performance.now();
  let result: unknown;
  try {
    result = await agent.invoke(operation, parsed, { timeoutMs: timeout * 1000, signal: io.signal });
  } catch (error) {
    throw await explained(error, agent, operation, client);
  }
  if (!json) {
    printAnswer(result, io);
    return undefined;
  }
  const { agentId, name } = agent;
  const tookMs = Math.round(performance.now() - startedMs);
  io.out(JSON.stringify({ agent: name, agentId, operation, result: result ?? null, tookMs }));
  return undefined;
});

/** One of the agents that are meant by a capability, a name or an id, and have the operation. */
function chooseAgent(all: readonly AgentHandle[], to: string, operation: string): AgentHandle {
  const meant = all.filter(
    ({ agentId, name, capabilities, record }) =>
      record.kind !== "client" && (capabilities.includes(to) || name === to || agentId === to),
  );
  if (meant.length === 0) throw unknownAgent(all, to);
  const able = meant.filter(({ record }) => record.operations.some(({ name }) => name === operation));
  const ready = able.filter(({ record }) => record.ready);
  const chosen = ready[Math.floor(Math.random() * ready.length)];
  if (chosen) return chosen;
  if (able.length > 0) {
    throw new CommandError("NO_RESPONDER", `no instance of ${listOf(able.map(({ name }) => name))} is ready`, {
      hint: "it is starting or stopping: try again in a moment",
    });
  }
  throw unknownOperation(meant, to, operation);
}

function unknownAgent(all: readonly AgentHandle[], to: string): CommandError {
  const callable = all.filter(({ record }) => record.operations.length > 0);
  const known = callable.flatMap(({ name, capabilities }) => [...capabilities, name]);
  return new CommandError("NO_RESPONDER", `no agent that runs has the capability or the name "${to}"`, {
    hint: suggest(
      to,
      known,
      callable.length > 0
        ? `these can be called: ${listOf(callable.map(({ name }) => name))}`
        : "no agent that runs can be called; `soorma agents` lists them all",
    ),
  });
}

function unknownOperation(meant: readonly AgentHandle[], to: string, operation: string): CommandError {
  const names = listOf(meant.map(({ name }) => name));
  const operations = meant.flatMap(({ record }) => record.operations.map(({ name }) => name));
  const isTask = meant.some(({ record }) => record.tasks.some(({ name }) => name === operation));
  const otherwise =
    operations.length > 0
      ? `it has: ${listOf(operations)}`
      : `${names} has none; \`soorma agents show ${to}\` says what it does`;
  return new CommandError("NO_RESPONDER", `${names} has no operation "${operation}"`, {
    hint: isTask
      ? `${operation} is a task: a planner's plan asks for it, and \`soorma goal\` for the plan`
      : suggest(operation, operations, otherwise),
  });
}

async function explained(error: unknown, agent: AgentHandle, operation: string, client: Client): Promise<unknown> {
  if (isSoormaError(error, "HANDLER_FAILED")) {
    return new CommandError(error.code, `${agent.name} failed at "${operation}": ${error.message}`, {
      hint: `\`soorma logs ${agent.name}\` shows what it wrote`,
      cause: error,
      details: error.details,
    });
  }
  const input = agent.record.operations.find(({ name }) => name === operation)?.input;
  return await withType(error, client, operation, input);
}
