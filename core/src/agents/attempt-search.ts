import { SoormaError } from "../errors.ts";
import type { MeshNode } from "../mesh/node.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { AttachRequests } from "./attach-requests.ts";
import { fenced } from "./attempt-errors.ts";
import type { Job } from "./dispatch-job.ts";
import type { Held } from "./task-wire.ts";

/** Milliseconds to find out who has an attempt when the log does not say who took it. */
const searchMs = 10_000;

export interface AttemptSearchOptions {
  readonly node: MeshNode;
  readonly attach: AttachRequests;
  /** Called with each agent that says that it has the attempt. */
  readonly found: (job: Job, agent: AgentRecord, held: Held) => void;
}

/** Finds out who has an attempt that an earlier driver began. */
export class AttemptSearch {
  readonly #o: AttemptSearchOptions;

  constructor(options: AttemptSearchOptions) {
    this.#o = options;
  }

  /**
   * Asks the agent that took it or, when the log does not say which, all that it may have been offered to. The job is
   * rejected with `ATTEMPT_LOST` when none of them has it, with `PLAN_FENCED` when another planner was there since.
   */
  begin(job: Job, agentId: string | undefined): void {
    const { node, attach, found } = this.#o;
    const { taskId, attempt, planId, epoch, name } = job.assignment;
    job.state = "sought";
    const known = agentId === undefined ? undefined : node.directory.get(agentId);
    job.asked = this.#candidates(job, agentId, known);
    const nobody = (): void => {
      if (job.state !== "sought") return;
      const asked = agentId ?? `${job.asked.length} agents that were asked`;
      job.reject(
        new SoormaError("ATTEMPT_LOST", `attempt ${attempt} at task "${name}" is not at ${asked} any more`, {
          details: { taskId, attempt },
        }),
      );
    };
    if (job.asked.length === 0) {
      // The caller sees it rejected, like everything else, after it has called.
      node.runtime.defer(nobody);
      return;
    }
    if (known) {
      job.agent = known;
      // The attempt's time runs, even if its agent is too busy to answer.
      job.options.onAssigned(known.agentId, known.name);
    } else {
      job.timer = node.runtime.setTimer(nobody, searchMs);
    }
    let unanswered = job.asked.length;
    for (const agent of job.asked) {
      attach.ask(agent, { taskId, attempt, planId, epoch }, (holding) => {
        if (typeof holding === "object") found(job, agent, holding);
        if (job.state !== "sought") return;
        if (holding === "fenced") job.reject(fenced(job.assignment));
        else if (--unanswered === 0) nobody();
      });
    }
  }

  #candidates({ assignment }: Job, agentId: string | undefined, known: AgentRecord | undefined): AgentRecord[] {
    const { directory } = this.#o.node;
    const { assignedTo } = assignment;
    // An agent that is draining may have it, too.
    const matching = (agent: AgentRecord): boolean =>
      agent.agentId === assignedTo || agent.name === assignedTo || agent.capabilities.includes(assignedTo);
    const candidates = agentId === undefined ? directory.all().filter(matching) : known ? [known] : [];
    return candidates.filter((agent) => directory.isReachable(agent.address));
  }
}
