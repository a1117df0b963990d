import type { AgentRecord } from "../registry/records.ts";
import type { Runtime } from "../runtime.ts";

/**
 * Chooses instances: the less busy of two picked at random, by what this node has outstanding with each.
 *
 * @see https://www.eecs.harvard.edu/~michaelm/postscripts/tpds2001.pdf (the power of two choices)
 */
export class Balance {
  readonly #outstanding = new Map<string, number>();
  readonly #runtime: Runtime;

  constructor(runtime: Runtime) {
    this.#runtime = runtime;
  }

  outstanding(agentId: string): number {
    return this.#outstanding.get(agentId) ?? 0;
  }

  /** One of the candidates; `undefined` when there is none. */
  pick(candidates: readonly AgentRecord[]): AgentRecord | undefined {
    if (candidates.length <= 1) return candidates[0];
    const first = Math.floor(this.#runtime.random() * candidates.length);
    const second = (first + 1 + Math.floor(this.#runtime.random() * (candidates.length - 1))) % candidates.length;
    const [a, b] = [candidates[first], candidates[second]];
    if (!a || !b) return a ?? b;
    return this.outstanding(b.agentId) < this.outstanding(a.agentId) ? b : a;
  }

  /** Counts something as outstanding until {@link Balance.leave}. */
  enter(agentId: string): void {
    this.#outstanding.set(agentId, this.outstanding(agentId) + 1);
  }

  leave(agentId: string): void {
    const left = this.outstanding(agentId) - 1;
    if (left > 0) this.#outstanding.set(agentId, left);
    else this.#outstanding.delete(agentId);
  }

  /** Counts something as outstanding until disposed; disposing again does nothing. */
  begin(agentId: string): Disposable {
    this.enter(agentId);
    let ended = false;
    return {
      [Symbol.dispose]: () => {
        if (ended) return;
        ended = true;
        this.leave(agentId);
      },
    };
  }
}
