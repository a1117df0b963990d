import type { StoreReader, StoreTransaction } from "../store/store.ts";

/** An entry's latest writes' operation ids, each followed by the version it made. */
export type Operations = readonly (string | number)[];

/** Operations that an entry itself remembers; most entries never have more within {@link rememberMs}. */
const inEntry = 8;
/** How long one of an entry with more writes than that is remembered. Clients try a call for half of it. */
const rememberMs = 60_000;

/** Under ["memo", tenant, operation]: of an entry written so often that it does not remember the operation itself. */
interface Moved {
  readonly k: string;
  readonly n: number;
}

/** The version that an operation made, if it was done before. */
export function versionOf(
  reader: StoreReader,
  tenant: string,
  key: string,
  operations: Operations = [],
  operationId: string | undefined,
): number | undefined {
  if (operationId === undefined) return undefined;
  const at = operations.indexOf(operationId);
  if (at >= 0) return Number(operations[at + 1]);
  if (operations.length < 2 * inEntry) return undefined;
  const moved = reader.get<Moved>(["memo", tenant, operationId]);
  return moved?.k === key ? moved.n : undefined;
}

/** An entry's operations with one more. What it has no room for is kept beside it for a while. */
export function remember(
  tx: StoreTransaction,
  tenant: string,
  key: string,
  operations: Operations = [],
  done: { readonly operationId: string | undefined; readonly version: number; readonly nowMs: number },
): { readonly o?: Operations } {
  const { operationId, version, nowMs } = done;
  const all = operationId === undefined ? operations : [...operations, operationId, version];
  const surplus = Math.max(0, all.length - 2 * inEntry);
  for (let i = 0; i < surplus; i += 2) {
    const moved = String(all[i]);
    tx.put(["memo", tenant, moved], { k: key, n: Number(all[i + 1]) } satisfies Moved);
    tx.put(["memox", nowMs + rememberMs, tenant, moved], 0);
  }
  return all.length === 0 ? {} : { o: all.slice(surplus) };
}

/** Removes what need not be remembered any more, `limit` at most. @returns how many that were. */
export function sweepOperations(tx: StoreTransaction, nowMs: number, limit: number): number {
  let swept = 0;
  for (const { key } of tx.range({ prefix: ["memox"], limit })) {
    const [, untilMs, tenant, operationId] = key as [string, number, string, string];
    if (untilMs > nowMs) break;
    tx.delete(key);
    tx.delete(["memo", tenant, operationId]);
    swept++;
  }
  return swept;
}
