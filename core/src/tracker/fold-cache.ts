import type { PlanEntry } from "../plans/log.ts";
import { isTerminal, PlanFold } from "../plans/reducer.ts";
import { roughBytes } from "../rough-size.ts";
import type { StoreReader, StoreTransaction } from "../store/store.ts";
import { entriesOf, type Head, hasPlan, readBatches } from "./plan-records.ts";

/** A plan as its log tells, and which appends to it are known by their operation's id. */
export interface PlanMemo {
  readonly tenant: string;
  readonly planId: string;
  readonly fold: PlanFold;
  readonly operations: OperationIds;
  /** Undefined before the first append. */
  head: Head | undefined;
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
 * A memo is right as long as everything it took in was accepted by the store, and the store has not lost that.
 */
export class FoldCache {
  readonly #memos = new Map<string, Map<string, PlanMemo>>();
  readonly #order = new Map<PlanMemo, undefined>();
  readonly #maxBytes: number;
  #bytes = 0;
  #losses = 0;

  constructor(maxBytes: number = defaultMaxBytes) {
    this.#maxBytes = maxBytes;
  }

  /** The plan's fold, out of its log (told to `onRead`) if it is not here; undefined if there is no such plan. */
  get(
    tx: StoreTransaction,
    tenant: string,
    planId: string,
    onRead?: (entries: readonly PlanEntry[]) => void,
  ): PlanMemo | undefined {
    this.#checkLosses(tx);
    const known = this.#memos.get(tenant)?.get(planId);
    if (known) {
      this.#order.delete(known);
      this.#order.set(known, undefined);
      return known;
    }
    if (!hasPlan(tx, tenant, planId)) return undefined;
    const memo = readMemo(tx, tenant, planId, onRead);
    this.#add(memo);
    return memo;
  }

  /** A plan that is to be. */
  make(tenant: string, planId: string): PlanMemo {
    const memo = newMemo(tenant, planId);
    this.#add(memo);
    return memo;
  }

  /** Whether the plan is here and has not ended. */
  isOpen(tenant: string, planId: string): boolean {
    const fold = this.#memos.get(tenant)?.get(planId)?.fold;
    return fold !== undefined && !isTerminal(fold.status);
  }

  /** As {@link get}, but what is not here is read for this once. */
  peek(tx: StoreTransaction, tenant: string, planId: string): PlanFold {
    this.#checkLosses(tx);
    return (this.#memos.get(tenant)?.get(planId) ?? readMemo(tx, tenant, planId)).fold;
  }

  /** Notes that a fold took in changes of about that many bytes. */
  grew(memo: PlanMemo, bytes: number, changes: number): void {
    const more = bytes + changes * entryOverheadBytes;
    memo.bytes += more;
    if (!this.#order.has(memo)) return;
    this.#bytes += more;
    this.#evict(memo);
  }

  drop(memo: PlanMemo): void {
    if (!this.#order.delete(memo)) return;
    const plans = this.#memos.get(memo.tenant);
    plans?.delete(memo.planId);
    if (plans?.size === 0) this.#memos.delete(memo.tenant);
    this.#bytes -= memo.bytes;
  }

  #add(memo: PlanMemo): void {
    let plans = this.#memos.get(memo.tenant);
    if (!plans) {
      plans = new Map();
      this.#memos.set(memo.tenant, plans);
    }
    plans.set(memo.planId, memo);
    this.#order.set(memo, undefined);
    this.#bytes += memo.bytes;
    this.#evict(memo);
  }

  #checkLosses({ losses }: StoreTransaction): void {
    if (losses === this.#losses) return;
    this.#losses = losses;
    this.#memos.clear();
    this.#order.clear();
    this.#bytes = 0;
  }

  #evict(inUse: PlanMemo): void {
    for (const memo of this.#order.keys()) {
      if (this.#bytes <= this.#maxBytes || memo === inUse) return;
      this.drop(memo);
    }
  }
}

function newMemo(tenant: string, planId: string): PlanMemo {
  return {
    tenant,
    planId,
    fold: new PlanFold(planId),
    operations: new OperationIds(),
    head: undefined,
    bytes: entryOverheadBytes,
  };
}

function readMemo(
  reader: StoreReader,
  tenant: string,
  planId: string,
  onRead?: (entries: readonly PlanEntry[]) => void,
): PlanMemo {
  const memo = newMemo(tenant, planId);
  const all: PlanEntry[] = [];
  for (const batch of readBatches(reader, tenant, planId)) {
    for (const entry of entriesOf(batch)) {
      memo.fold.apply(entry);
      if (onRead) all.push(entry);
    }
    memo.bytes += roughBytes(batch.changes) + batch.changes.length * entryOverheadBytes;
    memo.head = batch.head;
    if (batch.operationId !== undefined) memo.operations.add(batch.operationId, memo.fold.version, batch.timeMs);
  }
  onRead?.(all);
  return memo;
}

/** Operations beyond this number are forgotten once they are older than {@link rememberMs}. */
const rememberedOperations = 32;
/** Clients give an operation up long before. */
const rememberMs = 120_000;
const mostOperations = 20_000;

/** What the latest appends' operation ids led to, so that one that is tried again is done once. Oldest first. */
class OperationIds {
  readonly #versions = new Map<string, { readonly version: number; readonly timeMs: number }>();

  get(operationId: string | undefined): number | undefined {
    return operationId === undefined ? undefined : this.#versions.get(operationId)?.version;
  }

  add(operationId: string, version: number, timeMs: number): void {
    this.#versions.set(operationId, { version, timeMs });
    if (this.#versions.size <= rememberedOperations) return;
    for (const [id, operation] of this.#versions) {
      if (this.#versions.size <= rememberedOperations) return;
      if (operation.timeMs > timeMs - rememberMs && this.#versions.size <= mostOperations) return;
      this.#versions.delete(id);
    }
  }
}
