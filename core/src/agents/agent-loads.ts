import type { Balance } from "../mesh/balance.ts";
import type { AgentRecord } from "../registry/records.ts";
import type { Job } from "./dispatch-job.ts";

interface Load {
  readonly jobs: Set<Job>;
  /** Jobs less those that only wait. */
  active: number;
}

/** What a planner has given to each agent. Also counts for the node's choice of agents. */
export class AgentLoads {
  readonly #balance: Balance;
  readonly #loads = new Map<string, Load>();

  constructor(balance: Balance) {
    this.#balance = balance;
  }

  /** Jobs an agent works at. */
  at(agentId: string): number {
    return this.#loads.get(agentId)?.active ?? 0;
  }

  jobsAt(agentId: string): Job[] {
    return [...(this.#loads.get(agentId)?.jobs ?? [])];
  }

  agents(): IterableIterator<string> {
    return this.#loads.keys();
  }

  add({ agentId }: AgentRecord, job: Job): void {
    let load = this.#loads.get(agentId);
    if (!load) {
      load = { jobs: new Set(), active: 0 };
      this.#loads.set(agentId, load);
    }
    load.jobs.add(job);
    load.active++;
    this.#balance.enter(agentId);
  }

  /** Of a job that its agent has. */
  setSuspended(job: Job, suspended: boolean): void {
    const agentId = job.agent?.agentId ?? "";
    const load = this.#loads.get(agentId);
    if (!load?.jobs.has(job)) return;
    load.active += suspended ? -1 : 1;
    if (suspended) this.#balance.leave(agentId);
    else this.#balance.enter(agentId);
  }

  delete(job: Job): void {
    const agentId = job.agent?.agentId ?? "";
    const load = this.#loads.get(agentId);
    if (!load?.jobs.delete(job)) return;
    if (!job.isSuspended) {
      load.active--;
      this.#balance.leave(agentId);
    }
    if (load.jobs.size === 0) this.#loads.delete(agentId);
  }
}
