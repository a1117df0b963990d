import { type DirectoryChange, type Logger, type RpcPeer, type Runtime, SoormaError, type Timer } from "@soorma/core";
import { type ChangeNote, registryMethods, type WatchAnswer } from "@soorma/core/registry";
import type { BrokerClient } from "./client.ts";

export interface BrokerWatchOptions {
  readonly client: BrokerClient;
  readonly runtime: Runtime;
  readonly log: Logger;
  readonly watchId: string;
  readonly listener: (change: DirectoryChange) => void;
  /** How often it makes sure that it missed nothing. */
  readonly checkMs: number;
}

/**
 * One watch, kept alive over the broker's absence.
 *
 * The broker numbers what it sends, so a note that does not follow on the last one shows that something is missing; and
 * it is asked now and then, because a lost last note shows in nothing. Either way a new snapshot puts things right.
 */
export class BrokerWatch {
  readonly #options: BrokerWatchOptions;
  #revision = 0;
  #epoch: string | undefined;
  #nodeId = "";
  /** Notes that came while the broker's answer is still on its way: they may follow on it. */
  #early: { readonly note: ChangeNote; readonly peer: RpcPeer }[] | undefined;
  #syncing = false;
  #again: "check" | "snapshot" | undefined;
  #timer: Timer | undefined;
  #outage = false;
  #closed = false;

  constructor(options: BrokerWatchOptions) {
    this.#options = options;
  }

  get revision(): number {
    return this.#revision;
  }

  /** Delivers the first snapshot. @throws {SoormaError} `REGISTRY_UNAVAILABLE` */
  async start(): Promise<void> {
    await this.#run("snapshot");
    this.#schedule();
  }

  /** Makes sure nothing is missing: the broker came back. */
  check(): void {
    this.#request("check");
  }

  onNote(note: ChangeNote, peer: RpcPeer): void {
    if (this.#early) this.#early.push({ note, peer });
    else this.#take(note, peer);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#timer?.cancel();
    await this.#options.client.tell(registryMethods.unwatch, { watchId: this.#options.watchId });
  }

  #take(note: ChangeNote, peer: RpcPeer): void {
    // Somebody else's note; a transport that cannot tell who sends names nobody.
    if (this.#closed || (peer.nodeId !== "" && peer.nodeId !== this.#nodeId)) return;
    if (note.epoch !== this.#epoch) {
      this.#request("check");
      return;
    }
    const [first] = note.changes;
    const last = note.changes.at(-1);
    if (!first || !last) return;
    if (first.kind !== "snapshot" && note.after !== this.#revision) {
      // What it has already came twice, by a snapshot that was quicker.
      if (last.revision <= this.#revision) return;
      this.#options.log.info("watch.gap", { has: this.#revision, needs: note.after });
      this.#request("snapshot");
      return;
    }
    for (const change of note.changes) this.#deliver(change);
  }

  #deliver(change: DirectoryChange): void {
    if (this.#closed) return;
    this.#revision = change.revision;
    try {
      this.#options.listener(change);
    } catch (error) {
      this.#options.log.error("listener.failed", { change: change.kind, revision: change.revision, error });
    }
  }

  #request(what: "check" | "snapshot"): void {
    if (this.#closed) return;
    if (this.#syncing) {
      if (this.#again !== "snapshot") this.#again = what;
      return;
    }
    this.#run(what).catch((error) => {
      if (this.#closed) return;
      // The timer, or the broker's return, asks again.
      if (!this.#outage) this.#options.log.warn("watch.interrupted", { error });
      this.#outage = true;
    });
  }

  async #run(what: "check" | "snapshot"): Promise<void> {
    this.#syncing = true;
    let next: "check" | "snapshot" | undefined = what;
    try {
      while (next && !this.#closed) {
        this.#again = undefined;
        await this.#sync(next);
        next = this.#again;
      }
    } finally {
      this.#syncing = false;
      this.#again = undefined;
    }
  }

  async #sync(what: "check" | "snapshot"): Promise<void> {
    const { client, watchId, log } = this.#options;
    const epoch = what === "check" ? this.#epoch : undefined;
    this.#early = [];
    try {
      const answer = parseAnswer(
        await client.call(registryMethods.watch, { watchId, ...(epoch === undefined ? {} : { epoch }) }),
        client.address,
      );
      if (this.#outage) log.info("watch.resumed", { revision: answer.revision });
      this.#outage = false;
      this.#epoch = answer.epoch;
      this.#nodeId = answer.nodeId;
      if (answer.records) {
        this.#deliver({ kind: "snapshot", revision: answer.revision, records: answer.records });
      }
      const early = this.#early;
      this.#early = undefined;
      for (const { note, peer } of early) this.#take(note, peer);
      if (!answer.records && this.#revision < answer.revision) {
        log.info("watch.gap", { has: this.#revision, needs: answer.revision });
        if (this.#again !== "snapshot") this.#again = "snapshot";
      }
    } finally {
      this.#early = undefined;
    }
  }

  #schedule(): void {
    if (this.#closed) return;
    const { runtime, checkMs } = this.#options;
    const delayMs = checkMs * (0.9 + runtime.random() * 0.2);
    const again = (): void => {
      this.#request("check");
      this.#schedule();
    };
    this.#timer = runtime.setTimer(again, delayMs, { background: true });
  }
}

function parseAnswer(value: unknown, address: string): WatchAnswer {
  const answer = (value ?? {}) as Partial<WatchAnswer>;
  const { nodeId, epoch, revision, records } = answer;
  const usable =
    typeof nodeId === "string" &&
    typeof epoch === "string" &&
    typeof revision === "number" &&
    (records === null || Array.isArray(records));
  if (!usable) throw malformedAnswer(address, registryMethods.watch);
  return { nodeId, epoch, revision, records: records ?? null };
}

export function malformedAnswer(address: string, method: string): SoormaError {
  return new SoormaError("MESSAGE_MALFORMED", `what ${address} answered to "${method}" is no answer to it`, {
    hint: "Do both sides run the same version of Soorma?",
  });
}

/** Reads a note; `undefined` for anything else. */
export function parseNote(value: unknown): ChangeNote | undefined {
  const note = (value ?? {}) as Partial<ChangeNote>;
  const usable =
    typeof note.watchId === "string" &&
    typeof note.epoch === "string" &&
    typeof note.after === "number" &&
    Array.isArray(note.changes);
  return usable ? (note as ChangeNote) : undefined;
}
