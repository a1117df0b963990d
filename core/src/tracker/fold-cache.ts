import { PlanFold } from "../plans/reducer.ts";
import { roughBytes } from "../rough-size.ts";
import type { StoreReader } from "../store/store.ts";
import { readBatches } from "./plan-records.ts";

/** A plan as its log tells, and which appends to it are known by their operation's id. */
export interface PlanMemo {
  readonly key: string;
  readonly fold: PlanFold;
  readonly operations: OperationIds;
  /** About how much memory it takes. */
  bytes: number;
}

/** Memory that a fold takes beside what its entries hold. */
const entryOverheadBytes = 200;
/** Folds that are kept, by the bytes of their logs: 10,000 open plans of some dozens of entries each. */
const defaultMaxBytes = 256 * 1024 * 1024;

/**
 * Plans lately changed, so that an append need not read the log. The one that was not used for longest goes first.
 *
 * A fold may have taken in what was then not written: whoever gets one names the version it has to be at.
 */
export class FoldCache {
  readonly #memos = new Map<string, PlanMemo>();
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  /** Plans that are kept now. */
  get size(): number {
    return this.#memos.size;
  }

  /** The plan's fold, out of its log if it is not here. */
  get(reader: StoreReader, tenant: string, planId: string, version: number): PlanMemo {
    const key = keyOf(tenant, planId);
    const known = this.#memos.get(key);
    if (known?.fold.version === version) {
      this.#memos.delete(key);
      this.#memos.set(key, known);
      return known;
    }
    if (known) this.drop(key);
    const memo = readMemo(reader, tenant, planId);
    this.#memos.set(key, memo);
    this.#bytes += memo.bytes;
    this.#evict(memo);
    return memo;
  }

  /** As {@link get}, but what is not here is read for this once. */
  peek(reader: StoreReader, tenant: string, planId: string, version: number): PlanFold {
    const known = this.#memos.get(keyOf(tenant, planId));
    return known?.fold.version === version ? known.fold : readMemo(reader, tenant, planId).fold;
  }

  /** Notes that a fold took in entries of about that many bytes. */
  grew(memo: PlanMemo, bytes: number, entries: number): void {
    const more = bytes + entries * entryOverheadBytes;
    memo.bytes += more;
    if (this.#memos.get(memo.key) !== memo) return;
    this.#bytes += more;
    this.#evict(memo);
  }

  drop(key: string): void {
    const memo = this.#memos.get(key);
    if (!memo) return;
    this.#memos.delete(key);
    this.#bytes -= memo.bytes;
  }

  clear(): void {
    this.#memos.clear();
    this.#bytes = 0;
  }

  #evict(inUse: PlanMemo): void {
    for (const [key, memo] of this.#memos) {
      if (this.#bytes <= this.#maxBytes || memo === inUse) return;
      this.drop(key);
    }
  }
}

export function keyOf(tenant: string, planId: string): string {
  // No plan id holds a NUL that a tenant could end in: both are compared whole, as their lengths tell.
  return `${tenant.length}:${tenant}${planId}`;
}

function readMemo(reader: StoreReader, tenant: string, planId: string): PlanMemo {
  const fold = new PlanFold(planId);
  const operations = new OperationIds();
  let bytes = 0;
  for (const { entries, operationId } of readBatches(reader, tenant, planId)) {
    for (const entry of entries) {
      fold.apply(entry);
      bytes += roughBytes(entry) + entryOverheadBytes;
    }
    const last = entries.at(-1);
    if (operationId !== undefined && last) operations.add(operationId, last.version, last.timeMs);
  }
  return { key: keyOf(tenant, planId), fold, operations, bytes };
}

/** Operations beyond this number are forgotten once they are older than {@link rememberMs}. */
const rememberedOperations = 32;
/** Clients give an operation up long before. */
const rememberMs = 120_000;
const mostOperations = 20_000;

/** What the latest appends' operation ids led to, so that one that is tried again is done once. Oldest first. */
export class OperationIds {
  readonly #versions = new Map<string, { readonly version: number; readonly timeMs: number }>();

  get(operationId: string | undefined): number | undefined {
    return operationId === undefined ? undefined : this.#versions.get(operationId)?.version;
  }

  add(operationId: string, version: number, timeMs: number): void {
    this.#versions.set(operationId, { version, timeMs });
    for (const [id, operation] of this.#versions) {
      if (this.#versions.size <= rememberedOperations) return;
      if (operation.timeMs > timeMs - rememberMs && this.#versions.size <= mostOperations) return;
      this.#versions.delete(id);
    }
  }
}
