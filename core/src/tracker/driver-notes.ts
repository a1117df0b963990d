import type { Runtime } from "../runtime.ts";

/** What a driver is told: these plans were changed by somebody else, and are at these versions. */
export interface DriverNote {
  readonly driver: string;
  /** Of the state node's life: numbers begin anew with it. */
  readonly session: string;
  /** Numbers of the changes: from the one after `after` up to `upTo`. */
  readonly after: number;
  readonly upTo: number;
  readonly plans: readonly (readonly [planId: string, version: number])[];
}

/** What a driver has of its notes. */
export interface Heard {
  readonly session: string;
  readonly upTo: number;
}

interface Pending {
  readonly tenant: string;
  readonly driver: string;
  /** Latest change of each plan, in the order of their numbers. */
  readonly plans: Map<string, { readonly number: number; readonly version: number }>;
  last: number;
  heard: number;
  sent: number;
  touchedAtMs: number;
  isScheduled: boolean;
}

export interface DriverNotesOptions {
  readonly runtime: Runtime;
  readonly session: string;
  /** Sends to wherever the driver is, if that is known. A lost note is sent again with the next renewal. */
  readonly send: (tenant: string, note: DriverNote) => void;
}

const mostPlansInNote = 2_000;
/** Drivers that never come back are forgotten after this. */
const rememberMs = 600_000;

/**
 * Tells drivers of changes that others made, until they say that they heard of them.
 *
 * What happens in one turn goes in one note. A driver without an address is told when it next renews its lease.
 */
export class DriverNotes {
  readonly #options: DriverNotesOptions;
  readonly #pending = new Map<string, Pending>();
  /** Of all drivers together: one that was forgotten and is back has no number twice. */
  #last = 0;

  constructor(options: DriverNotesOptions) {
    this.#options = options;
  }

  add(tenant: string, driver: string, planId: string, version: number): void {
    const pending = this.#of(tenant, driver);
    pending.plans.delete(planId);
    pending.last = ++this.#last;
    pending.plans.set(planId, { number: pending.last, version });
    this.#sendSoon(pending);
  }

  /** The driver is there, and has heard so much: the rest is sent (again). */
  heard(tenant: string, driver: string, heard: Heard | undefined): void {
    const pending = this.#of(tenant, driver);
    if (heard?.session === this.#options.session) pending.heard = Math.min(pending.last, heard.upTo);
    for (const [planId, { number }] of pending.plans) {
      if (number > pending.heard) break;
      pending.plans.delete(planId);
    }
    pending.touchedAtMs = this.#options.runtime.monotonic();
    pending.sent = pending.heard;
    if (pending.plans.size > 0) this.#sendSoon(pending);
    for (const [key, other] of this.#pending) {
      if (other.touchedAtMs + rememberMs < pending.touchedAtMs) this.#pending.delete(key);
    }
  }

  /** Whether it was heard of, or has notes, lately. */
  knows(tenant: string, driver: string): boolean {
    return this.#pending.has(JSON.stringify([tenant, driver]));
  }

  forget(tenant: string, driver: string): void {
    this.#pending.delete(JSON.stringify([tenant, driver]));
  }

  #of(tenant: string, driver: string): Pending {
    const key = JSON.stringify([tenant, driver]);
    let pending = this.#pending.get(key);
    if (!pending) {
      const touchedAtMs = this.#options.runtime.monotonic();
      pending = { tenant, driver, plans: new Map(), last: 0, heard: 0, sent: 0, touchedAtMs, isScheduled: false };
      this.#pending.set(key, pending);
    }
    return pending;
  }

  #sendSoon(pending: Pending): void {
    if (pending.isScheduled) return;
    pending.isScheduled = true;
    this.#options.runtime.defer(() => {
      pending.isScheduled = false;
      this.#send(pending);
    });
  }

  #send(pending: Pending): void {
    const { session, send } = this.#options;
    const { tenant, driver } = pending;
    let plans: (readonly [string, number])[] = [];
    const flush = (upTo: number): void => {
      if (plans.length > 0) send(tenant, { driver, session, after: pending.sent, upTo, plans });
      pending.sent = upTo;
      plans = [];
    };
    for (const [planId, { number, version }] of pending.plans) {
      if (number <= pending.sent) continue;
      plans.push([planId, version]);
      if (plans.length >= mostPlansInNote) flush(number);
    }
    flush(pending.last);
  }
}
