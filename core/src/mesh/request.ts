import { isSoormaError, SoormaError } from "../errors.ts";
import { namePart } from "../events/codec.ts";
import { type Envelope, packEnvelope } from "../events/envelope.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { MeshNode } from "./node.ts";
import { defaultCallTimeoutMs } from "./peer-rpc.ts";
import type { CallOptions } from "./rpc.ts";

const nobody: ReadonlySet<string> = new Set();

export interface Request {
  readonly method: string;
  readonly envelope: Envelope;
  /** Who may answer, as of now. */
  readonly candidates: () => readonly AgentRecord[];
}

/**
 * Sends a request to one of its candidates, waiting until there is one, and resolves with its answer. An agent that is
 * lost or overloaded is replaced by another until the deadline.
 *
 * @throws {SoormaError} `TIMEOUT` or `NO_RESPONDER` naming the deadline; what the handler failed with.
 */
export async function requestOneOf(
  node: Pick<MeshNode, "runtime" | "balance" | "isClosing" | "until" | "callAgent">,
  { method, envelope, candidates }: Request,
  options: CallOptions = {},
): Promise<unknown> {
  const { timeoutMs = defaultCallTimeoutMs, signal } = options;
  const packed = packEnvelope(envelope);
  const deadline = node.runtime.monotonic() + timeoutMs;
  let failed: ReadonlySet<string> = nobody;
  let last: unknown;
  for (;;) {
    const left = deadline - node.runtime.monotonic();
    const usable = failed.size === 0 ? candidates() : candidates().filter((agent) => !failed.has(agent.agentId));
    const agent = node.balance.pick(usable);
    if (!agent) {
      const more =
        left > 0 &&
        (await node.until(
          () => candidates().some((a) => !failed.has(a.agentId)),
          Math.min(left, failed.size > 0 ? 50 : left),
          signal,
        ));
      if (more) continue;
      if (node.isClosing) throw stopped(envelope.type);
      if (node.runtime.monotonic() < deadline) {
        // Everybody failed once; they may be back.
        failed = nobody;
        continue;
      }
      throw unanswered(envelope.type, timeoutMs, last);
    }
    if (left <= 0) throw unanswered(envelope.type, timeoutMs, last);
    node.balance.enter(agent.agentId);
    try {
      return await node.callAgent(agent, method, packed, {
        timeoutMs: Math.max(1, left),
        ...(signal ? { signal } : {}),
      });
    } catch (error) {
      if (isSoormaError(error, "TIMEOUT") && node.runtime.monotonic() >= deadline - 1) {
        throw new SoormaError(
          "TIMEOUT",
          `request "${envelope.type}" got no answer from ${agent.name} in ${timeoutMs} ms`,
          {
            cause: error,
            details: { type: envelope.type, timeoutMs, agentId: agent.agentId },
          },
        );
      }
      const elsewhere =
        isSoormaError(error, "PEER_UNREACHABLE") ||
        isSoormaError(error, "OVERLOADED") ||
        isSoormaError(error, "NO_RESPONDER") ||
        isSoormaError(error, "NODE_STOPPED");
      if (!elsewhere || node.isClosing) throw namePart(error, envelope.data, "data", `"${envelope.type}"`);
      last = error;
      failed = new Set([...failed, agent.agentId]);
    } finally {
      node.balance.leave(agent.agentId);
    }
  }
}

function stopped(what: string): SoormaError {
  return new SoormaError("NODE_STOPPED", `"${what}" cannot be called: this node has stopped`);
}

function unanswered(type: string, timeoutMs: number, last: unknown): SoormaError {
  return new SoormaError("NO_RESPONDER", `nobody in the mesh answered "${type}" within ${timeoutMs} ms`, {
    ...(last === undefined ? {} : { cause: last }),
    details: { type, timeoutMs },
    hint: "Check with `soorma dev --status` that an agent with that operation or capability runs.",
  });
}
