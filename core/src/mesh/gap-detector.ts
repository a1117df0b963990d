/** Events of one publisher on one channel that this node missed. */
export interface Gap {
  readonly publisher: string;
  readonly channel: string;
  /** First and last sequence number missed. */
  readonly from: number;
  readonly to: number;
}

/** Channels remembered for one publisher; beyond it the oldest is forgotten, so that nobody can fill this memory. */
const maxChannels = 10_000;
/** Publishers remembered that left. One may be back: it was stopped for longer than its lease, or cut off the registry. */
const maxGone = 256;

/**
 * Follows the sequence numbers of each publisher, which count up by one on each channel.
 *
 * A number that is not the next one is a gap, or something that came twice. What came before the first number seen is
 * unknown and no gap.
 */
export class GapDetector {
  readonly #last = new Map<string, Map<string, number>>();
  /** Those of them that left, the longest ago first. */
  readonly #gone = new Set<string>();

  /** Takes in the number of an event; says what is missing before it, or that it was seen already. */
  event(publisher: string, channel: string, sequence: number): Gap | "duplicate" | undefined {
    const channels = this.#of(publisher);
    const last = channels.get(channel);
    if (last !== undefined && sequence <= last) return "duplicate";
    this.#set(channels, channel, sequence);
    if (last === undefined || sequence === last + 1) return undefined;
    return { publisher, channel, from: last + 1, to: sequence - 1 };
  }

  /** Takes in a publisher's word of how far it has counted; says what is missing at the end. */
  announced(publisher: string, channel: string, sequence: number): Gap | undefined {
    const channels = this.#of(publisher);
    const last = channels.get(channel);
    if (last === undefined || sequence > last) this.#set(channels, channel, sequence);
    if (last === undefined || sequence <= last) return undefined;
    return { publisher, channel, from: last + 1, to: sequence };
  }

  /** Forgets a channel that is not subscribed to any more, so that a later subscription starts afresh. */
  forget(matches: (channel: string) => boolean): void {
    for (const channels of this.#last.values()) {
      for (const channel of channels.keys()) if (matches(channel)) channels.delete(channel);
    }
  }

  /** What a publisher counts until it is back was missed; one that never is back is forgotten some time. */
  left(publisher: string): void {
    if (!this.#last.has(publisher)) return;
    this.#gone.delete(publisher);
    this.#gone.add(publisher);
    const [oldest] = this.#gone;
    if (this.#gone.size > maxGone && oldest !== undefined) this.forgetPublisher(oldest);
  }

  forgetPublisher(publisher: string): void {
    this.#last.delete(publisher);
    this.#gone.delete(publisher);
  }

  #of(publisher: string): Map<string, number> {
    this.#gone.delete(publisher);
    let channels = this.#last.get(publisher);
    if (!channels) {
      channels = new Map();
      this.#last.set(publisher, channels);
    }
    return channels;
  }

  #set(channels: Map<string, number>, channel: string, sequence: number): void {
    if (!channels.has(channel) && channels.size >= maxChannels) {
      const oldest = channels.keys().next().value;
      if (oldest !== undefined) channels.delete(oldest);
    }
    channels.set(channel, sequence);
  }
}
