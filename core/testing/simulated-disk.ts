import { SoormaError } from "../src/errors.ts";
import type { Runtime } from "../src/runtime.ts";
import { type Base, CommitRefused, createStoreEngine, type Writes } from "../src/store/engine.ts";
import { OrderedMap } from "../src/store/ordered-map.ts";
import type { Store } from "../src/store/store.ts";

export interface SimulatedDiskOptions {
  /** Time and chance. The machine's, not a process's: a disk outlives the processes that write to it. */
  readonly runtime: Runtime;
  /** Milliseconds a flush takes: a number, or a range to draw from. Default 0. */
  readonly flushMs?: number | readonly [number, number];
  /**
   * Commits are acknowledged before they are flushed, as by a disk whose cache lies. For checking that a test notices
   * what is then lost by a crash. Default false.
   */
  readonly lies?: boolean;
}

/** What a process left behind when it ended, and the next one finds. */
export interface SimulatedDisk {
  /** While true, whatever puts something is refused with `STORE_FULL`; deleting goes on. */
  full: boolean;
  /** Commits that reached the disk. */
  readonly flushes: number;
  /**
   * Opens the store for the process that runs on this disk now.
   *
   * @throws {SoormaError} `STORE_LOCKED` while another process has it open.
   */
  open(): Store;
  /**
   * The process that has it open is gone. The commit under way is on disk as a whole or not at all, by chance; what was
   * accepted behind it is lost. Calls of that process never settle.
   */
  crash(): void;
}

interface Handle {
  dead: boolean;
  underWay: Writes | undefined;
}

/** A disk for simulations. Its store behaves like the one on LMDB: atomic commits, one after the other, and one owner. */
export function simulatedDisk({ runtime, flushMs = 0, lies = false }: SimulatedDiskOptions): SimulatedDisk {
  const durable = new OrderedMap<Uint8Array>();
  let owner: Handle | undefined;
  let full = false;
  let flushes = 0;

  const flush = (): Promise<void> => {
    const ms = typeof flushMs === "number" ? flushMs : flushMs[0] + runtime.random() * (flushMs[1] - flushMs[0]);
    return new Promise((resolve) => void runtime.setTimer(resolve, ms));
  };
  const write = (writes: Writes): void => {
    flushes++;
    apply(durable, writes);
  };

  const baseOf = (handle: Handle): Base => {
    const seen = lies ? copyOf(durable) : durable;
    let cache = Promise.resolve();
    return {
      get: (key) => seen.get(key),
      *range(low, high, reverse) {
        const keys = seen.keys(low, high);
        if (reverse) keys.reverse();
        yield* keys.map((key) => [key, seen.get(key) as Uint8Array] as const);
      },
      async commit(writes) {
        if (full && puts(writes)) throw new CommitRefused("full", { cause: fullError() });
        if (lies) {
          apply(seen, writes);
          cache = cache.then(flush).then(() => {
            if (!handle.dead) write(writes);
          });
          return;
        }
        handle.underWay = writes;
        await flush();
        if (handle.dead) await new Promise(() => {});
        handle.underWay = undefined;
        write(writes);
      },
      async close() {
        if (owner === handle) owner = undefined;
      },
    };
  };

  return {
    get full() {
      return full;
    },
    set full(value) {
      full = value;
    },
    get flushes() {
      return flushes;
    },
    open() {
      if (owner) throw new SoormaError("STORE_LOCKED", "the simulated disk's store is open in another process");
      owner = { dead: false, underWay: undefined };
      return createStoreEngine(baseOf(owner), "the store on the simulated disk");
    },
    crash() {
      if (!owner) return;
      owner.dead = true;
      if (owner.underWay && runtime.random() < 0.5) write(owner.underWay);
      owner = undefined;
    },
  };
}

function apply(data: OrderedMap<Uint8Array>, writes: Writes): void {
  for (const [key, bytes] of writes) {
    if (bytes) data.set(key, bytes);
    else data.delete(key);
  }
}

function copyOf(data: OrderedMap<Uint8Array>): OrderedMap<Uint8Array> {
  const copy = new OrderedMap<Uint8Array>();
  for (const [key, bytes] of data.entries()) copy.set(key, bytes);
  return copy;
}

function puts(writes: Writes): boolean {
  for (const bytes of writes.values()) if (bytes) return true;
  return false;
}

function fullError(): SoormaError {
  return new SoormaError("STORE_FULL", "the simulated disk has no room", {
    hint: "Free disk space or raise the store's limit; deleting entries works meanwhile.",
  });
}
