import type { BenchRow } from "./transport.ts";

/** A figure of ours alone, and whether it keeps within what is asked of it. */
export function limited(name: string, unit: string, ours: number, limit?: number): BenchRow {
  const verdict =
    limit === undefined ? "" : `within ${limit.toLocaleString("en")} ${unit}: ${ours <= limit ? "yes" : "NO"}`;
  return { name, unit, ours, theirs: Number.NaN, ratio: Number.NaN, target: undefined, verdict };
}
