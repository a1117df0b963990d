import { readFileSync } from "node:fs";
import { payload } from "../request/measure.ts";

/** Plans under way at the same time; each does its steps one after the other, so as many steps are in flight. */
const inFlight = 50;
/** Steps of each of these plans: what a plan costs is shared by few, or by many. */
const length = 10;
const longLength = 100;

/** What a process of a peer is told: `bun <peer>.ts <role> <given as JSON>`. */
export interface Given {
  /** Holds sockets and data. */
  readonly folder: string;
  readonly ports: readonly number[];
  /** `tasks`: each step is done by another process than the one that knows the plan. `steps`: within one handler. */
  readonly kind: Kind;
  /** Plans to measure with 50 in flight. */
  readonly plans: number;
  /** Plans of three steps to measure one at a time. */
  readonly singles: number;
  /** What the bench wants the processor time of. */
  readonly pids: Readonly<Record<string, number>>;
}

export type Kind = "tasks" | "steps";

export function given(): Given & { readonly role: string } {
  const [role = "", json = "{}"] = process.argv.slice(2);
  return { role, ...(JSON.parse(json) as Given) };
}

/** What every step gets and returns: about 100 bytes. */
export const stepData = payload;

/** Tells the parent that this process does its part from now on. */
export function ready(): void {
  process.stdout.write("ready\n");
}

export interface StepFigures {
  /** Durable steps a second with 50 plans in flight, and how many of them there were. */
  readonly rate: number;
  readonly steps: number;
  /** The same with plans of a hundred steps. */
  readonly longRate: number;
  /** Milliseconds from submitting a plan of three steps to its answer, one at a time. */
  readonly medianMs: number;
  readonly p95Ms: number;
  /** Processor time of each process a step, user and system, microseconds, with 50 in flight. */
  readonly cpuUs: Readonly<Record<string, number>>;
}

/** Measures `plan`, which resolves with the answer of a plan of so many steps, and prints the figures as JSON. */
export async function measure(
  { plans, singles, pids }: Given,
  plan: (steps: number) => PromiseLike<unknown>,
): Promise<void> {
  /** Resolves with how many steps there were a second. */
  const many = async (count: number, steps = length): Promise<number> => {
    let left = count;
    const one = async (): Promise<void> => {
      while (left-- > 0) await plan(steps);
    };
    const start = performance.now();
    await Promise.all(Array.from({ length: inFlight }, one));
    return (count * steps * 1_000) / (performance.now() - start);
  };
  // Until then the engines' compiler threads share the cores with what is measured.
  await many(Math.ceil(plans / 2));
  for (let n = 0; n < Math.ceil(singles / 2); n++) await plan(3);
  const times = new Float64Array(singles);
  for (let n = 0; n < singles; n++) {
    const start = performance.now();
    await plan(3);
    times[n] = performance.now() - start;
  }
  times.sort();
  const at = (share: number): number => times[Math.floor(singles * share)] ?? Number.NaN;

  const all = { ...pids, client: process.pid };
  const before = Object.values(all).map(cpuMs);
  const rate = await many(plans);
  const steps = plans * length;
  const cpuUs = Object.fromEntries(
    Object.entries(all).map(([name, pid], i) => [name, ((cpuMs(pid) - (before[i] ?? 0)) * 1_000) / steps]),
  );
  const longRate = await many(Math.max(2 * inFlight, plans / length), longLength);
  const figures: StepFigures = { rate, steps, longRate, medianMs: at(0.5), p95Ms: at(0.95), cpuUs };
  process.stdout.write(`${JSON.stringify(figures)}\n`);
}

/** Processor time a process used so far. Linux counts it in hundredths of a second. */
function cpuMs(pid: number): number {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return Number.NaN;
  }
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
