/** How long writes take lately: whether they may be made on the thread that reads messages. */
export class Pace {
  readonly #fastMs: number;
  #ms = 0;

  /** `fastMs`: milliseconds a write on this thread may take, on average. */
  constructor(fastMs: number) {
    this.#fastMs = fastMs;
  }

  get isFast(): boolean {
    return this.#ms < this.#fastMs;
  }

  took(ms: number): void {
    // One hiccup of a fast disk is forgotten after a few writes.
    this.#ms += (Math.min(ms, 4 * this.#fastMs) - this.#ms) / 4;
  }
}
