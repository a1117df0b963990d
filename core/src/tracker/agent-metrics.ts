import type { PlanChange, TaskState } from "../plans/log.ts";
import type { StoreReader, StoreTransaction } from "../store/store.ts";

/** How the attempts of an agent ended, since the store began. */
export interface AgentMetrics {
  readonly agentName: string;
  /** Attempts that ended with a result or a failure. What was handed back unfinished is not counted. */
  readonly count: number;
  readonly failures: number;
  /**
   * Milliseconds that half of them did not exceed, within 2.5 %: of an even number the lower of the two in the middle, not their
   * mean. 0 if nothing is known.
   */
  readonly medianMs: number;
  /** Milliseconds that 95 of 100 did not exceed, within 2.5 %. */
  readonly p95Ms: number;
}

/** Under ["planm", tenant, agent name]: count, failures, and bucket, number, bucket, number, … in order. */
type Stored = readonly [count: number, failures: number, durations: readonly number[]];

/** Each bucket reaches 5 % further than the one before, so its middle is at most 2.5 % off whatever is in it. */
const growth = Math.log(1.05);
/** All that took less is in the first bucket. */
const smallestMs = 0.01;

/** The same in memory, changed in place. */
type Counted = [count: number, failures: number, durations: number[]];

/** Agents whose counts are kept in memory. */
const mostKept = 1_000;

/**
 * Counts attempts of agents. What was counted is written with the batch of transactions it belongs to, once for all of them: to
 * read, change and write it with each took a sixth of the state node's time.
 */
export class AgentCounts {
  readonly #kept = new Map<string, Counted>();
  #losses = 0;

  /** To be called when nothing in the transaction's body can fail any more. */
  add(tx: StoreTransaction, { tenant, agentName, failed, durationMs }: EndedAttempt): void {
    if (tx.losses !== this.#losses) {
      this.#losses = tx.losses;
      this.#kept.clear();
    }
    const key = ["planm", tenant, agentName];
    const name = `${tenant.length} ${tenant}${agentName}`;
    let counted = this.#kept.get(name);
    if (!counted) {
      const [count, failures, durations] = tx.get<Stored>(key) ?? [0, 0, []];
      counted = [count, failures, durations.slice()];
      if (this.#kept.size >= mostKept) this.#kept.clear();
      this.#kept.set(name, counted);
    }
    counted[0]++;
    if (failed) counted[1]++;
    addDuration(counted[2], durationMs);
    tx.putLater(key, () => counted);
  }
}

/** An attempt that ended with a result or a failure. */
export interface EndedAttempt {
  readonly tenant: string;
  readonly agentName: string;
  readonly failed: boolean;
  readonly durationMs: number | undefined;
}

/** The attempt that `change` ended, if it counts; `task` as it was before. */
export function endedAttempt(tenant: string, task: TaskState, change: PlanChange): EndedAttempt | undefined {
  if (change.type !== "task.succeeded" && change.type !== "task.failed" && change.type !== "task.retried") return;
  if (task.agentName === undefined || change.attempt === undefined) return;
  if (change.type === "task.retried" && change.uncounted) return;
  const { agentName } = task;
  return { tenant, agentName, failed: change.type !== "task.succeeded", durationMs: change.durationMs };
}

/** Of all agents, or of one, by name. */
export function readMetrics(reader: StoreReader, tenant: string, agentName?: string): AgentMetrics[] {
  if (agentName !== undefined) {
    const stored = reader.get<Stored>(["planm", tenant, agentName]);
    return stored ? [toMetrics(agentName, stored)] : [];
  }
  return Array.from(reader.range<Stored>({ prefix: ["planm", tenant] }), ({ key, value }) =>
    toMetrics(String(key[2]), value),
  );
}

function toMetrics(agentName: string, [count, failures, durations]: Stored): AgentMetrics {
  return { agentName, count, failures, medianMs: quantile(durations, 0.5), p95Ms: quantile(durations, 0.95) };
}

function addDuration(durations: number[], durationMs: number | undefined): void {
  if (durationMs === undefined || !(durationMs >= 0)) return;
  const bucket = Math.max(0, Math.ceil(Math.log(Math.min(durationMs, Number.MAX_SAFE_INTEGER) / smallestMs) / growth));
  let at = 0;
  while (at < durations.length && (durations[at] ?? 0) < bucket) at += 2;
  if (durations[at] === bucket) durations[at + 1] = (durations[at + 1] ?? 0) + 1;
  else durations.splice(at, 0, bucket, 1);
}

/** The smallest duration that is not exceeded by `share` of them. */
function quantile(durations: readonly number[], share: number): number {
  let total = 0;
  for (let i = 1; i < durations.length; i += 2) total += durations[i] ?? 0;
  let left = Math.ceil(total * share);
  for (let i = 0; i < durations.length; i += 2) {
    left -= durations[i + 1] ?? 0;
    if (left <= 0) return middleOf(durations[i] ?? 0);
  }
  return 0;
}

function middleOf(bucket: number): number {
  const ms = bucket === 0 ? smallestMs : smallestMs * Math.exp((bucket - 0.5) * growth);
  // No more digits than it knows.
  return Number(ms.toPrecision(4));
}
