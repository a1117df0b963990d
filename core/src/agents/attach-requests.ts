import { isSoormaError } from "../errors.ts";
import type { Logger } from "../log.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { AgentRecord } from "../registry/records.ts";
import { type AttachRequest, type Holding, type ReplyTo, readHoldings, taskMethods } from "./task-wire.ts";

type Asked = AttachRequest["attempts"][number];

interface Question {
  readonly attempt: Asked;
  readonly answered: (holding: Holding) => void;
}

/** Attempts asked for in one call. */
const mostAtOnce = 1_000;
const timeoutMs = 5_000;

export interface AttachOptions {
  readonly node: MeshNode;
  readonly replyTo: () => ReplyTo;
  readonly log: Logger;
}

/**
 * Asks agents what they have of attempts, and has them answer this planner from then on: as few calls as possible, one at
 * a time to each agent.
 */
export class AttachRequests {
  readonly #o: AttachOptions;
  readonly #waiting = new Map<string, Question[]>();
  readonly #asking = new Set<string>();
  #closed = false;

  constructor(options: AttachOptions) {
    this.#o = options;
  }

  /**
   * `answered` is called with what the agent says; `unknown` also when it is gone. An agent that does not answer while its
   * connection lives is busy, and is asked again.
   */
  ask(agent: AgentRecord, attempt: Asked, answered: (holding: Holding) => void): void {
    const waiting = this.#waiting.get(agent.agentId);
    const question = { attempt, answered };
    if (waiting) waiting.push(question);
    else this.#waiting.set(agent.agentId, [question]);
    if (this.#asking.has(agent.agentId)) return;
    this.#asking.add(agent.agentId);
    // Whatever else is to be asked in this turn goes along.
    this.#o.node.runtime.defer(() => void this.#askAll(agent));
  }

  close(): void {
    this.#closed = true;
    this.#waiting.clear();
  }

  async #askAll(agent: AgentRecord): Promise<void> {
    const { agentId } = agent;
    for (;;) {
      const waiting = this.#waiting.get(agentId);
      if (!waiting || this.#closed) break;
      const questions = waiting.splice(0, mostAtOnce);
      if (waiting.length === 0) this.#waiting.delete(agentId);
      const answers = await this.#call(
        agent,
        questions.map(({ attempt }) => attempt),
      );
      if (this.#closed) break;
      for (const [i, { answered }] of questions.entries()) answered(answers[i] ?? "unknown");
    }
    this.#asking.delete(agentId);
  }

  async #call(agent: AgentRecord, attempts: readonly Asked[]): Promise<readonly Holding[]> {
    const { node, log, replyTo } = this.#o;
    for (;;) {
      try {
        const request: AttachRequest = { replyTo: replyTo(), attempts };
        return readHoldings(await node.callAgent(agent, taskMethods.attach, request, { timeoutMs }));
      } catch (error) {
        log.debug("task.attach.failed", { agentId: agent.agentId, attempts: attempts.length, error });
        const { directory } = node;
        const isBusy = directory.has(agent.agentId) && directory.isReachable(agent.address);
        if (this.#closed || !isBusy || !isSoormaError(error, "TIMEOUT")) return [];
      }
    }
  }
}
