/** Calls of one peer that are remembered. Only a network that doubles or reorders what is sent makes any use of them. */
const rememberedCalls = 1_024;
/** Peers whose calls are remembered; beyond, the one that came first is forgotten. */
const rememberedPeers = 1_024;

/** Knows calls that come a second time: what was refused or done once must not be done later, behind what came after it. */
export class SeenCalls {
  readonly #peers = new Map<string, PeerCalls>();

  /** Whether this is the first time that `peer`, which counts its calls upwards, makes the call. */
  isFirst(peer: string, id: number): boolean {
    let calls = this.#peers.get(peer);
    if (!calls) {
      calls = new PeerCalls();
      this.#peers.set(peer, calls);
      const [oldest] = this.#peers.keys();
      if (this.#peers.size > rememberedPeers && oldest !== undefined) this.#peers.delete(oldest);
    }
    return calls.isFirst(id);
  }
}

class PeerCalls {
  /** Grows as calls come: most peers are processes that make a few and end. */
  readonly #ids: number[] = [];
  #next = 0;
  #highest = 0;

  isFirst(id: number): boolean {
    if (id > this.#highest) this.#highest = id;
    else if (this.#ids.includes(id)) return false;
    this.#ids[this.#next] = id;
    this.#next = (this.#next + 1) % rememberedCalls;
    return true;
  }
}
