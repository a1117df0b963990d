import { freeChanges, type PlanChange, type PlanEntry } from "./log.ts";
import { PlanFold } from "./reducer.ts";

/**
 * What a driver knows to be in its plan's log: enough to fold the plan anew without reading it all again.
 *
 * A driver's fold runs ahead of the log by what it is about to append. When that is refused, the fold is rebuilt from here.
 *
 * Free changes of others may lie between a driver's own without its knowing. It reads them when it is told to; its fold
 * then catches up with them after its own changes, which for free changes makes no difference that matters.
 */
export class PlanHistory {
  readonly planId: string;
  /** In the order in which the fold took them. */
  readonly #taken: { readonly change: PlanChange; readonly timeMs: number }[] = [];
  #version = 0;
  #readUpTo = 0;
  /** Own entries after `readUpTo`: versions from, to, from, to, … */
  #own: number[] = [];
  #skipped = false;

  constructor(planId: string, entries: readonly PlanEntry[] = []) {
    this.planId = planId;
    this.take(entries);
    this.#skipped = false;
  }

  /** Version of the latest entry known to be in the log. */
  get version(): number {
    return this.#version;
  }

  /** Everything up to this version is in the fold. */
  get readUpTo(): number {
    return this.#readUpTo;
  }

  /** Whether there are, or were, entries of others that the fold does not know: steps, perhaps. */
  get skipped(): boolean {
    return this.#skipped;
  }

  /** The driver's own changes were appended; the last of them is at `version`. @returns whether others' lie before them. */
  appended(changes: readonly PlanChange[], version: number, timeMs: number): boolean {
    const from = version - changes.length + 1;
    const hasGap = from > this.#version + 1;
    if (hasGap) this.#skipped = true;
    if (this.#readUpTo + 1 >= from) this.#readUpTo = version;
    else if (this.#own.at(-1) === from - 1) this.#own[this.#own.length - 1] = version;
    else this.#own.push(from, version);
    this.#version = version;
    for (const change of changes) this.#keep(change, timeMs);
    return hasGap;
  }

  /** Of entries read after `readUpTo` those that others made. From now on they count as known. */
  take(entries: readonly PlanEntry[]): PlanEntry[] {
    const foreign: PlanEntry[] = [];
    let at = 0;
    for (const entry of entries) {
      const { version } = entry;
      if (version <= this.#readUpTo) continue;
      while (at < this.#own.length && (this.#own[at + 1] ?? 0) < version) at += 2;
      if (version >= (this.#own[at] ?? Number.POSITIVE_INFINITY)) continue;
      foreign.push(entry);
      this.#keep(entry, entry.timeMs);
    }
    const last = entries.at(-1)?.version ?? 0;
    if (last >= this.#version) {
      this.#version = last;
      this.#readUpTo = last;
      this.#own = [];
    }
    return foreign;
  }

  /** A new fold of what is in the log. */
  rebuild(): PlanFold {
    const fold = new PlanFold(this.planId);
    for (const { change, timeMs } of this.#taken) take(fold, change, timeMs);
    return fold;
  }

  #keep(change: PlanChange, timeMs: number): void {
    // Nothing depends on it, and there may be more of it than of all the rest.
    if (change.type !== "task.progress") this.#taken.push({ change, timeMs });
  }
}

/** Takes in a change that is in the log. @returns whether the fold's state changed. */
export function take(fold: PlanFold, change: PlanChange, timeMs: number): boolean {
  return freeChanges.has(change.type) && fold.version > 0 ? fold.catchUp(change, timeMs) : fold.propose(change, timeMs);
}
