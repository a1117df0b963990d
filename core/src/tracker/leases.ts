import type { Address } from "../plugin/transport.ts";
import type { Runtime } from "../runtime.ts";

/** After a start everybody who drove plans before counts as alive for this long, or for their lease if that is shorter. */
const graceMs = 1_500;

/** Where the holder of a lease is. */
export interface Holder {
  /** Where to send it notes. */
  readonly address: Address;
  /** Its node's listening address, by which the transport tells of its life; undefined if that is not known yet. */
  readonly home: Address | undefined;
  readonly nodeId: string;
}

interface Held {
  readonly planner: string;
  expiresAtMs: number;
  holder: Holder | undefined;
  link: Disposable | undefined;
}

export interface LeasesOptions {
  readonly runtime: Runtime;
  /** Keeps a connection, so that {@link Leases.peerDown} is called when it breaks. */
  readonly link: (home: Address) => Disposable;
  /** Who drove plans when the store was last open. */
  readonly known: Iterable<{ readonly tenant: string; readonly planner: string; readonly driver: string }>;
}

/**
 * Which drivers are alive. In memory only: that two drivers never both change a plan is the epochs' business.
 *
 * Nothing happens when a lease ends; others find its plans claimable when they next ask.
 */
export class Leases {
  readonly #options: LeasesOptions;
  readonly #held = new Map<string, Held>();
  /** Drivers of before the start that were not heard of yet. */
  readonly #known: Set<string>;
  /** By tenant and planner: the shortest lease anybody asked for, if below {@link graceMs}. */
  readonly #grace = new Map<string, number>();
  readonly #startedAtMs: number;

  constructor(options: LeasesOptions) {
    this.#options = options;
    this.#startedAtMs = options.runtime.monotonic();
    this.#known = new Set(Array.from(options.known, ({ tenant, driver }) => keyOf(tenant, driver)));
  }

  /** @returns whether the driver had no lease before. */
  renew(tenant: string, planner: string, driver: string, leaseMs: number, holder?: Holder): boolean {
    const key = keyOf(tenant, driver);
    const now = this.#options.runtime.monotonic();
    const plannerKey = keyOf(tenant, planner);
    this.#grace.set(plannerKey, Math.min(this.#grace.get(plannerKey) ?? graceMs, leaseMs));
    this.#known.delete(key);
    const known = this.#held.get(key);
    const isNew = !known || known.expiresAtMs <= now;
    const held: Held = known ?? { planner, expiresAtMs: 0, holder: undefined, link: undefined };
    held.expiresAtMs = now + leaseMs;
    if (holder && (!held.link || held.holder?.home !== holder.home)) {
      held.link?.[Symbol.dispose]();
      held.link = holder.home === undefined ? undefined : this.#options.link(holder.home);
    }
    held.holder = holder;
    this.#held.set(key, held);
    this.#forgetExpired(now);
    return isNew;
  }

  /** @returns false if another node holds the lease: only that can give it back. */
  release(tenant: string, driver: string, nodeId?: string): boolean {
    const key = keyOf(tenant, driver);
    const held = this.#held.get(key);
    if (held?.holder && nodeId !== undefined && held.holder.nodeId !== nodeId) return false;
    this.#known.delete(key);
    this.#end(key);
    return true;
  }

  isLive(tenant: string, planner: string, driver: string): boolean {
    const key = keyOf(tenant, driver);
    const now = this.#options.runtime.monotonic();
    const held = this.#held.get(key);
    if (held) return held.expiresAtMs > now;
    const grace = this.#grace.get(keyOf(tenant, planner)) ?? graceMs;
    return this.#known.has(key) && now - this.#startedAtMs < grace;
  }

  /** Where the driver is, while its lease lasts. */
  addressOf(tenant: string, driver: string): Address | undefined {
    const held = this.#held.get(keyOf(tenant, driver));
    return held && held.expiresAtMs > this.#options.runtime.monotonic() ? held.holder?.address : undefined;
  }

  /** The connection to a node broke: its drivers' leases end now. They are renewed when the node is there again. */
  peerDown(home: Address): void {
    const now = this.#options.runtime.monotonic();
    for (const held of this.#held.values()) {
      if (held.holder?.home === home) held.expiresAtMs = Math.min(held.expiresAtMs, now);
    }
  }

  close(): void {
    for (const key of [...this.#held.keys()]) this.#end(key);
  }

  #forgetExpired(now: number): void {
    // A stopped process may go on: its lease is over, but it is known for a while.
    for (const [key, held] of this.#held) if (held.expiresAtMs + 60_000 < now) this.#end(key);
  }

  #end(key: string): void {
    this.#held.get(key)?.link?.[Symbol.dispose]();
    this.#held.delete(key);
  }
}

function keyOf(tenant: string, name: string): string {
  return JSON.stringify([tenant, name]);
}
