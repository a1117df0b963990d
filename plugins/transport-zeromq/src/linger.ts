/** Milliseconds. Where the next message comes later than the longest, looking for it would only cost. */
export const shortestMs = 0.2;
export const longestMs = 2;
/** Milliseconds between two looks, with nothing done in between: others had work for the processor. */
export const contendedMs = 0.2;

/**
 * How long to go on looking for messages after the last one. It saves the two thread switches of a doorbell (to the reactor's worker,
 * and from there to the main thread), and costs processor time that nobody else wants.
 *
 * It grows when a doorbell rings for a message that looking would have met, and shrinks when one rings later, or when others
 * have work: so messages that answer each other are met, and a process that hears of something now and then sleeps.
 */
export class Linger {
  #ms = shortestMs;
  #lastWork = Number.NEGATIVE_INFINITY;
  /** When there was nothing, while it lingered. */
  #lookedAt: number | undefined;

  /** How long it lingers now. */
  get ms(): number {
    return this.#ms;
  }

  /** The doorbell rang at `now`, monotonic milliseconds. */
  rang(now: number): void {
    const inTime = now - this.#lastWork < longestMs;
    this.#ms = inTime ? Math.min(longestMs, this.#ms * 2) : Math.max(shortestMs, this.#ms / 2);
  }

  /** Messages `moved` at `now`, or there were none. Returns whether to go on looking. */
  looked(now: number, moved: boolean): boolean {
    if (moved) this.#lastWork = now;
    else if (this.#lookedAt !== undefined && now - this.#lookedAt > contendedMs) this.#ms = shortestMs;
    const lingers = now - this.#lastWork < this.#ms;
    this.#lookedAt = lingers && !moved ? now : undefined;
    return lingers;
  }
}
